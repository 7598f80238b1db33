//! What is a proof of death, and what is none.

use proptest::prelude::*;

use super::super::record::Task;
use super::*;

fn holder(launch: Option<Launch>) -> Holder {
    Holder {
        fs_id: "fs-1".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        instance_id: (launch != Some(Launch::Fargate)).then(|| "i-1".to_owned()),
        task: launch.map(|launch| Task { arn: "arn:task".to_owned(), launch }),
        boot_id: "one".to_owned(),
        launched: Some(at(1_000)),
        ami: None,
        hostkit: None,
        since: None,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn is_dead(holder: &Holder, word: &Word) -> bool {
    matches!(proof(Guards::default(), holder, holder, word), Proof::Dead(_))
}

fn states() -> impl Strategy<Value = InstanceState> {
    prop_oneof![
        Just(InstanceState::Pending),
        Just(InstanceState::Running),
        Just(InstanceState::ShuttingDown),
        Just(InstanceState::Terminated),
        Just(InstanceState::Stopping),
        Just(InstanceState::Stopped),
        "[a-z]{1,9}".prop_map(InstanceState::Other),
    ]
}

fn instances() -> impl Strategy<Value = Word> {
    let launched = prop::option::of((0_i64..2_000).prop_map(at));
    (states(), any::<bool>(), launched).prop_map(|(state, hibernates, launched)| {
        Word::Instance(Instance { state, hibernates, launched, group: None, lifecycle: None })
    })
}

fn machines() -> impl Strategy<Value = Word> {
    let ages = prop::option::of((0_u64..20_000).prop_map(Duration::from_secs));
    prop_oneof![
        instances(),
        ages.prop_map(|age| Word::NotFound { age }),
        ".{0,9}".prop_map(Word::Denied),
        ".{0,9}".prop_map(Word::Silent),
    ]
}

fn words() -> impl Strategy<Value = Word> {
    let tasks = (any::<bool>(), prop::option::of(machines().prop_map(Box::new)));
    prop_oneof![machines(), tasks.prop_map(|(stopped, instance)| Word::Task { stopped, instance })]
}

/// The rule, said once more and in another way.
fn should_be_dead(holder: &Holder, word: &Word) -> bool {
    let machine = |word: &Word| match word {
        Word::Instance(said) => match said.state {
            InstanceState::Terminated => true,
            InstanceState::Stopped => {
                !said.hibernates && said.launched.is_some_and(|when| when >= at(1_000 - 30))
            }
            _ => false,
        },
        Word::NotFound { age } => age.is_some_and(|age| age.as_secs() > 7_200),
        Word::Task { .. } | Word::Denied(_) | Word::Silent(_) => false,
    };
    match (holder.task.as_ref().map(|task| task.launch), word) {
        (None, word) => machine(word),
        (Some(Launch::Fargate), Word::Task { stopped, .. }) => *stopped,
        (Some(Launch::Ec2), Word::Task { stopped, instance }) => {
            *stopped && instance.as_deref().is_some_and(machine)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn lease_proof_is_what_cannot_be_undone_and_nothing_else(word in words()) {
        for launch in [None, Some(Launch::Ec2), Some(Launch::Fargate)] {
            let holder = holder(launch);
            prop_assert_eq!(is_dead(&holder, &word), should_be_dead(&holder, &word));
        }
    }

    /// That time passes never makes a dead holder live again.
    #[test]
    fn lease_proof_lasts(age in 0_u64..20_000, later in 0_u64..20_000) {
        let dead = |age| is_dead(&holder(None), &Word::NotFound { age: Some(Duration::from_secs(age)) });
        prop_assert!(!dead(age) || dead(age + later));
    }

    #[test]
    fn lease_proof_is_none_from_another_account_or_region(word in machines(), abroad in any::<bool>()) {
        let (me, mut other) = (holder(None), holder(None));
        if abroad {
            other.region = "us-east-1".to_owned();
        } else {
            other.account = "210987654321".to_owned();
        }
        let dead = matches!(proof(Guards::default(), &me, &other, &word), Proof::Dead(_));
        let is_forgotten = matches!(word, Word::NotFound { .. });
        prop_assert!(!dead || !is_forgotten);
    }
}

#[test]
fn lease_proof_gives_its_reason() {
    let words = [
        Word::Silent("no answer in 45 s".to_owned()),
        Word::Denied("ec2:DescribeInstances is not allowed".to_owned()),
        Word::NotFound { age: Some(Duration::from_mins(1)) },
        Word::NotFound { age: Some(Duration::from_hours(3)) },
        Word::Task { stopped: true, instance: None },
    ];
    let mut told = String::new();
    for launch in [None, Some(Launch::Ec2), Some(Launch::Fargate)] {
        for word in &words {
            let holder = holder(launch);
            let proof = proof(Guards::default(), &holder, &holder, word);
            told += &format!("{launch:?} {word:?}\n    {proof:?}\n");
        }
    }
    insta::assert_snapshot!(told);
}
