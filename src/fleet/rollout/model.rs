//! A group in a few lines, and rollouts on it that are killed, or hear nothing, at every step: each
//! ends in one of the two good states.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::journal::{self, Journal, Scribe};
use super::next::{Act, End, Next, next};
use super::proof::Target;
use super::reaction::{Reaction, react};
use super::resume::revived;
use super::seen::Seen;
use super::{Builds, Order, Phase, Side, Strategy as Way_, Way, timeline};
use crate::aws::Failure;
use crate::aws::asg::refresh::{BUSY, IRREVERSIBLE, NONE, Refresh, Status};
use crate::aws::asg::{Crew, Host};
use crate::aws::elb::Health;
use crate::group::standing::{Proof, Standing, State};
use crate::group::way_back::{self, permitted};
use crate::host::Role;

const OLD: i64 = 7;
const NEW: i64 = 8;

/// What the new image does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Image {
    Serves,
    NeverReady,
    WrongVersion,
}

/// What AWS does with a refresh that does not come to an end, and with those who want it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aws {
    RollsBackWhenAsked,
    RollsBackByItself,
    CannotRollBack,
}

/// What becomes of something that is done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    /// The process is killed before it.
    KilledBefore,
    /// It is killed after it, before it knows.
    KilledAfter,
    /// It is not done: AWS has too much to do.
    Throttled,
    /// It is done, and the answer is lost.
    AnswerLost,
}

/// The group, its refreshes, and Parameter Store.
struct World {
    now: Timestamp,
    image: Image,
    aws: Aws,
    made: Vec<i64>,
    launches: i64,
    hosts: Vec<Host>,
    standing: Option<Standing>,
    refreshes: Vec<Refresh>,
    age: u32,
    next_host: u32,
    suspended: Vec<String>,
    /// The host that was told something, and what.
    tag: Option<(String, String)>,
    default: i64,
    pointed: bool,
    recorded: u32,
    locked: bool,
    journal: Option<Journal>,
    builds: u32,
    /// Whether the newer Jenkins was the last to serve the home.
    home_is_newer: bool,
}

fn order(strategy: Way_) -> Order {
    let side = |image: &str, jenkins: &str, version| Side {
        image: image.to_owned(),
        name: String::new(),
        template: "lt-1".to_owned(),
        version,
        recipe: None,
        jenkins: Some(jenkins.to_owned()),
    };
    Order {
        group: "ci".to_owned(),
        role: Role::Controller,
        from: side("ami-a", "2.1", Some(OLD)),
        to: side("ami-b", "2.2", None),
        strategy,
        builds: Builds::Wait,
        builds_patience: 600,
        patience: 600,
        rollback: false,
        restores_home: false,
        crowd: crate::fleet::rollout::Crowd::default(),
    }
}

impl World {
    fn new(image: Image, aws: Aws, strategy: Way_) -> Self {
        let mut world = Self {
            now: Timestamp::from_second(1_790_000_000).unwrap(),
            image,
            aws,
            made: Vec::new(),
            launches: OLD,
            hosts: Vec::new(),
            standing: None,
            refreshes: Vec::new(),
            age: 0,
            next_host: 0,
            suspended: vec!["AZRebalance".to_owned()],
            tag: None,
            default: OLD,
            pointed: false,
            recorded: 0,
            locked: true,
            journal: None,
            builds: 2,
            home_is_newer: false,
        };
        world.launch(OLD);
        world.serve();
        world.journal = Some(Journal::new("r-1", order(strategy), world.now));
        world
    }

    fn launch(&mut self, version: i64) {
        self.next_host += 1;
        self.hosts.push(Host {
            id: format!("i-{}", self.next_host),
            state: "Pending".to_owned(),
            healthy: true,
            template: Some("lt-1".to_owned()),
            version: Some(version),
            image: None,
        });
    }

