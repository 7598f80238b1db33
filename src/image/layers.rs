//! The layers of a tree and their keys: what a bake can take from the cache, and what it must build.
//!
//! A key is a digest of everything that went into a layer and into all those below it. Pure but for
//! the questions that it asks the [`Store`].

use std::fmt;

use camino::Utf8Path;
use serde::{Serialize, Serializer};

use super::foundation::MAKING;
use super::hygiene::canon;
use super::store::Store;
use crate::digest::sha256;
use crate::plan::lock::{Image, Resolution};
use crate::plan::{Plan, Planned, Section};
use crate::step::Step;
use crate::step::fetch::{Fetch, Proof};

/// Goes up when the same plan gives another tree: a new way to clean one, to apply a step, to build
/// the base. The layers of older versions are then built again.
pub const ENGINE_VERSION: u32 = 2;

/// Names the image of `plan` that is locked to `locked`: the same digest is the same image. Another
/// way to build, clean or pack a tree makes another image of the same plan.
pub fn image_digest(plan: &Plan, locked: &Image) -> String {
    digest_by((ENGINE_VERSION, MAKING, &canon::digest()), &locked.digest(plan))
}

fn digest_by(engine: (u32, u32, &str), image: &str) -> String {
    sha256(serde_json::to_vec(&(engine, image)).expect("plain data"))
}

/// What every base has beyond the distribution's essential packages: how to fetch over https.
pub(super) const BASE_PACKAGES: &str = "ca-certificates";

/// The last section of the foundation; what follows is quick to do again.
const FOUNDATION: Section = Section::Installed;

/// Which layer of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The distribution.
    Base,
    /// What the steps of a section do.
    Section(Section),
}

impl Part {
    /// Whether it belongs to the foundation: what is slow to make and rarely changes.
    pub fn is_foundation(self) -> bool {
        match self {
            Self::Base => true,
            Self::Section(section) => section <= FOUNDATION,
        }
    }
}

/// A layer that a plan asks for, and what it does to those below.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub part: Part,
    pub steps: Vec<Planned>,
}

/// The layers of `plan` from the base upwards. A section without steps has none.
pub(super) fn layers(plan: &Plan) -> Vec<Layer> {
    let of = |section| {
        let steps = plan.steps.iter().filter(|planned| planned.section == section);
        Layer { part: Part::Section(section), steps: steps.cloned().collect() }
    };
    let base = Layer { part: Part::Base, steps: Vec::new() };
    let sections = Section::ALL.into_iter().map(of).filter(|layer| !layer.steps.is_empty());
    std::iter::once(base).chain(sections).collect()
}

impl Layer {
    /// Whether something is chosen here by others, so that its key depends on the choice: packages,
    /// or files that are right if they are signed.
    pub(super) fn resolves(&self) -> bool {
        let signed = |planned: &Planned| {
            matches!(&planned.step, Step::Fetch(Fetch { proof: Proof::Signature { .. }, .. }))
        };
        self.chooses_packages()
            || self.part == Part::Section(Section::Fetches) && self.steps.iter().any(signed)
    }

    /// Whether packages are chosen here.
    pub(super) fn chooses_packages(&self) -> bool {
        matches!(self.part, Part::Base | Part::Section(Section::Packages))
    }

    /// What the lock says about the choice of this layer.
    pub(super) fn locked<'a>(&self, entry: Option<&'a Image>) -> Option<&'a Resolution> {
        entry.filter(|_| self.resolves()).map(|entry| match self.part {
            Part::Base => &entry.base,
            Part::Section(Section::Fetches) => &entry.fetched,
            Part::Section(_) => &entry.packages,
        })
    }

    /// Names everything that goes into this layer, but the choice of its packages.
    pub(super) fn seed(&self, plan: &Plan, below: &str) -> String {
        let base = (self.part == Part::Base).then_some((&plan.base, BASE_PACKAGES));
        let steps = self.steps.iter().cloned().map(Planned::without_places);
        let canon = self.part.is_foundation().then(canon::digest);
        let all = (ENGINE_VERSION, self.part, below, base, canon, steps.collect::<Vec<_>>());
        sha256(serde_json::to_vec(&all).expect("a plan is plain data"))
    }
}

/// Names a layer: its seed, the choice of its packages, and the clock of the bake.
pub(super) fn key(seed: &str, epoch: i64, packages: Option<&Resolution>) -> String {
    sha256(serde_json::to_vec(&(seed, epoch, packages)).expect("plain data"))
}

/// Whether a layer of a plan is in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Which layer it is.
    pub part: Part,
    /// Whether a bake would take it from there and not build it.
    pub cached: bool,
}

/// Which layers of `plan` a bake would take from the cache, from the base upwards. `locked` is the
/// lock's entry for it; without one, the newest packages that the cache knows count, as in a bake.
pub fn status(plan: &Plan, locked: Option<&Image>, cache: &Utf8Path) -> Vec<Status> {
    let store = Store::new(cache);
    let mut epoch = locked.map(|entry| entry.epoch);
    let mut below = Some(String::new());
    let mut statuses = Vec::new();
    for layer in layers(plan) {
        below = below.and_then(|below| {
            let seed = layer.seed(plan, &below);
            let known = layer.resolves().then(|| store.resolution(&seed)).flatten();
            let known = known.filter(|_| locked.is_none());
            epoch = epoch.or(known.as_ref().map(|known| known.epoch));
            let packages = layer.locked(locked).or(known.as_ref().map(|known| &known.packages));
            let is_known = packages.is_some() || !layer.resolves();
            is_known.then_some(key(&seed, epoch?, packages))
        });
        let cached = below.as_deref().is_some_and(|key| store.has(key));
        statuses.push(Status { part: layer.part, cached });
    }
    statuses
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Section(section) => write!(f, "{section}"),
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_layer_with_a_signed_file_depends_on_the_file() {
        let fetch = |proof: &str| {
            let step = format!(
                r#"{{"id": "fetch:/x", "section": "fetches", "step": {{"fetch": {{"url": "u",
                "proof": {proof}, "path": "/x", "mode": 420, "owner": "root", "group": "root",
                "unpack": null, "headers": {{}}}}}}}}"#
            );
            let step: Planned = serde_json::from_str(&step).unwrap();
            Layer { part: Part::Section(Section::Fetches), steps: vec![step] }
        };
        let signed = r#"{"signature": {"url": "s", "key": {"url": "k", "fingerprint": "f"}}}"#;
        assert!(fetch(signed).resolves() && !fetch(signed).chooses_packages());
        assert!(!fetch(r#"{"sha256": "00"}"#).resolves());
        let [one, two] = ["1", "2"].map(|digest| Resolution::signed("/x", digest));
        assert_ne!(key("seed", 0, Some(&one)), key("seed", 0, Some(&two)));
    }

    #[test]
    fn another_engine_or_canon_makes_another_image() {
        let image = digest_by((1, 1, "canon"), "image");
        assert_eq!(image, digest_by((1, 1, "canon"), "image"));
        for engine in [(2, 1, "canon"), (1, 2, "canon"), (1, 1, "stricter")] {
            assert_ne!(image, digest_by(engine, "image"), "{engine:?}");
        }
        assert_ne!(image, digest_by((1, 1, "canon"), "other"));
    }
}
