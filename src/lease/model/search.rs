//! Breadth first through every state that can be reached, and back from where somebody holds the home.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use super::minds::Minds;
use super::properties::{self, Flags};
use super::setting::Setting;
use super::steps::{Cause, Step, Steps};
use super::world::World;
use crate::lease::word::Guards;

/// What was found.
#[derive(Debug)]
pub(super) struct Exploration {
    pub(super) states: usize,
    pub(super) transitions: usize,
    /// The most steps from the start to any state, by the shortest way.
    pub(super) depth: usize,
    /// How many different states of newcomers took part.
    pub(super) minds: usize,
    pub(super) time: Duration,
    /// The first thing that must not be, and the shortest way to it.
    pub(super) failure: Option<Failure>,
}

/// What must not be, and the shortest way to it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) what: &'static str,
    pub(super) trace: Vec<Step>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.trace {
            writeln!(f, "    {step}")?;
        }
        writeln!(f, "    and so {}", self.what)
    }
}

/// Explores a scenario until something must not be, or to the end.
pub(super) fn explore(setting: &Setting, guards: Guards) -> Exploration {
    explore_for(setting, guards, true)
}

/// The same; a needless stop of Jenkins, which shows first what is wrong, may be overlooked.
pub(super) fn explore_for(setting: &Setting, guards: Guards, minds_needless: bool) -> Exploration {
    let begun = Instant::now();
    let mut minds = Minds::new(setting, guards);
    let mut graph = Graph::default();
    graph.insert(setting.start, 0);
    let (mut found, mut transitions, mut at) = (Vec::new(), 0, 0);
    let mut failure = None;
    while at < graph.worlds.len() && failure.is_none() {
        let world = graph.worlds[at];
        let minds = &mut minds;
        Steps { setting, guards, minds, world, found: &mut found }.collect();
        for (step, next) in found.drain(..) {
            transitions += 1;
            let (to, is_new) = graph.insert(next, at);
            if step.cause == Cause::Progress {
                graph.progress.push((to, number(at)));
            }
            let what = match step.cause {
                Cause::Needless if minds_needless => {
                    Some("a holder stops Jenkins though nobody else may hold")
                }
                _ => is_new.then(|| properties::broken_by(setting, &next)).flatten(),
            };
            if let Some(what) = what.filter(|_| failure.is_none()) {
                failure = Some((what, at, step));
            }
        }
        at += 1;
    }
    let found = failure.map(|(what, from, last)| {
        let mut trace = graph.trace(setting, guards, &mut minds, from);
        trace.push(last);
        Failure { what, trace }
    });
    let failure = found.or_else(|| graph.dead_end(setting, guards, &mut minds));
    Exploration {
        states: graph.worlds.len(),
        transitions,
        depth: graph.way(graph.worlds.len() - 1).len() - 1,
        minds: minds.len(),
        time: begun.elapsed(),
        failure,
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).expect("fewer states than fit into memory")
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("numbers are indices")
}

/// The states that were met, each with the one that it was first reached from.
#[derive(Default)]
struct Graph {
    worlds: Vec<World>,
    parents: Vec<u32>,
    /// Open addressing: one more than the number of the state, or 0.
    slots: Vec<u32>,
    /// To where and from where something goes on without any event.
    progress: Vec<(u32, u32)>,
}

impl Graph {
    /// The number of a state, and whether it is new.
    fn insert(&mut self, world: World, parent: usize) -> (u32, bool) {
        if self.worlds.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let slot = self.slot(&world);
        if self.slots[slot] > 0 {
            return (self.slots[slot] - 1, false);
        }
        self.worlds.push(world);
        self.parents.push(number(parent));
        self.slots[slot] = number(self.worlds.len());
        (self.slots[slot] - 1, true)
    }

    fn slot(&self, world: &World) -> usize {
        let mask = self.slots.len() - 1;
        let mut hash = Mix(0);
        world.hash(&mut hash);
        let mut slot = usize::try_from(hash.finish() >> 24).expect("64 bits") & mask;
        while self.slots[slot] > 0 && self.worlds[index(self.slots[slot] - 1)] != *world {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 4).max(1 << 16)];
        for at in 0..self.worlds.len() {
            let slot = self.slot(&self.worlds[at]);
            self.slots[slot] = number(at + 1);
        }
    }

    /// The states from the start to this one.
    fn way(&self, to: usize) -> Vec<usize> {
        let mut way = vec![to];
        let mut at = to;
        while at != 0 {
            at = index(self.parents[at]);
            way.push(at);
        }
        way.reverse();
        way
    }

    /// The steps from the start to this state.
    fn trace<'a>(
        &self,
        setting: &'a Setting,
        guards: Guards,
        minds: &mut Minds<'a>,
        to: usize,
    ) -> Vec<Step> {
        let way = self.way(to);
        let step = |pair: &[usize]| {
            let mut found = Vec::new();
            let world = self.worlds[pair[0]];
            Steps { setting, guards, minds: &mut *minds, world, found: &mut found }.collect();
            let next = self.worlds[pair[1]];
            let step = found.into_iter().find(|(_, world)| *world == next);
            step.expect("the state was reached from there").0
        };
        way.windows(2).map(step).collect()
    }

    /// The first state from which something that must come does not.
    fn dead_end<'a>(
        &mut self,
        setting: &'a Setting,
        guards: Guards,
        minds: &mut Minds<'a>,
    ) -> Option<Failure> {
        let flags: Vec<Flags> =
            self.worlds.iter().map(|world| properties::flags(setting, world)).collect();
        self.progress.sort_unstable();
        let first = properties::MUST_COME.iter().filter_map(|(what, bit)| {
            let reaches = self.reaching(&flags, *bit);
            let at = (0..flags.len()).find(|at| flags[*at].demands & bit != 0 && !reaches[*at]);
            at.map(|at| (at, *what))
        });
        let (at, what) = first.min()?;
        let trace = self.trace(setting, guards, minds, at);
        Some(Failure { what, trace })
    }

    /// From which states one that satisfies `bit` can be reached without any event.
    fn reaching(&self, flags: &[Flags], bit: u8) -> Vec<bool> {
        let mut reaches: Vec<bool> = flags.iter().map(|flags| flags.satisfies & bit != 0).collect();
        let mut open: Vec<u32> = (0..flags.len()).filter(|at| reaches[*at]).map(number).collect();
        while let Some(to) = open.pop() {
            let first = self.progress.partition_point(|(edge, _)| *edge < to);
            for (_, from) in self.progress[first..].iter().take_while(|(edge, _)| *edge == to) {
                if !std::mem::replace(&mut reaches[index(*from)], true) {
                    open.push(*from);
                }
            }
        }
        reaches
    }
}

/// Quick, and good enough for small numbers.
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }
}
