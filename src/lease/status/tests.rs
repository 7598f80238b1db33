//! Every way in which a lease can stand, as people read it.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::ToSpan as _;

use super::Status;
use crate::host::LeasePolicy;
use crate::lease::claim::{Head, Observed};
use crate::lease::clerk::{Beat, Shown};
use crate::lease::order::Order;
use crate::lease::outlook::{Ahead, Foresight, newcomer};
use crate::lease::record::{Broken, Holder, State};
use crate::lease::scene::{OLD, SERVER, at, held, holder, order, record, says, shown};
use crate::lease::stand::Stand;
use crate::lease::status::is_holder;
use crate::lease::word::{InstanceState, Word};

fn status(order: &Order, shown: &Shown, word: &Word) -> Status {
    let stand = Stand::of(shown, &order.me.fs_id);
    let me = newcomer(&order.me, is_holder(&stand, &order.me));
    let mut ahead = Foresight::new(me, order.manner(), shown);
    let mut answer = Observed::Head(shown.head.clone());
    let outlook = loop {
        answer = match ahead.next(answer) {
            Ahead::Ask(..) => Observed::Word(word.clone()),
            Ahead::Read(_) => Observed::Claim(shown.beyond.clone()),
            Ahead::Seen(outlook) => break outlook,
        };
    };
    let now = at(SERVER) + 1.seconds();
    Status::new(order, shown, ahead.heard(), outlook, now)
}

/// As people read it, with the exit code.
fn told(status: &Status) -> String {
    format!("exit {}\n{}", status.exit_code(), status.render())
}

