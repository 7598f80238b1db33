//! A group in a few lines: its hosts, its refreshes, its guard and Parameter Store, as far as a rollout
//! sees them and changes them.

use jiff::{SignedDuration, Timestamp};

use crate::aws::Failure;
use crate::aws::asg::refresh::{BUSY, IRREVERSIBLE, NONE, Refresh, Status};
use crate::aws::asg::{Crew, Host};
use crate::aws::elb::Health;
use crate::fleet::rollout::journal::Journal;
use crate::fleet::rollout::next::Act;
use crate::fleet::rollout::proof::{Before, Target};
use crate::fleet::rollout::seen::Seen;
use crate::fleet::rollout::{Builds, Crowd, Order, Phase, Side, Strategy as Way_, Way};
use crate::group::standing::{Proof, Standing, State};
use crate::group::way_back::{Permission, permission};
use crate::host::Role;

pub(super) const OLD: i64 = 7;
pub(in crate::fleet::rollout) const NEW: i64 = 8;

/// What the new image does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    Serves,
    /// It comes up, has the home, and its group never finds it healthy.
    NeverHealthy,
    NeverReady,
    WrongVersion,
    /// It serves, is proven, and is not well any more soon after.
    Falters,
}

/// What AWS does with a refresh that does not come to an end, and with those who want it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aws {
    RollsBackWhenAsked,
    RollsBackByItself,
    CannotRollBack,
}

/// What becomes of something that is done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
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
pub(in crate::fleet::rollout) struct World {
    pub(in crate::fleet::rollout) now: Timestamp,
    pub(super) image: Image,
    pub(super) aws: Aws,
    pub(super) made: Vec<i64>,
    pub(super) launches: i64,
    pub(in crate::fleet::rollout) hosts: Vec<Host>,
    pub(super) standing: Option<Standing>,
    pub(super) refreshes: Vec<Refresh>,
    pub(super) age: u32,
    pub(super) next_host: u32,
    pub(super) suspended: Vec<String>,
    /// The host that was told something, and what.
    pub(super) tag: Option<(String, String)>,
    pub(super) default: i64,
    pub(super) pointed: bool,
    pub(super) recorded: u32,
    pub(super) locked: bool,
    pub(in crate::fleet::rollout) journal: Option<Journal>,
    pub(super) builds: u32,
    /// Whether the newer Jenkins was the last to serve the home.
    pub(super) home_is_newer: bool,
    /// When the newer one took it over.
    pub(super) taken_over: Timestamp,
    /// So long AWS waits until a host that serves counts, and so long one has served, in ticks.
    pub(super) warmup: u32,
    pub(super) warm: u32,
    /// So many ticks nobody sees a refresh that was begun, and nothing comes of it.
    pub(super) shown_after: u32,
    /// So many ticks the new one has served, with nothing under way.
    pub(super) served: u32,
}

pub(super) fn order(strategy: Way_) -> Order {
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
        region: String::new(),
        role: Role::Controller,
        from: side("ami-a", "2.1", Some(OLD)),
        to: side("ami-b", "2.2", None),
        strategy,
        builds: Builds::Wait,
        builds_patience: 600,
        patience: 600,
        rollback: false,
        restores_home: false,
        soak: 0,
        alarms: Vec::new(),
        home: None,
        crowd: Crowd::default(),
    }
}

