//! Cases that no capture has, in messages made by hand.

use super::*;
use crate::sim::nfs::change::{End, What};

/// Writes messages as a client or a server would.
#[derive(Default)]
struct Wire(Vec<u8>);

impl Wire {
    fn words(mut self, words: &[u32]) -> Self {
        self.0.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        self
    }

    fn opaque(self, bytes: &[u8]) -> Self {
        let mut wire = self.words(&[u32::try_from(bytes.len()).unwrap()]);
        wire.0.extend_from_slice(bytes);
        wire.0.resize(wire.0.len().next_multiple_of(4), 0);
        wire
    }

    /// A COMPOUND of `count` operations.
    fn call(xid: u32, count: u32) -> Self {
        Self::default().words(&[xid, 0, 2, 100_003, 4, 1, 0, 0, 0, 0, 0, 1, count])
    }

    /// The answer to one, ended with `status`.
    fn answer(xid: u32, status: u32, count: u32) -> Self {
        Self::default().words(&[xid, 1, 0, 0, 0, 0, status, 0, count])
    }

    fn sequence(self, sequence: u32) -> Self {
        self.words(&[53, 7, 7, 7, 7, sequence, 0, 0, 0])
    }

    fn remove(self, name: &str) -> Self {
        self.words(&[28]).opaque(name.as_bytes())
    }

    fn write(self, length: usize) -> Self {
        self.words(&[38, 0, 0, 0, 0, 0, 512, 2]).opaque(&vec![b'x'; length])
    }

    /// As it goes over TCP, in fragments of at most `size` bytes.
    fn framed(&self, size: usize) -> Vec<u8> {
        let mut framed = Vec::new();
        let fragments = self.0.chunks(size).count();
        for (index, fragment) in self.0.chunks(size).enumerate() {
            let last = if index + 1 == fragments { 1 << 31 } else { 0 };
            framed.extend((u32::try_from(fragment.len()).unwrap() | last).to_be_bytes());
            framed.extend_from_slice(fragment);
        }
        framed
    }
}

struct Talk {
    record: Record,
    conversation: Conversation,
    calls: Stream,
    answers: Stream,
}

impl Talk {
    fn new(record: &Record) -> Self {
        let conversation = Conversation::new(record.clone(), Machine::new("i-guest"));
        let (calls, answers) = (Stream::new(Way::Calls), Stream::new(Way::Answers));
        Self { record: record.clone(), conversation, calls, answers }
    }

    fn calls(&mut self, wire: &Wire) {
        self.calls.feed(&wire.framed(usize::MAX), |message| self.conversation.hear(message));
    }

    fn answers(&mut self, wire: &Wire) {
        self.answers.feed(&wire.framed(usize::MAX), |message| self.conversation.hear(message));
    }

    fn ends(&self) -> Vec<End> {
        let changes = self.record.changes(&Selection::default());
        changes.into_iter().map(|change| change.end).collect()
    }
}

#[test]
fn data_is_passed_over_and_what_follows_is_read() {
    let length = 5_000_001;
    let call =
        Wire::call(1, 5).sequence(1).words(&[24]).write(length).words(&[5, 0, 0, 9]).remove("a");
    for fragment in [usize::MAX, 100_000] {
        let bytes = call.framed(fragment);
        let mut stream = Stream::new(Way::Calls);
        let mut heard = Vec::new();
        for part in bytes.chunks(256 * 1024) {
            stream.feed(part, |message| heard.push(message));
            assert!(stream.held() <= 64 * 1024, "{} bytes are held", stream.held());
        }
        let [Message::Call(call)] = &heard[..] else { panic!("{heard:?}") };
        let names: Vec<_> = call.steps.iter().map(|step| step.operation().to_string()).collect();
        assert_eq!(names, ["SEQUENCE", "PUTROOTFH", "WRITE", "COMMIT", "REMOVE"]);
        assert_eq!(call.flaw, None);
    }
}

#[test]
fn what_comes_after_a_failure_was_not_reached() {
    let record = Record::default();
    let mut talk = Talk::new(&record);
    talk.calls(&Wire::call(1, 4).sequence(1).words(&[24]).remove("a").remove("b"));
    assert_eq!(talk.ends(), [End::Open, End::Open]);
    let sequence = [53, 0, 7, 7, 7, 7, 1, 0, 0, 0, 0];
    talk.answers(&Wire::answer(1, 2, 3).words(&sequence).words(&[24, 0, 28, 2]));
    let ends = talk.ends();
    assert!(matches!(ends[0], End::Answered { status, .. } if status.0 == 2), "{ends:?}");
    assert_eq!(ends[1], End::NotReached);
    assert!(!record.blind().is_blind());
}

#[test]
fn a_call_in_a_lost_connection_may_have_happened_and_comes_again() {
    let record = Record::default();
    let call = Wire::call(1, 3).sequence(9).words(&[24]).remove("a");
    let mut first = Talk::new(&record);
    first.calls(&call);
    drop(first);
    let mut second = Talk::new(&record);
    second.calls(&call);
    let sequence = [53, 0, 7, 7, 7, 7, 9, 0, 0, 0, 0];
    let removed = [28, 0, 1, 0, 1, 0, 2];
    second.answers(&Wire::answer(1, 0, 3).words(&sequence).words(&[24, 0]).words(&removed));
    let ends = second.ends();
    assert!(matches!(ends[0], End::Lost { .. }) && ends[0].may_have_happened());
    assert!(matches!(ends[1], End::Answered { status, .. } if status.0 == 0));
    let again: Vec<_> = record.trips(&Selection::default()).iter().map(|trip| trip.again).collect();
    assert_eq!(again, [false, true]);
}

