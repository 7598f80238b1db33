//! `ModifySnapshotAttribute`, `DescribeSnapshotAttribute`: who may make volumes of it.

use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, set};
use crate::sim::snapshot::Snapshot;
use crate::sim::xml::leaf;

const ATTRIBUTES: [&str; 2] = ["productCodes", "createVolumePermission"];

/// `ModifySnapshotAttribute`.
pub fn modify(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("SnapshotId")?;
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    if let Some(mut change) = query.structure("CreateVolumePermission") {
        for (field, list) in [("Add", &mut add), ("Remove", &mut remove)] {
            for mut one in change.structures(field) {
                list.extend(one.text("UserId"));
                list.extend(one.text("Group"));
                one.done()?;
            }
        }
        change.done()?;
    }
    let operation = query.word("OperationType", &["add", "remove"])?;
    let list = if operation == Some("remove") { &mut remove } else { &mut add };
    list.extend(query.list("UserId"));
    list.extend(query.list("UserGroup"));
    query.word("Attribute", &ATTRIBUTES)?;
    let dry_run = query.finish()?;
    if add.is_empty() && remove.is_empty() {
        return Err(Refusal::missing("CreateVolumePermission"));
    }
    let snapshot = find(call, &id)?;
    add.iter().chain(&remove).try_for_each(|who| check(who, snapshot))?;
    dry_run.end()?;
    snapshot.shared_with.extend(add);
    snapshot.shared_with.retain(|one| !remove.contains(one));
    Ok(shape::done())
}

fn check(who: &str, snapshot: &Snapshot) -> Answer<()> {
    let account = who.len() == 12 && who.bytes().all(|byte| byte.is_ascii_digit());
    if !account && who != "all" {
        return Err(Refusal::value(format!("Value ({who}) for parameter userId is invalid.")));
    }
    if !account && snapshot.kms_key.is_some() {
        return Err(Refusal::new("OperationNotPermitted", "Encrypted snapshots cannot be public"));
    }
    Ok(())
}

/// `DescribeSnapshotAttribute`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("SnapshotId")?;
    let attribute = query.word("Attribute", &ATTRIBUTES)?;
    let attribute = attribute.ok_or_else(|| Refusal::missing("Attribute"))?;
    let dry_run = query.finish()?;
    let snapshot = find(call, &id)?;
    dry_run.end()?;
    let permissions = snapshot
        .shared_with
        .iter()
        .filter(|_| attribute == "createVolumePermission")
        .map(|who| leaf(if who == "all" { "group" } else { "userId" }, who));
    Ok(leaf("snapshotId", &id) + &set(attribute, permissions))
}

fn find<'a>(call: &'a mut Call<'_>, id: &str) -> Answer<&'a mut Snapshot> {
    Kind::Snapshot.check(id)?;
    let found = call.here().snapshots.get_mut(id);
    found.ok_or_else(|| Kind::Snapshot.not_found(&[id]))
}
