//! Whole conversations of a newcomer, as one reads them.

use super::super::record::{Broken, VERSION};
use super::super::word::Instance;
use super::*;

fn holder(instance: &str, boot: &str) -> Holder {
    Holder {
        fs_id: "fs-1".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        instance_id: Some(instance.to_owned()),
        task: None,
        boot_id: boot.to_owned(),
        launched: Some("2026-11-20T03:00:00Z".parse().unwrap()),
        ami: None,
        hostkit: None,
        since: None,
    }
}

fn record(generation: u64, state: State, instance: &str) -> Record {
    let holder = holder(instance, "one");
    Record { version: VERSION, generation, state, holder, broken: None }
}

fn head(generation: u64, state: State, instance: &str) -> Observed {
    Observed::Head(Head::Record(Box::new(record(generation, state, instance))))
}

fn held(generation: u64, instance: &str) -> Observed {
    head(generation, State::Held, instance)
}

fn says(state: InstanceState) -> Observed {
    Observed::Word(Word::Instance(Instance {
        state,
        hibernates: false,
        launched: Some("2026-11-20T03:00:00Z".parse().unwrap()),
        group: Some("controllers".to_owned()),
        lifecycle: Some("InService".to_owned()),
    }))
}

fn claimant(policy: LeasePolicy) -> Claimant {
    let group = Some("controllers".to_owned());
    let pace = Pace { ask_again: 1, settle: 2 };
    let manner = Manner { policy, group, patience: 2, pace };
    Claimant::new(holder("i-me", "one"), manner, None)
}

/// What it does after each observation, a line for each; it has waited where it wants to.
fn converse(claimant: &mut Claimant, observed: impl IntoIterator<Item = Observed>) -> String {
    let mut told = String::new();
    for observed in observed {
        let mut action = claimant.next(observed);
        loop {
            told += &match &action {
                Action::Ask(holder, generation) => format!("ask {} {generation}\n", holder.name()),
                Action::Terminate(holder) => format!("terminate {}\n", holder.name()),
                Action::Wait(why) => format!("wait: {why}\n"),
                Action::Refuse(Refusal { why, hint, is_final }) => {
                    format!("refuse{}: {why}\n  {hint}\n", if *is_final { " for good" } else { "" })
                }
                other => format!("{other:?}\n").to_lowercase(),
            };
            let waits =
                matches!(action, Action::Wait(_) | Action::Refuse(_) | Action::Terminate(_));
            if !waits {
                break;
            }
            action = claimant.next(Observed::Elapsed);
        }
    }
    told
}

#[test]
fn lease_after_a_clean_release_is_three_steps_away() {
    let mut claimant = claimant(LeasePolicy::Wait);
    let observed = [head(7, State::Released, "i-old"), Observed::Claimed, Observed::Announced];
    let told = converse(&mut claimant, observed);
    assert_eq!(told, "claim(8)\nannounce(8)\nhold(8)\n");
}

#[test]
fn lease_of_a_new_file_system_has_generation_1() {
    let observed = [Observed::Head(Head::New), Observed::Claimed, Observed::Announced];
    let told = converse(&mut claimant(LeasePolicy::Wait), observed);
    assert_eq!(told, "claim(1)\nannounce(1)\nhold(1)\n");
}

#[test]
fn lease_that_another_host_won_is_that_hosts() {
    let winner = Head::Record(Box::new(record(8, State::Held, "i-winner")));
    let observed = [
        head(7, State::Released, "i-old"),
        Observed::Taken,
        Observed::Claim(None),
        head(7, State::Released, "i-old"),
        Observed::Taken,
        Observed::Claim(Some(winner)),
        says(InstanceState::Running),
        Observed::Claim(None),
    ];
    insta::assert_snapshot!(converse(&mut claimant(LeasePolicy::Wait), observed));
}

#[test]
fn lease_of_a_dead_holder_is_free_after_a_pause() {
    let observed = [
        held(7, "i-old"),
        says(InstanceState::ShuttingDown),
        Observed::Claim(None),
        held(7, "i-old"),
        says(InstanceState::Terminated),
        held(7, "i-old"),
        held(7, "i-old"),
        Observed::Claimed,
        Observed::Announced,
    ];
    insta::assert_snapshot!(converse(&mut claimant(LeasePolicy::Wait), observed));
}