impl World {
    pub(super) fn new(image: Image, aws: Aws, strategy: Way_) -> Self {
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
            taken_over: Timestamp::UNIX_EPOCH,
            warmup: 0,
            warm: 0,
            shown_after: 0,
            served: 0,
        };
        world.launch(OLD);
        world.serve();
        let mut order = order(strategy);
        if image == Image::Falters {
            order.soak = 60;
        }
        world.journal = Some(Journal::new("r-1", order, world.now));
        world
    }

    /// One in which the old image serves and is to be proven: the way there ended before anything was
    /// replaced.
    pub(in crate::fleet::rollout) fn of_the_old_one() -> Self {
        let mut world = Self::new(Image::Serves, Aws::RollsBackWhenAsked, Way_::TerminateFirst);
        if let Some(journal) = &mut world.journal {
            journal.before = Before::of(Some("i-1"), world.standing.as_ref());
            (journal.way, journal.phase) = (Way::Back, Phase::Proof);
            journal.failed_in = Some(Phase::Quiet);
        }
        world
    }

    /// One in which the new image serves, as is to be proven now.
    pub(in crate::fleet::rollout) fn of_the_new_one() -> Self {
        let strategy = Way_::TerminateFirst;
        let mut world = Self::new(Image::Serves, Aws::RollsBackWhenAsked, strategy);
        let mut order = order(strategy);
        order.to.version = Some(NEW);
        world.hosts.clear();
        (world.made, world.launches) = (vec![NEW], NEW);
        world.launch(NEW);
        world.serve();
        let mut journal = Journal::new("r-1", order, world.now);
        journal.phase = Phase::Proof;
        world.journal = Some(journal);
        world
    }

    pub(super) fn launch(&mut self, version: i64) {
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
    pub(super) fn serve(&mut self) {
        let Some(host) = self.hosts.last_mut() else { return };
        let is_new = host.version == Some(NEW);
        if is_new && self.image == Image::NeverReady {
            return;
        }
        if !is_new && self.home_is_newer {
            // Its boot refuses the home, until the journal, or AWS itself, has it put back.
            if !self.puts_back() {
                return;
            }
        }
        if is_new && !self.home_is_newer {
            self.taken_over = self.now;
        }
        self.home_is_newer = is_new;
        if is_new && self.image == Image::NeverHealthy {
            return;
        }
        let Some(host) = self.hosts.last_mut() else { return };
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

    /// Whether a host of the old image has the home put back that a newer one has served.
    fn puts_back(&self) -> bool {
        let journal = self.journal.as_ref().map(Journal::text);
        match permission(journal.as_deref(), "ami-a", "ami-b") {
            Ok(Permission::Given(_)) => true,
            Ok(Permission::OfRefresh(begun)) => {
                begun.taken_back(&self.refreshes, self.taken_over).is_ok()
            }
            Err(_) => false,
        }
    }

    pub(super) fn say(
        &mut self,
        id: &str,
        state: State,
        builds: Option<u32>,
        proof: Option<Proof>,
    ) {
        self.standing = Some(Standing {
            version: 1,
            instance: id.to_owned(),
            state,
            builds,
            since: self.now,
            why: None,
            cannot: None,
            again: None,
            proof,
        });
    }

    pub(super) fn active(&mut self) -> Option<&mut Refresh> {
        self.refreshes.iter_mut().find(|refresh| refresh.status.is_active())
    }

    /// Ten seconds pass.
    pub(super) fn tick(&mut self) {
        self.now += SignedDuration::from_secs(10);
        self.obey();
        self.falter();
        let Some(active) = self.active() else { return };
        let wanted = match active.status {
            Status::RollbackInProgress => self.launches,
            _ => active.version.unwrap(),
        };
        self.age += 1;
        if self.age <= self.shown_after {
            return;
        }
        self.replace(wanted);
        let age = self.age;
        let (by_itself, launches) = (self.aws == Aws::RollsBackByItself, self.launches);
        let serves = self.hosts.len() == 1
            && self.hosts[0].version == Some(wanted)
            && self.hosts[0].is_in_service();
        self.warm = if serves { self.warm + 1 } else { 0 };
        let done = serves && self.warm > self.warmup;
        let Some(active) = self.active() else { return };
        match active.status {
            Status::RollbackInProgress if done => active.status = Status::RollbackSuccessful,
            Status::RollbackInProgress => {}
            _ if done => {
                active.status = Status::Successful;
                self.launches = wanted;
            }
            _ if by_itself && !serves && age > 12 && wanted != launches => {
                active.status = Status::RollbackInProgress;
                active.rollback = Some("hosts did not become healthy".to_owned());
                self.age = 0;
            }
            _ => active.status = Status::InProgress,
        }
    }

    /// One that falters is unhealthy from the third tick on.
    fn falter(&mut self) {
        if self.image != Image::Falters || self.active().is_some() {
            return;
        }
        if let Some(host) = self.hosts.iter_mut().find(|host| host.version == Some(NEW)) {
            self.served += 1;
            host.healthy = self.served < 3;
        }
    }

    /// What the guard does.
    pub(super) fn obey(&mut self) {
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
    pub(super) fn replace(&mut self, wanted: i64) {
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

    pub(in crate::fleet::rollout) fn seen(&self) -> Seen {
        let is_shown = |it: &&Refresh| it.status != Status::Pending || self.age >= self.shown_after;
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
            refreshes: self.refreshes.iter().filter(is_shown).cloned().collect(),
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
    pub(super) fn perform(
        &mut self,
        journal: &Journal,
        act: &Act,
    ) -> Result<Option<Journal>, Failure> {
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
                self.refreshes
                    .insert(0, Refresh { started: Some(self.now), ..begun(&id, version) });
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

pub(super) fn begun(id: &str, version: i64) -> Refresh {
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

pub(super) fn refused(status: u16, code: &str) -> Failure {
    Failure::Refused {
        call: "autoscaling:Something",
        status,
        code: code.to_owned(),
        message: String::new(),
        ahead: None,
    }
}
