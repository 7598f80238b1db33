//! Whole upgrades in the rehearsal account, on hosts by script: the engine as it is, against what the
//! account does of itself. Whatever becomes of the process, of its calls or of the new image, it ends
//! in one of two good states, and never has two controllers on one home.

mod alone;
mod ends;
mod gate;
mod journals;

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use futures::StreamExt as _;
use hostkit::aws::{asg, ssm};
use hostkit::event::Events;
use hostkit::fleet::rollout::ended::Summary;
use hostkit::fleet::rollout::lock::{self, Operator};
use hostkit::fleet::rollout::record::{self, End};
use hostkit::fleet::rollout::{
    Builds, Crowd, Ended, Order, Pace, Resume, Setting, Side, Strategy, carry_out, journal, resume,
};
use hostkit::group::standing::{self, Standing, State};
use hostkit::host::Role;
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::endpoint::with;
use hostkit::sim::hosts::scenery::{Plan, Scenery};
use hostkit::sim::hosts::script::Agents;
use hostkit::sim::hosts::{self, Does, Part, Players, Script};
use hostkit::sim::target_group::TargetGroup;

use gate::{Fate, Gate};

/// So much faster than AWS: a boot of a minute takes half a second.
const SPEED: f64 = 120.0;
/// So many rollouts at the same time.
const AT_ONCE: usize = 4;

/// An account with a group of one controller that serves.
struct Stage {
    cloud: Cloud,
    scenery: Scenery,
    _players: Players,
}

impl Stage {
    async fn open(does: Does) -> Self {
        Self::open_at(SPEED, does).await
    }

    async fn open_at(speed: f64, does: Does) -> Self {
        let cloud = Cloud::open(Options { speed, ..Options::default() }).unwrap();
        let scenery = with(&cloud.account, |account| Plan::controller("ci").furnish(account));
        let agents = Some(Agents { known: 2, online: 2 });
        // A host that serves another version than it should says the one of its part, and its home has
        // seen a newer Jenkins then.
        let version = if does == Does::WrongVersion { "2.3" } else { "2.2" };
        let new = Part::controller(version).of_image(&scenery.new).that(does);
        let script = Script::of([
            Part { agents, ..new },
            Part { builds: vec![30.0], agents, ..Part::controller("2.1") },
        ]);
        let players = hosts::play(&cloud, script);
        let stage = Self { cloud, scenery, _players: players };
        stage.until_it_serves().await;
        stage
    }

