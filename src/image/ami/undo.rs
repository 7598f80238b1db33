//! Undoes what a build made and did not come to keep, the last first.
//!
//! What the journal has an id of is removed by its id. What it only intended is looked for by the
//! build's tag, for a while: AWS may show a new thing late. Every removal is told to the journal, so
//! that a second attempt goes on where the first one ended; `hostkit gc` finds what is left even so.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::aws::operator::in_region;
use crate::aws::{Failure, remove, trace};
use crate::event::Events;
use crate::teardown::{Fate, Journal, Kind, Resource};

/// How long something may exist before AWS shows it to who looks for it.
const LATE: Duration = Duration::from_secs(6);
/// How often is looked.
const GLANCE: Duration = Duration::from_secs(1);
/// How long an instance takes to be gone, at most.
const TERMINATION: Duration = Duration::from_mins(5);

/// What could not be undone, and why.
#[derive(Debug)]
pub struct Left {
    /// What is still there, or may be.
    pub resource: Resource,
    /// Why.
    pub failure: Failure,
}

/// Undoes everything of a build whose fate is open. What fails does not keep the rest.
pub async fn all(
    journal: &mut Journal,
    config: &SdkConfig,
    step: &str,
    events: &Events,
) -> anyhow::Result<Vec<Left>> {
    let mut left = Vec::new();
    for (number, resource) in journal.unsettled() {
        let region = in_region(config, &resource.region);
        match one(&region, &resource, journal).await {
            Ok(gone) => {
                for id in gone {
                    events.log(step, format!("removed the {} {id}", resource.kind.name()));
                }
                journal.settle(number, Fate::Gone)?;
            }
            Err(failure) => {
                let name = resource.id.as_ref().unwrap_or(&resource.token);
                let what = format!("the {} {name} is still there", resource.kind.name());
                events.log(step, format!("{what}: {failure}"));
                left.push(Left { resource, failure });
            }
        }
    }
    Ok(left)
}

/// Undoes one thing, and says which ids it had.
async fn one(
    config: &SdkConfig,
    resource: &Resource,
    journal: &Journal,
) -> Result<Vec<String>, Failure> {
    let ids = match &resource.id {
        Some(id) => vec![id.clone()],
        None => look(config, resource, journal).await?,
    };
    for id in &ids {
        match resource.kind {
            Kind::Snapshot => remove::delete_snapshot(config, id).await?,
            Kind::Image => remove::deregister_image(config, id).await?,
            Kind::KeyPair => remove::delete_key_pair(config, id).await?,
            Kind::SecurityGroup => remove::delete_security_group(config, id).await?,
            Kind::Instance => {
                let removal = remove::terminate(config, id).await?;
                // Its security group cannot go before it.
                remove::terminated(config, std::slice::from_ref(id), TERMINATION).await?;
                removal
            }
        };
    }
    Ok(ids)
}

/// What carries the build's tag and is nothing else that the journal knows.
async fn look(
    config: &SdkConfig,
    resource: &Resource,
    journal: &Journal,
) -> Result<Vec<String>, Failure> {
    let known: Vec<_> = journal
        .resources()
        .filter(|(_, other, _)| other.kind == resource.kind && other.region == resource.region)
        .filter_map(|(_, other, _)| other.id.clone())
        .collect();
    let deadline = Instant::now() + LATE;
    loop {
        let mut found = trace::of_build(config, resource.kind, &journal.header().build).await?;
        found.retain(|id| !known.contains(id));
        if !found.is_empty() || Instant::now() > deadline {
            return Ok(found);
        }
        tokio::time::sleep(GLANCE).await;
    }
}
