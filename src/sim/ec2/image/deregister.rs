//! `DeregisterImage`: the image goes, and its snapshots where that is wanted.

use crate::sim::ec2::Call;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, set};
use crate::sim::xml::leaf;

/// See the module.
pub fn deregister(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let with_snapshots = query.flag("DeleteAssociatedSnapshots")?.unwrap_or_default();
    let dry_run = query.finish()?;
    let now = call.account.world();
    let region = call.here();
    let image = super::own(region, &id)?;
    if image.protection.is_some() || image.cooldown.is_some_and(|until| now < until) {
        let message = format!(
            "Image {id} is protected from deregistration. Disable deregistration protection first"
        );
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    dry_run.end()?;
    let snapshots: Vec<String> = image.snapshots().map(str::to_owned).collect();
    region.images.remove(&id);
    let mut deleted = Vec::new();
    for snapshot in snapshots.iter().filter(|_| with_snapshots) {
        let used = region.images.values().any(|image| image.snapshots().any(|one| one == snapshot));
        let code = match used {
            true => "skipped",
            false if region.snapshots.remove(snapshot).is_some() => "success",
            false => "client-error",
        };
        deleted.push(leaf("snapshotId", snapshot) + &leaf("returnCode", code));
    }
    Ok(shape::done() + &set("deleteSnapshotResultSet", deleted))
}