#[test]
fn what_cannot_be_read_is_counted_and_what_was_read_before_it_stands() {
    let record = Record::default();
    let mut talk = Talk::new(&record);
    talk.calls(&Wire::call(1, 4).sequence(1).words(&[24]).remove("a").words(&[77, 0]));
    talk.answers(&Wire::answer(1, 0, 4).words(&[99, 0]));
    assert_eq!(talk.ends().len(), 1);
    assert!(matches!(talk.ends()[0], End::Unread { .. }));
    let blind = record.blind();
    assert_eq!((blind.unread, blind.why), (2, Some("an operation that is not known")));
    // The connection is read on.
    talk.calls(&Wire::call(2, 3).sequence(2).words(&[24]).remove("b"));
    let changes = record.changes(&Selection::default());
    let What::Remove { path } = &changes[1].what else { panic!("{changes:?}") };
    assert_eq!(path.as_str(), "b");
}

#[test]
fn callbacks_of_the_server_are_no_calls() {
    let call = Wire::default().words(&[1, 0, 2, 0x4000_0000, 1, 1, 0, 0, 0, 0]);
    assert_eq!(messages(Way::Answers, [&call.framed(9)[..]]), [Message::Callback]);
    let answer = Wire::default().words(&[1, 1, 0, 0, 0, 0, 0, 0, 1, 11, 0]);
    assert_eq!(messages(Way::Calls, [&answer.framed(usize::MAX)[..]]), [Message::Callback]);
}

#[test]
fn versions_of_the_watched_file_are_kept_with_who_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("head");
    let record = Record::default();
    record.watch("head", here.clone());
    let mut talk = Talk::new(&record);
    talk.calls(
        &Wire::call(1, 4).words(&[24, 32, 29]).opaque(b".claim").opaque(b"head").words(&[10]),
    );
    std::fs::write(&here, "first").unwrap();
    let renamed = [29, 0, 1, 0, 1, 0, 2, 1, 0, 1, 0, 2];
    let root = Wire::answer(1, 0, 4).words(&[24, 0, 32, 0]).words(&renamed).words(&[10, 0]);
    talk.answers(&root.opaque(b"R"));
    let versions = record.versions();
    let seen: Vec<_> = versions
        .iter()
        .map(|v| (v.machine.as_ref().map(Machine::id), v.content.as_deref()))
        .collect();
    assert_eq!(seen, [(None, None), (Some("i-guest"), Some("first"))]);
    assert!(!record.blind().is_blind(), "{:?}", record.blind());
}

#[test]
fn entries_go_to_a_file_too_once_they_are_answered() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let record = Record::default();
    record.keep_lines(file.reopen().unwrap());
    let mut talk = Talk::new(&record);
    talk.calls(&Wire::call(1, 2).words(&[24]).remove("a"));
    let lines = || std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(lines(), "");
    talk.answers(&Wire::answer(1, 2, 2).words(&[24, 0, 28, 2]));
    let lines: Vec<serde_json::Value> =
        lines().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["trip"]["kind"], "PUTROOTFH REMOVE");
    assert_eq!(lines[0]["trip"]["path"], "a");
    let change = &lines[1]["change"];
    assert_eq!(
        [&change["change"], &change["path"], &change["machine"]],
        ["remove", "a", "i-guest"]
    );
    assert_eq!([&change["end"]["end"], &change["end"]["status"]], ["answered", "NFS4ERR_NOENT"]);
    assert!(change["called"].as_f64() <= change["end"]["at"].as_f64());
}

#[test]
fn a_page_of_a_directory_tells_handles() {
    let record = Record::default();
    let mut talk = Talk::new(&record);
    let list = Wire::call(1, 2).words(&[24, 26, 0, 0, 0, 0, 100, 100, 1, 1 << 19]);
    talk.calls(&list);
    // Type (1), file handle (19): the attributes of two entries.
    let values = |handle| Wire::default().words(&[1]).opaque(handle).0;
    let page = Wire::answer(1, 0, 2)
        .words(&[24, 0, 26, 0, 0, 0])
        .words(&[1, 0, 9])
        .opaque(b"home")
        .words(&[1, 1 << 1 | 1 << 19])
        .opaque(&values(b"H"))
        .words(&[1, 0, 10])
        .opaque(b"other")
        .words(&[1, 1 << 1 | 1 << 19])
        .opaque(&values(b"O"))
        .words(&[0, 1]);
    talk.answers(&page);
    talk.calls(&Wire::call(2, 2).words(&[22]).opaque(b"O").remove("x"));
    let changes =
        record.changes(&Selection { below: Some("other".into()), ..Selection::default() });
    assert_eq!(changes.len(), 1, "{:?}", record.blind());
}
