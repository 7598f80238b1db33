//! The guard's loop: looks, concludes what is wanted, and does it.
//!
//! What is said is said beside the loop: [`words`] answers in Parameter Store, [`errands`] are what
//! AWS hears, [`show`] is what this machine does. [`quieten`] has Jenkins begin no builds.

mod errands;
mod quieten;
mod show;
mod words;

use std::fs::File;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use nix::fcntl::Flock;
use tokio::task::JoinHandle;

use super::answer::Teller;
use super::envoy::Answer;
use super::going::{Going, Step, left};
use super::health::{Health, Part};
use super::notes::Begun;
use super::post::Watched;
use super::senses::{ATTENTIVE, Eyes, SENSES, Sense, TICK};
use super::wish::{Reason, Tag, Wish, wish};
use crate::aws::imds::Imds;
use crate::event::Milestone;
use crate::group::standing::Boot;
use crate::host::Role;
use errands::About;

/// The name of what it says.
pub(super) const STEP: &str = "guard";

/// So often a host looks whether its boot has ended, in seconds: somebody waits for that.
const BOOTS: f64 = 1.0;
/// So long after that Jenkins is looked at more often: its agents come back.
const FRESH: f64 = 180.0;
/// So often then, in seconds.
const AGENTS: f64 = 4.0;
/// So often while its builds are waited for.
const BUILDS: f64 = 2.0;

/// The guard of a host.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) host: Watched,
    eyes: Eyes,
    /// When each sense is due.
    due: Vec<(Sense, f64, f64)>,
    health: Health,
    going: Option<Going>,
    /// Nobody else drains this host while this is held.
    alone: Option<Flock<File>>,
    ready: bool,
    /// Since when, on the guard's clock.
    ready_since: f64,
    /// Whether this host has held the home since the guard is at work.
    held: bool,
    /// How the boot went.
    boot: Option<Boot>,
    /// Why Jenkins cannot be made quiet, while it is to be.
    cannot: Option<String>,
    /// When the report of the boot was written that was read last.
    report: Option<SystemTime>,
    teller: Teller,
    /// When the numbers are written again, if nothing happens before.
    metrics_due: f64,
    group: Option<String>,
    errand: Option<(About, JoinHandle<Answer>)>,
    /// When it is looked again whether Jenkins is quiet.
    quiet_again: f64,
    /// The host has left by itself, and its group does not know yet.
    unwanted: bool,
    /// Lines that are said once, while they are true.
    said: Vec<String>,
}

impl Watch {
    pub(super) fn new(host: Watched, metadata: Imds) -> Self {
        let due = SENSES.iter().map(|(sense, every)| (*sense, *every, 0.0)).collect();
        let eyes = Eyes::new(&host, metadata);
        Self {
            host,
            eyes,
            due,
            health: Health::default(),
            going: None,
            alone: None,
            ready: false,
            ready_since: 0.0,
            held: false,
            boot: None,
            cannot: None,
            report: None,
            teller: Teller::default(),
            metrics_due: 0.0,
            group: None,
            errand: None,
            quiet_again: 0.0,
            unwanted: false,
            said: Vec::new(),
        }
    }

    /// Looks once at what is due, and does what follows. Returns after how long to come again.
    pub(super) async fn round(&mut self) -> Duration {
        let now = self.host.post.clock();
        self.read_report(now);
        self.look(now).await;
        let pause = self.obey().await;
        self.answer(now).await;
        self.report(now);
        self.tell();
        self.write_metrics(now);
        // What a host says first that has booted is waited for.
        let pause = if self.ready { pause } else { pause.min(BOOTS) };
        self.host.post.seconds(pause)
    }

    fn read_report(&mut self, now: f64) {
        let path = self.host.post.path("run/hostkit/report.json");
        let written = path.metadata().and_then(|meta| meta.modified()).ok();
        if written == self.report {
            return;
        }
        self.report = written;
        let was_ready = std::mem::replace(&mut self.ready, self.host.is_ready());
        if self.ready && !was_ready {
            self.ready_since = now;
            self.boot = self.host.boot().as_ref().and_then(words::boot);
        }
    }

    /// Whether a drain is under way.
    pub(super) const fn is_draining(&self) -> bool {
        self.going.is_some()
    }

    /// After how long it is looked again with a sense by which somebody waits for something.
    fn sooner(&self, now: f64, sense: Sense) -> Option<f64> {
        let quiet = self.host.notes.quiet_since().is_some();
        match sense {
            Sense::TargetState | Sense::Tag if quiet => Some(ATTENTIVE),
            Sense::Service if quiet => Some(BUILDS),
            Sense::Service if now < self.ready_since + FRESH => Some(AGENTS),
            _ => None,
        }
    }

    async fn look(&mut self, now: f64) {
        for index in 0..self.due.len() {
            let (sense, every, due) = self.due[index];
            // While the host goes, only what hurries it counts.
            let counts = self.going.is_none()
                || matches!(sense, Sense::TargetState | Sense::Interruption | Sense::Tag);
            if now < due || !counts || (!self.ready && sense == Sense::Service) {
                continue;
            }
            self.due[index].2 = now + self.sooner(now, sense).unwrap_or(every);
            for (part, problem) in self.eyes.look(&self.host, sense).await {
                // Before the boot is done nothing is as it should be.
                let counts = self.ready || matches!(part, Part::Metadata | Part::Maintenance);
                let problem = problem.filter(|_| counts);
                let milestone =
                    if problem.is_some() { Milestone::Trouble } else { Milestone::TroubleOver };
                if let Some(line) = self.health.find(now, part, problem) {
                    self.host.events.milestone(STEP, milestone, line);
                }
            }
        }
    }

