//! `DeleteAutoScalingGroup`.

use super::engine::{begin, members};
use super::{Asked, error, flag, group, named};
use crate::sim::account::Account;
use crate::sim::group::activity::Kind;
use crate::sim::group::cause::Cause;
use crate::sim::http::Reply;

/// Deletes a group that is empty; or with its instances, whatever hooks say.
pub(super) fn delete(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?;
    let force = flag(asked, "ForceDelete")?.unwrap_or_default();
    let there = group(account, region, name)?;
    let protected = match there.deletion_protection.as_deref() {
        Some("prevent-all-deletion") => true,
        Some("prevent-force-deletion") => force,
        _ => false,
    };
    if protected {
        let message = "You cannot delete an AutoScalingGroup that has deletion protection enabled.";
        return Err(error(400, "ResourceInUse", message));
    }
    let seen = members(account, region, name);
    if !force && !seen.is_empty() {
        let message = "You cannot delete an AutoScalingGroup while there are instances or pending \
                       Spot instance request(s) still in the group.";
        return Err(error(400, "ResourceInUse", message));
    }
    group(account, region, name)?.deleting = true;
    for member in seen {
        let description = format!("Terminating EC2 instance: {}", member.id);
        begin(account, region, name, Kind::Terminate, description, &Cause::Deletion, &member.id);
        if let Some((instance, now)) = account.instance_mut(&member.id) {
            instance.depart(now);
        }
    }
    Ok(String::new())
}
