//! `[[test]]`: what must hold before an image counts as baked, and once it has booted.

use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::recipe::types;
pub use crate::recipe::types::{On, TestState};

/// One test of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Its name in results.
    pub name: String,
    /// Where it is run.
    pub on: On,
    /// What must hold.
    pub check: Check,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// A file, a directory or what else has a path is there.
    File {
        /// Where it is.
        path: String,
        /// Its permissions.
        mode: Option<u32>,
        /// The user that it belongs to.
        owner: Option<String>,
        /// Text that stands in it.
        contains: Option<String>,
    },
    /// A package is installed.
    Package {
        /// Its name.
        name: String,
        /// What its version begins with.
        version: Option<String>,
    },
    /// Something listens on a TCP port.
    Port(u16),
    /// A systemd unit is in this state.
    Unit {
        /// Its full name.
        name: String,
        /// The state.
        state: TestState,
    },
    /// What `sh -eu` runs ends with 0.
    Command {
        /// The script.
        run: String,
        /// Text that stands in its output.
        output: Option<String>,
    },
}

impl Test {
    /// What a `[[test]]` comes to.
    pub(super) fn new(written: &types::Test) -> Result<Self, Fault> {
        let (on, check) = written.kind()?;
        let check = match check {
            types::TestKind::File(path) => Check::File {
                path: path.to_owned(),
                mode: written.mode,
                owner: written.owner.clone(),
                contains: written.contains.clone(),
            },
            types::TestKind::Package(name) => {
                Check::Package { name: name.to_owned(), version: written.version.clone() }
            }
            types::TestKind::Port(port) => Check::Port(port),
            types::TestKind::Unit(name) => Check::Unit {
                name: name.to_owned(),
                state: written.state.unwrap_or(TestState::Active),
            },
            types::TestKind::Command(run) => {
                Check::Command { run: run.to_owned(), output: written.output.clone() }
            }
        };
        Ok(Self { name: written.name.clone(), on: written.on.unwrap_or(on), check })
    }
}