#[test]
fn a_held_home_reads_like_this() {
    let mut out = String::new();
    let words = [
        says(InstanceState::Running),
        says(InstanceState::ShuttingDown),
        says(InstanceState::Terminated),
        Word::NotFound { age: Some(Duration::from_mins(125)) },
        Word::Denied("the role lacks ec2:DescribeInstances".to_owned()),
        Word::Silent("ec2:DescribeInstances had no answer: timed out".to_owned()),
    ];
    for word in words {
        let _ = writeln!(out, "=== {word:?}\n{}", told(&status(&order(), &held(), &word)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn the_policies_read_like_this() {
    let mut out = String::new();
    for policy in [LeasePolicy::Stonith, LeasePolicy::Fail] {
        let order = Order { policy, ..order() };
        let running = says(InstanceState::Running);
        let _ = writeln!(out, "=== {policy:?}\n{}", told(&status(&order, &held(), &running)));
    }
    let elsewhere = Order { policy: LeasePolicy::Stonith, group: None, ..order() };
    let running = says(InstanceState::Running);
    let _ = writeln!(out, "=== no group\n{}", told(&status(&elsewhere, &held(), &running)));
    insta::assert_snapshot!(out);
}

#[test]
fn the_holder_itself_says_so() {
    let mut order = order();
    order.me = Holder { since: None, ..holder(OLD) };
    let status = status(&order, &held(), &says(InstanceState::Running));
    assert!(status.is_holder);
    insta::assert_snapshot!(told(&status));
}

#[test]
fn this_host_before_its_restart_takes_the_home_again() {
    let mut order = order();
    order.me = Holder { boot_id: "another".to_owned(), ..holder(OLD) };
    let status = status(&order, &held(), &says(InstanceState::Running));
    assert!(!status.is_holder);
    assert_eq!(status.newcomer.generation, Some(8));
}

#[test]
fn a_home_without_holder_reads_like_this() {
    let released = shown(Head::Record(Box::new(record(7, State::Released, OLD))));
    let mut broken = record(8, State::Released, "i-0bbbbbbbbbbbbbbbb");
    broken.broken = Some(Broken {
        generation: 7,
        reason: "zone b is down".to_owned(),
        proof: Some("AWS support case 1234: the rack has no power".to_owned()),
        evidence: "EC2 could not be asked: timed out".to_owned(),
        by: "alice on i-0bbbbbbbbbbbbbbbb".to_owned(),
        at: at("2026-11-20T05:04:00Z"),
    });
    let broken = Shown { highest: Some(8), ..shown(Head::Record(Box::new(broken))) };
    let free = Shown { highest: None, age: None, beat: None, mark: None, ..shown(Head::New) };
    let mut out = String::new();
    for (name, shown) in [("released", released), ("broken", broken), ("free", free)] {
        let word = says(InstanceState::Running);
        let _ = writeln!(out, "=== {name}\n{}", told(&status(&order(), &shown, &word)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn what_a_person_must_look_at_reads_like_this() {
    let mut copy = record(7, State::Held, OLD);
    copy.holder.fs_id = "fs-0fedcba9876543210".to_owned();
    let last = Some(Head::Record(Box::new(record(7, State::Held, OLD))));
    let torn = "it is not a lease record: EOF while parsing a value".to_owned();
    let copied = shown(Head::Record(Box::new(copy)));
    let cases = [
        ("copy", Shown { mark: Some("fs-0fedcba9876543210".to_owned()), ..copied }),
        ("garbage", Shown { beyond: last, ..shown(Head::Garbage(torn.clone())) }),
        ("gone", Shown { highest: None, age: None, beat: None, ..shown(Head::Gone) }),
        ("newer", shown(Head::Newer { version: 2, generation: None })),
        ("strange", Shown { highest: None, beat: None, ..shown(Head::Strange("www".to_owned())) }),
        (
            "a claim that cannot be read",
            Shown { highest: Some(8), beyond: Some(Head::Garbage(torn)), ..held() },
        ),
    ];
    let mut out = String::new();
    for (name, shown) in cases {
        let status = status(&order(), &shown, &says(InstanceState::Terminated));
        assert_eq!(status.exit_code(), 5, "{name}");
        let _ = writeln!(out, "=== {name}\n{}", told(&status));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn what_is_odd_is_said() {
    let third = "i-0cccccccccccccccc";
    let beyond = Some(Head::Record(Box::new(record(8, State::Held, third))));
    let first = Some(Head::Record(Box::new(record(1, State::Held, third))));
    let mut ahead = record(7, State::Held, OLD);
    ahead.holder.since = Some(at("2026-11-20T06:00:00Z"));
    let silent = |age| {
        let (beat, _) = held().beat.unwrap();
        Some((Beat { at: at("2026-11-20T04:00:00Z"), ..beat }, Duration::from_mins(age)))
    };
    let cases = [
        ("between claim and head", Shown { highest: Some(8), beyond, ..held() }),
        (
            "between the first claim and head",
            Shown { highest: Some(1), beyond: first, ..shown(Head::New) },
        ),
        ("files were removed", Shown { highest: Some(3), ..held() }),
        ("no heartbeat for long", Shown { beat: silent(65), ..held() }),
        ("a holder whose clock is behind", Shown { beat: silent(2), ..held() }),
        (
            "never a heartbeat, and a clock that is ahead",
            Shown { beat: None, ..shown(Head::Record(Box::new(ahead))) },
        ),
        ("this host's clock is off", Shown { clock: Some(at("2026-11-20T09:00:00Z")), ..held() }),
    ];
    let mut out = String::new();
    for (name, shown) in cases {
        let status = status(&order(), &shown, &says(InstanceState::Running));
        assert_eq!(status.exit_code(), 0, "{name}");
        let _ = writeln!(out, "=== {name}: {}", status.headline());
        for warning in &status.warnings {
            let _ = writeln!(out, " ! {warning}");
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn the_json_form_reads_like_this() {
    let status = status(&order(), &held(), &says(InstanceState::Running));
    insta::assert_snapshot!(serde_json::to_string_pretty(&status).unwrap());
}

/// Whoever reads the JSON form can rely on its schema.
#[test]
fn every_key_of_the_json_form_is_in_its_schema() {
    let released = shown(Head::Record(Box::new(record(7, State::Released, OLD))));
    let gone = Shown { highest: None, ..shown(Head::Gone) };
    let schema = serde_json::to_value(schemars::schema_for!(Status)).unwrap();
    for shown in [held(), released, gone] {
        let status = status(&order(), &shown, &says(InstanceState::Running));
        let json = serde_json::to_value(&status).unwrap();
        must_match(&schema, &schema, &json);
    }
}

/// Objects have the keys that the schema asks for, and no others.
fn must_match(root: &serde_json::Value, schema: &serde_json::Value, json: &serde_json::Value) {
    let options = schema["anyOf"].as_array().map(|options| &options[0]);
    let schema = options.unwrap_or(schema);
    let reference = schema["$ref"].as_str().map(|path| path.trim_start_matches('#'));
    let schema = reference.map_or(schema, |path| root.pointer(path).unwrap());
    let Some(object) = json.as_object() else { return };
    let properties = schema["properties"].as_object().unwrap();
    for (key, value) in object {
        assert!(properties.contains_key(key), "{key} is not in {properties:?}");
        must_match(root, &properties[key], value);
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(key.as_str().unwrap()), "{key} is not in {object:?}");
    }
}
