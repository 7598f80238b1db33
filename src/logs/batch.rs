//! What is sent at once. CloudWatch Logs takes so much, in order, of one day. Pure.

use super::entry::Entry;
use crate::aws::logs::LogEvent;

/// Events at once.
const EVENTS: usize = 10_000;
/// Bytes at once.
const BYTES: usize = 1_048_576;
/// What an event counts for beside its text.
const EXTRA: usize = 26;
/// From the first event to the last, in milliseconds.
const SPAN: i64 = 24 * 3600 * 1000;

/// A batch that is being filled.
#[derive(Debug, Default)]
pub(super) struct Batch {
    events: Vec<LogEvent>,
    bytes: usize,
    from: i64,
    to: i64,
    cursor: Option<String>,
}

impl Batch {
    /// Takes an entry in; gives it back where it has no room.
    pub(super) fn take(&mut self, entry: Entry) -> Option<Entry> {
        if let Some(event) = &entry.event {
            let (from, to) = if self.events.is_empty() {
                (event.at, event.at)
            } else {
                (self.from.min(event.at), self.to.max(event.at))
            };
            let bytes = self.bytes + event.text.len() + EXTRA;
            if self.events.len() == EVENTS || bytes > BYTES || to - from >= SPAN {
                return Some(entry);
            }
            (self.from, self.to, self.bytes) = (from, to, bytes);
        }
        self.cursor = Some(entry.cursor);
        self.events.extend(entry.event);
        None
    }

    /// Whether there is anything to send or to remember.
    pub(super) const fn is_empty(&self) -> bool {
        self.cursor.is_none()
    }

    /// The events in order: the clock of a host may have been set back.
    pub(super) fn sorted(&mut self) -> &[LogEvent] {
        self.events.sort_by_key(|event| event.at);
        &self.events
    }

    /// Up to where in the journal this goes.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, length: usize) -> Entry {
        let event = LogEvent { at, text: "x".repeat(length) };
        Entry { cursor: format!("s={at}"), event: Some(event) }
    }

    #[test]
    fn a_batch_is_never_more_than_aws_takes() {
        let mut batch = Batch::default();
        let room = BYTES / (1000 + EXTRA);
        let taken = (0..20_000).take_while(|at| batch.take(entry(*at, 1000)).is_none()).count();
        assert_eq!(taken, room);

        let mut batch = Batch::default();
        let taken = (0..20_000).take_while(|at| batch.take(entry(*at, 1)).is_none()).count();
        assert_eq!(taken, EVENTS);

        let mut batch = Batch::default();
        assert!(batch.take(entry(SPAN, 1)).is_none());
        assert!(batch.take(entry(1, 1)).is_none());
        assert!(batch.take(entry(0, 1)).is_some(), "a day and more");
        assert_eq!(batch.sorted().iter().map(|event| event.at).collect::<Vec<_>>(), [1, SPAN]);
        assert_eq!(batch.cursor(), Some("s=1"), "it is the last that was read");
    }
}
