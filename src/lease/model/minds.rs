//! The product's own state machines, driven by the model: every distinct state of a [`Claimant`] gets
//! a number, and what it does after each observation is asked once and remembered.

use std::collections::HashMap;

use jiff::Timestamp;

use super::setting::{Kind, Setting};
use super::world::{Claim, Machine, Move, name};
use crate::lease::claim::{Action, Claimant, Head, Manner, Observed, Pace};
use crate::lease::keep::{self, Keep};
use crate::lease::record::{Broken, Holder, Launch, Record, State, Task, VERSION};
use crate::lease::word::{Guards, Instance, InstanceState, Word};

/// What a newcomer observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    Head(Option<Claim>),
    Heard(Heard),
    Claimed,
    Taken,
    Claim(Option<Claim>),
    Announced,
    Elapsed,
    Failed,
}

/// What AWS says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Heard {
    /// Of the instance of a host.
    Instance(u8, Fact),
    /// Whether the claim is older than two hours.
    NotFound(bool),
    /// Of the task on a host: whether it is stopped, and what EC2 says of the host.
    Task(u8, bool, Option<Fact>),
    Silent,
    Denied,
}

/// A state of an instance, in one of its starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fact {
    Running(u8),
    Stopping(u8),
    Stopped(u8),
    ShuttingDown,
    Terminated,
}

/// What a holder concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    On,
    PutRight,
    Stop,
}

/// All newcomers that were ever met.
pub(super) struct Minds<'a> {
    setting: &'a Setting,
    guards: Guards,
    claimants: Vec<Claimant>,
    numbers: HashMap<Claimant, u16>,
    moves: HashMap<(u16, Seen), (u16, Move)>,
    verdicts: HashMap<(Claim, Option<Claim>), Verdict>,
}

impl<'a> Minds<'a> {
    pub(super) fn new(setting: &'a Setting, guards: Guards) -> Self {
        Self {
            setting,
            guards,
            claimants: Vec::new(),
            numbers: HashMap::new(),
            moves: HashMap::new(),
            verdicts: HashMap::new(),
        }
    }

    /// How many states of newcomers were met.
    pub(super) fn len(&self) -> usize {
        self.claimants.len()
    }

    fn number(&mut self, claimant: Claimant) -> u16 {
        if let Some(number) = self.numbers.get(&claimant) {
            return *number;
        }
        let number = u16::try_from(self.claimants.len()).expect("a scenario has fewer");
        self.claimants.push(claimant.clone());
        self.numbers.insert(claimant, number);
        number
    }

    /// A process that begins, and its first move.
    pub(super) fn newcomer(&mut self, host: u8, machine: &Machine) -> (u16, Move) {
        let at = usize::from(host);
        let me = self.setting.holder(Claim::held(1, host, machine, self.setting.volume[at]));
        let group = self.setting.group[at].map(str::to_owned);
        let manner = Manner {
            policy: self.setting.policy[at],
            group,
            patience: 1,
            pace: Pace { ask_again: 1, settle: 1 },
        };
        let claimant = Claimant::new(me, manner, machine.mine.map(u64::from)).with(self.guards);
        let first = self.setting.movement(&claimant.first());
        (self.number(claimant), first)
    }

    /// What a newcomer becomes and does after `seen`.
    pub(super) fn next(&mut self, number: u16, seen: Seen) -> (u16, Move) {
        if let Some(known) = self.moves.get(&(number, seen)) {
            return *known;
        }
        let mut claimant = self.claimants[usize::from(number)].clone();
        let action = claimant.next(self.setting.observed(seen));
        let next = (self.number(claimant), self.setting.movement(&action));
        self.moves.insert((number, seen), next);
        next
    }

    /// What the holder of `mine` makes of `head`.
    pub(super) fn keep(&mut self, mine: Claim, head: Option<Claim>) -> Verdict {
        let (setting, guards) = (self.setting, self.guards);
        *self.verdicts.entry((mine, head)).or_insert_with(|| {
            let (me, generation) = (setting.holder(mine), u64::from(mine.generation()));
            match keep::keep(guards, &me, generation, &setting.head(head)) {
                Keep::On | Keep::Wonder(_) => Verdict::On,
                Keep::PutRight(_) => Verdict::PutRight,
                Keep::Stop(_) => Verdict::Stop,
            }
        })
    }

    /// What a holder makes of the claim of the next generation.
    pub(super) fn beyond(&self, claim: Option<Claim>) -> Verdict {
        match keep::beyond(claim.map(|claim| self.setting.record(claim)).as_ref()) {
            Keep::Stop(_) => Verdict::Stop,
            _ => Verdict::PutRight,
        }
    }
}

