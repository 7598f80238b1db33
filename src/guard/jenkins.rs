//! Jenkins, as the guard sees it: how its unit is, what it builds, and how it is made quiet.

use std::time::Duration;

use super::post::Watched;
use crate::jenkins::{Build, Client, Computers, Quiet, Tokens, Trouble, page};
use crate::sys::{CmdError, systemd};

/// Its unit.
pub(super) const UNIT: &str = "jenkins.service";

/// Where the tokens are.
const SECRETS: &str = "run/hostkit/secrets";

/// How a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// It runs, or is on its way.
    Up,
    /// It is being stopped.
    Stopping,
    /// It does not run, or there is none.
    Down,
}

/// How `unit` is.
pub(super) async fn unit(host: &Watched, unit: &str) -> Result<Unit, CmdError> {
    let shown = systemd::show(&host.post.runner, unit, &["LoadState", "ActiveState"]).await?;
    let is = |name: &str, value: &str| shown.get(name).is_some_and(|it| it == value);
    if is("LoadState", "not-found") || is("ActiveState", "inactive") || is("ActiveState", "failed")
    {
        return Ok(Unit::Down);
    }
    Ok(if is("ActiveState", "deactivating") { Unit::Stopping } else { Unit::Up })
}

/// A way to ask Jenkins as hostkit's user.
fn client(host: &Watched) -> Result<Client, Trouble> {
    let folder = host.post.path(SECRETS);
    let tokens = Tokens::read(&folder).map_err(|error| {
        Trouble::Unreachable(format!("hostkit's token cannot be read from {folder}: {error}"))
    })?;
    let user = &host.config.jenkins.security.hostkit_user;
    Ok(Client::new(host.post.jenkins, user, &tokens))
}

/// Has it begin no more builds.
pub(super) async fn quiet_down(host: &Watched) -> Result<(), Trouble> {
    client(host)?.quiet_down(&host.config.drain.message).await
}

/// Has it begin builds again.
pub(super) async fn cancel(host: &Watched) -> Result<(), Trouble> {
    client(host)?.cancel_quiet_down().await
}

/// Whether it begins builds.
pub(super) async fn quiet(host: &Watched) -> Result<Quiet, Trouble> {
    client(host)?.quiet().await
}

/// What it builds.
pub(super) async fn builds(host: &Watched) -> Result<Vec<Build>, Trouble> {
    client(host)?.builds().await
}

/// What it builds, and where it could: one question.
pub(super) async fn computers(host: &Watched) -> Result<Computers, Trouble> {
    client(host)?.computers().await
}

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// How fast.
    pub(super) took: Duration,
    /// The version that it says that it has.
    pub(super) version: String,
}

/// Whether it serves, as far as somebody sees who has not logged in; and how fast.
pub(super) async fn serves(host: &Watched) -> Result<Served, String> {
    let began = tokio::time::Instant::now();
    match page(host.post.jenkins, "/login").await {
        Ok(page) if page.is_wizard => Err("Jenkins shows its setup wizard".to_owned()),
        Ok(page) if page.status == 200 => match page.version {
            Some(version) => Ok(Served { took: began.elapsed(), version }),
            None => Err("what answers is not Jenkins".to_owned()),
        },
        Ok(page) => Err(format!("/login answers {}", page.status)),
        Err(trouble) => Err(trouble.to_string()),
    }
}

/// Builds, in words: those that a restart loses, and how many go on after it.
pub(super) fn tell(builds: &[Build]) -> (Vec<String>, usize) {
    let (goes_on, lost): (Vec<_>, Vec<_>) = builds.iter().partition(|build| build.is_resumable);
    let name = |build: &&Build| match &build.url {
        Some(url) => url.clone(),
        None => format!("a build on {}", build.node),
    };
    (lost.iter().map(name).collect(), goes_on.len())
}
