//! `SetInstanceHealth`.

use std::time::Duration;

use super::{Asked, flag, members, required, validation};
use crate::sim::account::Account;
use crate::sim::group::member::Ill;
use crate::sim::group::process::Process;
use crate::sim::http::Reply;

/// Tells an instance's group how it is. An unhealthy one is replaced, unless that is suspended.
pub(super) fn set(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let id = required(asked, "InstanceId")?;
    let ill = match required(asked, "HealthStatus")? {
        "Healthy" => None,
        "Unhealthy" => Some(Ill::Said),
        other => {
            let message =
                format!("Invalid Health Status: {other}. Valid values: Healthy, Unhealthy");
            return Err(validation(&message));
        }
    };
    members::known(account, region, id)?;
    let respects = flag(asked, "ShouldRespectGracePeriod")?.unwrap_or(true);
    if ill.is_some() && respects && is_spared(account, region, id) {
        return Ok(String::new());
    }
    if let Some((instance, _)) = account.instance_mut(id) {
        instance.say_health(ill);
    }
    let guest = account.instance(id).is_some_and(|instance| instance.member.is_none());
    let replaces = [Process::ReplaceUnhealthy, Process::Terminate];
    if guest && ill.is_some() && !replaces.iter().any(|it| account.group.suspends(*it)) {
        account.let_go(id);
    }
    Ok(String::new())
}

/// Whether the grace period of its group is not over.
fn is_spared(account: &mut Account, region: &str, id: &str) -> bool {
    let now = account.now();
    let Some(member) = account.instance(id).and_then(|it| it.member.as_deref()) else {
        return false;
    };
    let (group, since) = (member.group.clone(), member.in_service);
    let grace = account.region(region).groups.get(&group).map_or(0, |group| group.grace);
    let grace = account.waits(Duration::from_secs(grace));
    since.is_some_and(|since| now < since + grace)
}