impl Setting {
    fn region(&self, host: u8) -> &'static str {
        if self.is_abroad[usize::from(host)] { "us-east-1" } else { "eu-west-1" }
    }

    fn holder(&self, claim: Claim) -> Holder {
        let host = claim.host();
        let arn = || format!("arn:aws:ecs:eu-west-1:123456789012:task/c/{}", name(host));
        let (task, is_instance) = match self.kind[usize::from(host)] {
            Kind::Instance => (None, true),
            Kind::TaskOnInstance => (Some(Task { arn: arn(), launch: Launch::Ec2 }), true),
            Kind::Fargate => (Some(Task { arn: arn(), launch: Launch::Fargate }), false),
        };
        Holder {
            fs_id: format!("fs-{}", claim.volume()),
            region: self.region(host).to_owned(),
            account: "123456789012".to_owned(),
            instance_id: is_instance.then(|| format!("i-{}", name(host))),
            task,
            boot_id: format!("boot-{}", claim.boot()),
            launched: Some(launched(claim.launch())),
            ami: None,
            hostkit: None,
            since: None,
        }
    }

    fn record(&self, claim: Claim) -> Record {
        let generation = u64::from(claim.generation());
        let broken = claim.is_broken().then(|| Broken {
            generation: generation - 1,
            reason: "it hangs".to_owned(),
            proof: None,
            evidence: "EC2 could not be asked".to_owned(),
            by: "an operator".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        });
        let state = if claim.is_released() { State::Released } else { State::Held };
        Record { version: VERSION, generation, state, holder: self.holder(claim), broken }
    }

    fn head(&self, claim: Option<Claim>) -> Head {
        claim.map_or(Head::New, |claim| Head::Record(Box::new(self.record(claim))))
    }

    fn observed(&self, seen: Seen) -> Observed {
        match seen {
            Seen::Head(head) => Observed::Head(self.head(head)),
            Seen::Heard(heard) => Observed::Word(self.word(heard)),
            Seen::Claimed => Observed::Claimed,
            Seen::Taken => Observed::Taken,
            Seen::Claim(claim) => Observed::Claim(claim.map(|claim| self.head(Some(claim)))),
            Seen::Announced => Observed::Announced,
            Seen::Elapsed => Observed::Elapsed,
            Seen::Failed => Observed::Failed("no answer in time".to_owned()),
        }
    }

    fn word(&self, heard: Heard) -> Word {
        match heard {
            Heard::Instance(host, fact) => Word::Instance(self.instance(host, fact)),
            Heard::NotFound(is_old) => {
                let hours = if is_old { 3 } else { 0 };
                Word::NotFound { age: Some(std::time::Duration::from_hours(hours)) }
            }
            Heard::Task(host, stopped, fact) => {
                let instance = fact.map(|fact| Word::Instance(self.instance(host, fact)));
                Word::Task { stopped, instance: instance.map(Box::new) }
            }
            Heard::Silent => Word::Silent("no route".to_owned()),
            Heard::Denied => Word::Denied("no permission".to_owned()),
        }
    }

    fn instance(&self, host: u8, fact: Fact) -> Instance {
        let (state, launch) = match fact {
            Fact::Running(launch) => (InstanceState::Running, Some(launch)),
            Fact::Stopping(launch) => (InstanceState::Stopping, Some(launch)),
            Fact::Stopped(launch) => (InstanceState::Stopped, Some(launch)),
            Fact::ShuttingDown => (InstanceState::ShuttingDown, None),
            Fact::Terminated => (InstanceState::Terminated, None),
        };
        let at = usize::from(host);
        Instance {
            state,
            hibernates: self.can_hibernate[at],
            launched: launch.map(launched),
            group: self.group[at].map(str::to_owned),
            lifecycle: Some("InService".to_owned()),
        }
    }

    fn movement(&self, action: &Action) -> Move {
        let small = |generation: &u64| u8::try_from(*generation).expect("a scenario has few");
        match action {
            Action::Look => Move::Look,
            Action::Ask(holder, generation) => Move::Ask(self.host(holder), small(generation)),
            Action::Wait(_) => Move::Wait,
            Action::Refuse(refusal) if refusal.is_final => Move::GiveUp,
            Action::Refuse(_) => Move::Refuse,
            Action::Terminate(holder) => Move::Terminate(self.host(holder)),
            Action::Claim(generation) => Move::Claim(small(generation)),
            Action::ReadClaim(generation) => Move::ReadClaim(small(generation)),
            Action::Announce(generation) => Move::Announce(small(generation)),
            Action::Hold(generation) => Move::Hold(small(generation)),
        }
    }

    #[expect(clippy::unused_self, reason = "one of a family")]
    fn host(&self, holder: &Holder) -> u8 {
        let last = holder.name().bytes().last().expect("a holder has a name");
        last - b'A'
    }
}

/// When EC2 started an instance.
fn launched(launch: u8) -> Timestamp {
    Timestamp::from_second(1_000_000 + 10_000 * i64::from(launch)).expect("in 1970")
}
