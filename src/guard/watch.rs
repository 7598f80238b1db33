//! The guard's loop: looks, concludes what is wanted, and does it.

use std::fs::File;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use nix::fcntl::Flock;
use tokio::task::JoinHandle;

use super::answer::Teller;
use super::envoy::{self, Answer, Errand};
use super::going::{Going, Step, left};
use super::health::{Health, Part};
use super::jenkins;
use super::notes::Begun;
use super::post::Watched;
use super::senses::{Eyes, SENSES, Sense, TICK};
use super::wish::{Reason, Tag, Wish, wish};
use super::world;
use crate::aws::imds::Imds;
use crate::event::Milestone;
use crate::group::standing::{Standing, State, parameter};
use crate::host::{HOME, Role};
use crate::secret;
use crate::sys::{atomic, notify};

/// The name of what it says.
pub(super) const STEP: &str = "guard";

/// So often it is looked whether Jenkins is still quiet, in seconds.
const QUIET_AGAIN: f64 = 16.0;

/// What is said to AWS beside the loop, and about what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Answer,
    Unhealthy,
    Group,
    Tasks,
}

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
    /// When the report of the boot was written that was read last.
    report: Option<SystemTime>,
    teller: Teller,
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
            report: None,
            teller: Teller::default(),
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
        self.read_report();
        self.look(now).await;
        let pause = self.obey().await;
        self.answer(now).await;
        self.report(now);
        self.tell();
        self.write_metrics();
        self.host.post.seconds(pause)
    }

    fn read_report(&mut self) {
        let path = self.host.post.path("run/hostkit/report.json");
        let written = path.metadata().and_then(|meta| meta.modified()).ok();
        if written != self.report {
            self.report = written;
            self.ready = self.host.is_ready();
        }
    }

    /// Whether a drain is under way.
    pub(super) const fn is_draining(&self) -> bool {
        self.going.is_some()
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
            self.due[index].2 = now + every;
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
                TICK
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

    /// Has what the host is for begin nothing new, or begin again, where that is not so.
    async fn quiet(&mut self, wanted: bool) {
        match self.host.role {
            Role::Controller if self.ready => self.quiet_jenkins(wanted).await,
            // Written down: the next guard has to take it back.
            Role::Ecs if self.ready && self.host.notes.quiet_since().is_some() != wanted => {
                let Some(cluster) = self.host.config.ecs.cluster.clone() else { return };
                let errand =
                    if wanted { Errand::Move { cluster } } else { Errand::Stay { cluster } };
                if self.errand(About::Tasks, errand)
                    && let Err(error) = self.host.notes.quiet(wanted)
                {
                    self.say_once(format!("that could not be written down: {error}"));
                }
            }
            Role::Agent if wanted => {
                self.say_once(
                    "the tag hostkit:drain: its controller takes this agent offline".to_owned(),
                );
            }
            _ => {}
        }
    }

    async fn quiet_jenkins(&mut self, wanted: bool) {
        let (since, now) = (self.host.notes.quiet_since(), self.host.post.clock());
        // A Jenkins that was restarted meanwhile has forgotten it, which is looked for now and then.
        let is_so = wanted == since.is_some();
        if is_so && (!wanted || now < self.quiet_again) {
            return;
        }
        self.quiet_again = now + QUIET_AGAIN;
        let done = match jenkins::quiet(&self.host).await {
            Ok(quiet) if quiet.is_quiet == wanted => Ok(()),
            Ok(_) if wanted => jenkins::quiet_down(&self.host).await,
            Ok(_) => jenkins::cancel(&self.host).await,
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = done {
            self.say_once(trouble.to_string());
            return;
        }
        if let Err(error) = self.host.notes.quiet(wanted) {
            self.say_once(format!("that could not be written down: {error}"));
        }
        if wanted && since.is_none() {
            self.host.events.log(STEP, "Jenkins begins no more builds: the tag hostkit:drain");
        } else if !wanted {
            self.host.events.log(STEP, "Jenkins begins builds again");
        }
    }

    fn state(&self) -> State {
        if self.going.is_some() {
            State::Draining
        } else if self.host.notes.begun().is_some_and(|begun| begun.ended) {
            State::Drained
        } else if self.host.notes.quiet_since().is_some() {
            State::Quiet
        } else {
            State::Serving
        }
    }

    /// Answers in Parameter Store where there is news.
    async fn answer(&mut self, now: f64) {
        self.take_errand().await;
        let drains = self.going.is_some() || self.host.notes.begun().is_some();
        if self.host.role != Role::Controller || !(self.ready || drains) || self.errand.is_some() {
            return;
        }
        let Some(group) = self.group.clone() else {
            self.group = self.eyes.group().await;
            if self.group.is_none() && !self.said.iter().any(|line| line == "group") {
                self.said.push("group".to_owned());
                self.errand(About::Group, world::place_errand(&self.host));
            }
            return;
        };
        let state = self.state();
        let why = match (&self.going, state) {
            (Some(going), _) => Some(going.begun.reason.why().to_owned()),
            (None, State::Quiet) => Some("the tag hostkit:drain".to_owned()),
            (None, _) => Some(self.health.say()).filter(|problems| !problems.is_empty()),
        };
        let builds = match &self.going {
            Some(going) => going.learnt.builds.filter(|_| !going.is_past_stop()),
            None => self.eyes.numbers.builds,
        };
        let standing = Standing {
            version: 1,
            cannot: None,
            proof: None,
            instance: self.host.identity.instance_id.clone(),
            state,
            builds: builds.or((state == State::Drained).then_some(0)),
            since: Timestamp::now(),
            why,
        };
        if let Some(standing) = self.teller.next(now, standing) {
            let mut standing = standing;
            standing.why = standing.why.map(|why| secret::redact(&why).into_owned());
            let text = serde_json::to_string(&standing).expect("it has only string keys");
            self.errand(About::Answer, Errand::Report { parameter: parameter(&group), text });
        }
    }

    /// Tells the group where this host does not serve.
    fn report(&mut self, now: f64) {
        if self.unwanted && self.errand.is_none() {
            let why = "EC2 recommended to leave the machine, and the host is drained".to_owned();
            self.errand(About::Unhealthy, Errand::Unhealthy { why, home: None });
            self.unwanted = false;
        }
        let guard = &self.host.config.guard;
        let drains = self.going.is_some() || self.host.notes.begun().is_some();
        if !self.ready || !guard.report_unhealthy || drains || self.errand.is_some() {
            return;
        }
        let after = f64::from(guard.unhealthy_after);
        let Some(why) = self.health.report(now, after) else { return };
        self.host
            .events
            .log(STEP, format!("the group is told that this host does not serve: {why}"));
        let home = self.host.config.efs.id.clone().filter(|_| self.host.role == Role::Controller);
        let home = home.map(|id| (self.host.post.path(HOME), id));
        self.errand(About::Unhealthy, Errand::Unhealthy { why, home });
    }

    /// Says something to AWS beside the loop; false where something else is being said.
    fn errand(&mut self, about: About, errand: Errand) -> bool {
        if self.errand.is_some() {
            return false;
        }
        let (runner, sender) = (self.host.post.runner.clone(), self.host.sender());
        let work = async move { envoy::send(&runner, &sender, errand).await };
        self.errand = Some((about, tokio::spawn(work)));
        true
    }

    /// Hears what came of it.
    async fn take_errand(&mut self) {
        let Some((about, errand)) = self.errand.take_if(|(_, errand)| errand.is_finished()) else {
            return;
        };
        let Ok(answer) = errand.await else { return };
        match (about, answer) {
            (About::Answer, Answer::Done(_)) => {
                if self.teller.arrived(true) {
                    self.host.events.log(STEP, "Parameter Store takes answers again");
                }
            }
            (About::Answer, other) => {
                if self.teller.arrived(false) {
                    let why = world::trouble(other);
                    let line = format!("how this host stands cannot be answered: {why}");
                    self.host.events.log(STEP, line);
                }
            }
            (About::Group, Answer::Place(place)) => self.group = place.group,
            (About::Unhealthy, Answer::TooOften(next)) => {
                let line = format!(
                    "the group is not told: it was, twice within an hour, which did not help; \
                     again at {next}"
                );
                self.host.events.log(STEP, line);
            }
            (_, Answer::Done(_)) => {}
            (_, other) => {
                self.host.events.log(STEP, format!("the group: {}", world::trouble(other)));
            }
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

    /// Tells systemd, in a line.
    fn tell(&self) {
        let problems = self.health.say();
        let line = match (&self.going, self.state()) {
            (Some(going), _) => going.say(),
            (None, State::Drained) => "drained".to_owned(),
            (None, _) if !self.ready => "watching; this host is not ready yet".to_owned(),
            (None, State::Quiet) => "quiet: Jenkins begins no builds".to_owned(),
            (None, _) if problems.is_empty() => "serving".to_owned(),
            (None, _) if self.health.serves() => format!("degraded: {problems}"),
            (None, _) => format!("not serving: {problems}"),
        };
        notify::status(&line);
        notify::watchdog();
    }

    fn write_metrics(&mut self) {
        let path = &self.host.config.guard.metrics;
        if path.is_empty() {
            return;
        }
        let parts = [
            Part::Jenkins,
            Part::EcsAgent,
            Part::Ssh,
            Part::Mount,
            Part::Lease,
            Part::Disk,
            Part::Memory,
            Part::Certificates,
            Part::Metadata,
            Part::Maintenance,
        ];
        let state = Some(self.state());
        let ready = self.ready && self.health.serves() && self.going.is_none();
        let numbers = &mut self.eyes.numbers;
        (numbers.state, numbers.ready) = (state, ready);
        let well = |part: Part| (part.name(), self.health.problem(part).is_none());
        numbers.parts = parts.into_iter().map(well).collect();
        if numbers.boot.is_none() && self.ready {
            numbers.boot = self.host.boot().as_ref().and_then(boot_seconds);
        }
        let path = self.host.post.path(path);
        if let Err(error) = atomic::write(&path, numbers.text().as_bytes(), 0o644) {
            let line = format!(
                "{path} cannot be written: {error}; a path outside of /run/hostkit needs a \
                 ReadWritePaths= for hostkit-guard.service"
            );
            self.say_once(line);
        }
    }
}

/// How long a boot took, by its report.
fn boot_seconds(report: &serde_json::Value) -> Option<f64> {
    let steps = report["report"]["steps"].as_array()?;
    let end = |step: &serde_json::Value| Some(step["at"].as_f64()? + step["took"].as_f64()?);
    steps.iter().filter_map(end).reduce(f64::max)
}
