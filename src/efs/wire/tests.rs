//! What is sent is what the protocol says, and whatever comes back is read or refused.

use proptest::prelude::*;

use super::xdr::Writer;
use super::*;

const XID: u32 = 7;

/// An answer that was accepted, up to what the call itself answers.
fn accepted() -> Writer {
    Writer::default().words(&[XID, 1, 0, 0, 0, 0])
}

fn body(writer: Writer) -> Vec<u8> {
    writer.record().split_off(4)
}

/// The compound's status, no tag, one operation and its status.
fn operation(kind: u32, status: u32) -> Writer {
    accepted().words(&[status]).opaque(b"").words(&[1, kind, status])
}

fn exchange() -> Vec<u8> {
    let writer = operation(EXCHANGE_ID, 0).long(0x1122).words(&[1, 0x10000, 0]);
    let writer = writer.long(0).opaque(b"fs-1\0").opaque(b"scope").words(&[1]);
    body(writer.opaque(b"amazon.com").opaque(b"EFS").long(0).words(&[0]))
}

#[test]
fn the_call_that_does_nothing_is_forty_bytes() {
    let words = [0x8000_0028_u32, XID, 0, 2, 100_003, 4, 0, 0, 0, 0, 0];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    assert_eq!(null(XID), bytes);
}

#[test]
fn two_callers_have_two_names_and_none_is_the_kernels() {
    let call = |byte: u8| exchange_id(XID, Caller { chance: [byte; 16] });
    assert_ne!(call(1), call(2));
    let text = String::from_utf8_lossy(&call(1)).into_owned();
    assert!(text.contains(&format!("hostkit probe {}", "01".repeat(16))), "{text}");
    assert!(!text.contains("Linux NFSv4.1"));
    for call in [call(1), destroy_client_id(XID, 5)] {
        assert_eq!(call.len() % 4, 0);
        let mark = u32::from_be_bytes(*call.first_chunk().unwrap());
        assert_eq!(mark, LAST_FRAGMENT | u32::try_from(call.len() - 4).unwrap());
    }
}

#[test]
fn a_server_that_tells_its_name_is_understood() {
    let server = exchanged(XID, &exchange()).unwrap().unwrap();
    let expected = Server {
        client: 0x1122,
        owner: "fs-1".to_owned(),
        scope: "scope".to_owned(),
        implementation: Some("EFS of amazon.com".to_owned()),
    };
    assert_eq!(server, expected);
    assert_eq!(nothing(XID, &body(accepted())), Ok(Ok(())));
    assert_eq!(destroyed(XID, &body(operation(DESTROY_CLIENTID, 0))), Ok(Ok(())));
}

#[test]
fn every_refusal_is_told_apart() {
    let status = |status: u32| body(accepted().words(&[status]).opaque(b"").words(&[0]));
    let frame = |words: &[u32]| body(Writer::default().words(&[XID, 1]).words(words));
    let mut text = String::new();
    for record in [
        status(10021),
        status(10008),
        status(4711),
        body(operation(EXCHANGE_ID, 10017)),
        frame(&[0, 0, 0, 1]),
        frame(&[0, 0, 0, 2, 3, 3]),
        frame(&[0, 0, 0, 2, 2, 3]),
        frame(&[0, 0, 0, 3]),
        frame(&[0, 0, 0, 4]),
        frame(&[0, 0, 0, 5]),
        frame(&[1, 0, 3, 3]),
        frame(&[1, 1, 5]),
    ] {
        let rejection = exchanged(XID, &record).unwrap().unwrap_err();
        let (minor, passing) = (rejection.is_minor_version(), rejection.is_passing());
        text += &format!("{rejection} (older: {minor}, passing: {passing})\n");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_no_answer_is_refused_with_the_reason() {
    let mut text = String::new();
    for record in [
        body(Writer::default().words(&[XID + 1, 1, 0, 0, 0, 0])),
        body(Writer::default().words(&[XID, 0])),
        body(Writer::default().words(&[XID, 1, 2])),
        body(Writer::default().words(&[XID, 1, 0, 0, 0, 9])),
        body(Writer::default().words(&[XID, 1, 0, 0, 4096])),
        body(operation(DESTROY_CLIENTID, 0)),
        exchange()[..exchange().len() - 3].to_vec(),
        Vec::new(),
    ] {
        text += &format!("{}\n", exchanged(XID, &record).unwrap_err());
    }
    insta::assert_snapshot!(text);
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        // With the right number in front, so that the rest is looked at.
        let record = [&XID.to_be_bytes()[..], &bytes].concat();
        for record in [&bytes[..], &record] {
            let _ = (nothing(XID, record), exchanged(XID, record), destroyed(XID, record));
        }
    }

    #[test]
    fn an_answer_that_was_changed_or_cut_is_read_or_refused(
        at in 0_usize..200, byte: u8, end in 0_usize..200,
    ) {
        let mut record = exchange();
        let length = record.len();
        record[at % length] = byte;
        record.truncate(end.max(4));
        if let Ok(Ok(server)) = exchanged(XID, &record) {
            prop_assert!(server.owner.len() <= 4 * 1024 + 21);
            prop_assert!(server.owner.is_ascii() && server.scope.is_ascii());
        }
    }

    #[test]
    fn an_answer_that_ends_early_is_never_taken(end in 0_usize..130) {
        let record = exchange();
        prop_assume!(end < record.len());
        prop_assert!(exchanged(XID, &record[..end]).is_err());
    }
}
