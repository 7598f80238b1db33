//! Diagnosis for developers: `RUST_LOG` on standard error, the journal when a service runs us.
//! Secrets are masked in it as everywhere.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use super::journal::Journal;
use crate::secret;
use crate::sys::journal::Priority;

/// Without `RUST_LOG` only warnings are shown. What the SDK looked for in vain, a region or
/// credentials, is in the error that names what is missing.
const USUAL: &str = "warn,aws_config=error";

/// Installs the subscriber.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let sink = Sink(Journal::here());
    // The journal has the level and the time itself.
    let in_journal = sink.0.is_some();
    let layer = fmt::layer().without_time().with_ansi(!in_journal).with_level(!in_journal);
    tracing_subscriber::registry().with(filter).with(layer.with_writer(sink)).init();
}

/// Where lines of diagnosis go.
struct Sink(Option<Journal>);

impl Sink {
    const fn line(&self, priority: Priority) -> Line<'_> {
        Line { journal: self.0.as_ref(), priority, text: Vec::new() }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        self.line(Priority::Debug)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        let priority = match *metadata.level() {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Info,
            _ => Priority::Debug,
        };
        self.line(priority)
    }
}

/// One line on its way, written when it is whole.
struct Line<'a> {
    journal: Option<&'a Journal>,
    priority: Priority,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        if let Some(journal) = self.journal {
            journal.text(self.priority, &text);
        } else {
            let _ = io::stderr().lock().write_all(secret::redact(&text).as_bytes());
        }
    }
}
