//! `UpdateAutoScalingGroup`.

use super::{Asked, group, named, settings, validation};
use crate::sim::account::Account;
use crate::sim::group::cause::at;
use crate::sim::http::Reply;
use crate::sim::refresh;

/// What an instance refresh decides, as long as it is under way.
const FIXED: [&str; 3] = ["LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy"];

/// Changes what is said of a group, all or nothing.
pub(super) fn update(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?;
    let now = account.world();
    let mut changed = group(account, region, name)?.clone();
    let before = changed.desired;
    let is_fixed =
        refresh::active(account.region(region), name).is_some_and(|it| it.desired.is_some());
    if is_fixed && asked.keys().any(|key| FIXED.iter().any(|name| key.starts_with(name))) {
        return Err(validation(
            "An active instance refresh with a desired configuration exists. All configuration \
             options derived from the desired configuration are not available for update while the \
             instance refresh is active.",
        ));
    }
    settings::apply(&mut changed, account.region(region), asked)?;
    if changed.desired != before {
        changed.asked = Some(format!(
            "{} a user request update of AutoScalingGroup constraints to min: {}, max: {}, desired: \
             {} changing the desired capacity from {before} to {}.",
            at(now),
            changed.min,
            changed.max,
            changed.desired,
            changed.desired
        ));
    }
    // Whoever changes a group wants it to try again.
    changed.trouble = crate::sim::group::Trouble::default();
    account.region(region).groups.insert(name.to_owned(), changed);
    Ok(String::new())
}
