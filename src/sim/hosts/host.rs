//! One scripted host, without I/O: it is shown how it stands and says what it does.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::script::{Agents, Does, Part, Role, seconds};
use super::standing;
use crate::sim::conditions::Conditions;
use crate::sim::instance::State;

/// So often it says to a hook that it is still at work, in AWS's time.
const BEAT: Duration = Duration::from_secs(20);

/// Where a host is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It boots.
    Booting,
    /// It wants the home.
    Waiting,
    /// Its boot does not come further.
    Stuck,
    /// It does what it is for.
    Serving,
    /// It goes, and waits for what runs on it.
    Draining,
    /// It has gone as far as it can by itself.
    Drained,
    /// Its machine is off.
    Gone,
}

/// What a host sees of itself.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The account's clock.
    pub now: Instant,
    /// The world's.
    pub world: Timestamp,
    /// How fast time goes.
    pub conditions: Conditions,
    /// What EC2 says of it.
    pub state: State,
    /// Since when it runs.
    pub running: Option<Instant>,
    /// Where its group has it, in AWS's words.
    pub lifecycle: String,
    /// The hooks that wait for it.
    pub hooks: Vec<String>,
    /// What the tag `hostkit:drain` says.
    pub tag: Option<String>,
    /// How many tasks run on it.
    pub tasks: usize,
    /// The scripted agents of the account, where there are any.
    pub agents: Option<Agents>,
}

impl Sight {
    fn takes(&self, on_aws: Duration) -> Duration {
        self.conditions.takes(on_aws)
    }

    /// Whether it has run for so long.
    fn is_up_for(&self, on_aws: Duration) -> bool {
        let time = self.takes(on_aws);
        self.running.is_some_and(|since| self.now.saturating_duration_since(since) >= time)
    }

    /// Whether its group lets it go, and waits for it.
    fn leaves(&self) -> bool {
        self.lifecycle.ends_with("Terminating:Wait")
    }
}

/// What a host does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It wants the home.
    Claim,
    /// It gives the home back.
    Release,
    /// It is still at work, it tells a hook.
    Beat(String),
    /// A hook gets its answer: whether the instance goes on.
    Complete(String, bool),
    /// It registers in its cluster, with its tasks, if it has not.
    Register,
    /// It drains in its cluster.
    DrainTasks,
    /// It says how it stands, in Parameter Store.
    Tell(String),
    /// Somebody terminates it.
    Die,
}

/// A place where builds run one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    takes: Duration,
    ends: Option<Instant>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its instance: `i-…`
    pub instance: String,
    /// Its region.
    pub region: String,
    /// Its group.
    pub group: String,
    /// Its image.
    pub image: String,
    /// What it does.
    pub part: Part,
    /// The file system of its home.
    pub file_system: String,
    /// Where it is.
    pub stage: Stage,
    /// The generation under which it holds the home.
    pub generation: Option<u64>,
    /// The builds and tasks that were lost because it went.
    pub lost: u32,
    /// The builds that have ended on it.
    pub finished: u32,
    refused: bool,
    slots: Vec<Slot>,
    quiet: bool,
    since: Option<Instant>,
    beaten: Option<Instant>,
    told: Option<standing::Told>,
}

impl Host {
    /// One that was just launched.
    pub fn new(instance: &str, group: &str, region: &str, image: &str, part: Part) -> Self {
        Self {
            instance: instance.to_owned(),
            region: region.to_owned(),
            group: group.to_owned(),
            image: image.to_owned(),
            file_system: String::new(),
            part,
            stage: Stage::Booting,
            generation: None,
            lost: 0,
            finished: 0,
            refused: false,
            slots: Vec::new(),
            quiet: false,
            since: None,
            beaten: None,
            told: None,
        }
    }

    /// How many builds run on it.
    pub fn builds(&self) -> u32 {
        let running = self.slots.iter().filter(|slot| slot.ends.is_some()).count();
        u32::try_from(running).unwrap_or(u32::MAX)
    }