    async fn until_it_serves(&self) {
        let config = Gate::new(&self.cloud, None).config(&self.cloud);
        for _ in 0..1200 {
            let found = ssm::parameter(&config, &standing::parameter("ci")).await.unwrap();
            let standing: Option<Standing> =
                found.and_then(|found| serde_json::from_str(&found.value).ok());
            let crew = asg::crew(&config, "ci").await.unwrap().unwrap();
            let in_service = crew.hosts.iter().any(asg::Host::is_in_service);
            if in_service && standing.is_some_and(|it| it.state == State::Serving) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the first controller never serves");
    }

    fn order(&self) -> Order {
        let side = |image: &str, version, jenkins: &str| Side {
            image: image.to_owned(),
            name: String::new(),
            template: self.scenery.template.clone(),
            version,
            recipe: Some("jenkins-controller".to_owned()),
            jenkins: Some(jenkins.to_owned()),
        };
        Order {
            group: "ci".to_owned(),
            region: "eu-west-1".to_owned(),
            role: Role::Controller,
            from: side(&self.scenery.old, Some(1), "2.1"),
            to: side(&self.scenery.new, None, "2.2"),
            strategy: Strategy::TerminateFirst,
            builds: Builds::Wait,
            builds_patience: 60,
            patience: 30,
            rollback: false,
            restores_home: false,
            soak: 0,
            alarms: Vec::new(),
            home: None,
            crowd: Crowd::default(),
        }
    }

    /// Carries an upgrade out, with a fate; whoever carries on after a kill may want to go back.
    async fn upgrade(&self, fate: Option<(usize, Fate)>, back: bool) -> (Ended, Vec<String>) {
        Box::pin(self.play(fate, back)).await
    }

    async fn play(&self, fate: Option<(usize, Fate)>, back: bool) -> (Ended, Vec<String>) {
        let gate = Gate::new(&self.cloud, fate);
        let events = Events::silent();
        let config = gate.config(&self.cloud);
        let setting = setting(&config, &events);
        let mut order = self.order();
        if self.patience_is_short() {
            order.patience = 6;
        }
        let ended = tokio::select! {
            ended = carry_out(&setting, order.clone(), pending()) => ended.unwrap(),
            () = gate.killed.notified() => {
                let whole = Gate::new(&self.cloud, None).config(&self.cloud);
                let setting = Setting { config: &whole, ..setting.clone() };
                let how = Resume { back, ..Resume::default() };
                match resume(&setting, "ci", how, pending()).await {
                    // It was killed when nothing was left to be done.
                    Ok(Ended::Nothing { says }) if says.contains("is over") => {
                        Self::recorded(record::newest(&whole, "ci").await.unwrap().unwrap())
                    }
                    Ok(Ended::Nothing { says }) => {
                        assert!(says.contains("nothing"), "{says}");
                        carry_out(&setting, order, pending()).await.unwrap()
                    }
                    // It serves already, and is proven.
                    Err(error) if back && error.to_string().contains("serves already") => {
                        resume(&setting, "ci", Resume::default(), pending()).await.unwrap()
                    }
                    ended => ended.unwrap(),
                }
            }
        };
        (ended, gate.effects())
    }

    /// What the history says of how it ended.
    fn recorded(record: record::Record) -> Ended {
        let summary = Summary {
            rollout: record.rollout,
            group: "ci".to_owned(),
            from: record.from,
            to: record.to,
            cause: record.cause,
            proof: String::new(),
            warnings: Vec::new(),
            loose: Vec::new(),
            times: record.times,
        };
        match record.end {
            End::Done => Ended::Done(summary),
            End::Back => Ended::Back(summary),
        }
    }

    fn patience_is_short(&self) -> bool {
        with(&self.cloud.account, |account| {
            account.hosts.script.host.iter().any(|part| part.does == Does::NeverReady)
        })
    }

    /// Whether it is one of the two good states.
    async fn check(&self, ended: &Ended, told: &str) {
        let config = Gate::new(&self.cloud, None).config(&self.cloud);
        let (end, jenkins) = match ended {
            Ended::Done(_) => (End::Done, "2.2"),
            Ended::Back(summary) => {
                assert!(summary.cause.is_some(), "{told}");
                (End::Back, "2.1")
            }
            other => panic!("{told}: {other:?}"),
        };
        let crew = asg::crew(&config, "ci").await.unwrap().unwrap();
        let [host] = crew.hosts.as_slice() else { panic!("{told}: {crew:?}") };
        assert!(host.is_in_service(), "{told}: {crew:?}");
        assert_eq!(crew.version, host.version.map(|it| it.to_string()), "{told}");
        assert_eq!(host.version, Some(if end == End::Done { 2 } else { 1 }), "{told}");
        assert!(crew.suspended.is_empty(), "{told}");
        let found = ssm::parameter(&config, &standing::parameter("ci")).await.unwrap().unwrap();
        let standing: Standing = serde_json::from_str(&found.value).unwrap();
        assert_eq!((&standing.instance, standing.state), (&host.id, State::Serving), "{told}");
        assert_eq!(standing.proof.unwrap().jenkins.as_deref(), Some(jenkins), "{told}");
        assert!(lock::read(&config, "ci").await.unwrap().is_none(), "{told}: the lock is there");
        assert!(journal::read(&config, "ci").await.unwrap().unwrap().journal.is_over(), "{told}");
        let newest = record::newest(&config, "ci").await.unwrap().unwrap();
        assert_eq!((newest.end, record::all(&config, "ci").await.unwrap().len()), (end, 1));
        with(&self.cloud.account, |account| {
            assert_eq!(account.hosts.violations(), Vec::<String>::new(), "{told}");
            assert_eq!(account.hosts.lost(), 0, "{told}: builds were lost");
            let templates = &account.region(hostkit::sim::account::REGION).launch_templates;
            let template = &templates[&self.scenery.template];
            assert!(template.newest <= 2, "{told}: {} versions", template.newest);
            assert_eq!(template.default, if end == End::Done { 2 } else { 1 }, "{told}");
        });
    }
}

fn setting<'a>(config: &'a aws_config::SdkConfig, events: &'a Events) -> Setting<'a> {
    // As of a process that is there no more.
    let operator = Operator { pid: u32::MAX, ..Operator::this("arn:aws:iam::1:user/ada") };
    let longest = Duration::from_millis(100);
    let pace = Pace { first: Duration::from_millis(20), longest, patient: longest };
    Setting { config, operator, events, pace }
}

#[tokio::test]
async fn an_upgrade_serves_the_new_image_and_says_where_the_time_went() {
    let stage = Stage::open(Does::Healthy).await;
    let (ended, effects) = stage.upgrade(None, false).await;
    stage.check(&ended, "undisturbed").await;
    let Ended::Done(summary) = ended else { panic!("{ended:?}") };
    assert!(effects.contains(&"StartInstanceRefresh".to_owned()), "{effects:?}");
    let names: Vec<&str> = summary.times.spans.iter().map(|span| span.name.as_str()).collect();
    assert!(names.contains(&"quiet") && names.contains(&"ready"), "{names:?}");
    assert!(summary.times.down > 0.0 && summary.times.down_to.is_some(), "{:?}", summary.times);
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    let (current, previous) = record::sides(&config, "ci").await.unwrap();
    assert_eq!((current, previous), (Some(summary.to.clone()), Some(summary.from.clone())));

    // And back again, by the same machinery: to an older Jenkins only with the home of then.
    let (from, to) = (summary.to, summary.from);
    let order = Order { from, to, rollback: true, patience: 6, ..stage.order() };
    let events = Events::silent();
    let refused = carry_out(&setting(&config, &events), order.clone(), pending()).await.unwrap();
    assert!(matches!(refused, Ended::Back(_)), "{refused:?}");
    let crew = asg::crew(&config, "ci").await.unwrap().unwrap();
    assert_eq!(crew.version.as_deref(), Some("2"));
    let order = Order { restores_home: true, patience: 30, ..order };
    let back = carry_out(&setting(&config, &events), order, pending()).await.unwrap();
    assert!(matches!(back, Ended::Done(_)), "{back:?}");
    let crew = asg::crew(&config, "ci").await.unwrap().unwrap();
    assert_eq!(crew.version.as_deref(), Some("1"));
    let records = record::all(&config, "ci").await.unwrap();
    assert_eq!(records.iter().map(|it| it.rollback).collect::<Vec<_>>(), [false, true, true]);
}

/// A group that counts a host only after two hours in service, and a target group that waits for the
/// next blue or green: neither hinders a host that proves itself, there and back.
#[tokio::test]
async fn a_long_warm_up_and_a_spare_target_group_hinder_nobody() {
    for does in [Does::Healthy, Does::WrongVersion] {
        let stage = Stage::open(does).await;
        with(&stage.cloud.account, |account| {
            let region = account.region(hostkit::sim::account::REGION);
            let used = &region.target_groups[stage.scenery.target_group.as_ref().unwrap()];
            let spare = TargetGroup {
                arn: format!("{}0", used.arn),
                name: "spare".to_owned(),
                load_balancers: Vec::new(),
                targets: BTreeMap::new(),
                ..used.clone()
            };
            let group = region.groups.get_mut("ci").unwrap();
            (group.warmup, group.grace) = (Some(7_200), 7_200);
            group.habits.target_groups.push(spare.arn.clone());
            // What a group that heeds its load balancers makes of one that has none is not known.
            "EC2".clone_into(&mut group.habits.health_check_type);
            region.target_groups.insert(spare.arn.clone(), spare);
        });
        let (ended, _) = stage.upgrade(None, false).await;
        stage.check(&ended, &format!("{does:?}")).await;
        assert_eq!(matches!(ended, Ended::Done(_)), does == Does::Healthy, "{ended:?}");
    }
}

#[tokio::test]
async fn an_image_that_never_gets_ready_ends_with_the_old_one() {
    for does in [Does::NeverReady, Does::WrongVersion, Does::WrongHome] {
        let stage = Stage::open(does).await;
        let (ended, _) = stage.upgrade(None, false).await;
        stage.check(&ended, &format!("{does:?}")).await;
        let Ended::Back(summary) = &ended else { panic!("{does:?}: {ended:?}") };
        assert_eq!(ended.exit_code(), 5);
        let cause = summary.cause.as_deref().unwrap();
        assert!(cause.contains("was given up") && cause.contains("serves"), "{cause}");
    }
}

/// Each call that changes something is one at which the process dies, before and after, or which AWS
/// does not take, or whose answer is lost.
#[tokio::test]
async fn killed_at_every_step_and_carried_on_it_ends_well() {
    for does in [Does::Healthy, Does::WrongVersion] {
        let (_, effects) = Stage::open(does).await.upgrade(None, false).await;
        assert!(effects.len() > 12, "{effects:?}");
        let all = (0..effects.len()).flat_map(|step| Fate::ALL.map(|fate| (step, fate)));
        let runs = all.map(|(step, fate)| async move {
            let stage = Stage::open(does).await;
            // Every other one that carries on wants to go back.
            let back = fate.kills() && step % 2 == 1;
            let told = format!("{does:?}: {fate:?} at {step}, back: {back}");
            let (ended, _) = stage.upgrade(Some((step, fate)), back).await;
            stage.check(&ended, &told).await;
        });
        futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }
}

#[tokio::test]
async fn whoever_comes_second_is_told_who_is_at_work() {
    let stage = Stage::open(Does::Healthy).await;
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    let events = Events::silent();
    let mut ada = setting(&config, &events);
    ada.operator.pid = std::process::id();
    let mut bob = setting(&config, &events);
    bob.operator.who = "arn:aws:iam::1:user/bob".to_owned();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let first = carry_out(&ada, stage.order(), stopped);
    let second = async {
        while lock::read(&config, "ci").await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refused = carry_out(&bob, stage.order(), pending()).await.unwrap_err();
        assert!(refused.to_string().contains("user/ada"), "{refused}");
        let refused = resume(&bob, "ci", Resume::default(), pending()).await.unwrap_err();
        assert!(refused.to_string().contains("sign of life"), "{refused}");
        drop(stop);
    };
    let (ended, ()) = tokio::join!(first, second);
    let Ended::Stopped(stopped) = ended.unwrap() else { panic!("it was stopped") };
    assert_eq!(stopped.commands.len(), 2, "{stopped:?}");
    // It was stopped on purpose: whoever wants to may carry it on at once.
    let ended = resume(&bob, "ci", Resume { back: true, ..Resume::default() }, pending()).await;
    stage.check(&ended.unwrap(), "stopped, and taken back").await;
}

#[tokio::test]
async fn who_was_taken_over_does_nothing_more() {
    let stage = Stage::open(Does::Healthy).await;
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    let events = Events::silent();
    let (ada, bob) = (setting(&config, &events), setting(&config, &events));
    let second = async {
        while journal::read(&config, "ci").await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        resume(&bob, "ci", Resume { take_over: true, ..Resume::default() }, pending()).await
    };
    let (first, second) = tokio::join!(carry_out(&ada, stage.order(), pending()), second);
    let fenced = first.unwrap_err();
    assert!(fenced.to_string().contains("somebody else writes the journal"), "{fenced}");
    stage.check(&second.unwrap(), "taken over").await;
}

/// Its pools are by tag: nothing but the journal of those who roll them says whose agents they are.
#[tokio::test]
async fn agents_that_are_rolled_since_the_plan_was_shown_are_seen_when_the_lock_is_held() {
    let stage = Stage::open(Does::Healthy).await;
    let config = Gate::new(&stage.cloud, None).config(&stage.cloud);
    let lock = r#"{"form":1,"rollout":"r-1","who":"arn:aws:iam::1:user/bob","host":"laptop",
        "pid":4711,"since":"2026-11-27T02:00:00Z"}"#;
    let journal = r#"{"form":1,"rollout":"r-1","order":{"group":"linux","role":"agent",
        "crowd":{"bounds":[90,110],"controller":"ci"}}}"#;
    for (name, text) in [("lock", lock), ("journal", journal)] {
        let name = format!("/hostkit/asg/linux/{name}");
        hostkit::aws::ssm::write(&config, &name, text).await.unwrap();
    }
    let events = Events::silent();
    let order = stage.order();
    assert!(order.crowd.apart.is_empty());
    let refused = carry_out(&setting(&config, &events), order, pending()).await.unwrap_err();
    let says = refused.to_string();
    assert!(says.contains("linux is being changed by arn:aws:iam::1:user/bob"), "{says}");
    assert!(lock::read(&config, "ci").await.unwrap().is_none(), "the own lock is given back");
}
