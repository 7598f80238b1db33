//! The records of boots as a table, and of recoveries below it.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::records::{Records, Source};
use super::recoveries;
use super::status::{State, Status};

/// The version of the JSON form.
const VERSION: u32 = 1;

/// What `hostkit history --format json` prints, one a line.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Entry {
    /// A boot.
    Boot(Line),
    /// A recovery of the home.
    Recovery(recoveries::Line),
}

/// All that is recorded, the boots first.
pub fn entries(records: &Records) -> impl Iterator<Item = Entry> {
    let boots = records.boots.iter().map(|boot| Entry::Boot(Line::new(boot)));
    let recoveries = records.recoveries.iter();
    boots.chain(recoveries.map(|journal| Entry::Recovery(recoveries::Line::new(journal))))
}

/// One boot in a line.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Line {
    /// See [`VERSION`].
    pub version: u32,
    /// When the agent started.
    #[schemars(with = "String")]
    pub started: jiff::Timestamp,
    /// The instance.
    pub instance_id: Option<String>,
    /// Its image.
    pub image_id: Option<String>,
    /// How it ended.
    pub state: State,
    /// Seconds from the start of the agent to the end.
    pub seconds: f64,
    /// The step that failed.
    pub failed: Option<String>,
    /// Why, in a line.
    pub cause: Option<String>,
}

impl Line {
    /// That of a record.
    pub fn new(boot: &Status) -> Self {
        let failure = boot.failure();
        Self {
            version: VERSION,
            started: boot.started,
            instance_id: boot.instance_id.clone(),
            image_id: boot.about.as_ref().and_then(|about| about.image_id.clone()),
            state: boot.state,
            seconds: boot.seconds(),
            failed: failure.map(|(step, _)| step.step.clone()),
            cause: failure.and_then(|(_, cause)| cause.lines().next()).map(str::to_owned),
        }
    }
}

/// The table for people, the newest first.
pub fn render(records: &Records) -> String {
    let mut out = String::new();
    if records.boots.is_empty() {
        out += "no boots are recorded\n";
    } else {
        let _ = writeln!(
            out,
            "{:<21}{:<21}{:<23}{:<8}{:>9}  cause",
            "when (UTC)", "instance", "image", "result", "seconds"
        );
    }
    for line in records.boots.iter().map(Line::new) {
        let state = match line.state {
            State::Ready => "ready",
            State::Failed => "failed",
            State::Running => "running",
        };
        let cause = match (&line.failed, &line.cause) {
            (Some(step), Some(cause)) => format!("{step}: {cause}"),
            _ => String::new(),
        };
        let row = format!(
            "{:<21}{:<21}{:<23}{state:<8}{:>9.1}  {cause}",
            line.started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            line.instance_id.as_deref().unwrap_or("–"),
            line.image_id.as_deref().unwrap_or("–"),
            line.seconds,
        );
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out += &recoveries::render(&records.recoveries);
    if records.unreadable > 0 {
        let _ =
            writeln!(out, "({} files are no records that this hostkit reads)", records.unreadable);
    }
    out
}

/// What a person should know of where the table comes from.
pub fn note(source: &Source) -> Option<String> {
    match source {
        Source::Home => None,
        Source::Host(None) => Some("the boots of this host alone: no home is mounted".to_owned()),
        Source::Host(Some(why)) => {
            Some(format!("the boots of this host alone: the home could not be read: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::about::About;
    use crate::event::Outcome;
    use crate::report::StepReport;

    fn boot(started: &str, instance: &str, state: State, outcome: Outcome) -> Status {
        let mut status = Status::new("boot".to_owned(), None);
        status.started = started.parse().unwrap();
        status.instance_id = Some(instance.to_owned());
        status.state = state;
        let image_id = Some("ami-0123456789abcdef0".to_owned());
        status.about = Some(About { image_id, ..About::default() });
        let (step, title) = ("efs".to_owned(), String::new());
        let outcome = Some(outcome);
        status.report.steps = vec![StepReport { step, title, outcome, at: 0.5, took: 31.27 }];
        status
    }

    #[test]
    fn a_history_reads_like_this() {
        let refused = "10.0.2.100:2049 refused the connection\n  hint: check it".to_owned();
        let records = Records {
            boots: vec![
                boot("2026-11-20T03:10:00Z", "i-0cccccccccccccccc", State::Ready, Outcome::Changed),
                boot(
                    "2026-11-20T03:00:00Z",
                    "i-0bbbbbbbbbbbbbbbb",
                    State::Failed,
                    Outcome::Failed(refused),
                ),
            ],
            recoveries: vec![crate::lease::recovery::tests::journal()],
            source: Source::Home,
            unreadable: 1,
        };
        insta::assert_snapshot!(render(&records));
    }
}
