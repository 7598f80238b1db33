//! The only place that prints.
//!
//! [`start`] gives an engine its [`Events`] and prints them as they come: for people on standard
//! error, or as JSON lines on standard output. Results of a command go to standard output through
//! [`text`] and [`json`].

mod glance;
pub mod human;
pub mod journal;
mod panel;
pub mod trace;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::task::JoinHandle;

pub use glance::{Glance, glance};

use crate::error;
use crate::event::{Event, Events, Outcome};
use crate::report::{Fold, Report};
use crate::secret;

/// How a command talks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Prints events as they come and folds them into a report.
#[derive(Debug)]
pub struct Printer(JoinHandle<Report>);

impl Printer {
    /// Waits until every sender of events is gone; returns what was said.
    pub async fn finish(self) -> Report {
        self.0.await.expect("printing does not panic")
    }
}

/// A channel for an engine, printed in `format`.
pub fn start(format: Format) -> (Events, Printer) {
    let (events, mut receiver) = Events::channel();
    let printer = tokio::spawn(async move {
        let mut fold = Fold::default();
        let mut human = human::Human::new();
        loop {
            let event = match tokio::time::timeout(human::PATIENCE, receiver.recv()).await {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_quiet) => {
                    human.announce();
                    continue;
                }
            };
            fold.take(&event);
            match format {
                Format::Human => human.show(&event),
                Format::Json => json(&Line { version: crate::report::VERSION, event: &event }),
            }
        }
        fold.report().clone()
    });
    (events, Printer(printer))
}

/// A channel for an engine that has one step and goes on for months: what it says is printed line by
/// line on standard error, or kept in the journal, which has the time already.
pub fn lines() -> (Events, Printer) {
    let (events, mut receiver) = Events::channel();
    let printer = tokio::spawn(async move {
        let journal = journal::Journal::here();
        while let Some(event) = receiver.recv().await {
            let Some(line) = spoken(&event) else { continue };
            match &journal {
                Some(journal) => journal.event(&event, &line),
                None => note(&line),
            }
        }
        Report::default()
    });
    (events, Printer(printer))
}

/// What an event says in a line, if it says something.
fn spoken(event: &Event) -> Option<String> {
    match event {
        Event::Log { line, .. } | Event::Milestone { line, .. } => Some(line.clone()),
        Event::Started { title, .. } => Some(title.clone()),
        Event::Finished { step, outcome: Outcome::Failed(why), .. } => {
            Some(format!("{step} was given up: {why}"))
        }
        Event::Finished { outcome: Outcome::Skipped(why), .. } => Some(why.clone()),
        Event::Finished { .. } | Event::Progress { .. } | Event::Stands { .. } => None,
    }
}

/// An event in a line of JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line<'a> {
    /// Of this form.
    version: u32,
    /// What happens.
    event: &'a Event,
}

/// Prints text for people on standard output.
pub fn text(text: &str) {
    put(text.trim_end_matches('\n'));
}

/// Whether text on standard output may have colours. `NO_COLOR` is honoured.
pub fn may_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints a line for people on standard error, beside the results.
pub fn note(line: &str) {
    let line = secret::redact(line);
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether somebody sits there who can be asked.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a person, and waits for the answer: whether it was `word`.
///
/// # Errors
/// Nothing can be read.
pub fn ask(question: &str, word: &str) -> io::Result<bool> {
    let mut screen = io::stderr().lock();
    write!(screen, "{question} ")?;
    screen.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == word)
}

/// Prints one JSON line on standard output.
pub fn json<T: Serialize>(value: &T) {
    put(&serde_json::to_string(value).expect("what we print has only string keys"));
}

/// A reader that went away (`hostkit … | head`) is not an error.
fn put(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints an error in `format`: for people on standard error, as a JSON line on standard output.
pub fn fail(format: Format, error: &anyhow::Error) {
    match format {
        Format::Human => {
            let text = error::render(error);
            let _ = write!(std::io::stderr().lock(), "{}", secret::redact(&text));
        }
        Format::Json => json(&Failure {
            version: crate::report::VERSION,
            error: secret::redact(&error.to_string()).into_owned(),
            caused_by: error.chain().skip(1).map(|cause| masked(&cause)).collect(),
            hint: error::fault(error).and_then(error::Fault::hint_text),
            exit_code: error::blame(error).exit_code(),
        }),
    }
}

fn masked(cause: &dyn ToString) -> String {
    secret::redact(&cause.to_string()).into_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Failure<'a> {
    version: u32,
    error: String,
    caused_by: Vec<String>,
    hint: Option<&'a str>,
    exit_code: u8,
}
