//! What is to become of each part of a build that is not done: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::aws::inventory::{Sharing, Tags};
use crate::fleet::references::{References, Use};
use crate::fleet::survey::{Leftovers, Survey};
use crate::teardown::{BUILD_TAG, BUILDING, Kind, STATE_TAG};

/// The tag of Auto Scaling on the instances of a group, which nobody else can set.
const GROUP: &str = "aws:autoscaling:groupName";

/// What a person wants gone.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Only builds of which everything is as old as this.
    pub older_than: SignedDuration,
    /// This build alone, however old it is.
    pub build: Option<String>,
}

/// What is known of a region when it is decided.
#[derive(Clone, Debug, Default)]
pub struct Region {
    /// What the account has there.
    pub survey: Survey,
    /// What else builds have made.
    pub leftovers: Leftovers,
    /// Who uses it.
    pub references: References,
    /// Who else may launch an image, of those that this was asked of.
    pub sharing: BTreeMap<String, Sharing>,
}

impl Region {
    /// Whether no build has left key pairs or security groups.
    pub const fn has_nothing(&self) -> bool {
        self.leftovers.key_pairs.is_empty() && self.leftovers.security_groups.is_empty()
    }
}

/// Why something stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A hostkit on this machine works on the build.
    AtWork,
    /// Something of the build is not as old as what is to go: since when it is there.
    Young(Timestamp),
    /// AWS gives no time stamp of anything that is left of the build.
    Ageless,
    /// Something that stays refers to it.
    Used(Vec<Use>),
    /// Others may launch it: who.
    Shared(Vec<String>),
    /// It is protected from deregistration: how.
    Protected(String),
    /// It is in an Auto Scaling Group, where no build puts anything.
    Grouped(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtWork => write!(f, "a hostkit on this machine works on the build"),
            Self::Young(since) => {
                write!(f, "its build had news at {}", since.strftime("%Y-%m-%d %H:%M UTC"))
            }
            Self::Ageless => write!(f, "its age is not known: name it with --build"),
            Self::Used(uses) => {
                let uses: Vec<_> = uses.iter().map(Use::to_string).collect();
                write!(f, "used: {}", uses.join(", "))
            }
            Self::Shared(who) => write!(f, "shared: {}", who.join(", ")),
            Self::Protected(how) => write!(f, "protected from deregistration ({how})"),
            Self::Grouped(group) => write!(f, "in the group {group}"),
        }
    }
}

/// What is to become of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is removed.
    Remove,
    /// It stays.
    Keep(Reason),
}

/// A part of a build that is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub region: String,
    /// Its id.
    pub id: String,
    /// The build.
    pub build: String,
    /// Since when it is there, by AWS's clock, where AWS says so.
    pub since: Option<Timestamp>,
    /// What is to become of it.
    pub verdict: Verdict,
}

impl Finding {
    /// Whether it goes.
    pub const fn is_removal(&self) -> bool {
        matches!(self.verdict, Verdict::Remove)
    }
}

/// One thing with a build's tag.
struct Part<'a> {
    kind: Kind,
    id: &'a str,
    tags: &'a Tags,
    since: Option<Timestamp>,
}

impl<'a> Part<'a> {
    fn build(&self) -> Option<&'a str> {
        self.tags.get(BUILD_TAG).map(String::as_str).filter(|build| !build.is_empty())
    }

    fn is_building(&self) -> bool {
        self.tags.get(STATE_TAG).is_some_and(|state| state == BUILDING)
    }
}

/// Decides on everything that is part of a build which is not done, in the order of its removal.
pub fn decide(regions: &[Region], rule: &Rule, at_work: &BTreeSet<String>) -> Vec<Finding> {
    let news = news(regions);
    regions.iter().flat_map(|region| decide_in(region, rule, at_work, &news)).collect()
}

/// When the youngest thing of each build was made, kept ones too: as long as a build makes things, it
/// is alive.
fn news(regions: &[Region]) -> BTreeMap<&str, Timestamp> {
    let mut news = BTreeMap::new();
    for part in regions.iter().flat_map(parts) {
        if let (Some(build), Some(since)) = (part.build(), part.since) {
            let youngest = news.entry(build).or_insert(since);
            *youngest = since.max(*youngest);
        }
    }
    news
}

