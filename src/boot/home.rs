//! The home on the file system: made once, checked every time.

use std::sync::Arc;

use super::context::Context;
use super::inside::{self, Answer, Request};
use crate::event::Outcome;
use crate::jenkins::Version;
use crate::sys::console;

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
