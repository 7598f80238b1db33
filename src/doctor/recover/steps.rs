//! What is to be done, step by step, for a person who reads it at night: each with the command, how
//! long it takes and what can go wrong. Whoever shows it does nothing yet.

use std::future::Future;
use std::time::Instant;

use serde::Serialize;

use crate::event::{Events, Outcome};

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// hostkit, with `--apply`.
    Hostkit,
    /// A person: hostkit must not, or cannot.
    Person,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is done.
    pub what: String,
    /// Who does it.
    pub by: By,
    /// Commands that do it, to be copied.
    pub commands: Vec<String>,
    /// How long it takes.
    pub takes: &'static str,
    /// What can go wrong, and what then.
    pub risk: String,
}

/// Steps, and what was found that they begin from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// What they come to, in a line.
    pub title: String,
    /// What was found, in lines.
    pub found: Vec<String>,
    /// In their order.
    pub steps: Vec<Step>,
}

impl Steps {
    /// Whether there is anything that hostkit would do.
    pub fn can_be_applied(&self) -> bool {
        self.steps.iter().any(|step| step.by == By::Hostkit)
    }

    /// As a numbered list.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for line in &self.found {
            text += &format!("  {line}\n");
        }
        for (index, step) in self.steps.iter().enumerate() {
            let by = match step.by {
                By::Hostkit => "hostkit, with --apply",
                By::Person => "you",
            };
            text += &format!("\n{}. {} ({by}; {})\n", index + 1, step.what, step.takes);
            for command in &step.commands {
                text += &format!("   $ {command}\n");
            }
            text += &format!("   {}\n", step.risk);
        }
        text
    }
}

/// Does one step, and says how it went.
pub(super) async fn told<T>(
    events: &Events,
    step: &str,
    title: String,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    events.started(step, title);
    let began = Instant::now();
    let done = work.await;
    let outcome = match &done {
        Ok(_) => Outcome::Changed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    events.finished(step, outcome, began.elapsed());
    done
}
