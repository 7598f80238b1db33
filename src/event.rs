//! What engines say while they work, and to whom.
//!
//! Engines emit [`Event`]s into an [`Events`] channel and never print. A [`crate::report::Report`]
//! is their fold; `ui` renders them for people or as JSON lines. Diagnosis goes to `tracing`,
//! never here.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::mpsc;

use crate::secret;

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// It is done, but not as it was meant to be, and why: somebody should look.
    Degraded(String),
    /// A step that it needs did not succeed: its name.
    Blocked(String),
    /// It did not succeed: the whole chain of causes, readable.
    Failed(String),
}

impl Outcome {
    /// Whether steps that come after this one may run.
    pub const fn is_ok(&self) -> bool {
        match self {
            Self::Unchanged
            | Self::Changed
            | Self::Differs
            | Self::Skipped(_)
            | Self::Degraded(_) => true,
            Self::Blocked(_) | Self::Failed(_) => false,
        }
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

    /// What is told of it beside the word, for people.
    const fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Skipped(text) | Self::Degraded(text) | Self::Failed(text) => Some(text),
            Self::Unchanged | Self::Changed | Self::Differs | Self::Blocked(_) => None,
        }
    }

    /// What is told of it beside the word.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Skipped(text) | Self::Degraded(text) | Self::Failed(text) => Some(text),
            Self::Unchanged | Self::Changed | Self::Differs | Self::Blocked(_) => None,
        }
    }

    /// One word for tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Differs => "differs",
            Self::Skipped(_) => "skipped",
            Self::Degraded(_) => "degraded",
            Self::Blocked(_) => "blocked",
            Self::Failed(_) => "failed",
        }
    }
}

/// One thing that an engine has to say. `step` is the step's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A step begins.
    Started { step: String, title: String },
    /// A step is under way. `total` is absent where the end is not known.
    Progress { step: String, done: u64, total: Option<u64>, unit: Unit },
    /// A line worth showing below its step: output of a program, a decision, a retry.
    Log { step: String, line: String },
    /// How what is watched stands now: all that is known of it, in the order in which it is told.
    Stands { step: String, facts: Vec<Fact> },
    /// A line that is looked for later, by what it is about.
    Milestone { step: String, milestone: Milestone, line: String },
    /// A step has ended.
    Finished {
        step: String,
        outcome: Outcome,
        #[serde(serialize_with = "seconds", deserialize_with = "from_seconds")]
        #[schemars(with = "f64")]
        took: Duration,
    },
}

/// How a part of what is watched stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// The part, in a word or two; the same as long as it is watched.
    pub what: String,
    /// How it stands.
    pub how: String,
}

impl Fact {
    /// That something stands so.
    pub fn new(what: impl Into<String>, how: impl Into<String>) -> Self {
        Self { what: what.into(), how: how.into() }
    }
}

/// What is looked for in the journal of a host, when something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Milestone {
    /// A boot begins.
    BootStarted,
    /// The host is ready.
    BootReady,
    /// The host did not boot.
    BootFailed,
    /// This host holds the home.
    LeaseHeld,
    /// The home is somebody else's: Jenkins was stopped.
    LeaseLost,
    /// The home was given up in order.
    LeaseReleased,
    /// The host goes: it is being drained.
    DrainStarted,
    /// It is drained.
    DrainEnded,
    /// Something on a host that serves is not well.
    Trouble,
    /// It is well again.
    TroubleOver,
}

impl Milestone {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::BootStarted,
        Self::BootReady,
        Self::BootFailed,
        Self::LeaseHeld,
        Self::LeaseLost,
        Self::LeaseReleased,
        Self::DrainStarted,
        Self::DrainEnded,
        Self::Trouble,
        Self::TroubleOver,
    ];
}

/// As seconds with milliseconds, like every other time that hostkit writes.
fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn from_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

impl Event {
    /// Without the secrets in its texts.
    fn redacted(mut self) -> Self {
        let text = match &mut self {
            Self::Log { line, .. } | Self::Milestone { line, .. } => line,
            Self::Finished { outcome, .. } => match outcome.text_mut() {
                Some(text) => text,
                None => return self,
            },
            Self::Stands { facts, .. } => {
                for fact in facts {
                    fact.how = secret::redact(&fact.how).into_owned();
                }
                return self;
            }
            Self::Started { .. } | Self::Progress { .. } => return self,
        };
        if let Cow::Owned(masked) = secret::redact(text) {
            *text = masked;
        }
        self
    }
}

