//! An account with pinned numbers, made before any package could make it with others.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::host::account;
use crate::sys::{Cmd, Tool};

/// The home of an account that has none, by Debian's convention.
pub const NO_HOME: &str = "/nonexistent";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The login name, and the name of its own group.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
    /// Its shell.
    pub shell: String,
    /// Further groups; those that are missing are made as system groups.
    pub groups: Vec<String>,
    /// A system account: no home is made.
    pub system: bool,
}

impl User {
    pub(super) fn title(&self) -> String {
        format!("making the user {} ({}:{})", self.name, self.uid, self.gid)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let users = site.host.root.read_text("/etc/passwd")?.unwrap_or_default();
        let groups = site.host.root.read_text("/etc/group")?.unwrap_or_default();
        let mut outcome = Outcome::Unchanged;
        if self.is_free(&groups, self.gid, "group")? {
            self.run(site, Cmd::new(Tool::Groupadd).args(["--gid", &self.gid.to_string()])).await?;
            outcome = Outcome::Changed;
        }
        if self.is_free(&users, self.uid, "user")? {
            self.run(site, self.useradd()).await?;
            outcome = Outcome::Changed;
        } else if !self.is_as_wanted(&users) {
            let cmd = Cmd::new(Tool::Usermod).args(["--home", &self.home, "--shell", &self.shell]);
            self.run(site, cmd).await?;
            outcome = Outcome::Changed;
        }
        for group in self.groups.iter().filter(|group| !is_member(&groups, group, &self.name)) {
            let cmd = Cmd::new(Tool::Groupadd).args(["--system", "--force", group]);
            site.host
                .runner
                .run(&cmd)
                .await
                .with_context(|| format!("making the group {group}"))?;
            self.run(site, Cmd::new(Tool::Usermod).args(["--append", "--groups", group])).await?;
            outcome = Outcome::Changed;
        }
        Ok(outcome)
    }

    /// Whether the name is still to be made. A name with another number, or a number with another
    /// name, is an error: files on the shared home know their owner by number only.
    fn is_free(&self, accounts: &str, id: u32, kind: &str) -> anyhow::Result<bool> {
        let of_name = account(accounts, &self.name).map(|account| account.id);
        let of_id = accounts.lines().find(|line| line.split(':').nth(2) == Some(&id.to_string()));
        let holder = of_id.and_then(|line| line.split(':').next());
        match (of_name, holder) {
            (Some(now), _) if now == id => Ok(false),
            (Some(now), _) => Err(Fault::step(format!(
                "the {kind} `{}` is there with the number {now}, not {id}",
                self.name
            ))
            .into()),
            (None, Some(other)) => {
                Err(Fault::step(format!("the number {id} is that of the {kind} `{other}`")).into())
            }
            (None, None) => Ok(true),
        }
    }

    fn is_as_wanted(&self, users: &str) -> bool {
        account(users, &self.name).is_some_and(|account| {
            account.fields.get(5) == Some(&self.home.as_str())
                && account.fields.get(6) == Some(&self.shell.as_str())
        })
    }

    fn useradd(&self) -> Cmd {
        let (uid, gid) = (self.uid.to_string(), self.gid.to_string());
        let has_home = !self.system && self.home != NO_HOME;
        let home = if has_home { "--create-home" } else { "--no-create-home" };
        let cmd = Cmd::new(Tool::Useradd).args(["--uid", &uid, "--gid", &gid, home]);
        cmd.args(["--home-dir", &self.home, "--shell", &self.shell])
    }

    async fn run(&self, site: &Site<'_>, cmd: Cmd) -> anyhow::Result<()> {
        let title = self.title();
        site.host.runner.run(&cmd.arg(&self.name)).await.context(title).map(drop)
    }
}

fn is_member(groups: &str, group: &str, user: &str) -> bool {
    account(groups, group)
        .and_then(|account| account.fields.get(3).copied())
        .is_some_and(|members| members.split(',').any(|member| member == user))
}
