//! A home at five past five, for the tests of what people read.

use std::time::Duration;

use jiff::Timestamp;

use super::claim::Head;
use super::clerk::{Beat, Shown};
use super::order::Order;
use super::record::{Holder, Record, State};
use super::word::{Instance, InstanceState, Word};
use crate::host::LeasePolicy;

const OURS: &str = "fs-0123456789abcdef0";
/// The time of the file server.
pub(super) const SERVER: &str = "2026-11-20T05:05:00Z";

/// A moment.
pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A host of the group `ci`.
pub(super) fn holder(instance: &str) -> Holder {
    Holder {
        fs_id: OURS.to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        instance_id: Some(instance.to_owned()),
        task: None,
        boot_id: format!("7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f{}", &instance[2..6]),
        launched: Some(at("2026-11-20T02:58:10Z")),
        ami: Some("ami-0123456789abcdef0".to_owned()),
        hostkit: Some("0.4.0".to_owned()),
        since: Some(at("2026-11-20T03:00:00Z")),
    }
}

/// What the boot told the host that looks.
pub(crate) fn order() -> Order {
    Order {
        me: Holder { since: None, ..holder("i-0bbbbbbbbbbbbbbbb") },
        mount_point: "/var/lib/jenkins".into(),
        policy: LeasePolicy::Wait,
        patience: 120,
        group: Some("ci".to_owned()),
        endpoint_url: None,
        imds: None,
    }
}

/// A claim.
pub(crate) fn record(generation: u64, state: State, instance: &str) -> Record {
    Record { version: 1, generation, state, holder: holder(instance), broken: None }
}

/// The host that has the home.
pub(crate) const OLD: &str = "i-0aaaaaaaaaaaaaaaa";

/// A home that `OLD` has held for two hours, and all is well.
pub(super) fn shown(head: Head) -> Shown {
    let beat = Beat { generation: 7, holder: OLD.to_owned(), count: 750, at: at(SERVER) };
    Shown {
        head,
        beyond: None,
        highest: Some(7),
        age: Some(Duration::from_mins(125)),
        beat: Some((beat, Duration::from_secs(4))),
        clock: Some(at(SERVER)),
        mark: Some(OURS.to_owned()),
    }
}

/// The same, and the head says so.
pub(super) fn held() -> Shown {
    shown(Head::Record(Box::new(record(7, State::Held, OLD))))
}

/// What EC2 says of [`OLD`].
pub(super) fn says(state: InstanceState) -> Word {
    Word::Instance(Instance {
        state,
        hibernates: false,
        launched: Some(at("2026-11-20T02:58:10Z")),
        group: Some("ci".to_owned()),
        lifecycle: Some("InService".to_owned()),
    })
}
