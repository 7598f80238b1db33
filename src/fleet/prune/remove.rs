//! Removes what was decided to go.
//!
//! In an order that leaves nothing behind, wherever it is interrupted: first the snapshots are marked
//! as parts of nothing whole (`hostkit:state=building`), so that `hostkit gc` finds them; then all
//! images are deregistered; then the snapshots are deleted. The snapshots of an image that could not
//! be deregistered are marked as kept again.

use aws_config::SdkConfig;
use futures::StreamExt as _;

use super::{Decision, ROLE, Verdict};
use crate::aws::{remove as aws, tag};
use crate::error::Fault;
use crate::event::{Events, Unit};
use crate::fleet::{CALLS, Outcome, refused};
use crate::teardown::{BUILDING, KEPT, Kind, STATE_TAG};

const STEP: &str = "prune";

/// Removes the images that were decided to go, and their snapshots. What fails does not keep the
/// rest.
///
/// # Errors
/// The snapshots cannot be marked: then nothing was removed.
pub async fn remove(
    config: &SdkConfig,
    region: &str,
    decisions: &[Decision],
    events: &Events,
) -> Result<Vec<Outcome>, Fault> {
    let going: Vec<_> = decisions
        .iter()
        .filter_map(|decision| match &decision.verdict {
            Verdict::Remove { snapshots, .. } => Some((decision.image.as_str(), snapshots)),
            Verdict::Keep(_) => None,
        })
        .collect();
    let marked: Vec<_> = going.iter().flat_map(|(_, snapshots)| *snapshots).cloned().collect();
    let all = (going.len() + marked.len()) as u64;
    let progress = |done: usize| events.progress(STEP, done as u64, Some(all), Unit::Items);
    let mark = async |ids: &[String], state: &str| {
        tag::set(config, ids, &[(STATE_TAG.to_owned(), state.to_owned())].into()).await
    };
    mark(&marked, BUILDING).await.map_err(|failure| refused(&failure, ROLE))?;

    let mut outcomes = Vec::new();
    let (mut free, mut stuck) = (Vec::new(), Vec::new());
    let calls = going.iter().map(|(image, snapshots)| async move {
        (*image, *snapshots, aws::deregister_image(config, image).await.err())
    });
    let mut calls = futures::stream::iter(calls).buffer_unordered(CALLS);
    while let Some((image, snapshots, failure)) = calls.next().await {
        let list = if failure.is_some() { &mut stuck } else { &mut free };
        list.extend(snapshots.iter().cloned());
        let failure = failure.map(|failure| failure.to_string());
        outcomes.push(Outcome::new(Kind::Image, region, image, failure));
        progress(outcomes.len());
    }
    let calls = free.iter().map(|id| async move {
        let failure = aws::delete_snapshot(config, id).await.err();
        Outcome::new(Kind::Snapshot, region, id, failure.map(|failure| failure.to_string()))
    });
    let mut calls = futures::stream::iter(calls).buffer_unordered(CALLS);
    while let Some(outcome) = calls.next().await {
        outcomes.push(outcome);
        progress(outcomes.len());
    }
    // One that stays marked is no harm: an image is made of it, so that nothing removes it.
    if let Err(failure) = mark(&stuck, KEPT).await {
        events.log(STEP, format!("the snapshots of images that stay are still marked: {failure}"));
    }
    Ok(outcomes)
}
