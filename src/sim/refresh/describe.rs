//! `DescribeInstanceRefreshes`: those of a group, the newest first.

use super::{Progress, Refresh};
use crate::sim::account::Account;
use crate::sim::autoscaling::{self, Asked, error, list, named, number, validation};
use crate::sim::http::Reply;
use crate::sim::region::Region;
use crate::sim::xml::{leaf, node};

/// So many are in one answer at most, and so many if it is not said.
const MOST: u64 = 100;
const USUAL: u64 = 50;

/// See the module.
pub(in crate::sim) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let name = named(asked)?.to_owned();
    let ids = list(asked, "InstanceRefreshIds");
    let most = number(asked, "MaxRecords", 1, MOST)?.unwrap_or(USUAL);
    let has_warm = autoscaling::group(account, region, &name)?.warm_pool.is_some();
    let there = account.region(region);
    let mut all = there.refreshes.get(&name).cloned().unwrap_or_default();
    all.reverse();
    if let Some(unknown) = ids.iter().find(|id| all.iter().all(|one| one.id != **id)) {
        let message = format!("The instance refresh ID {unknown} does not exist.");
        return Err(validation(&message));
    }
    all.retain(|one| ids.is_empty() || ids.contains(&one.id));
    // The last of the page before.
    if let Some(last) = asked.get("NextToken").filter(|token| !token.is_empty()) {
        let at = all.iter().position(|one| one.id == *last);
        let at = at.ok_or_else(|| error(400, "InvalidNextToken", "The token is not valid."))?;
        all.drain(..=at);
    }
    let size = usize::try_from(most).unwrap_or(usize::MAX);
    let next = (all.len() > size).then(|| leaf("NextToken", &all[size - 1].id));
    let shapes = all.iter().take(size).map(|one| node("member", &shape(there, one, has_warm)));
    Ok(node("InstanceRefreshes", &shapes.collect::<String>()) + &next.unwrap_or_default())
}

fn shape(region: &Region, refresh: &Refresh, has_warm: bool) -> String {
    let optional = |name: &str, text: Option<String>| text.map(|text| leaf(name, &text));
    let end = optional("EndTime", refresh.ended.map(|time| time.to_string()));
    let reason = optional("StatusReason", refresh.reason.clone());
    let desired = refresh.desired.as_ref();
    let desired = desired
        .map(|source| node("DesiredConfiguration", &autoscaling::shape::source(region, source)));
    let rollback = refresh.rollback.as_ref().map(|rollback| {
        let inner = leaf("RollbackReason", &rollback.reason)
            + &leaf("RollbackStartTime", &rollback.started.to_string())
            + &leaf("PercentageCompleteOnRollback", &rollback.at.percent.to_string())
            + &leaf("InstancesToUpdateOnRollback", &rollback.at.to_update.to_string());
        let details = has_warm.then(|| node("ProgressDetailsOnRollback", &details(rollback.at)));
        node("RollbackDetails", &(inner + &details.unwrap_or_default()))
    });
    let details = has_warm.then(|| node("ProgressDetails", &details(refresh.progress)));
    leaf("InstanceRefreshId", &refresh.id)
        + &leaf("AutoScalingGroupName", &refresh.group)
        + &leaf("Status", refresh.status.word())
        + &reason.unwrap_or_default()
        + &leaf("StartTime", &refresh.started.to_string())
        + &end.unwrap_or_default()
        + &progress(refresh.progress)
        + &details.unwrap_or_default()
        + &refresh.preferences.shape()
        + &desired.unwrap_or_default()
        + &rollback.unwrap_or_default()
        + &leaf("Strategy", "Rolling")
}

fn progress(progress: Progress) -> String {
    leaf("PercentageComplete", &progress.percent.to_string())
        + &leaf("InstancesToUpdate", &progress.to_update.to_string())
}

/// Only groups with a warm pool have them. Warm instances are counted with the others here.
fn details(all: Progress) -> String {
    node("LivePoolProgress", &progress(all))
        + &node("WarmPoolProgress", &progress(Progress { percent: 100, to_update: 0 }))
}
