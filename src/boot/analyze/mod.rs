//! Where the time of a boot went: which steps took it, which of them decided when the boot ended, and
//! how much longer the others could have taken.
//!
//! Pure: it reads a [`Status`], which is that of this host, of a record or of a file.

mod graph;
mod picture;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::status::{State, Status};
use crate::event::Outcome;

/// The version of the JSON form.
const VERSION: u32 = 1;

/// The steps that start what a host is for: until then hostkit works, afterwards it waits.
const SERVICES: &[&str] = &["jenkins", "ecs", "sshd"];

/// Where the time went.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Analysis {
    /// See [`VERSION`].
    pub version: u32,
    /// How the boot stands.
    pub state: State,
    /// The same in a line.
    pub headline: String,
    /// Whose boot it is, in a line.
    pub about: String,
    /// The instance.
    pub instance_id: Option<String>,
    /// When the agent started.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// Seconds from the start of the agent to the end of the last step, or to now.
    pub seconds: f64,
    /// What came after what, as a whole.
    pub phases: Vec<Phase>,
    /// The steps, in the order in which they started.
    pub steps: Vec<Line>,
    /// Those that decided when the boot ended, the first one first.
    pub critical_path: Vec<String>,
    /// Steps that never ran, and which one is to blame.
    pub blocked: Vec<(String, String)>,
}

/// A part of the time from the kernel to the end.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Phase {
    /// From what to what.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Line {
    /// Its name.
    pub step: String,
    /// What it does.
    pub title: String,
    /// How it ended, in a word.
    pub outcome: String,
    /// What is told of that, in a line.
    pub note: Option<String>,
    /// When it began, in seconds.
    pub at: f64,
    /// How long it took, in seconds.
    pub took: f64,
    /// The steps that it waited for and that ran.
    pub after: Vec<String>,
    /// How much longer it could have taken without the boot ending later, in seconds.
    pub slack: f64,
    /// Whether it is on the critical path.
    pub critical: bool,
}

impl Line {
    fn end(&self) -> f64 {
        self.at + self.took
    }
}

impl Analysis {
    /// That of a boot, at `now` if it is under way.
    pub fn new(status: &Status, now: Timestamp) -> Self {
        let elapsed = (now - status.started).total(jiff::Unit::Second).unwrap_or(0.0);
        let mut steps = lines(status, elapsed);
        let critical_path = graph::examine(&mut steps);
        let seconds = steps.iter().map(Line::end).fold(0.0, f64::max);
        let blocked = status.report.steps.iter().filter_map(|step| match &step.outcome {
            Some(Outcome::Blocked(by)) => Some((step.step.clone(), by.clone())),
            _ => None,
        });
        Self {
            version: VERSION,
            state: status.state,
            headline: status.headline(),
            about: status.about.as_ref().map(super::about::About::line).unwrap_or_default(),
            instance_id: status.instance_id.clone(),
            started: status.started,
            seconds,
            phases: phases(status, &steps, seconds),
            blocked: blocked.collect(),
            steps,
            critical_path,
        }
    }

    /// For people, on a terminal.
    pub fn text(&self) -> String {
        text::render(self)
    }

    /// As a picture: SVG, for light and dark backgrounds.
    pub fn svg(&self) -> String {
        picture::draw(self)
    }
}

/// The steps that ran, in the order in which they started.
fn lines(status: &Status, elapsed: f64) -> Vec<Line> {
    let ran = status.report.steps.iter();
    let ran = ran.filter(|step| !matches!(step.outcome, Some(Outcome::Blocked(_))));
    let mut lines: Vec<_> = ran
        .map(|step| {
            let (outcome, note) = match &step.outcome {
                None => ("running", None),
                Some(outcome) => (outcome.word(), outcome.text()),
            };
            let is_over = step.outcome.is_some() || status.state != State::Running;
            Line {
                step: step.step.clone(),
                title: step.title.clone(),
                outcome: outcome.to_owned(),
                note: note.and_then(|note| note.lines().next()).map(str::to_owned),
                at: step.at,
                took: if is_over { step.took } else { (elapsed - step.at).max(0.0) },
                after: Vec::new(),
                slack: 0.0,
                critical: false,
            }
        })
        .collect();
    lines.sort_by(|a, b| a.at.total_cmp(&b.at));
    graph::connect(&mut lines, status.about.as_ref().and_then(|about| about.role));
    lines
}

fn phases(status: &Status, steps: &[Line], seconds: f64) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut put = |name: String, seconds: f64| phases.push(Phase { name, seconds });
    if let Some(uptime) = status.uptime {
        put("kernel → agent".to_owned(), uptime);
    }
    let end = match status.state {
        State::Ready => "ready",
        State::Failed => "failed",
        State::Running => "now",
    };
    match steps.iter().find(|step| SERVICES.contains(&step.step.as_str())) {
        Some(service) => {
            put(format!("agent → {}", service.step), service.at);
            put(format!("{} → {end}", service.step), seconds - service.at);
        }
        None => put(format!("agent → {end}"), seconds),
    }
    phases
}

/// A time as people write it.
fn seconds(seconds: f64) -> String {
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 99.95 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::from_secs_f64(seconds.min(1e9)).as_secs();
    match whole {
        0..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}