    /// The host that was launched last gets as far as its image lets it.
    fn serve(&mut self) {
        let Some(host) = self.hosts.last_mut() else { return };
        let is_new = host.version == Some(NEW);
        if is_new && self.image == Image::NeverReady {
            return;
        }
        if !is_new && self.home_is_newer {
            // Its boot refuses the home, until the journal has it put back.
            let journal = self.journal.as_ref().map(Journal::text);
            if permitted(journal.as_deref(), "ami-a", "ami-b").is_err() {
                return;
            }
        }
        self.home_is_newer = is_new;
        "InService".clone_into(&mut host.state);
        let jenkins = match (is_new, self.image) {
            (true, Image::WrongVersion) => "2.0",
            (true, _) => "2.2",
            (false, _) => "2.1",
        };
        let proof = Proof {
            ready: true,
            jenkins: Some(jenkins.to_owned()),
            file_system: Some("fs-1".to_owned()),
            generation: Some(u64::from(self.next_host)),
            image: Some(if is_new { "ami-b" } else { "ami-a" }.to_owned()),
            ..Proof::default()
        };
        let id = host.id.clone();
        self.say(&id, State::Serving, Some(0), Some(proof));
    }

    fn say(&mut self, id: &str, state: State, builds: Option<u32>, proof: Option<Proof>) {
        self.standing = Some(Standing {
            version: 1,
            instance: id.to_owned(),
            state,
            builds,
            since: self.now,
            why: None,
            cannot: None,
            proof,
        });
    }

    fn active(&mut self) -> Option<&mut Refresh> {
        self.refreshes.iter_mut().find(|refresh| refresh.status.is_active())
    }

    /// Ten seconds pass.
    fn tick(&mut self) {
        self.now += SignedDuration::from_secs(10);
        self.obey();
        let Some(active) = self.active() else { return };
        let wanted = match active.status {
            Status::RollbackInProgress => self.launches,
            _ => active.version.unwrap(),
        };
        self.age += 1;
        self.replace(wanted);
        let age = self.age;
        let (by_itself, launches) = (self.aws == Aws::RollsBackByItself, self.launches);
        let done = self.hosts.len() == 1
            && self.hosts[0].version == Some(wanted)
            && self.hosts[0].is_in_service();
        let Some(active) = self.active() else { return };
        match active.status {
            Status::RollbackInProgress if done => active.status = Status::RollbackSuccessful,
            Status::RollbackInProgress => {}
            _ if done => {
                active.status = Status::Successful;
                self.launches = wanted;
            }
            _ if by_itself && age > 12 && wanted != launches => {
                active.status = Status::RollbackInProgress;
                active.rollback = Some("hosts did not become healthy".to_owned());
                self.age = 0;
            }
            _ => active.status = Status::InProgress,
        }
    }

    /// What the guard does.
    fn obey(&mut self) {
        let Some(standing) = self.standing.clone() else { return };
        let there = self.hosts.iter().any(|it| it.id == standing.instance && it.is_in_service());
        if !there {
            return;
        }
        let told = self.tag.as_ref().filter(|(host, _)| *host == standing.instance);
        match (told.map(|(_, word)| word.as_str()), standing.state) {
            (Some("quiet"), State::Serving | State::Quiet) => {
                self.builds = self.builds.saturating_sub(1);
                self.say(&standing.instance, State::Quiet, Some(self.builds), standing.proof);
            }
            (_, State::Quiet) => {
                self.say(&standing.instance, State::Serving, Some(0), standing.proof);
            }
            _ => {}
        }
    }

    /// One step of a replacement: the old one goes, then the new one comes.
    fn replace(&mut self, wanted: i64) {
        let Some(host) = self.hosts.first().cloned() else { return self.launch(wanted) };
        if host.version == Some(wanted) {
            return self.serve();
        }
        if host.state == "Terminating:Wait" {
            self.say(&host.id, State::Drained, None, None);
            self.hosts.clear();
        } else {
            "Terminating:Wait".clone_into(&mut self.hosts[0].state);
            self.say(&host.id, State::Draining, None, None);
        }
    }

