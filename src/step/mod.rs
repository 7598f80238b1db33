//! The closed set of things that a plan can do to a host, one file per kind.
//!
//! Every kind is data, says what it is about to do, and says what it changed. Applied a second
//! time it changes nothing. In a check ([`site::Mode`]) it tells what it would change.

pub mod agent;
pub mod directory;
mod download;
pub mod fetch;
pub mod file;
pub mod group;
pub mod kernel;
pub mod link;
pub mod openpgp;
pub mod packages;
mod record;
pub mod repository;
pub mod script;
pub mod site;
pub mod sysctl;
pub mod unit;
mod unpack;
pub mod user;

use serde::{Deserialize, Serialize};
pub use site::{Mode, Site};

use crate::event::Outcome;

/// How a host installs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// apt and dpkg: Debian, Ubuntu.
    Debian,
    /// dnf and rpm: Amazon Linux.
    Redhat,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// A package repository and its keys.
    Repository(repository::Repository),
    /// A group.
    Group(group::Group),
    /// An account.
    User(user::User),
    /// Packages.
    Packages(packages::Packages),
    /// A file or an archive from elsewhere.
    Fetch(fetch::Fetch),
    /// The hostkit binary itself.
    Agent(agent::Agent),
    /// Settings of the running kernel.
    Sysctl(sysctl::Sysctl),
    /// Modules and command line of the kernel.
    Kernel(kernel::Kernel),
    /// A directory.
    Directory(directory::Directory),
    /// A file.
    File(file::File),
    /// A symbolic link.
    Link(link::Link),
    /// The state of a systemd unit, and what changes parts of it.
    Unit(unit::Unit),
    /// A program.
    Script(script::Script),
}

/// The only match over the kinds.
macro_rules! each {
    ($step:expr, $inner:ident => $body:expr) => {
        match $step {
            Step::Repository($inner) => $body,
            Step::Group($inner) => $body,
            Step::User($inner) => $body,
            Step::Packages($inner) => $body,
            Step::Fetch($inner) => $body,
            Step::Agent($inner) => $body,
            Step::Sysctl($inner) => $body,
            Step::Kernel($inner) => $body,
            Step::Directory($inner) => $body,
            Step::File($inner) => $body,
            Step::Link($inner) => $body,
            Step::Unit($inner) => $body,
            Step::Script($inner) => $body,
        }
    };
}

impl Step {
    /// What is being done, for people: a gerund and its object.
    pub fn title(&self) -> String {
        each!(self, step => step.title())
    }

    /// Makes it so, or in a check says whether it is not.
    pub async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        each!(self, step => step.apply(site).await)
    }
}
