//! Images that nobody needs any more: which may go, why the others stay, and their removal.
//!
//! [`decide`] is pure and knows nothing of AWS. An image that hostkit did not make, that anything
//! refers to, or that is protected, is never removed; nor is a snapshot that an image which stays, or
//! a launch template, is made of.

mod decide;
#[cfg(test)]
mod properties;
mod remove;

use std::collections::BTreeMap;

use aws_config::SdkConfig;

pub use decide::{Decision, Reason, Rule, Scene, Verdict, decide};
pub use remove::remove;

use super::opinion::{second_opinion, sharing};
use super::references::References;
use super::survey::{Survey, survey};
use crate::aws::inventory::Sharing;
use crate::aws::operator::region;
use crate::error::Fault;

/// The policy that is needed.
pub(super) const ROLE: &str = "prune";

/// What was found in a region.
#[derive(Debug)]
pub struct Found {
    /// The region.
    pub region: String,
    /// What is to become of each image that the rule is about, the oldest last.
    pub decisions: Vec<Decision>,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

/// Surveys a region and decides. Nothing is changed.
pub async fn look(config: &SdkConfig, rule: &Rule) -> Result<Found, Fault> {
    let survey = survey(config, ROLE).await?;
    let mut notes = Vec::new();
    if survey.is_foreign() {
        notes.push(survey.foreign());
    }
    let mut references = References::of(&survey);
    let candidates = removed(&decide(&Scene::of(&survey, &references), rule));
    if let Some(note) = second_opinion(config, &candidates, &mut references, ROLE).await? {
        notes.push(note);
    }
    let candidates = removed(&decide(&Scene::of(&survey, &references), rule));
    let asked = if rule.include_shared { Vec::new() } else { candidates };
    let sharing = sharing(config, &asked, ROLE).await?;
    let scene = Scene { sharing: &sharing, ..Scene::of(&survey, &references) };
    let decisions = decide(&scene, rule);
    Ok(Found { region: region(config).to_owned(), decisions, notes })
}

fn removed(decisions: &[Decision]) -> Vec<String> {
    let removed = decisions.iter().filter(|it| it.is_removal());
    removed.map(|decision| decision.image.clone()).collect()
}

impl<'a> Scene<'a> {
    /// A survey, as long as it is not known who images are shared with.
    pub const fn of(survey: &'a Survey, references: &'a References) -> Self {
        static NOBODY: BTreeMap<String, Sharing> = BTreeMap::new();
        Self { survey, references, sharing: &NOBODY }
    }
}