    fn seen(&self) -> Seen {
        let health = |host: &Host| Target {
            group: "tg".to_owned(),
            instance: host.id.clone(),
            health: Health {
                state: "healthy".to_owned(),
                reason: String::new(),
                description: String::new(),
            },
        };
        Seen {
            crew: Crew {
                template: Some("lt-1".to_owned()),
                version: Some(self.launches.to_string()),
                suspended: self.suspended.clone(),
                desired: 1,
                hosts: self.hosts.clone(),
                target_groups: Vec::new(),
            },
            refreshes: self.refreshes.clone(),
            standing: self.standing.clone(),
            made: self.made.first().copied(),
            default: Some(self.default),
            tag: self.tag.as_ref().map(|(_, word)| word.clone()),
            targets: self.hosts.iter().filter(|it| it.is_in_service()).map(health).collect(),
            pointed: self.pointed,
            recorded: self.recorded > 0,
            locked: self.locked,
            ..Seen::default()
        }
    }

    /// Does what AWS does when it is asked. What the journal is to say of it.
    fn perform(&mut self, journal: &Journal, act: &Act) -> Result<Option<Journal>, Failure> {
        let mut noted = journal.clone();
        match act {
            Act::AddVersion => {
                // The same client token makes one.
                if self.made.is_empty() {
                    self.made.push(NEW);
                }
                noted.order.to.version = Some(NEW);
                return Ok(Some(noted));
            }
            Act::Start(way) => {
                if self.active().is_some() {
                    return Err(refused(400, BUSY));
                }
                let id = format!("refresh-{}", self.refreshes.len());
                let version = if *way == Way::Forward { NEW } else { OLD };
                self.refreshes.insert(0, begun(&id, version));
                self.age = 0;
                noted.attempt_mut().id = Some(id);
                return Ok(Some(noted));
            }
            Act::RollBack if self.aws == Aws::CannotRollBack => {
                return Err(refused(400, IRREVERSIBLE));
            }
            Act::RollBack => {
                let active = self.active().ok_or_else(|| refused(400, NONE))?;
                active.status = Status::RollbackInProgress;
            }
            Act::Cancel => {
                let active = self.active().ok_or_else(|| refused(400, NONE))?;
                active.status = Status::Cancelled;
            }
            Act::Suspend(all) => self.suspended.extend(all.iter().cloned()),
            Act::Resume(all) => self.suspended.retain(|one| !all.contains(one)),
            Act::Quiet(host) => self.tag = Some((host.clone(), "quiet".to_owned())),
            Act::Unquiet(host) => self.tag = Some((host.clone(), "cancel".to_owned())),
            Act::Untag(_) => self.tag = None,
            Act::SetDefault => self.default = NEW,
            Act::Point => self.pointed = true,
            Act::Record => self.recorded += 1,
            Act::Unlock => self.locked = false,
        }
        Ok(None)
    }
}

fn begun(id: &str, version: i64) -> Refresh {
    Refresh {
        id: id.to_owned(),
        status: Status::Pending,
        reason: None,
        rollback: None,
        started: None,
        ended: None,
        percent: None,
        template: Some("lt-1".to_owned()),
        version: Some(version),
    }
}

fn refused(status: u16, code: &str) -> Failure {
    Failure::Refused {
        call: "autoscaling:Something",
        status,
        code: code.to_owned(),
        message: String::new(),
        ahead: None,
    }
}

/// How it ended, and how often something was done to the world or written.
struct Course {
    end: End,
    effects: usize,
    journal: Journal,
}

