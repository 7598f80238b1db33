//! The decoder against what a real guest and a real server said to each other, and against bytes
//! that nobody would say.

mod any_bytes;
mod gate;
mod real;
mod synthetic;

use std::io::Read as _;

use super::change::Machine;
use super::conversation::Conversation;
use super::decode::stream::{Message, Stream, Way};
use super::record::{Record, Selection};

/// What was captured; `tests/fixtures/nfs/README.md` says how.
const CAPTURE: &[u8] = include_bytes!("../../../../tests/fixtures/nfs/controller.stream.gz");

/// A piece of a captured connection.
struct Piece {
    connection: u8,
    way: Way,
    bytes: Vec<u8>,
}

fn capture() -> Vec<Piece> {
    let mut all = Vec::new();
    flate2::read::GzDecoder::new(CAPTURE).read_to_end(&mut all).unwrap();
    let (mut pieces, mut rest) = (Vec::new(), &all[..]);
    while let Some((head, tail)) = rest.split_first_chunk::<6>() {
        let [connection, way, length @ ..] = *head;
        let (bytes, tail) = tail.split_at(u32::from_be_bytes(length) as usize);
        let way = if way == 0 { Way::Calls } else { Way::Answers };
        pieces.push(Piece { connection, way, bytes: bytes.to_vec() });
        rest = tail;
    }
    pieces
}

/// Plays pieces into one record as a gate would, each cut into parts of at most `size` bytes.
fn play(pieces: &[Piece], size: usize) -> Record {
    let record = Record::default();
    let last = pieces.iter().map(|piece| piece.connection).max().unwrap_or(0);
    for connection in 0..=last {
        let mut conversation = Conversation::new(record.clone(), Machine::new("i-guest"));
        let (mut calls, mut answers) = (Stream::new(Way::Calls), Stream::new(Way::Answers));
        for piece in pieces.iter().filter(|piece| piece.connection == connection) {
            let stream = if piece.way == Way::Calls { &mut calls } else { &mut answers };
            for part in piece.bytes.chunks(size) {
                stream.feed(part, |message| conversation.hear(message));
            }
        }
    }
    record
}

/// The messages of one direction that comes in these parts.
fn messages<'a>(way: Way, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Message> {
    let (mut stream, mut messages) = (Stream::new(way), Vec::new());
    for part in parts {
        stream.feed(part, |message| messages.push(message));
        assert!(stream.held() <= 8 << 20, "{} bytes are held", stream.held());
    }
    messages
}

/// All changes, one a line, without their times.
fn changes(record: &Record) -> Vec<String> {
    let line = |change: &super::change::Change| {
        let text = change.to_string();
        text.split_once(" s  ").map_or(text.clone(), |(_, what)| what.to_owned())
    };
    record.changes(&Selection::default()).iter().map(line).collect()
}