#[test]
fn lease_that_was_claimed_and_not_announced_by_a_host_that_died_is_free_too() {
    let pending = Head::Record(Box::new(record(8, State::Held, "i-dead")));
    let observed = [
        held(7, "i-old"),
        says(InstanceState::Running),
        Observed::Claim(Some(pending)),
        says(InstanceState::Terminated),
        held(7, "i-old"),
        held(7, "i-old"),
        Observed::Claimed,
    ];
    insta::assert_snapshot!(converse(&mut claimant(LeasePolicy::Wait), observed));
}

#[test]
fn lease_of_a_holder_of_the_same_group_is_taken_with_patience() {
    let round = || [held(7, "i-old"), says(InstanceState::Running), Observed::Claim(None)];
    let observed = [round(), round(), round(), round(), round(), round()];
    let told = converse(&mut claimant(LeasePolicy::Stonith), observed.into_iter().flatten());
    insta::assert_snapshot!(told);
}

#[test]
fn lease_of_a_holder_of_another_group_is_waited_for() {
    let mut claimant = claimant(LeasePolicy::Stonith);
    claimant.group = Some("others".to_owned());
    let round = || [held(7, "i-old"), says(InstanceState::Running), Observed::Claim(None)];
    let told = converse(&mut claimant, [round(), round(), round(), round()].into_iter().flatten());
    assert!(!told.contains("terminate i-old"), "{told}");
    claimant.group = None;
    let told = converse(&mut claimant, [round(), round(), round(), round()].into_iter().flatten());
    assert!(!told.contains("terminate i-old"), "{told}");
}

#[test]
fn lease_of_a_holder_that_runs_ends_the_boot_where_the_policy_says_so() {
    let observed = [held(7, "i-old"), says(InstanceState::Running), Observed::Claim(None)];
    insta::assert_snapshot!(converse(&mut claimant(LeasePolicy::Fail), observed));
}

#[test]
fn lease_of_this_boot_goes_on_only_if_it_was_not_given_up() {
    let manner =
        || Manner { policy: LeasePolicy::Wait, group: None, patience: 2, pace: Pace::default() };
    let after = |boot: &str, mine| {
        let mut claimant = Claimant::new(holder("i-me", boot), manner(), mine);
        claimant.next(held(7, "i-me"))
    };
    assert_eq!(after("one", Some(7)), Action::Hold(7));
    assert_eq!(after("one", None), Action::Claim(8), "it was given up, or never held");
    assert_eq!(after("one", Some(6)), Action::Claim(8));
    assert_eq!(after("two", None), Action::Claim(8), "the machine was rebooted");
}

#[test]
fn lease_that_an_operator_broke_is_free_after_a_pause() {
    let mut broken = record(8, State::Released, "i-other");
    broken.broken = Some(Broken {
        generation: 7,
        reason: "it hangs".to_owned(),
        proof: None,
        evidence: "EC2 could not be asked".to_owned(),
        by: "alice".to_owned(),
        at: "2026-11-20T03:30:00Z".parse().unwrap(),
    });
    let head = || Observed::Head(Head::Record(Box::new(broken.clone())));
    let observed = [head(), head(), head(), Observed::Claimed, Observed::Announced];
    insta::assert_snapshot!(converse(&mut claimant(LeasePolicy::Wait), observed));
}

#[test]
fn lease_is_refused_in_words() {
    let mut copy = record(7, State::Released, "i-old");
    copy.holder.fs_id = "fs-original".to_owned();
    let heads = [
        Head::Record(Box::new(copy)),
        Head::Gone,
        Head::Strange("photos".to_owned()),
        Head::Newer { version: 2, generation: None },
        Head::Garbage("it is not a lease record: EOF".to_owned()),
    ];
    let observed = heads.map(Observed::Head);
    insta::assert_snapshot!(converse(&mut claimant(LeasePolicy::Stonith), observed));
}

#[test]
fn lease_is_never_concluded_from_what_was_not_asked() {
    let stray = [Observed::Claimed, Observed::Announced, says(InstanceState::Terminated)];
    let told = converse(&mut claimant(LeasePolicy::Stonith), stray);
    assert_eq!(told, "look\nlook\nlook\n");
    let failed = Observed::Failed("the file system is full".to_owned());
    let observed = [head(7, State::Released, "i-old"), failed];
    let told = converse(&mut claimant(LeasePolicy::Wait), observed);
    assert_eq!(told, "claim(8)\nwait: the file system is full\nlook\n");
}