/// Carries a rollout out, with the fates of what is done in their order; what comes later is fine.
/// `back`: whoever carries on after a kill wants to go back.
fn run(world: &mut World, fates: &[Fate], back: bool) -> Course {
    let mut journal = world.journal.clone().unwrap();
    let mut effects = 0;
    for _ in 0..2_000 {
        let seen = world.seen();
        timeline::observe(&mut journal, &seen, world.now);
        let what = match next(&journal, &seen, world.now) {
            Next::Wait(_) => {
                world.tick();
                continue;
            }
            Next::End(end) => return Course { end, effects, journal },
            what => what,
        };
        let fate = fates.get(effects).copied().unwrap_or(Fate::Fine);
        effects += 1;
        let done = match (&what, fate) {
            (_, Fate::KilledBefore) => None,
            (_, Fate::Throttled) => Some(Err(refused(503, "Throttling"))),
            (Next::Note(noted), _) => {
                world.journal = Some((**noted).clone());
                Some(Ok(Some((**noted).clone())))
            }
            (Next::Act(act), _) => Some(world.perform(&journal, act)),
            (Next::Wait(_) | Next::End(_), _) => unreachable!("they are above"),
        };
        match (done, fate) {
            (None, _) | (_, Fate::KilledAfter) => {
                // Nobody is at work for a while.
                (0..2).for_each(|_| world.tick());
                let stored = world.journal.clone().unwrap();
                let wants = back && stored.phase < Phase::Promote;
                journal = revived(&stored, &world.seen(), wants, world.now).unwrap();
                world.journal = Some(journal.clone());
            }
            (Some(done), _) => {
                let lost = fate == Fate::AnswerLost;
                let done = if lost { Err(refused(500, "InternalFailure")) } else { done };
                match (done, &what) {
                    (Ok(Some(noted)), _) => {
                        journal = noted;
                        world.journal = Some(journal.clone());
                    }
                    // The journal is written again and again until it stands there.
                    (Err(_), Next::Act(act)) => {
                        let failure = if lost || fate == Fate::Throttled {
                            refused(500, "InternalFailure")
                        } else {
                            refused(400, rejected(world.aws, act))
                        };
                        if let Reaction::Note(noted) =
                            react(&journal, &seen, act, &failure, world.now)
                        {
                            journal = *noted;
                            world.journal = Some(journal.clone());
                        }
                    }
                    (Ok(None) | Err(_), _) => {}
                }
                if fate != Fate::Fine {
                    world.tick();
                }
            }
        }
    }
    panic!("it does not come to an end: {journal:?}");
}

/// With what AWS refuses this.
fn rejected(aws: Aws, act: &Act) -> &'static str {
    match act {
        Act::Start(_) => BUSY,
        Act::RollBack if aws == Aws::CannotRollBack => IRREVERSIBLE,
        _ => NONE,
    }
}

/// Whether it is one of the two good states, and nothing was left behind.
fn check(world: &World, course: &Course) {
    let told = format!("{course:?}", course = course.journal);
    let version = match course.end {
        End::Done => NEW,
        End::Back => OLD,
        End::Stuck => panic!("it is stuck: {told}"),
    };
    assert_eq!(world.hosts.len(), 1, "{told}");
    let host = &world.hosts[0];
    assert!(host.is_in_service() && host.version == Some(version), "{host:?} {told}");
    assert_eq!(world.launches, version, "{told}");
    assert_eq!(world.home_is_newer, version == NEW, "{told}");
    assert_eq!(world.standing.as_ref().map(|it| it.state), Some(State::Serving), "{told}");
    assert_eq!(world.suspended, ["AZRebalance"], "what was suspended before stays so: {told}");
    assert!(!world.locked && world.recorded >= 1, "{told}");
    assert!(world.made.len() <= 1, "{told}");
    assert_eq!((world.default, world.pointed), (version, course.end == End::Done), "{told}");
    let tag_left = world.tag.is_some() && course.journal.quieted.as_ref() == Some(&host.id);
    assert!(!tag_left, "the host that stays was told to be quiet: {told}");
    if world.image == Image::Serves && course.journal.cause.is_none() {
        assert_eq!(course.end, End::Done, "nothing was wrong with it: {told}");
    }
}

const IMAGES: [Image; 3] = [Image::Serves, Image::NeverReady, Image::WrongVersion];
const CLOUDS: [Aws; 3] = [Aws::RollsBackWhenAsked, Aws::RollsBackByItself, Aws::CannotRollBack];
const STRATEGIES: [Way_; 2] = [Way_::TerminateFirst, Way_::ReplaceRootVolume];

fn worlds() -> impl Iterator<Item = (Image, Aws, Way_)> {
    let clouds = |image| CLOUDS.iter().map(move |aws| (image, *aws));
    let all = IMAGES.iter().flat_map(move |image| clouds(*image));
    all.flat_map(|(image, aws)| STRATEGIES.iter().map(move |it| (image, aws, *it)))
}

