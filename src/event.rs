//! What engines say while they work, and to whom.
//!
//! Engines emit [`Event`]s into an [`Events`] channel and never print. A [`crate::report::Report`]
//! is their fold; `ui` renders them for people or as JSON lines. Diagnosis goes to `tracing`,
//! never here.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::mpsc;

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was already as wanted.
    Unchanged,
    /// Something was changed.
    Changed,
    /// It was only looked at, and is not as wanted.
    Differs,
    /// It did not apply here, and why.
    Skipped(String),
    /// A step that it needs did not succeed: its name.
    Blocked(String),
    /// It did not succeed: the whole chain of causes, readable.
    Failed(String),
}

impl Outcome {
    /// Whether steps that come after this one may run.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Changed | Self::Differs | Self::Skipped(_))
    }

    /// `Changed` when `changed`, else `Unchanged`.
    pub const fn changed(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Unchanged }
    }

    /// The stronger of two: a change wins over all else, and `Unchanged` over nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let news = |outcome: &Self| matches!(outcome, Self::Changed | Self::Differs);
        if self == Self::Unchanged || news(&other) { other } else { self }
    }

    /// One word for tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Differs => "differs",
            Self::Skipped(_) => "skipped",
            Self::Blocked(_) => "blocked",
            Self::Failed(_) => "failed",
        }
    }
}

/// One thing that an engine has to say. `step` is the step's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A step begins.
    Started { step: String, title: String },
    /// A step is under way. `total` is absent where the end is not known.
    Progress { step: String, done: u64, total: Option<u64>, unit: Unit },
    /// A line worth showing below its step: output of a program, a decision, a retry.
    Log { step: String, line: String },
    /// A step has ended.
    Finished {
        step: String,
        outcome: Outcome,
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
}

/// As seconds with milliseconds, like every other time that hostkit writes.
fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// What a [`Event::Progress`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Packages, files, blocks: whatever the step's title names.
    Items,
}

/// Where an engine sends its events. Cheap to clone; sending never blocks and never fails.
#[derive(Clone, Debug)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    /// A channel, and the end that `ui` reads.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// A channel that nobody listens to.
    pub fn silent() -> Self {
        Self::channel().0
    }

    /// Says something. A listener that has gone away is not an error of the engine.
    pub fn emit(&self, event: Event) {
        let _ = self.0.send(event);
    }

    /// Shorthand for [`Event::Started`].
    pub fn started(&self, step: &str, title: impl Into<String>) {
        self.emit(Event::Started { step: step.to_owned(), title: title.into() });
    }

    /// Shorthand for [`Event::Log`].
    pub fn log(&self, step: &str, line: impl Into<String>) {
        self.emit(Event::Log { step: step.to_owned(), line: line.into() });
    }

    /// Shorthand for [`Event::Progress`].
    pub fn progress(&self, step: &str, done: u64, total: Option<u64>, unit: Unit) {
        self.emit(Event::Progress { step: step.to_owned(), done, total, unit });
    }

    /// Shorthand for [`Event::Finished`].
    pub fn finished(&self, step: &str, outcome: Outcome, took: Duration) {
        self.emit(Event::Finished { step: step.to_owned(), outcome, took });
    }
}
