//! Whatever comes, in whatever parts: no panic, bounded memory, the same messages.

use proptest::prelude::*;

use super::*;

/// One direction of the capture's long connection.
fn direction(way: Way) -> Vec<u8> {
    let pieces = capture().into_iter();
    pieces.filter(|piece| piece.connection == 1 && piece.way == way).flat_map(|p| p.bytes).collect()
}

/// Real messages with some bytes changed, cut out and put in: random bytes alone are no calls.
fn nearly(way: Way) -> impl Strategy<Value = Vec<u8>> {
    let real = direction(way);
    let length = real.len();
    let damage = proptest::collection::vec((0..3000_usize, 0..3_u8, any::<u8>()), 0..8);
    (0..length - 3000, damage).prop_map(move |(start, damage)| {
        // From the beginning of some message on.
        let (mut at, mut bytes) = (0, Vec::new());
        while at < start {
            let mark = real[at..].first_chunk().map_or(0, |mark| u32::from_be_bytes(*mark));
            at += 4 + (mark & 0x7fff_ffff) as usize;
        }
        bytes.extend_from_slice(&real[at.min(length)..(at + 3000).min(length)]);
        for (place, kind, byte) in damage {
            if place < bytes.len() {
                match kind {
                    0 => bytes[place] = byte,
                    1 => drop(bytes.remove(place)),
                    _ => bytes.insert(place, byte),
                }
            }
        }
        bytes
    })
}

fn parts<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    for size in sizes.iter().cycle() {
        let (part, rest) = bytes.split_at((*size).min(bytes.len()));
        parts.push(part);
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    parts
}

proptest! {
    #[test]
    fn messages_do_not_depend_on_the_splitting(
        calls in nearly(Way::Calls),
        answers in nearly(Way::Answers),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        sizes in proptest::collection::vec(1..200_usize, 1..20),
    ) {
        for (way, bytes) in [(Way::Calls, &calls), (Way::Answers, &answers), (Way::Calls, &noise)] {
            let whole = messages(way, [&bytes[..]]);
            prop_assert_eq!(messages(way, parts(bytes, &sizes)), whole);
        }
    }

    #[test]
    fn nothing_that_is_heard_breaks_the_record(
        calls in nearly(Way::Calls),
        answers in nearly(Way::Answers),
    ) {
        let record = Record::default();
        let mut conversation = Conversation::new(record.clone(), Machine::new("i-guest"));
        for message in messages(Way::Calls, [&calls[..]]) {
            conversation.hear(message);
        }
        for message in messages(Way::Answers, [&answers[..]]) {
            conversation.hear(message);
        }
        drop(conversation);
        let all = Selection::default();
        prop_assert!(record.changes(&all).iter().all(|change| change.end != crate::sim::nfs::change::End::Open));
    }
}
