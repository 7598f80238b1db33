//! What is to become of each image: pure, and the reason is part of the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::aws::inventory::{Image, Sharing, Snapshot};
use crate::fleet::images::{arch, is_ours, tag};
use crate::fleet::references::{References, Use};
use crate::fleet::survey::Survey;
use crate::image::ami::name::{RECIPE_TAG, VERSION_TAG};
use crate::teardown::{KEPT, STATE_TAG};

/// What a person wants gone.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Images of this recipe; of all if absent.
    pub recipe: Option<String>,
    /// So many of the newest stay, of each recipe and processor.
    pub keep: usize,
    /// Only what is older than this goes.
    pub older_than: Option<SignedDuration>,
    /// Whether images that others may launch go, too.
    pub include_shared: bool,
}

/// What is known when it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// What the account has.
    pub survey: &'a Survey,
    /// Who uses it.
    pub references: &'a References,
    /// Who else may launch an image, of those that this was asked of.
    pub sharing: &'a BTreeMap<String, Sharing>,
}

/// Why an image stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Something refers to it.
    Used(Vec<Use>),
    /// It is one of the newest: the how-manyth, from 1.
    Newest(usize),
    /// It is protected from deregistration: how.
    Protected(String),
    /// Others may launch it: who.
    Shared(Vec<String>),
    /// It is not as old as what is to go.
    Young,
    /// The build that makes it is not done: `hostkit gc` looks after those.
    Building,
    /// It is being made, or AWS says nothing of when it was: its state.
    Unready(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &[String]| all.join(", ");
        match self {
            Self::Used(uses) => {
                write!(f, "used: {}", list(&uses.iter().map(Use::to_string).collect::<Vec<_>>()))
            }
            Self::Newest(1) => write!(f, "the newest"),
            Self::Newest(number) => write!(f, "newest but {}", number - 1),
            Self::Protected(how) => write!(f, "protected from deregistration ({how})"),
            Self::Shared(who) => write!(f, "shared: {}", list(who)),
            Self::Young => write!(f, "not old enough"),
            Self::Building => write!(f, "its build is not done"),
            Self::Unready(state) => write!(f, "{state}"),
        }
    }
}

/// What is to become of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is deregistered, and then these snapshots of it are deleted.
    Remove {
        /// Their ids.
        snapshots: Vec<String>,
        /// The size of the volumes that they are of. What is freed is at most so much: snapshots
        /// share blocks.
        gib: u64,
    },
    /// It stays.
    Keep(Reason),
}

/// The verdict on one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// `ami-…`
    pub image: String,
    /// Its name.
    pub name: String,
    /// Its recipe.
    pub recipe: String,
    /// Its processor, by Debian's name.
    pub arch: String,
    /// The version of the image.
    pub image_version: String,
    /// When it was registered, by AWS's clock.
    pub created: Option<Timestamp>,
    /// What is to become of it.
    pub verdict: Verdict,
}

impl Decision {
    /// Whether the image goes.
    pub const fn is_removal(&self) -> bool {
        matches!(self.verdict, Verdict::Remove { .. })
    }
}

/// Decides on every image of hostkit's that the rule is about: by recipe and processor, the newest
/// first.
pub fn decide(scene: &Scene<'_>, rule: &Rule) -> Vec<Decision> {
    let of_rule = |image: &&Image| {
        is_ours(image) && rule.recipe.as_deref().is_none_or(|it| it == tag(image, RECIPE_TAG))
    };
    let mut images: Vec<_> = scene.survey.images.iter().filter(of_rule).collect();
    images.sort_by(|a, b| {
        let key = |it: &Image| (tag(it, RECIPE_TAG).to_owned(), arch(it).to_owned());
        key(a).cmp(&key(b)).then(b.created.cmp(&a.created)).then(b.id.cmp(&a.id))
    });
    let mut ranks: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let reasons: Vec<_> = images
        .iter()
        .map(|image| {
            let rank = ranks.entry((tag(image, RECIPE_TAG), arch(image))).or_default();
            let counts = counts(image);
            *rank += usize::from(counts);
            reason(scene, rule, image, counts.then_some(*rank))
        })
        .collect();
    let mut snapshots = Snapshots::left_by(scene, &images, &reasons);
    let decided = images.iter().zip(reasons).map(|(image, reason)| Decision {
        image: image.id.clone(),
        name: image.name.clone(),
        recipe: tag(image, RECIPE_TAG).to_owned(),
        arch: arch(image).to_owned(),
        image_version: tag(image, VERSION_TAG).to_owned(),
        created: image.created,
        verdict: reason.map_or_else(|| snapshots.go_with(image), Verdict::Keep),
    });
    decided.collect()
}

