//! `CancelInstanceRefresh`, `RollbackInstanceRefresh`: the end of one that is under way.

use super::advance::{advance, go_back};
use super::start::no_way_back;
use super::{Status, active};
use crate::sim::account::Account;
use crate::sim::autoscaling::{Asked, error, flag, group, named};
use crate::sim::http::Reply;
use crate::sim::xml::leaf;

fn none_under_way() -> Reply {
    error(
        400,
        "ActiveInstanceRefreshNotFound",
        "No in progress or pending Instance Refresh found for Auto Scaling group",
    )
}

/// `CancelInstanceRefresh`: what was replaced stays so.
pub(in crate::sim) fn cancel(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let name = named(asked)?.to_owned();
    let waits = flag(asked, "WaitForTransitioningInstances")?.unwrap_or(true);
    group(account, region, &name)?;
    let refresh = active(account.region(region), &name).ok_or_else(none_under_way)?;
    if refresh.status == Status::Cancelling {
        return Err(none_under_way());
    }
    (refresh.status, refresh.waits) = (Status::Cancelling, waits);
    refresh.reason = Some("Cancelled due to user request.".to_owned());
    let id = refresh.id.clone();
    advance(account, region, &name);
    Ok(leaf("InstanceRefreshId", &id))
}

/// `RollbackInstanceRefresh`: what was replaced is replaced again.
pub(in crate::sim) fn rollback(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let name = named(asked)?.to_owned();
    let group = group(account, region, &name)?.clone();
    let there = account.region(region);
    let refresh = active(there, &name).ok_or_else(none_under_way)?;
    let runs = matches!(refresh.status, Status::Pending | Status::InProgress | Status::Baking);
    let (id, desired) = (refresh.id.clone(), refresh.desired.clone());
    if !runs {
        return Err(none_under_way());
    }
    let why = match &desired {
        None => Some("no desired configuration was specified for it"),
        Some(desired) => no_way_back(there, &group, desired),
    };
    if let Some(why) = why {
        let message = format!("The instance refresh cannot be rolled back because {why}.");
        return Err(error(400, "IrreversibleInstanceRefresh", &message));
    }
    go_back(account, region, &name, "A rollback was initiated by a user request.");
    Ok(leaf("InstanceRefreshId", &id))
}