/// Everything that carries a build's tag, in the order of its removal: what comes first is what the
/// rest is needed by.
fn parts(region: &Region) -> Vec<Part<'_>> {
    let Region { survey, leftovers, .. } = region;
    let there = survey.instances.iter().filter(|it| it.state != "shutting-down");
    let instances = there.map(|it| Part {
        kind: Kind::Instance,
        id: &it.id,
        tags: &it.tags,
        since: it.launched,
    });
    let images = survey.images.iter().map(|it| Part {
        kind: Kind::Image,
        id: &it.id,
        tags: &it.tags,
        since: it.created,
    });
    let snapshots = survey.snapshots.iter().map(|it| Part {
        kind: Kind::Snapshot,
        id: &it.id,
        tags: &it.tags,
        since: it.started,
    });
    let groups = leftovers.security_groups.iter().map(|it| Part {
        kind: Kind::SecurityGroup,
        id: &it.id,
        tags: &it.tags,
        since: None,
    });
    let keys = leftovers.key_pairs.iter().map(|it| Part {
        kind: Kind::KeyPair,
        id: &it.id,
        tags: &it.tags,
        since: it.created,
    });
    instances.chain(images).chain(snapshots).chain(groups).chain(keys).collect()
}

fn decide_in(
    region: &Region,
    rule: &Rule,
    at_work: &BTreeSet<String>,
    news: &BTreeMap<&str, Timestamp>,
) -> Vec<Finding> {
    let mut gone = BTreeSet::new();
    let mut findings = Vec::new();
    for part in parts(region).into_iter().filter(Part::is_building) {
        let Some(build) = part.build() else { continue };
        if rule.build.as_ref().is_some_and(|wanted| wanted != build) {
            continue;
        }
        let reason = of_build(build, region, rule, at_work, news.get(build).copied());
        let reason = reason.or_else(|| of_part(&part, region, &gone));
        if reason.is_none() {
            gone.insert(part.id);
        }
        findings.push(Finding {
            kind: part.kind,
            region: region.survey.region.clone(),
            id: part.id.to_owned(),
            build: build.to_owned(),
            since: part.since,
            verdict: reason.map_or(Verdict::Remove, Verdict::Keep),
        });
    }
    findings
}

/// Why nothing of a build goes.
fn of_build(
    build: &str,
    region: &Region,
    rule: &Rule,
    at_work: &BTreeSet<String>,
    news: Option<Timestamp>,
) -> Option<Reason> {
    if at_work.contains(build) {
        return Some(Reason::AtWork);
    }
    if rule.build.is_some() || rule.older_than.is_zero() {
        return None;
    }
    match news {
        None => Some(Reason::Ageless),
        Some(news) if region.survey.now.duration_since(news) < rule.older_than => {
            Some(Reason::Young(news))
        }
        Some(_) => None,
    }
}

/// Why one thing stays though its build goes. `gone` is what was decided to go before.
fn of_part(part: &Part<'_>, region: &Region, gone: &BTreeSet<&str>) -> Option<Reason> {
    let Region { survey, references, sharing, .. } = region;
    let used = |uses: Vec<Use>| (!uses.is_empty()).then_some(Reason::Used(uses));
    match part.kind {
        Kind::Instance => part.tags.get(GROUP).cloned().map(Reason::Grouped),
        Kind::Image => {
            let uses = references.of_image(part.id).into_iter();
            // A builder that goes keeps nothing.
            let uses = uses
                .filter(|it| !matches!(it, Use::Instance { id, .. } if gone.contains(id.as_str())));
            let image = survey.images.iter().find(|image| image.id == part.id)?;
            let shared = sharing.get(part.id).cloned().filter(|who| !who.is_empty());
            let shared = shared.or_else(|| image.public.then(|| vec!["all".to_owned()]));
            let protected = image.protection.clone().map(Reason::Protected);
            used(uses.collect()).or(protected).or(shared.map(Reason::Shared))
        }
        Kind::Snapshot => {
            let made_of_it = survey.images.iter().filter(|image| {
                image.snapshots.iter().any(|it| it == part.id) && !gone.contains(image.id.as_str())
            });
            let images = made_of_it.map(|image| Use::Image(image.id.clone()));
            used(images.chain(references.of_snapshot(part.id)).collect())
        }
        Kind::SecurityGroup => {
            let users = survey.instances.iter().filter(|instance| {
                instance.security_groups.iter().any(|it| it == part.id)
                    && !gone.contains(instance.id.as_str())
                    && instance.state != "shutting-down"
            });
            let users = users
                .map(|it| Use::Instance { id: it.id.clone(), state: it.state.clone() })
                .collect();
            used(users)
        }
        // A key pair is of use at the launch of an instance only.
        Kind::KeyPair => None,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
