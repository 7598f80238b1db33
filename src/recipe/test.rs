//! `[[test]]`: what must hold, so that an image counts as baked.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::When;
use crate::error::Fault;

/// `[[test]]`: exactly one of `file`, `package`, `port`, `unit` and `command`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Its name in results.
    pub name: String,
    /// A path that must exist.
    pub file: Option<String>,
    /// The mode that `file` must have, as `0o644`.
    pub mode: Option<u32>,
    /// The user that `file` must belong to.
    pub owner: Option<String>,
    /// Text that must stand in `file`.
    pub contains: Option<String>,
    /// A package that must be installed.
    pub package: Option<String>,
    /// What the version of `package` must begin with.
    pub version: Option<String>,
    /// A TCP port that something must listen on.
    pub port: Option<u16>,
    /// A systemd unit.
    pub unit: Option<String>,
    /// What `unit` must be; `active` if not given.
    pub state: Option<TestState>,
    /// What `sh -eu` runs, and what must end with 0.
    pub command: Option<String>,
    /// Text that must stand in the output of `command`.
    pub output: Option<String>,
    /// Where it is run: `tree` for a file, a package or a command, `boot` for a port or a unit, if
    /// not given.
    pub on: Option<On>,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// What a [`Test`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKind<'a> {
    /// A path.
    File(&'a str),
    /// A package's name.
    Package(&'a str),
    /// A TCP port.
    Port(u16),
    /// A unit's full name.
    Unit(&'a str),
    /// A script.
    Command(&'a str),
}

impl Test {
    /// What it is about, and where such a test is run if it does not say.
    ///
    /// # Errors
    /// None or several of the keys that say it.
    pub fn kind(&self) -> Result<(On, TestKind<'_>), Fault> {
        let file = self.file.as_deref().map(|path| (On::Tree, TestKind::File(path)));
        let package = self.package.as_deref().map(|name| (On::Tree, TestKind::Package(name)));
        let port = self.port.map(|port| (On::Boot, TestKind::Port(port)));
        let unit = self.unit.as_deref().map(|name| (On::Boot, TestKind::Unit(name)));
        let command = self.command.as_deref().map(|run| (On::Tree, TestKind::Command(run)));
        let mut given = [file, package, port, unit, command].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(kind), None) => Ok(kind),
            _ => Err(Fault::recipe(format!(
                "[[test]] {} needs exactly one of `file`, `package`, `port`, `unit` and `command`",
                self.name
            ))),
        }
    }
}

/// What a unit must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TestState {
    /// Running, or done.
    Active,
    /// Not running.
    Inactive,
    /// Failed.
    Failed,
    /// Started at boot.
    Enabled,
    /// Not started at boot.
    Disabled,
    /// Cannot be started.
    Masked,
}

/// Where a test is run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// In the finished tree, before the image counts as baked.
    Tree,
    /// In the image once it has booted, by `hostkit test`.
    Boot,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tree => "tree",
            Self::Boot => "boot",
        })
    }
}