/// What a [`Event::Progress`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Packages, files, blocks: whatever the step's title names.
    Items,
}

/// How much may have been said in lines that nobody has taken yet, in bytes. What comes on top is
/// left out: a program that writes faster than a terminal reads must not fill the memory.
const BACKLOG: usize = 4 << 20;

/// Where an engine sends its events. Cheap to clone; sending never blocks and never fails.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::UnboundedSender<Event>,
    backlog: Arc<Backlog>,
}

/// The end of a channel that `ui` reads.
#[derive(Debug)]
pub struct Listener {
    receiver: mpsc::UnboundedReceiver<Event>,
    backlog: Arc<Backlog>,
}

/// Lines on their way.
#[derive(Debug, Default)]
struct Backlog {
    /// How many bytes they have.
    bytes: AtomicUsize,
    /// How many lines were left out since the last that was not.
    lost: AtomicUsize,
}

impl Listener {
    /// The next event; none when every sender is gone.
    pub async fn recv(&mut self) -> Option<Event> {
        let event = self.receiver.recv().await;
        if let Some(Event::Log { line, .. }) = &event {
            self.backlog.bytes.fetch_sub(line.len(), Relaxed);
        }
        event
    }
}

impl Events {
    /// A channel, and the end that `ui` reads.
    pub fn channel() -> (Self, Listener) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let backlog = Arc::<Backlog>::default();
        (Self { sender, backlog: Arc::clone(&backlog) }, Listener { receiver, backlog })
    }

    /// A channel that nobody listens to.
    pub fn silent() -> Self {
        Self::channel().0
    }

    /// Says something, without the secrets in it. A listener that has gone away is not an error of
    /// the engine.
    pub fn emit(&self, event: Event) {
        let event = event.redacted();
        match &event {
            Event::Log { .. } if self.backlog.bytes.load(Relaxed) >= BACKLOG => {
                self.backlog.lost.fetch_add(1, Relaxed);
                return;
            }
            Event::Log { step, .. }
            | Event::Milestone { step, .. }
            | Event::Finished { step, .. } => self.own_up(step),
            Event::Started { .. } | Event::Progress { .. } | Event::Stands { .. } => {}
        }
        self.send(event);
    }

    /// Says how many lines are missing here, if any are.
    fn own_up(&self, step: &str) {
        let lost = self.backlog.lost.swap(0, Relaxed);
        if lost > 0 {
            let line = format!("({lost} lines are left out: they came too fast to be shown)");
            self.send(Event::Log { step: step.to_owned(), line });
        }
    }

    fn send(&self, event: Event) {
        if let Event::Log { line, .. } = &event {
            self.backlog.bytes.fetch_add(line.len(), Relaxed);
        }
        let _ = self.sender.send(event);
    }

    /// Shorthand for [`Event::Started`].
    pub fn started(&self, step: &str, title: impl Into<String>) {
        self.emit(Event::Started { step: step.to_owned(), title: title.into() });
    }

    /// Shorthand for [`Event::Log`].
    pub fn log(&self, step: &str, line: impl Into<String>) {
        self.emit(Event::Log { step: step.to_owned(), line: line.into() });
    }

    /// Shorthand for [`Event::Milestone`].
    pub fn milestone(&self, step: &str, milestone: Milestone, line: impl Into<String>) {
        self.emit(Event::Milestone { step: step.to_owned(), milestone, line: line.into() });
    }

    /// Shorthand for [`Event::Stands`].
    pub fn stands(&self, step: &str, facts: Vec<Fact>) {
        self.emit(Event::Stands { step: step.to_owned(), facts });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_of_lines_is_left_out_and_owned_up_to() {
        let (events, mut listener) = Events::channel();
        let line = "x".repeat(1 << 20);
        (0..10).for_each(|_| events.log("a", &line));
        events.finished("a", Outcome::Changed, Duration::ZERO);
        for _ in 0..4 {
            assert!(matches!(listener.recv().await, Some(Event::Log { .. })));
        }
        let Some(Event::Log { line, .. }) = listener.recv().await else { panic!("it is said") };
        assert_eq!(line, "(6 lines are left out: they came too fast to be shown)");
        assert!(matches!(listener.recv().await, Some(Event::Finished { .. })));
        events.log("b", "there is room again");
        assert!(matches!(listener.recv().await, Some(Event::Log { step, .. }) if step == "b"));
        drop(events);
        assert_eq!(listener.recv().await, None);
    }
}
