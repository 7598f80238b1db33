//! `DeleteSnapshot`.

use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape;

/// Also one that is pending: its upload ends there. Not one that an image has.
pub fn delete(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("SnapshotId")?;
    let dry_run = query.finish()?;
    Kind::Snapshot.check(&id)?;
    let region = call.here();
    if !region.snapshots.contains_key(&id) {
        return Err(Kind::Snapshot.not_found(&[&id]));
    }
    let user = region.images.values().find(|image| image.snapshots().any(|one| one == id));
    if let Some(image) = user {
        let message = format!("The snapshot {id} is currently in use by {}", image.id);
        return Err(Refusal::new("InvalidSnapshot.InUse", message));
    }
    dry_run.end()?;
    region.snapshots.remove(&id);
    Ok(shape::done())
}
