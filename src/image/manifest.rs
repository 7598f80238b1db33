//! What an image is, beside the image: `NAME.json`. Versioned; the first form is still read.

use std::collections::BTreeMap;

use anyhow::Context as _;
use camino::{Utf8DirEntry, Utf8Path};
use serde::{Deserialize, Serialize};

use super::Made;
use crate::error::Fault;
use crate::plan::{Plan, Target, Test};
use crate::step::Step;

/// The version of the JSON form.
pub const VERSION: u32 = 2;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`VERSION`].
    pub version: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The version of the image.
    pub image_version: String,
    /// The processor: `amd64`.
    pub arch: String,
    /// What was made.
    pub target: Target,
    /// The digest of all that went in: the same digest is the same image.
    pub digest: String,
    /// The key of the foundation that it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foundation: Option<String>,
    /// The moment at which its clocks stand, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// What the tree started from: `debian:trixie`.
    pub base: String,
    /// When it was made, by the clock of the machine that made it.
    pub created: jiff::Timestamp,
    /// The hostkit that made it.
    pub hostkit: String,
    /// The disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// The same disk as qcow2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qcow2: Option<File>,
    /// The OCI layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
    /// The list of all files: lines of JSON, compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<File>,
    /// The bill of materials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bom: Option<File>,
    /// The versions of all packages, by name.
    pub packages: BTreeMap<String, String>,
    /// What must hold of the image.
    #[serde(default)]
    pub tests: Vec<Test>,
    /// Whether hostkit is in the image and boots it.
    #[serde(default)]
    pub agent: bool,
    /// The digest of every step of the plan by its id, to tell what changed since.
    #[serde(default)]
    pub steps: BTreeMap<String, String>,
    /// How long each phase took, in order.
    pub phases: Vec<Phase>,
}

/// A disk image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its file name, beside the manifest.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// How much of that was not a hole when it was made, in bytes.
    pub allocated: u64,
    /// The SHA-256 of the table of its blocks, which is in the file `blocks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The SHA-256 of each of its blocks of 512 KiB, 32 bytes a block: the name of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<String>,
    /// How many blocks differ from those of the previous image of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    /// The SHA-256 of its bytes: only of images of the first form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How many blocks of a disk changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// So many changed.
    pub blocks: usize,
    /// Of so many.
    pub of: usize,
}

/// A file beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// An OCI layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oci {
    /// Its folder, beside the manifest.
    pub folder: String,
    /// The digest of its image manifest, as a registry shows it: `sha256:…`.
    pub digest: String,
    /// The size of its layer, compressed, in bytes.
    pub bytes: u64,
}

/// How long a phase took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The phase.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

impl Manifest {
    pub(super) fn new(plan: &Plan, digest: &str, made: &Made, phases: Vec<(String, f64)>) -> Self {
        Self {
            foundation: made.foundation.clone(),
            disk: made.packed.disk.clone(),
            qcow2: made.packed.qcow2.clone(),
            oci: made.packed.oci.clone(),
            files: Some(made.packed.files.clone()),
            bom: Some(made.bom.clone()),
            packages: made.packages.clone(),
            phases: phases.into_iter().map(|(name, seconds)| Phase { name, seconds }).collect(),
            ..Self::of_plan(plan, digest, made.epoch)
        }
    }

    /// What is known of an image before it is made.
    pub(super) fn of_plan(plan: &Plan, digest: &str, epoch: i64) -> Self {
        Self {
            version: VERSION,
            recipe: plan.recipe.clone(),
            image_version: plan.image_version.clone(),
            arch: plan.base.arch.to_string(),
            target: plan.target,
            digest: digest.to_owned(),
            foundation: None,
            epoch: Some(epoch),
            base: format!("{}:{}", plan.base.distribution, plan.base.suite),
            created: jiff::Timestamp::now(),
            hostkit: env!("CARGO_PKG_VERSION").to_owned(),
            disk: None,
            qcow2: None,
            oci: None,
            files: None,
            bom: None,
            packages: BTreeMap::new(),
            tests: plan.tests.clone(),
            agent: plan.steps.iter().any(|planned| matches!(planned.step, Step::Agent(_))),
            steps: plan.step_digests(),
            phases: Vec::new(),
        }
    }

    /// The manifest of a recipe's image in `folder`, if a readable one is there.
    pub fn read(folder: &Utf8Path, recipe: &str, target: Target) -> Option<Self> {
        Self::load(&folder.join(file_name(recipe, target))).ok()
    }

