//! A [`Report`] is the fold of a run's events: what every step did and how long it took.
//!
//! It is written to disk by the boot agent and shown by `hostkit status`. Its JSON form is
//! versioned.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Outcome};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// What one step did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// The step's id.
    pub step: String,
    /// The step's title, for people.
    pub title: String,
    /// How it ended; absent while it runs.
    pub outcome: Option<Outcome>,
    /// Seconds from the start of the run to the start of the step.
    pub at: f64,
    /// Seconds that it took; 0 while it runs.
    pub took: f64,
}

/// What a run did, in the order in which its steps started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// See [`VERSION`].
    pub version: u32,
    /// The steps that have started, and those that were blocked.
    pub steps: Vec<StepReport>,
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self { version: VERSION, steps: Vec::new() }
    }

    /// The first step that failed, with its message.
    pub fn failure(&self) -> Option<(&StepReport, &str)> {
        self.steps.iter().find_map(|step| match &step.outcome {
            Some(Outcome::Failed(message)) => Some((step, message.as_str())),
            _ => None,
        })
    }

    /// How many steps ended with the given word ("changed", "unchanged", …).
    pub fn count(&self, word: &str) -> usize {
        self.steps.iter().filter(|s| s.outcome.as_ref().is_some_and(|o| o.word() == word)).count()
    }
}

/// Folds events into a [`Report`] as they arrive.
#[derive(Debug)]
pub struct Fold {
    started: Instant,
    index: HashMap<String, usize>,
    report: Report,
}

impl Default for Fold {
    fn default() -> Self {
        Self { started: Instant::now(), index: HashMap::new(), report: Report::new() }
    }
}

impl Fold {
    /// Takes one event in.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Started { step, title } => {
                let at = self.started.elapsed().as_secs_f64();
                let title = title.clone();
                self.entry(step, at).title = title;
            }
            Event::Finished { step, outcome, took } => {
                let at = self.started.elapsed().saturating_sub(*took).as_secs_f64();
                let (outcome, took) = (outcome.clone(), seconds(*took));
                let entry = self.entry(step, at);
                entry.outcome = Some(outcome);
                entry.took = took;
            }
            Event::Progress { .. }
            | Event::Log { .. }
            | Event::Stands { .. }
            | Event::Milestone { .. } => {}
        }
    }

    /// The report so far.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    fn entry(&mut self, step: &str, at: f64) -> &mut StepReport {
        let next = self.report.steps.len();
        let index = *self.index.entry(step.to_owned()).or_insert(next);
        if index == next {
            let step = step.to_owned();
            let title = step.clone();
            let at = (at * 1000.0).round() / 1000.0;
            self.report.steps.push(StepReport { step, title, outcome: None, at, took: 0.0 });
        }
        &mut self.report.steps[index]
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_step_is_reported_though_it_never_started() {
        let mut fold = Fold::default();
        fold.take(&Event::Started { step: "efs".into(), title: "mounting the home".into() });
        let failed = Outcome::Failed("no answer".into());
        let took = Duration::from_millis(1500);
        fold.take(&Event::Finished { step: "efs".into(), outcome: failed, took });
        let blocked = Outcome::Blocked("efs".into());
        fold.take(&Event::Finished { step: "home".into(), outcome: blocked, took: Duration::ZERO });

        let report = fold.report();
        assert_eq!(report.failure().map(|(s, m)| (s.step.as_str(), m)), Some(("efs", "no answer")));
        assert!((report.steps[0].took - 1.5).abs() < f64::EPSILON);
        assert_eq!(report.count("blocked"), 1);
    }
}