    /// Whether it begins no builds.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether its port answers at all.
    pub const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Stuck | Stage::Serving | Stage::Draining)
    }

    /// It got the home.
    pub fn took(&mut self, sight: &Sight, generation: u64) {
        self.generation = Some(generation);
        match self.part.does {
            Does::NeverReady | Does::NeverHealthy => self.stage = Stage::Stuck,
            _ => self.serve(sight),
        }
    }

    /// It got the home, and must not serve it: its boot fails.
    pub fn refused(&mut self, generation: u64) {
        self.generation = Some(generation);
        self.refused = true;
        self.stage = Stage::Stuck;
    }

    fn serve(&mut self, sight: &Sight) {
        self.stage = Stage::Serving;
        let slot = |count: &f64| Slot { takes: sight.takes(seconds(*count)), ends: None };
        self.slots = self.part.builds.iter().map(slot).collect();
        self.slots.iter_mut().for_each(|slot| slot.ends = Some(sight.now + slot.takes));
    }

    /// What it does next.
    pub fn step(&mut self, sight: &Sight) -> Vec<Act> {
        match sight.state {
            State::Pending => Vec::new(),
            State::Running => {
                if self.stage == Stage::Gone {
                    // It was stopped, and is started again.
                    self.stage = Stage::Booting;
                }
                self.run(sight)
            }
            State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped => {
                self.lose(sight.tasks);
                self.stage = Stage::Gone;
                Vec::new()
            }
        }
    }

    fn run(&mut self, sight: &Sight) -> Vec<Act> {
        self.build(sight);
        let leaves = sight.leaves() && !matches!(self.stage, Stage::Draining | Stage::Drained);
        if leaves {
            self.leave(sight);
        }
        let mut acts = match self.stage {
            Stage::Booting => self.boot(sight),
            Stage::Waiting => vec![Act::Claim],
            Stage::Stuck => self.give_up(sight),
            Stage::Serving => self.be_of_use(sight),
            Stage::Draining => self.drain(sight),
            Stage::Drained => complete(sight, true),
            Stage::Gone => Vec::new(),
        };
        if self.part.does == Does::Dies && sight.is_up_for(seconds(self.part.dies_after)) {
            acts.push(Act::Die);
        }
        acts.extend(self.tell(sight).map(Act::Tell));
        acts
    }

    /// Builds end, and others begin.
    fn build(&mut self, sight: &Sight) {
        let begins = self.part.keeps_building && self.stage == Stage::Serving && !self.quiet;
        for slot in &mut self.slots {
            if slot.ends.is_some_and(|at| at <= sight.now) {
                slot.ends = None;
                self.finished += 1;
            }
            if begins && slot.ends.is_none() {
                slot.ends = Some(sight.now + slot.takes);
            }
        }
    }

    fn boot(&mut self, sight: &Sight) -> Vec<Act> {
        if !sight.is_up_for(self.part.boots_for()) {
            return self.beat(sight);
        }
        match (self.part.role, self.part.does) {
            (_, Does::HookAbandon) => {
                self.stage = Stage::Stuck;
                complete(sight, false)
            }
            (Role::Controller, _) => {
                self.stage = Stage::Waiting;
                vec![Act::Claim]
            }
            (Role::Agent | Role::Ecs, Does::NeverReady | Does::NeverHealthy) => {
                self.stage = Stage::Stuck;
                Vec::new()
            }
            (Role::Agent | Role::Ecs, _) => {
                self.serve(sight);
                Vec::new()
            }
        }
    }

    /// It cannot come further, and nobody hears of it until it gives up.
    fn give_up(&self, sight: &Sight) -> Vec<Act> {
        match (self.part.does, self.part.gives_up_after) {
            (Does::HookAbandon, _) => complete(sight, false),
            _ if self.refused => complete(sight, false),
            (_, Some(after)) if sight.is_up_for(seconds(after)) => complete(sight, false),
            _ => Vec::new(),
        }
    }

    fn be_of_use(&mut self, sight: &Sight) -> Vec<Act> {
        self.quiet = sight.tag.as_deref() == Some("quiet");
        let mut acts = complete(sight, true);
        if self.part.role == Role::Ecs {
            acts.push(Act::Register);
        }
        acts
    }

    /// Its group lets it go. What does not serve has nothing to wait for.
    fn leave(&mut self, sight: &Sight) {
        self.stage = Stage::Draining;
        self.since = Some(sight.now);
        self.quiet = true;
    }

    fn drain(&mut self, sight: &Sight) -> Vec<Act> {
        let late = self.since.is_some_and(|since| {
            sight.now.saturating_duration_since(since) >= sight.takes(seconds(self.part.patience))
        });
        let busy = self.builds() > 0 || sight.tasks > 0;
        if busy && !late {
            let mut acts = self.beat(sight);
            if self.part.role == Role::Ecs {
                acts.push(Act::DrainTasks);
            }
            return acts;
        }
        self.lose(sight.tasks);
        self.stage = Stage::Drained;
        // The hook hears of it only once the home is released and everybody may know.
        let held = self.part.role == Role::Controller && self.generation.is_some();
        if held { vec![Act::Release] } else { Vec::new() }
    }

    /// What still runs on it is lost.
    fn lose(&mut self, tasks: usize) {
        if matches!(self.stage, Stage::Gone | Stage::Drained) {
            return;
        }
        self.lost += self.builds() + u32::try_from(tasks).unwrap_or(u32::MAX);
        self.slots.clear();
    }

    fn beat(&mut self, sight: &Sight) -> Vec<Act> {
        let apart = sight.takes(BEAT);
        if self.beaten.is_some_and(|at| sight.now.saturating_duration_since(at) < apart) {
            return Vec::new();
        }
        self.beaten = Some(sight.now);
        sight.hooks.iter().cloned().map(Act::Beat).collect()
    }

    /// How it stands, where that is news. Only controllers tell, and only once they served.
    fn tell(&mut self, sight: &Sight) -> Option<String> {
        let state = match self.stage {
            Stage::Serving if self.quiet => "quiet",
            Stage::Serving => "serving",
            Stage::Draining => "draining",
            Stage::Drained => "drained",
            Stage::Booting | Stage::Waiting | Stage::Stuck | Stage::Gone => return None,
        };
        if self.part.role != Role::Controller {
            return None;
        }
        let agents = self.part.agents.or(sight.agents);
        let told = standing::Told { state, builds: self.builds(), agents };
        if self.told == Some(told) {
            return None;
        }
        self.told = Some(told);
        Some(standing::text(self, told, sight.world))
    }
}

fn complete(sight: &Sight, go_on: bool) -> Vec<Act> {
    sight.hooks.iter().map(|hook| Act::Complete(hook.clone(), go_on)).collect()
}
