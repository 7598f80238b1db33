//! Several processes and one journal: who may write it, whose word counts, and what is left of a rollout
//! that nobody carries on.

use hostkit::error;
use hostkit::fleet::rollout::journal::Journal;
use hostkit::fleet::rollout::lock::Lock;
use hostkit::fleet::rollout::scribe::{Scribe, Unwritten};
use hostkit::fleet::rollout::{Amended, Phase};
use jiff::{SignedDuration, Timestamp};

use super::*;

const JOURNAL: &str = "/hostkit/asg/ci/journal";
const LOCK: &str = "/hostkit/asg/ci/lock";

fn journal(rollout: &str, term: u32, hours: i64) -> Journal {
    let text = include_str!("../../../src/fleet/rollout/fixtures/journal-1.json");
    let journal: Journal = serde_json::from_str(text).unwrap();
    let begun = journal.begun + SignedDuration::from_hours(hours);
    Journal { rollout: rollout.to_owned(), term, begun, ..journal }
}

/// What stands in the journal.
async fn stands(config: &aws_config::SdkConfig) -> Journal {
    journal::read(config, "ci").await.unwrap().unwrap().journal
}

#[tokio::test]
async fn a_rollout_of_before_that_wakes_up_does_nothing_more_and_stops_nobody() {
    let cloud = Cloud::open(Options { speed: SPEED, ..Options::default() }).unwrap();
    let config = Gate::new(&cloud, None).config(&cloud);
    let (mut first, mut second) = (journal("r-1", 5, 0), journal("r-2", 0, 1));
    let mut asleep = Scribe::new("ci", 0);
    asleep.write(&config, &mut first).await.unwrap();
    // Somebody forgets it by hand, and begins another one.
    ssm::remove(&config, JOURNAL).await.unwrap();
    let mut awake = Scribe::new("ci", 0);
    for _ in 0..3 {
        awake.write(&config, &mut second).await.unwrap();
    }
    for _ in 0..2 {
        let fenced = asleep.write(&config, &mut first).await.unwrap_err();
        assert!(matches!(&fenced, Unwritten::Fenced(why) if why.contains("r-2")), "{fenced:?}");
        assert_eq!(stands(&config).await.rollout, "r-2", "it is not written over");
    }
    awake.write(&config, &mut second).await.unwrap();

    // Where the journal was not removed, terms count on: a last word of before stops nobody.
    let mut third = journal("r-3", 1, 2);
    let late = serde_json::to_string(&Journal { writer: "late".to_owned(), ..second }).unwrap();
    let mut next = Scribe::new("ci", 4);
    next.write(&config, &mut third).await.unwrap();
    ssm::write(&config, JOURNAL, &late).await.unwrap();
    next.write(&config, &mut third).await.unwrap();
    assert_eq!(stands(&config).await.rollout, "r-3");
}

