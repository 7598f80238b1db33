//! The home on the file system: made once, checked every time.

use std::sync::Arc;

use super::context::Context;
use super::inside::{self, Answer, Request};
use crate::event::Outcome;
use crate::sys::mountinfo;

/// Who owns the home: the user of Jenkins' own package.
pub(super) const OWNER: &str = "jenkins";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let efs = &known.config.efs;
    let request = Request::Prepare {
        mount_point: context.machine.path(&efs.mount_point),
        file_system: efs.id.clone().expect("the identity step checked it"),
        user: OWNER.to_owned(),
    };
    match inside::ask(&context.machine.runner, &request).await? {
        Answer::Done { changed } => Ok(Outcome::changed(changed)),
        answer => anyhow::bail!("the child answered {answer:?}"),
    }
}

/// Leaves the cause of a failed boot on the file system, if it is mounted: the host itself is
/// about to be replaced.
pub(super) async fn record(context: &Context, step: &str, cause: &str) -> anyhow::Result<()> {
    let Some(known) = context.known() else { return Ok(()) };
    let efs = &known.config.efs;
    let (point, Some(file_system)) = (&efs.mount_point, &efs.id) else { return Ok(()) };
    let mounts = mountinfo::read(&context.machine.root)?;
    if !mountinfo::at(&mounts, point).is_some_and(|mount| mount.kind.starts_with("nfs")) {
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
        mount_point: context.machine.path(point),
        file_system: file_system.clone(),
        name: format!("{}.json", known.identity.instance_id),
        text: format!("{record:#}\n"),
    };
    inside::ask(&context.machine.runner, &request).await.map(drop)
}
