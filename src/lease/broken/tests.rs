//! What is broken, what is not, and what people read of it.

use std::fmt::Write as _;

use super::*;
use crate::error;
use crate::lease::claim::Head;
use crate::lease::scene::{OLD, SERVER, at, held, holder, order, record, says, shown};
use crate::lease::word::InstanceState;

fn wish(generation: u64, proof: Option<&str>) -> Wish {
    Wish {
        generation,
        reason: "zone b is down".parse().unwrap(),
        proof: proof.map(|text| text.parse().unwrap()),
        by: "alice on i-0bbbbbbbbbbbbbbbb".to_owned(),
    }
}

/// The whole way without the file system and AWS.
fn broken(order: &Order, shown: &Shown, wish: &Wish, word: &Word) -> Result<Record, Fault> {
    let Course::Break(breakable) = Course::find(order, shown, wish)? else {
        panic!("there is something to break");
    };
    let word = breakable.suspect(&order.me).map(|_| word);
    let evidence = breakable.evidence(&order.me, word);
    breakable.claim(order, wish, evidence, word, at(SERVER))
}

fn of_another_file_system() -> Shown {
    let mut copy = record(7, State::Released, OLD);
    copy.holder.fs_id = "fs-0fedcba9876543210".to_owned();
    let head = Head::Record(Box::new(copy));
    Shown { mark: Some("fs-0fedcba9876543210".to_owned()), ..shown(head) }
}

#[test]
fn what_is_not_broken_and_why() {
    let running = says(InstanceState::Running);
    let released = shown(Head::Record(Box::new(record(7, State::Released, OLD))));
    let gone = Shown { highest: None, ..shown(Head::Gone) };
    let own = Order { me: holder(OLD), ..order() };
    let restarted = Holder { boot_id: "another".to_owned(), ..holder(OLD) };
    let restarted = Order { me: restarted, ..order() };
    let newer = shown(Head::Newer { version: 2, generation: None });
    let cases = [
        ("running", order(), held(), 7, running.clone()),
        ("being terminated", order(), held(), 7, says(InstanceState::ShuttingDown)),
        ("silence", order(), held(), 7, Word::Silent("timed out".to_owned())),
        ("refusal", order(), held(), 7, Word::Denied("no permission".to_owned())),
        ("moved", order(), held(), 6, running.clone()),
        ("released", order(), released, 7, running.clone()),
        ("own", own, held(), 7, running.clone()),
        ("own before its restart", restarted, held(), 7, running.clone()),
        (
            "a copy, and what EC2 says is of no use",
            order(),
            of_another_file_system(),
            7,
            says(InstanceState::Terminated),
        ),
        ("gone", order(), gone.clone(), 0, running.clone()),
        ("gone, and another number", order(), gone, 7, running.clone()),
        ("newer", order(), newer, 7, running.clone()),
        ("free", order(), Shown { highest: None, ..shown(Head::New) }, 0, running.clone()),
        ("strange", order(), shown(Head::Strange("www".to_owned())), 0, running),
    ];
    let mut out = String::new();
    for (name, order, shown, generation, word) in cases {
        let refusal = broken(&order, &shown, &wish(generation, None), &word).unwrap_err();
        let error = anyhow::Error::from(refusal);
        assert_eq!(error::blame(&error).exit_code(), 5, "{name}");
        let _ = writeln!(out, "=== {name}\n{}", error::render(&error));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_proof_is_enough_whoever_gives_it() {
    let by_ec2 = broken(&order(), &held(), &wish(7, None), &says(InstanceState::Terminated));
    let by_ec2 = by_ec2.unwrap();
    let told = by_ec2.broken.as_ref().unwrap();
    assert_eq!(
        (by_ec2.generation, by_ec2.state, told.proof.as_deref()),
        (8, State::Released, None)
    );
    assert_eq!(told.evidence, format!("EC2 says that {OLD} is terminated"));

    let by_person = wish(7, Some("I pulled the plug"));
    let word = says(InstanceState::Running);
    insta::assert_snapshot!(crate::lease::record::text(
        &broken(&order(), &held(), &by_person, &word).unwrap()
    ));
}

#[test]
fn a_copy_and_a_lost_head_take_a_persons_word_and_get_this_file_systems_id() {
    let word = says(InstanceState::Terminated);
    let sure = wish(7, Some("the original was deleted"));
    let copy = broken(&order(), &of_another_file_system(), &sure, &word).unwrap();
    assert_eq!((copy.generation, copy.holder.fs_id), (8, order().me.fs_id));

    let gone = Shown { highest: None, ..shown(Head::Gone) };
    let sure = wish(0, Some("I deleted the folder myself"));
    assert_eq!(broken(&order(), &gone, &sure, &word).unwrap().generation, 1);
}

#[test]
fn a_lost_head_is_mended_where_the_last_claim_tells_who_is_dead() {
    let last = Some(Head::Record(Box::new(record(7, State::Held, OLD))));
    let torn = Shown { beyond: last, ..shown(Head::Garbage("torn".to_owned())) };
    let dead = says(InstanceState::Terminated);
    assert_eq!(broken(&order(), &torn, &wish(7, None), &dead).unwrap().generation, 8);
    broken(&order(), &torn, &wish(7, None), &says(InstanceState::Running)).unwrap_err();
}

#[test]
fn the_same_break_again_finishes_what_was_begun() {
    let once = broken(&order(), &held(), &wish(7, None), &says(InstanceState::Terminated));
    let once = Box::new(once.unwrap());
    let claimed = Shown { highest: Some(8), beyond: Some(Head::Record(once.clone())), ..held() };
    let again = Course::find(&order(), &claimed, &wish(7, None)).unwrap();
    assert_eq!(again, Course::Finish(once.clone()));
    let done = Shown { highest: Some(8), ..shown(Head::Record(once.clone())) };
    let again = Course::find(&order(), &done, &wish(7, None)).unwrap();
    assert_eq!(again, Course::Nothing(once));
    let other = Course::find(&order(), &done, &wish(6, None)).unwrap_err();
    assert!(other.to_string().contains("it is 8 now"), "{other}");
}

#[test]
fn a_reason_is_one_short_line() {
    for bad in ["", "  \t", "two\nlines", &"x".repeat(501), "bell\u{7}"] {
        bad.parse::<Words>().unwrap_err();
    }
    assert_eq!(" zone b ".parse::<Words>().unwrap().to_string(), "zone b");
    "ä".repeat(500).parse::<Words>().unwrap();
}

#[test]
fn what_comes_next_reads_like_this() {
    let sure = wish(7, Some("the original was deleted"));
    let copy = of_another_file_system();
    let word = says(InstanceState::Terminated);
    let mended = broken(&order(), &copy, &sure, &word).unwrap();
    let broken = broken(&order(), &held(), &sure, &word).unwrap();
    insta::assert_snapshot!(format!(
        "{}\n=== a copy\n{}",
        next(&order(), &broken, None, Some(&holder(OLD))),
        next(&order(), &mended, copy.mark.as_deref(), None)
    ));
}
