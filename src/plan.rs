//! A [`Plan`]: what a recipe with its variables comes to, as data without holes.
//!
//! Pure: all files that it names were read or hashed before ([`Inputs`]); templates are rendered
//! here; nothing is looked up, fetched or run. The same inputs give the same digest.

mod base;
mod build;
mod changes;
pub mod lock;
mod sections;
mod sound;
pub mod test;

use std::fmt;

pub use build::{AgentBinary, Inputs, local_files, plan};
pub use changes::Changes;
pub use sections::named_files;
use serde::{Deserialize, Serialize};

pub use crate::recipe::platform::{Arch, Os, Target};
use crate::step::Step;

pub use test::Test;

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// An ordered list of steps, and what they start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// See [`VERSION`].
    pub version: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The version of the image.
    pub image_version: String,
    /// SHA-256 over everything else here. The same digest is the same image.
    pub digest: String,
    /// What the tree starts from.
    pub base: Base,
    /// What is made of it.
    pub target: Target,
    /// What is done to it, in order.
    pub steps: Vec<Planned>,
    /// Mount points: empty directories that nobody may write to while nothing is mounted there.
    #[serde(default)]
    pub immutable: Vec<String>,
    /// What must hold afterwards.
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// What a tree starts from: a distribution built from its packages, or one that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The distribution.
    pub distribution: Os,
    /// Its release: `trixie`.
    pub suite: String,
    /// Where the release is, to see whether it exists. Empty with an image or an AMI.
    pub mirror: String,
    /// Everything that its packages come from, as lines of `sources.list`. Empty with an image or
    /// an AMI.
    pub sources: Vec<String>,
    /// The processor.
    pub arch: Arch,
    /// The disk that it begins with, if it is not built from packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<BaseImage>,
    /// The AMI that it begins with, if it is not built from packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami: Option<Ami>,
}

/// An existing disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseImage {
    /// The file, relative to the project, or absolute.
    pub file: String,
    /// What its SHA-256 must be.
    pub sha256: String,
}

/// An existing AMI, by what names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ami {
    /// Its id.
    Id(String),
    /// The newest whose name fits and whose owner is this one.
    Newest {
        /// A name with `*`.
        name: String,
        /// An account, `amazon` or `self`.
        owner: String,
    },
    /// An SSM parameter that holds its id.
    Parameter(String),
}

impl fmt::Display for Ami {
    /// As a person says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "the AMI {id}"),
            Self::Newest { name, owner } => write!(f, "the newest `{name}` of {owner}"),
            Self::Parameter(name) => write!(f, "the parameter {name}"),
        }
    }
}

/// A step and its name in this plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Unique in the plan: the kind and what it is about, as `file:/etc/fstab`.
    pub id: String,
    /// The part of the order that it belongs to.
    pub section: Section,
    /// What is done.
    pub step: Step,
}

/// The parts of a plan, in the order in which they are applied: what rarely changes comes first.
/// Each is a layer of its own in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Package repositories.
    Repositories,
    /// Scripts that come before the packages.
    Early,
    /// Groups and users, so that packages find their numbers pinned.
    Users,
    /// Packages.
    Packages,
    /// Files from elsewhere.
    Fetches,
    /// Scripts that need the packages and what was fetched, and not the recipe's own files. The
    /// last part that is slow: all that follows is quick to do again.
    Installed,
    /// The hostkit binary.
    Agent,
    /// Settings, directories, files, links and units.
    Files,
    /// Scripts that need everything.
    Late,
}

impl Section {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Repositories,
        Self::Early,
        Self::Users,
        Self::Packages,
        Self::Fetches,
        Self::Installed,
        Self::Agent,
        Self::Files,
        Self::Late,
    ];
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repositories => "repositories",
            Self::Early => "early",
            Self::Users => "users",
            Self::Packages => "packages",
            Self::Fetches => "fetches",
            Self::Installed => "installed",
            Self::Agent => "agent",
            Self::Files => "files",
            Self::Late => "late",
        })
    }
}

impl Planned {
    /// Without the places of files on this machine: their content makes a difference to an image,
    /// their place makes none.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        match &mut self.step {
            Step::Packages(packages) => {
                packages.files.iter_mut().for_each(|file| file.path.clear());
            }
            Step::Agent(agent) => agent.path = None,
            _ => {}
        }
        self
    }
}

impl Plan {
    /// The first digits of the digest, for names.
    pub fn short_digest(&self) -> &str {
        self.digest.get(..8).unwrap_or(&self.digest)
    }
}
