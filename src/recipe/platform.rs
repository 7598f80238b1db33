//! What an image is made of and for: distributions, processors, targets. Closed sets.

use std::fmt;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A family of distributions: those that share a package manager.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Debian and Ubuntu: apt.
    Debian,
    /// Amazon Linux: dnf.
    Redhat,
}

/// A distribution.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Os {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Amazon Linux.
    Amazon,
}

impl Os {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Debian, Self::Ubuntu, Self::Amazon];

    /// Its family.
    pub const fn family(self) -> Family {
        match self {
            Self::Debian | Self::Ubuntu => Family::Debian,
            Self::Amazon => Family::Redhat,
        }
    }

    /// Its releases, as far as they are known. There will be others.
    pub const fn releases(self) -> &'static [&'static str] {
        match self {
            Self::Debian => {
                &["bookworm", "trixie", "forky", "stable", "testing", "sid", "unstable"]
            }
            Self::Ubuntu => &["jammy", "noble", "plucky", "questing", "resolute"],
            Self::Amazon => &["2023"],
        }
    }

    /// Its name in recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
            Self::Amazon => "amazon",
        }
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A processor, by Debian's name for it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    Serialize,
    JsonSchema,
    ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// Intel and AMD, 64 bits.
    Amd64,
    /// ARM, 64 bits: Graviton.
    Arm64,
}

impl Arch {
    /// The processor that this hostkit was built for.
    pub const HERE: Self = if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 };

    /// Debian's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The kernel's name for it, which is Amazon Linux's too.
    pub const fn kernel_name(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

impl Default for Arch {
    fn default() -> Self {
        Self::HERE
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is made of the tree.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    Serialize,
    JsonSchema,
    ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A bootable disk image.
    #[default]
    Disk,
    /// A container image, as an OCI layout.
    Oci,
}

impl Target {
    /// Its name in recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Oci => "oci",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