/// Whether an image is one of those of which the newest stay: it is whole, and can be launched.
fn counts(image: &Image) -> bool {
    image.state == "available" && tag(image, STATE_TAG) == KEPT
}

/// Why an image stays, the strongest reason first; none if it goes.
fn reason(scene: &Scene<'_>, rule: &Rule, image: &Image, rank: Option<usize>) -> Option<Reason> {
    let uses = scene.references.of_image(&image.id);
    if !uses.is_empty() {
        return Some(Reason::Used(uses));
    }
    if let Some(how) = &image.protection {
        return Some(Reason::Protected(how.clone()));
    }
    if tag(image, STATE_TAG) != KEPT {
        return Some(Reason::Building);
    }
    let Some(created) = image.created.filter(|_| is_settled(&image.state)) else {
        return Some(Reason::Unready(image.state.clone()));
    };
    if let Some(rank) = rank.filter(|rank| *rank <= rule.keep) {
        return Some(Reason::Newest(rank));
    }
    if rule.older_than.is_some_and(|age| scene.survey.now.duration_since(created) < age) {
        return Some(Reason::Young);
    }
    let shared = scene.sharing.get(&image.id).cloned().unwrap_or_default();
    let shared = if image.public && shared.is_empty() { vec!["all".to_owned()] } else { shared };
    (!shared.is_empty() && !rule.include_shared).then_some(Reason::Shared(shared))
}

/// Whether an image stays in its state if nobody does anything.
fn is_settled(state: &str) -> bool {
    ["available", "disabled", "failed", "error", "invalid"].contains(&state)
}

/// The snapshots that may go: hostkit's own, which nothing that stays is made of.
struct Snapshots<'a>(BTreeMap<&'a str, &'a Snapshot>);

impl<'a> Snapshots<'a> {
    fn left_by(scene: &Scene<'a>, images: &[&Image], reasons: &[Option<Reason>]) -> Self {
        let goes: BTreeSet<_> = images
            .iter()
            .zip(reasons)
            .filter(|(_, reason)| reason.is_none())
            .map(|(image, _)| image.id.as_str())
            .collect();
        let stay = scene.survey.images.iter().filter(|image| !goes.contains(image.id.as_str()));
        let needed: BTreeSet<_> = stay.flat_map(|image| &image.snapshots).collect();
        let free = scene.survey.snapshots.iter().filter(|snapshot| {
            !needed.contains(&snapshot.id) && scene.references.of_snapshot(&snapshot.id).is_empty()
        });
        Self(free.map(|snapshot| (snapshot.id.as_str(), snapshot)).collect())
    }

    /// Those of an image. One that several images are made of goes with the first that is asked of:
    /// all of them are deregistered before any snapshot is deleted.
    fn go_with(&mut self, image: &Image) -> Verdict {
        let own = image.snapshots.iter().filter_map(|id| self.0.remove(id.as_str()));
        let (snapshots, sizes): (Vec<_>, Vec<_>) = own.map(|it| (it.id.clone(), it.gib)).unzip();
        Verdict::Remove { snapshots, gib: sizes.iter().sum() }
    }
}
