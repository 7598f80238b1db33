//! Removes what was decided to go, in an order in which nothing is needed any more when its turn
//! comes: instances, and once they are gone images, their snapshots, security groups, key pairs.

use std::time::Duration;

use aws_config::SdkConfig;
use futures::StreamExt as _;

use super::Finding;
use crate::aws::operator::region;
use crate::aws::{Failure, remove as aws};
use crate::event::{Events, Unit};
use crate::fleet::{CALLS, Outcome};
use crate::teardown::Kind;

const STEP: &str = "gc";
/// How long an instance may take to be gone.
const TERMINATION: Duration = Duration::from_mins(10);

/// Removes what goes in one region. What fails does not keep the rest.
pub async fn remove(config: &SdkConfig, findings: &[Finding], events: &Events) -> Vec<Outcome> {
    let here = region(config);
    let going: Vec<_> = findings.iter().filter(|it| it.is_removal() && it.region == here).collect();
    let order = [Kind::Instance, Kind::Image, Kind::Snapshot, Kind::SecurityGroup, Kind::KeyPair];
    let mut outcomes: Vec<Outcome> = Vec::new();
    for kind in order {
        let ids: Vec<_> =
            going.iter().filter(|it| it.kind == kind).map(|it| it.id.clone()).collect();
        let calls = ids.iter().map(|id| async move {
            let failure = one(config, kind, id).await.err();
            Outcome::new(kind, here, id, failure.map(|failure| failure.to_string()))
        });
        let mut calls = futures::stream::iter(calls).buffer_unordered(CALLS);
        while let Some(outcome) = calls.next().await {
            outcomes.push(outcome);
            let (done, all) = (outcomes.len() as u64, going.len() as u64);
            events.progress(STEP, done, Some(all), Unit::Items);
        }
        if kind == Kind::Instance && !ids.is_empty() {
            await_their_end(config, &ids, &mut outcomes).await;
        }
    }
    outcomes
}

async fn one(config: &SdkConfig, kind: Kind, id: &str) -> Result<(), Failure> {
    match kind {
        Kind::Instance => aws::terminate(config, id).await,
        Kind::Image => aws::deregister_image(config, id).await,
        Kind::Snapshot => aws::delete_snapshot(config, id).await,
        Kind::KeyPair => aws::delete_key_pair(config, id).await,
        Kind::SecurityGroup => aws::delete_free_group(config, id).await,
    }
    .map(drop)
}

/// Waits for the end of instances; one that does not come is a failure of its removal.
async fn await_their_end(config: &SdkConfig, ids: &[String], outcomes: &mut [Outcome]) {
    let left = aws::terminated(config, ids, TERMINATION).await;
    for outcome in outcomes.iter_mut().filter(|it| it.failure.is_none() && ids.contains(&it.id)) {
        outcome.failure = match &left {
            Ok(left) => left.get(&outcome.id).map(|state| format!("it is still {state}")),
            Err(failure) => Some(failure.to_string()),
        };
    }
}
