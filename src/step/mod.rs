//! The closed set of things that a plan can do to a host, one file per kind.
//!
//! Every kind is data, says what it is about to do, and says what it changed. Applied a second
//! time it changes nothing.

pub mod agent;
pub mod directory;
pub mod fetch;
pub mod file;
pub mod link;
pub mod packages;
pub mod repository;
pub mod script;
pub mod unit;
pub mod user;

use serde::{Deserialize, Serialize};

use crate::event::{Events, Outcome};
use crate::secret::Secrets;
use crate::sys::Host;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// A package repository and its keys.
    Repository(repository::Repository),
    /// Packages.
    Packages(packages::Packages),
    /// An account.
    User(user::User),
    /// A file from elsewhere.
    Fetch(fetch::Fetch),
    /// A directory.
    Directory(directory::Directory),
    /// A file.
    File(file::File),
    /// The hostkit binary itself.
    Agent(agent::Agent),
    /// A symbolic link.
    Link(link::Link),
    /// The state of a systemd unit.
    Unit(unit::Unit),
    /// A program.
    Script(script::Script),
}

/// Where a step is applied, and who hears of it.
#[derive(Debug)]
pub struct Site<'a> {
    /// The host.
    pub host: &'a Host,
    /// The listener.
    pub events: &'a Events,
    /// What the references of a plan stand for.
    pub secrets: &'a Secrets,
    /// The id of the step in its plan.
    pub id: &'a str,
}

impl Site<'_> {
    /// Shows a line below the step.
    pub fn log(&self, line: impl Into<String>) {
        self.events.log(self.id, self.secrets.redact(&line.into()));
    }
}

/// The only match over the kinds.
macro_rules! each {
    ($step:expr, $inner:ident => $body:expr) => {
        match $step {
            Step::Repository($inner) => $body,
            Step::Packages($inner) => $body,
            Step::User($inner) => $body,
            Step::Fetch($inner) => $body,
            Step::Directory($inner) => $body,
            Step::File($inner) => $body,
            Step::Agent($inner) => $body,
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

    /// Makes it so.
    pub async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        each!(self, step => step.apply(site).await)
    }
}