    /// The manifest in `folder` of the image with this digest: that of the disk, if there is more
    /// than one. None if there is none that can be read.
    pub fn with_digest(folder: &Utf8Path, digest: &str) -> Option<Self> {
        let entries = folder.read_dir_utf8().ok()?.filter_map(Result::ok);
        let files = entries.map(Utf8DirEntry::into_path);
        let files = files.filter(|path| path.extension() == Some("json"));
        let mut all: Vec<_> = files.filter_map(|path| Self::load(&path).ok()).collect();
        all.retain(|manifest| manifest.digest == digest);
        all.sort_by_key(|manifest| manifest.disk.is_none());
        all.into_iter().next()
    }

    /// Reads a manifest of any form.
    pub fn load(path: &Utf8Path) -> anyhow::Result<Self> {
        let fault = || Fault::recipe(format!("{path} is not the manifest of an image"));
        let text = std::fs::read(path)
            .with_context(|| Fault::environment(format!("{path} cannot be read")))?;
        Self::parse(&text).with_context(fault)
    }

    /// Reads the text of a manifest of any form.
    pub fn parse(text: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        match serde_json::from_slice::<Form>(text)?.version {
            1 => Ok(serde_json::from_slice::<First>(text)?.into()),
            VERSION => Ok(serde_json::from_slice(text)?),
            other => anyhow::bail!("its form is {other}, and this hostkit knows 1 and {VERSION}"),
        }
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        file_name(&self.recipe, self.target)
    }

    /// The names of everything that belongs to the image, the manifest itself left out.
    pub fn outputs(&self) -> Vec<&str> {
        let disk = self.disk.iter().flat_map(|disk| [Some(&disk.file), disk.blocks.as_ref()]);
        let files = self.qcow2.iter().chain(&self.files).chain(&self.bom).map(|file| &file.file);
        let names = disk.flatten().chain(self.oci.iter().map(|oci| &oci.folder)).chain(files);
        names.map(String::as_str).collect()
    }

    /// Whether everything that belongs to the image is in `folder`.
    pub fn is_whole(&self, folder: &Utf8Path) -> bool {
        let sized = |name: &str, bytes: u64| {
            std::fs::metadata(folder.join(name)).is_ok_and(|meta| meta.len() == bytes)
        };
        self.outputs().iter().all(|name| folder.join(name).exists())
            && self.disk.as_ref().is_none_or(|disk| sized(&disk.file, disk.bytes))
            && self.qcow2.as_ref().is_none_or(|qcow2| sized(&qcow2.file, qcow2.bytes))
    }
}

/// What the names of everything of an image begin with.
pub fn stem(recipe: &str, target: Target) -> String {
    match target {
        Target::Disk => recipe.to_owned(),
        Target::Oci => format!("{recipe}.oci"),
    }
}

fn file_name(recipe: &str, target: Target) -> String {
    format!("{}.json", stem(recipe, target))
}

/// The first form.
#[derive(Deserialize)]
struct First {
    recipe: String,
    image_version: String,
    digest: String,
    base: FirstBase,
    created: jiff::Timestamp,
    hostkit: String,
    disk: Disk,
    packages: BTreeMap<String, String>,
    phases: Vec<Phase>,
}

#[derive(Deserialize)]
struct FirstBase {
    distribution: String,
    suite: String,
    arch: String,
}

impl From<First> for Manifest {
    fn from(first: First) -> Self {
        Self {
            version: 1,
            recipe: first.recipe,
            image_version: first.image_version,
            arch: first.base.arch,
            target: Target::Disk,
            digest: first.digest,
            foundation: None,
            epoch: None,
            base: format!("{}:{}", first.base.distribution, first.base.suite),
            created: first.created,
            hostkit: first.hostkit,
            disk: Some(first.disk),
            qcow2: None,
            oci: None,
            files: None,
            bom: None,
            packages: first.packages,
            tests: Vec::new(),
            agent: true,
            steps: BTreeMap::new(),
            phases: first.phases,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_is_still_read() {
        let text = include_bytes!("../../tests/fixtures/manifests/first.json");
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!((manifest.version, manifest.arch.as_str()), (1, "amd64"));
        assert_eq!(manifest.outputs(), ["jenkins-controller.raw"]);
        assert!(manifest.disk.unwrap().sha256.is_some());
    }

    #[test]
    fn a_form_of_the_future_is_refused_by_its_number() {
        let error = Manifest::parse(br#"{"version": 3}"#).unwrap_err();
        assert!(error.to_string().contains("its form is 3"), "{error}");
        assert!(Manifest::parse(b"{}").is_err());
    }
}
