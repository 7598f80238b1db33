//! Events as the journal keeps them: the text that people read, with fields by which it is found.
//!
//! Every kind of message has an id that never changes: `journalctl MESSAGE_ID=…` finds the messages
//! of that kind on every host. `docs/observe.md` has the table.

use std::io::Write as _;

use camino::Utf8PathBuf;

use crate::event::{Event, Milestone, Outcome};
use crate::sys::journal::{self, Entry, Priority};

/// A step has begun.
const STEP_STARTED: &str = "e25ba8f01ae14ab793f98eaed471d3de";
/// A step has ended.
const STEP_FINISHED: &str = "deab85bfc1a34e25ab38c67d8d0048d0";

/// The journal of this machine, where this process writes to it.
#[derive(Debug)]
pub struct Journal {
    root: Utf8PathBuf,
}

impl Journal {
    /// The one that standard error goes to, if it does.
    pub fn here() -> Option<Self> {
        journal::receives(std::io::stderr()).then(|| Self { root: Utf8PathBuf::from("/") })
    }

    /// Keeps an event, with the text that people read.
    pub fn event(&self, event: &Event, text: &str) {
        let entry = Entry::new(priority(event), text.trim());
        self.send(fields(entry, event), text);
    }

    /// Keeps a text that is not an event.
    pub fn text(&self, priority: Priority, text: &str) {
        self.send(Entry::new(priority, text.trim()), text);
    }

    /// What the journal does not take is written to the stream that leads there.
    fn send(&self, entry: Entry, text: &str) {
        if entry.send(&self.root).is_err() {
            let text = crate::secret::redact(text);
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }
}

/// The id of the messages of a kind.
pub const fn id(milestone: Milestone) -> &'static str {
    match milestone {
        Milestone::BootStarted => "a602e88f92904bdb8d872ff7ae71c431",
        Milestone::BootReady => "747099ec782043c29d409c99c3e89fff",
        Milestone::BootFailed => "7831d0aeedaf4ef094f38bda0858dd08",
        Milestone::LeaseHeld => "e05d9b02c2074f2793f9a4deffd1edd1",
        Milestone::LeaseLost => "229d7432e264440087851d72f3976eaa",
        Milestone::LeaseReleased => "92d1399cd72c494887179418ca45d672",
        Milestone::DrainStarted => "450c6c9bdc9948eeb2a212df8c85b47d",
        Milestone::DrainEnded => "7dc118974c174de7a9e14c0667243172",
        Milestone::Trouble => "75de5972207143a2922e5880f1c41c7e",
        Milestone::TroubleOver => "62636ae3b85b4758bfeb133a9af41f8c",
    }
}

fn priority(event: &Event) -> Priority {
    match event {
        Event::Milestone { milestone, .. } => match milestone {
            Milestone::BootFailed | Milestone::LeaseLost => Priority::Error,
            Milestone::Trouble => Priority::Warning,
            _ => Priority::Notice,
        },
        Event::Finished { outcome: Outcome::Failed(_), .. } => Priority::Error,
        _ => Priority::Info,
    }
}

fn fields(entry: Entry, event: &Event) -> Entry {
    match event {
        Event::Started { step, .. } => entry.field("STEP", step).field("MESSAGE_ID", STEP_STARTED),
        Event::Finished { step, outcome, took } => entry
            .field("STEP", step)
            .field("MESSAGE_ID", STEP_FINISHED)
            .field("HOSTKIT_OUTCOME", outcome.word())
            .field("HOSTKIT_TOOK_USEC", &took.as_micros().to_string()),
        Event::Milestone { step, milestone, .. } => {
            entry.field("STEP", step).field("MESSAGE_ID", id(*milestone))
        }
        Event::Log { step, .. } | Event::Progress { step, .. } | Event::Stands { step, .. } => {
            entry.field("STEP", step)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::journal::tests::{heard, listen};

    #[test]
    fn a_step_is_found_by_its_fields() {
        let directory = tempfile::tempdir().unwrap();
        let root = camino::Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let socket = listen(&root);
        let journal = Journal { root };
        let event = Event::Finished {
            step: "efs".to_owned(),
            outcome: Outcome::Failed("no answer".to_owned()),
            took: Duration::from_millis(1500),
        };
        journal.event(&event, "    2.5 s  failed    mounting the home (1.5 s): no answer");
        insta::assert_snapshot!(String::from_utf8(heard(&socket)).unwrap());
    }

    #[test]
    fn every_kind_has_an_id_of_its_own_and_the_page_tells_it() {
        let page = include_str!("../../docs/observe.md");
        let mut ids: Vec<_> = Milestone::ALL.map(id).to_vec();
        ids.extend([STEP_STARTED, STEP_FINISHED]);
        for one in &ids {
            assert!(one.len() == 32 && page.contains(one), "{one}");
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 12);
    }
}
