//! What is true of all records and of all that may be found in their place.

use jiff::Timestamp;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn word() -> impl Strategy<Value = String> {
    ".{1,12}"
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (0..253_402_000_000_i64).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn task() -> impl Strategy<Value = Task> {
    let launch = prop_oneof![Just(Launch::Ec2), Just(Launch::Fargate)];
    (word(), launch).prop_map(|(arn, launch)| Task { arn, launch })
}

fn holder() -> impl Strategy<Value = Holder> {
    let who = prop_oneof![
        word().prop_map(|id| (Some(id), None)),
        (option::of(word()), task()).prop_map(|(id, task)| (id, Some(task))),
    ];
    let named = (word(), word(), word(), word());
    let rest = (option::of(moment()), option::of(word()), option::of(word()), option::of(moment()));
    (named, who, rest).prop_map(|(named, (instance_id, task), rest)| {
        let (fs_id, region, account, boot_id) = named;
        let (launched, ami, hostkit, since) = rest;
        Holder { fs_id, region, account, instance_id, task, boot_id, launched, ami, hostkit, since }
    })
}

fn broken() -> impl Strategy<Value = Broken> {
    let said = (word(), option::of(word()), word(), word());
    (any::<u64>(), said, moment()).prop_map(|(generation, (reason, proof, evidence, by), at)| {
        Broken { generation, reason, proof, evidence, by, at }
    })
}

fn record() -> impl Strategy<Value = Record> {
    let state = prop_oneof![Just(State::Held), Just(State::Released)];
    (1..=u64::MAX / 2, state, holder(), option::of(broken())).prop_map(
        |(generation, state, holder, broken)| Record {
            version: VERSION,
            generation,
            state,
            holder,
            broken,
        },
    )
}

proptest! {
    #[test]
    fn lease_record_is_read_as_it_was_written(record in record()) {
        prop_assert_eq!(read(&text(&record)), Reading::Record(Box::new(record)));
    }

    #[test]
    fn lease_record_may_have_keys_that_this_hostkit_does_not_know(
        record in record(),
        key in "x[a-z]{0,8}",
        value in any::<i64>(),
    ) {
        let mut json = serde_json::to_value(&record).unwrap();
        json["holder"][&key] = value.into();
        json[key] = value.into();
        prop_assert_eq!(read(&json.to_string()), Reading::Record(Box::new(record)));
    }

    /// A write that was cut off is never taken for a record.
    #[test]
    fn lease_record_that_was_cut_off_is_garbage(record in record(), at in any::<prop::sample::Index>()) {
        let text = text(&record);
        let end = text.len() - "}\n".len();
        let cut = String::from_utf8_lossy(&text.as_bytes()[..at.index(end)]).into_owned();
        prop_assert!(matches!(read(&cut), Reading::Garbage(_)), "{cut}");
    }

    /// One wrong byte is not always noticed, but it never gives away a home that is held.
    #[test]
    fn lease_record_with_one_wrong_byte_is_not_released(
        record in record(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let record = Record { state: State::Held, ..record };
        let mut bytes = text(&record).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Reading::Record(read) = read(&String::from_utf8_lossy(&bytes)) {
            prop_assert_eq!(read.state, State::Held);
        }
    }

    #[test]
    fn lease_record_can_be_looked_for_in_any_bytes(bytes in any::<Vec<u8>>()) {
        let reading = read(&String::from_utf8_lossy(&bytes));
        prop_assert!(matches!(reading, Reading::Garbage(_)));
    }

    #[test]
    fn lease_record_of_a_newer_form_is_never_taken_for_one_of_this(
        version in VERSION + 1..,
        record in record(),
    ) {
        let newer = Record { version, ..record };
        let generation = Some(newer.generation);
        prop_assert_eq!(read(&text(&newer)), Reading::Newer { version, generation });
    }

    #[test]
    fn lease_claim_names_are_read_as_they_were_written(generation in 1..=u64::MAX, name in ".{0,24}") {
        prop_assert_eq!(generation_of(&claim_file(generation)), Some(generation));
        prop_assert!(generation_of(&name).is_none_or(|of| claim_file(of) == name));
    }
}
