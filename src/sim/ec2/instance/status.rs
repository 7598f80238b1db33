//! `DescribeInstanceStatus`.

use std::time::Duration;

use super::settle;
use super::shape::{state_of, values};
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::Filters;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::Answer;
use crate::sim::ec2::shape::{set, some};
use crate::sim::instance::State;
use crate::sim::xml::{leaf, node};

/// How long the checks take on AWS once an instance runs.
const CHECKS: Duration = Duration::from_mins(2);

const FILTERS: &[&str] = &[
    "availability-zone",
    "instance-state-code",
    "instance-state-name",
    "instance-status.reachability",
    "instance-status.status",
    "system-status.reachability",
    "system-status.status",
];

/// See the module. Of running instances only, if not of all.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let ids = query.list("InstanceId");
    let all = query.flag("IncludeAllInstances")?.unwrap_or_default();
    let filters = Filters::of(&mut query, FILTERS)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    super::check(call, &ids)?;
    dry_run.end()?;
    let now = call.account.now();
    let checks = call.account.conditions.takes(CHECKS);
    let region = &call.account.regions[&call.region];
    let wanted = call.account.instances().iter().enumerate().filter_map(|(at, one)| {
        let state = one.state_at(now).filter(|_| one.region() == call.region)?;
        if !(ids.is_empty() || ids.contains(&one.id)) || !(all || state == State::Running) {
            return None;
        }
        let checked = one.since(State::Running).is_some_and(|since| since + checks <= now);
        let status = match (state, checked) {
            (State::Running, true) => ("ok", "passed"),
            (State::Running, false) => ("initializing", "initializing"),
            _ => ("not-applicable", ""),
        };
        let passes = filters.pass(&one.tags, |filter| match filter.rsplit_once('.') {
            Some((_, "status")) => vec![status.0.to_owned()],
            Some(_) => vec![status.1.to_owned()],
            None => values(one, state, region, filter),
        });
        passes.then(|| (format!("{at:020}"), (one, state, status)))
    });
    let (part, next) = page.cut(wanted);
    let items = part.into_iter().map(|(one, state, status)| {
        let zone = values(one, state, region, "availability-zone");
        leaf("instanceId", &one.id)
            + &some("availabilityZone", zone.first().map(String::as_str))
            + &node("instanceState", &state_of(state))
            + &summary("systemStatus", status)
            + &summary("instanceStatus", status)
    });
    Ok(set("instanceStatusSet", items) + &some("nextToken", next.as_deref()))
}

fn summary(name: &str, (word, reachability): (&str, &str)) -> String {
    let detail = leaf("name", "reachability") + &leaf("status", reachability);
    let details = [detail].into_iter().filter(|_| !reachability.is_empty());
    node(name, &(leaf("status", word) + &set("details", details)))
}
