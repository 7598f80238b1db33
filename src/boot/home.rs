//! The home on the file system: made once, checked every time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::context::Context;
use super::inside::{self, Answer, Request};
use crate::event::Outcome;
use crate::host::Role;
use crate::jenkins::Version;
use crate::sys::console;
use crate::sys::mountinfo::{self, Mount};

/// Who owns the home: the user of Jenkins' own package.
pub(super) const OWNER: &str = "jenkins";

/// Where the file system is mounted. Not an option: Jenkins' unit depends on the mount unit of
/// this path, and the sandbox of this one lets the mount through.
pub(super) const MOUNT_POINT: &str = crate::host::HOME;

/// The file system of the home. For the steps that come after `config`.
pub(super) fn file_system(context: &Context) -> &str {
    context.config().efs.id.as_deref().expect("the step `config` checked it")
}

const STEP: &str = "home";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let request = Request::Prepare {
        mount_point: context.machine.path(MOUNT_POINT),
        file_system: file_system(&context).to_owned(),
        user: OWNER.to_owned(),
        jenkins: jenkins_of_the_image(&context, STEP),
        allow_downgrade: context.config().jenkins.allow_downgrade,
    };
    let answer = inside::ask(&context.machine.runner, &request).await?;
    let Answer::Done { changed, told } = answer else {
        anyhow::bail!("the child answered {answer:?}");
    };
    for line in told {
        // Nobody reads the journal of a host that boots well.
        console::say(&context.machine.root, &format!("hostkit: home: {line}\n"));
        context.events.log(STEP, line);
    }
    Ok(Outcome::changed(changed))
}

/// The version of the image's Jenkins. Without it the home cannot be compared, which is told.
pub(super) fn jenkins_of_the_image(context: &Context, step: &str) -> Option<Version> {
    let why = match Version::installed(&context.machine.root) {
        Ok(Some(version)) => return Some(version),
        Ok(None) => "nothing in the image says it".to_owned(),
        Err(error) => error.to_string(),
    };
    let what =
        format!("the version of the image's Jenkins is not known ({why}): it is not compared");
    context.events.log(step, what);
    None
}

/// Leaves the cause of a failed boot on the file system, if it is mounted: the host itself is
/// about to be replaced.
pub(super) async fn record(context: &Context, step: &str, cause: &str) -> anyhow::Result<()> {
    let (Some(known), Some(config)) = (context.known(), context.config.get()) else {
        return Ok(());
    };
    // Only a controller has a home.
    if config.role != Some(Role::Controller) {
        return Ok(());
    }
    let mounts = mountinfo::read(&context.machine.root)?;
    if !mountinfo::at(&mounts, MOUNT_POINT).is_some_and(Mount::is_nfs) {
        return Ok(());
    }
    let record = serde_json::json!({
        "version": 1,
        "instance_id": known.identity.instance_id,
        "image_id": known.identity.image_id,
        "boot_id": context.facts.boot_id,
        "at": jiff::Timestamp::now(),
        "failed": step,
        "cause": cause,
    });
    let request = Request::Record {
        mount_point: context.machine.path(MOUNT_POINT),
        file_system: file_system(context).to_owned(),
        name: format!("{}.json", known.identity.instance_id),
        text: format!("{record:#}\n"),
    };
    // The child's own deadline does not end a child that the kernel does not let go.
    let patience = inside::PATIENCE + Duration::from_secs(10);
    match timeout(patience, inside::ask(&context.machine.runner, &request)).await {
        Ok(end) => end.map(drop),
        Err(_elapsed) => anyhow::bail!("the file system does not answer"),
    }
}