#[test]
fn undisturbed_the_new_one_serves_or_the_old_one_does() {
    for (image, aws, strategy) in worlds() {
        let mut world = World::new(image, aws, strategy);
        let course = run(&mut world, &[], false);
        check(&world, &course);
        let good = image == Image::Serves;
        assert_eq!(course.end, if good { End::Done } else { End::Back }, "{image:?} {aws:?}");
        assert_eq!(world.recorded, 1);
        assert_eq!(course.journal.cause.is_none(), good);
        let times = timeline::times(&course.journal, world.now);
        assert!(times.down > 0.0 && times.down_to.is_some(), "{times:?}");
        assert!(times.spans.iter().any(|span| span.name == "quiet"), "{times:?}");
    }
}

/// Every write and every act is one at which it is killed, before and after.
#[test]
fn killed_at_every_step_and_carried_on_it_ends_well() {
    let mut kills = 0;
    for (image, aws, strategy) in worlds() {
        let steps = run(&mut World::new(image, aws, strategy), &[], false).effects;
        assert!(steps > 12, "{steps}");
        for step in 0..steps {
            let ends = [Fate::KilledBefore, Fate::KilledAfter, Fate::Throttled, Fate::AnswerLost];
            for (fate, back) in ends.into_iter().flat_map(|it| [(it, false), (it, true)]) {
                let mut world = World::new(image, aws, strategy);
                let mut fates = vec![Fate::Fine; step];
                fates.push(fate);
                let course = run(&mut world, &fates, back);
                check(&world, &course);
                kills += 1;
            }
        }
    }
    assert!(kills > 1_000, "{kills}");
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Fine),
        1 => Just(Fate::KilledBefore),
        1 => Just(Fate::KilledAfter),
        1 => Just(Fate::Throttled),
        1 => Just(Fate::AnswerLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// However often it is killed, and whatever AWS does in between.
    #[test]
    fn killed_again_and_again_it_ends_well(
        fates in prop::collection::vec(fate(), 0..60),
        image in prop::sample::select(IMAGES.to_vec()),
        aws in prop::sample::select(CLOUDS.to_vec()),
        strategy in prop::sample::select(STRATEGIES.to_vec()),
        back: bool,
    ) {
        let mut world = World::new(image, aws, strategy);
        let course = run(&mut world, &fates, back);
        check(&world, &course);
    }
}

/// Journals of all forms that were ever written are read for ever.
#[test]
fn journals_of_old_are_read() {
    let first = include_str!("fixtures/journal-1.json");
    let journal: Journal = serde_json::from_str(first).unwrap();
    assert_eq!((journal.form, journal.way, journal.phase), (1, Way::Forward, Phase::Refresh));
    assert_eq!(
        journal.order,
        Order {
            to: Side { version: Some(NEW), ..order(Way_::TerminateFirst).to },
            ..order(Way_::TerminateFirst)
        }
    );
    assert_eq!(journal.forward.id.as_deref(), Some("refresh-0"));
    assert_eq!(journal::parameter("ci"), way_back::parameter("ci"));
    let least = include_str!("fixtures/journal-least.json");
    let journal: Journal = serde_json::from_str(least).unwrap();
    assert_eq!((journal.phase, journal.stopped, journal.cause), (Phase::Begun, false, None));
}

/// Parameter Store takes no more than 4 KiB.
#[test]
fn a_journal_with_much_to_tell_is_short_enough() {
    let mut world = World::new(Image::NeverReady, Aws::CannotRollBack, Way_::ReplaceRootVolume);
    let mut journal = run(&mut world, &[], false).journal;
    let long = "ü".repeat(900);
    (journal.cause, journal.stuck, journal.proof) =
        (Some(long.clone()), Some(long.clone()), Some(long));
    journal.hosts = vec!["i-0123456789abcdef0".to_owned(); 10];
    let text = journal.text();
    assert!(text.len() <= 4096, "{} bytes", text.len());
    let read: Journal = serde_json::from_str(&text).unwrap();
    assert_eq!((read.order, read.phase, read.back), (journal.order, journal.phase, journal.back));
    assert!(format!("{:?}", Scribe::new("ci", 0)).contains("writer"));
}
