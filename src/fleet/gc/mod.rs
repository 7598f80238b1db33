//! What builds left that were killed: found by its tags, whether or not there is a journal of it.
//!
//! [`decide`] is pure. Only what is tagged as part of a build that is not done is ever removed, and of
//! that nothing which something refers to, nothing of a build that a hostkit on this machine works
//! on, and nothing of a build of which anything is young by AWS's own time stamps.

mod decide;
mod journals;
mod remove;

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use camino::Utf8Path;
use futures::future::try_join_all;

pub use decide::{Finding, Reason, Region, Rule, Verdict, decide};
pub use journals::{Journals, regions_of};
pub use remove::remove;

use super::opinion::{second_opinion, sharing};
use super::references::References;
use super::survey::{leftovers, survey};
use crate::aws::operator::{Identity, region};
use crate::error::Fault;
use crate::teardown::Kind;

/// The policy that is needed.
const ROLE: &str = "prune";

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Every part of a build that is not done, with what is to become of it.
    pub findings: Vec<Finding>,
    /// What a person should know of it.
    pub notes: Vec<String>,
    /// The journals of the builds that are to be removed, held so that nobody carries them on.
    pub journals: Journals,
}

/// Looks for what was left in these regions, and decides. Nothing is changed.
pub async fn look(
    configs: &[SdkConfig],
    identity: &Identity,
    folder: Option<&Utf8Path>,
    rule: &Rule,
) -> Result<Found, Fault> {
    let mut regions = try_join_all(configs.iter().map(look_at)).await?;
    let mut notes: Vec<_> = regions
        .iter()
        .filter(|it| it.survey.is_foreign() && it.has_nothing())
        .map(|it| it.survey.foreign())
        .collect();
    let mut journals = Journals::new(folder, identity, configs);
    let first = decide(&regions, rule, &BTreeSet::new());
    let builds: BTreeSet<_> =
        first.iter().filter(|it| it.is_removal()).map(|it| it.build.clone()).collect();
    journals.hold(&builds);
    journals.hold_forgotten(rule, regions.iter().map(|it| it.survey.now).max());
    for (config, at) in configs.iter().zip(&mut regions) {
        let asked = decide(std::slice::from_ref(at), rule, journals.at_work());
        let asked = asked.iter().filter(|it| it.kind == Kind::Image && it.is_removal());
        let asked: Vec<_> = asked.map(|it| it.id.clone()).collect();
        notes.extend(second_opinion(config, &asked, &mut at.references, ROLE).await?);
        at.sharing = sharing(config, &asked, ROLE).await?;
    }
    let findings = decide(&regions, rule, journals.at_work());
    Ok(Found { findings, notes, journals })
}

async fn look_at(config: &SdkConfig) -> Result<Region, Fault> {
    let (survey, leftovers) = tokio::try_join!(survey(config, ROLE), leftovers(config, ROLE))?;
    let references = References::of(&survey);
    debug_assert_eq!(survey.region, region(config));
    Ok(Region { survey, leftovers, references, ..Region::default() })
}
