//! The home on the file system: made once, checked every time.

use std::sync::Arc;

use camino::Utf8Path;

use super::barred;
use super::context::{Context, Machine};
use super::inside::{self, Answer, Former, Request};
use super::way_back::{self, Served};
use crate::error::Fault;
use crate::event::Outcome;
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

pub(super) const STEP: &str = "home";

/// Whether a network file system is mounted where the home is. The kernel's table tells.
pub(super) fn is_mounted(machine: &Machine) -> bool {
    let mounts = mountinfo::read(&machine.root).unwrap_or_default();
    mountinfo::at(&mounts, MOUNT_POINT).is_some_and(Mount::is_nfs)
}

/// Refuses a person's `path` that lies on the mounted home: the command would wait in its own
/// process for a server that may be dead. A link that leads there is not followed, and so not found.
///
/// # Errors
/// It does. `instead` is what to do.
pub fn keep_off(machine: &Machine, path: &Utf8Path, instead: &str) -> Result<(), Fault> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    if !absolute.starts_with(MOUNT_POINT) || !is_mounted(machine) {
        return Ok(());
    }
    Err(Fault::usage(format!(
        "{} lies on the home's file system, which could hang this command",
        absolute.display()
    ))
    .hint(instead.to_owned()))
}

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let jenkins = jenkins_of_the_image(&context, STEP);
    let prepare = async |former: Former| {
        let request = Request::Prepare {
            mount_point: context.machine.path(MOUNT_POINT),
            file_system: file_system(&context).to_owned(),
            user: OWNER.to_owned(),
            jenkins: jenkins.clone(),
            allow_downgrade: context.config().jenkins.allow_downgrade,
            image: context.must_know().identity.image_id.clone(),
            former,
        };
        inside::ask(&context.machine.runner, &request).await
    };
    let mut former = Former::Tell;
    let (changed, told) = loop {
        match prepare(former).await? {
            Answer::Done { changed, told } => break (changed, told),
            Answer::Barred { why, hint } => {
                barred::wait(&context, why, hint).await?;
                former = Former::Tell;
            }
            Answer::Former { served, since } => {
                former = way_back::ask(&context, &Served { image: served, since }).await;
            }
            answer => anyhow::bail!("the child answered {answer:?}"),
        }
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