/// A rollout that was stopped while builds are waited for.
async fn stopped(stage: &Stage, config: &aws_config::SdkConfig) -> Journal {
    let events = Events::silent();
    let until_quiet = async {
        loop {
            let found = journal::read(config, "ci").await.unwrap();
            if found.is_some_and(|it| it.journal.phase == Phase::Quiet) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = carry_out(&setting(config, &events), stage.order(), until_quiet).await.unwrap();
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    stands(config).await
}

#[tokio::test]
async fn who_takes_over_carries_on_what_the_one_before_wrote_in_between() {
    let stage = Stage::open(Does::Healthy).await;
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    let left = stopped(&stage, &config).await;
    // The lock is passed on, then the first word is written: just before it, the other one notes that the
    // new image is proven.
    let text = serde_json::to_string(&Journal { phase: Phase::Promote, ..left.clone() }).unwrap();
    let gate = Gate::overtaken(&stage.cloud, 1, JOURNAL, &text);
    let (events, config) = (Events::silent(), gate.config(&stage.cloud));
    let how = Resume { back: true, ..Resume::default() };
    let refused = resume(&setting(&config, &events), "ci", how, pending()).await.unwrap_err();
    assert!(refused.to_string().contains("serves already"), "{refused}");
    assert_eq!(gate.effects(), ["PutParameter"; 2]);
    // What stood in its place before is what is carried on.
    let text = serde_json::to_string(&Journal { stopped: false, ..left }).unwrap();
    let gate = Gate::overtaken(&stage.cloud, 1, JOURNAL, &text);
    let config = gate.config(&stage.cloud);
    let how = Resume { take_over: true, ..how };
    let ended = resume(&setting(&config, &events), "ci", how, pending()).await.unwrap();
    stage.check(&ended, "taken over in between").await;
}

#[tokio::test]
async fn nothing_is_begun_beside_a_rollout_whose_lock_is_gone_and_it_is_carried_on() {
    let stage = Stage::open(Does::Healthy).await;
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    let left = stopped(&stage, &config).await;
    lock::give_back(&config, "ci", "another").await.unwrap();
    assert!(lock::read(&config, "ci").await.unwrap().is_some(), "it is not another's");
    ssm::remove(&config, LOCK).await.unwrap();
    let events = Events::silent();
    let ada = setting(&config, &events);
    let refused = carry_out(&ada, stage.order(), pending()).await.unwrap_err();
    let text = error::render(&refused);
    assert!(text.contains("is not over") && text.contains("--asg ci --resume"), "{text}");
    assert!(lock::read(&config, "ci").await.unwrap().is_none(), "the lock is given back");
    assert_eq!(stands(&config).await, left, "it is not written over");
    // Its process may still be at work, though somebody has removed the lock.
    let text = serde_json::to_string(&Journal { stopped: false, ..left.clone() }).unwrap();
    ssm::write(&config, JOURNAL, &text).await.unwrap();
    let refused = resume(&ada, "ci", Resume::default(), pending()).await.unwrap_err();
    let text = error::render(&refused);
    assert!(text.contains("sign of life") && text.contains("--take-over"), "{text}");
    // A lock of somebody who died before anything was done is given back, and what is left is told.
    let lock = Lock::new("r-dead", &ada.operator, Timestamp::now());
    lock::take(&config, "ci", &lock).await.unwrap();
    let ended = resume(&ada, "ci", Resume::default(), pending()).await.unwrap();
    let Ended::Nothing { says } = ended else { panic!("{ended:?}") };
    assert!(says.contains("had changed nothing") && says.contains("is not over"), "{says}");
    let amended = Amended { patience: Some(Duration::from_mins(1)), ..Amended::default() };
    let how = Resume { take_over: true, amended, ..Resume::default() };
    let ended = resume(&ada, "ci", how, pending()).await.unwrap();
    stage.check(&ended, "carried on without its lock").await;
    let order = stands(&config).await.order;
    assert_eq!((order.patience, order.builds_patience), (60, 60));
    assert_ne!(left.order.patience, 60);
    // Who asks to stop before anything is begun begins nothing.
    let before = stands(&config).await;
    let order = Order { from: order.to, ..stage.order() };
    let ended = carry_out(&ada, order.clone(), async {}).await.unwrap_err();
    assert_eq!(error::blame(&ended).exit_code(), 130, "{ended:#}");
    assert_eq!(stands(&config).await, before);
    // The next rollout counts on.
    let begun = async {
        while stands(&config).await.rollout == before.rollout {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = carry_out(&ada, order, begun).await.unwrap();
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    assert_eq!(stands(&config).await.term, before.term + 1);
}

#[tokio::test]
async fn the_lock_is_given_back_once_and_by_whoever_holds_it() {
    let stage = Stage::open(Does::Healthy).await;
    let gate = Gate::new(&stage.cloud, None);
    let (events, config) = (Events::silent(), gate.config(&stage.cloud));
    let ada = setting(&config, &events);
    let other = Lock::new("r-agents", &ada.operator, Timestamp::now());
    lock::take(&config, "agents", &other).await.unwrap();
    let crowd = Crowd { apart: vec!["agents".to_owned()], ..Crowd::default() };
    let order = Order { crowd, ..stage.order() };
    let refused = carry_out(&ada, order, pending()).await.unwrap_err();
    assert!(refused.to_string().contains("agents is being changed"), "{refused}");
    assert!(lock::read(&config, "ci").await.unwrap().is_none());
    assert_eq!(gate.effects(), ["PutParameter", "PutParameter", "DeleteParameter"]);
}

/// AWS says nothing any more, and somebody presses Ctrl-C.
#[tokio::test]
async fn who_asks_to_stop_is_heard_while_aws_is_silent() {
    let (_, effects) = Stage::open(Does::Healthy).await.upgrade(None, false).await;
    let started = effects.iter().position(|it| it == "StartInstanceRefresh").unwrap();
    let runs = [0, 1, started, effects.len() - 1].map(|step| async move {
        let fate = if step % 2 == 0 { Fate::KilledAfter } else { Fate::KilledBefore };
        let stage = Stage::open(Does::Healthy).await;
        let gate = Gate::new(&stage.cloud, Some((step, fate)));
        let (events, config) = (Events::silent(), gate.config(&stage.cloud));
        let stop = gate.killed.notified();
        let ended = carry_out(&setting(&config, &events), stage.order(), stop).await;
        let whole = Gate::new(&stage.cloud, None).config(&stage.cloud);
        let setting = setting(&whole, &events);
        match ended {
            Ok(Ended::Stopped(stopped)) => {
                let told = stopped.stands.join("\n");
                assert!(told.contains("did not hear that it was stopped"), "{step}: {told}");
                assert!(stopped.commands[0].contains(" --resume --region "), "{stopped:?}");
            }
            Err(error) => assert_eq!(error::blame(&error).exit_code(), 130, "{step}: {error:#}"),
            ended => panic!("{step}: {ended:?}"),
        }
        let ended = resume(&setting, "ci", Resume::default(), pending()).await.unwrap();
        let ended = match ended {
            Ended::Nothing { says } if says.contains("is over") => {
                Stage::recorded(record::newest(&whole, "ci").await.unwrap().unwrap())
            }
            Ended::Nothing { says } => {
                assert!(step < 2 && says.contains("nothing"), "{step}: {says}");
                carry_out(&setting, stage.order(), pending()).await.unwrap()
            }
            ended => ended,
        };
        stage.check(&ended, &format!("stopped at {step}")).await;
    });
    Box::pin(futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect::<Vec<()>>()).await;
}