    /// Does what is wanted. Returns the seconds until the next round.
    async fn obey(&mut self) -> f64 {
        self.come_back();
        let begun = self.host.notes.begun();
        let under_way = begun.as_ref().filter(|begun| !begun.ended).map(|begun| begun.reason);
        let wanted = wish(&self.eyes.signs, under_way, self.host.config.drain.on_rebalance);
        if let Some(Tag::Unknown(text)) = &self.eyes.signs.tag {
            let line = format!(
                "the tag hostkit:drain says `{text}`: only quiet and cancel mean something"
            );
            self.say_once(line);
        }
        match wanted {
            Wish::Drain(reason) => self.drain(reason, begun).await,
            Wish::Quiet => {
                self.take_back(under_way);
                self.quiet(true).await;
                ATTENTIVE
            }
            Wish::Serve => {
                self.take_back(under_way);
                self.quiet(false).await;
                TICK
            }
        }
    }

    async fn drain(&mut self, reason: Reason, begun: Option<Begun>) -> f64 {
        let done = begun.as_ref().is_some_and(|it| it.ended && it.reason == reason);
        if done {
            return TICK;
        }
        if self.alone.is_none() {
            match self.host.notes.alone() {
                Ok(Some(alone)) => self.alone = Some(alone),
                Ok(None) => {
                    self.say_once("somebody drains this host by hand: it is waited for".to_owned());
                    return 1.0;
                }
                Err(error) => self.say_once(format!("the lock of a drain: {error}")),
            }
        }
        let begun = self.begin(reason, begun);
        match &mut self.going {
            Some(going) if going.begun.reason == reason => {}
            Some(going) => {
                self.host.events.log(STEP, format!("less time is left: {}", reason.why()));
                going.hurry(&self.host, begun);
            }
            None => {
                let line = format!("this host goes, because {}", reason.why());
                self.host.events.milestone(STEP, Milestone::DrainStarted, line);
                self.going = Some(Going::new(&self.host, begun));
            }
        }
        self.step().await
    }

    /// What was begun, or begins now.
    fn begin(&self, reason: Reason, begun: Option<Begun>) -> Begun {
        if let Some(begun) = begun.filter(|begun| !begun.ended && begun.reason == reason) {
            return begun;
        }
        let clock = self.host.post.clock();
        let gone = self.eyes.signs.interruption.as_ref().filter(|_| reason == Reason::Spot);
        let gone = gone.map(|it| clock + left(it, Timestamp::now()));
        match self.host.notes.begin(reason, clock, gone) {
            Ok(begun) => begun,
            Err(error) => {
                let line = format!("that a drain begins could not be written down: {error}");
                self.host.events.log(STEP, line);
                self.host.notes.beginning(reason, clock, gone)
            }
        }
    }

    async fn step(&mut self) -> f64 {
        let Some(going) = &mut self.going else { return TICK };
        match going.step(&self.host).await {
            Step::Goes(pause) => pause,
            Step::Stuck => 5.0,
            Step::Ended => {
                self.end();
                TICK
            }
        }
    }

    /// The drain has come to its end.
    fn end(&mut self) {
        let Some(going) = self.going.take() else { return };
        self.alone = None;
        let failed: Vec<_> = going.failed().iter().map(|stage| stage.name()).collect();
        let line = if failed.is_empty() {
            "this host is drained".to_owned()
        } else {
            format!("this host is drained; what was given up: {}", failed.join(", "))
        };
        self.host.events.milestone(STEP, Milestone::DrainEnded, line);
        let mut begun = going.begun;
        begun.ended = true;
        if let Err(error) = self.host.notes.keep(&begun) {
            self.host.events.log(STEP, format!("that could not be written down: {error}"));
        }
        // Nobody else replaces a host that has left by itself.
        self.unwanted = begun.reason == Reason::Rebalance;
    }

    /// A drain that is not wanted any more is taken back.
    fn take_back(&mut self, under_way: Option<Reason>) {
        if under_way.is_none() && self.going.is_none() {
            return;
        }
        let too_late = self.going.as_ref().is_some_and(Going::is_past_stop);
        self.going = None;
        self.alone = None;
        if let Err(error) = self.host.notes.take_back() {
            self.host.events.log(STEP, format!("the drain could not be taken back: {error}"));
        }
        let line = if too_late {
            "the drain is taken back, too late: `systemctl restart hostkit-boot` has this host serve again"
        } else {
            "the drain is taken back"
        };
        self.host.events.log(STEP, line);
        // What the drain made quiet begins builds again.
        match self.host.role {
            Role::Controller | Role::Ecs => _ = self.host.notes.quiet(true),
            Role::Agent => {}
        }
    }

    /// A boot after a drain begins anew.
    fn come_back(&self) {
        let Some(begun) = self.host.notes.begun().filter(|it| it.ended && !it.reason.is_final())
        else {
            return;
        };
        let started = self.host.boot().and_then(|report| {
            report["started"].as_str().and_then(|text| text.parse::<Timestamp>().ok())
        });
        if self.ready && started.is_some_and(|started| started > begun.at) {
            let _ = self.host.notes.take_back();
            self.host.events.log(STEP, "this host was booted again and serves");
        }
    }

    fn say_once(&mut self, line: String) {
        if !self.said.contains(&line) {
            self.host.events.log(STEP, &line);
            // Whatever is said so often is not news any more; and nothing grows for ever.
            if self.said.len() >= 32 {
                self.said.clear();
            }
            self.said.push(line);
        }
    }
}
