//! Undoes what a build made and did not come to keep, the last first.
//!
//! What the journal has an id of is removed by its id, unless its tags say that it is somebody else's
//! by now: two who bake the same image at once share it. What the journal only intended is looked for
//! by the build's tag, for a while: AWS may show a new thing late. Every removal is told to the journal, so
//! that a second attempt goes on where the first one ended; `hostkit gc` finds what is left even so.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::aws::operator::in_region;
use crate::aws::remove::Removal;
use crate::aws::{Failure, image, remove, snapshot, trace};
use crate::event::Events;
use crate::teardown::{BUILD_TAG, Fate, Journal, KEPT, Kind, Resource, STATE_TAG};

/// How long something may exist before AWS shows it to who looks for it.
const LATE: Duration = Duration::from_secs(6);
/// How long AWS may say of something that was just made that it does not exist.
const YOUNG: Duration = Duration::from_mins(1);
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
            Ok(Undone::Gone(ids)) => {
                for id in ids {
                    events.log(step, format!("removed the {} {id}", resource.kind.name()));
                }
                journal.settle(number, Fate::Gone)?;
            }
            Ok(Undone::Shared(id)) => {
                let text =
                    format!("the {} {id} stays: it is part of an image", resource.kind.name());
                events.log(step, text);
                journal.settle(number, Fate::Kept)?;
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

/// What became of one thing.
enum Undone {
    /// It is not there any more: its ids.
    Gone(Vec<String>),
    /// It is part of an image that stays, or of another build.
    Shared(String),
}

/// Undoes one thing.
async fn one(
    config: &SdkConfig,
    resource: &Resource,
    journal: &Journal,
) -> Result<Undone, Failure> {
    let ids = match &resource.id {
        Some(id) if is_shared(config, resource.kind, id, &journal.header().build).await? => {
            return Ok(Undone::Shared(id.clone()));
        }
        Some(id) => vec![id.clone()],
        None => look(config, resource, journal).await?,
    };
    for id in &ids {
        remove(config, resource.kind, id).await?;
    }
    Ok(Undone::Gone(ids))
}

/// Whether an image or a snapshot is marked to stay, or is another build's.
async fn is_shared(config: &SdkConfig, kind: Kind, id: &str, build: &str) -> Result<bool, Failure> {
    let tags = match kind {
        Kind::Image => image::describe(config, id).await?.map(|image| image.tags),
        Kind::Snapshot => snapshot::describe(config, id).await?.map(|snapshot| snapshot.tags),
        Kind::Instance | Kind::KeyPair | Kind::SecurityGroup => None,
    };
    Ok(tags.is_some_and(|tags| {
        let is = |key: &str, value: &str| tags.get(key).is_some_and(|is| is == value);
        is(STATE_TAG, KEPT) || !is(BUILD_TAG, build)
    }))
}

/// Removes one thing, also one that AWS does not know everywhere yet.
async fn remove(config: &SdkConfig, kind: Kind, id: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + YOUNG;
    loop {
        let removal = match kind {
            Kind::Snapshot => remove::delete_snapshot(config, id).await?,
            Kind::Image => remove::deregister_image(config, id).await?,
            Kind::KeyPair => return remove::delete_key_pair(config, id).await.map(drop),
            Kind::SecurityGroup => return remove::delete_free_group(config, id).await.map(drop),
            Kind::Instance => remove::terminate(config, id).await?,
        };
        if removal == Removal::Done || Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(GLANCE).await;
    }
    if kind != Kind::Instance {
        return Ok(());
    }
    // Its security group cannot go before it.
    let ids = [id.to_owned()];
    match remove::terminated(config, &ids, TERMINATION).await?.into_values().next() {
        None => Ok(()),
        Some(state) => Err(Failure::NoAnswer {
            call: "ec2:TerminateInstances",
            cause: format!("{id} is still {state} after {} minutes", TERMINATION.as_secs() / 60),
        }),
    }
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
