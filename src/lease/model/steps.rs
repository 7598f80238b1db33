//! What may happen next, in one state of the world: every step of every process, everything that may
//! befall a machine, and everything that an operator may do.

use std::fmt;

use super::minds::{Heard, Minds};
use super::setting::Setting;
use super::world::{Claim, HOSTS, Late, World, name};
use crate::lease::word::{Guard, Guards};

/// Why a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    /// It happens if nothing goes wrong and nobody does anything.
    Progress,
    /// Something goes wrong, or somebody does something.
    Event,
    /// A holder stops Jenkins, though nobody else can hold the home.
    Needless,
}

/// Who did what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Step {
    pub(super) host: u8,
    pub(super) deed: &'static str,
    pub(super) about: About,
    pub(super) cause: Cause,
}

/// What a deed was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    Nothing,
    Claim(Option<Claim>),
    Generation(u8),
    Host(u8),
    Heard(Heard),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.deed.starts_with('\'') { "" } else { " " };
        write!(f, "{}{gap}{}", name(self.host), self.deed)?;
        match self.about {
            About::Nothing => Ok(()),
            About::Claim(None) => write!(f, ": nothing is there"),
            About::Claim(Some(claim)) => write!(f, ": {claim:?}"),
            About::Generation(generation) => write!(f, " {generation}"),
            About::Host(host) => write!(f, " {}", name(host)),
            About::Heard(heard) => write!(f, ": {heard:?}"),
        }
    }
}

/// Where the steps from one state are collected.
pub(super) struct Steps<'a, 'b> {
    pub(super) setting: &'a Setting,
    pub(super) guards: Guards,
    pub(super) minds: &'b mut Minds<'a>,
    pub(super) world: World,
    pub(super) found: &'b mut Vec<(Step, World)>,
}

impl Steps<'_, '_> {
    /// All steps from this state.
    pub(super) fn collect(&mut self) {
        for host in 0..u8::try_from(HOSTS).expect("few") {
            if self.world.machines[usize::from(host)].is_alive() {
                self.process(host);
            }
            self.fate(host);
        }
        self.late();
        self.operator();
        self.time();
    }

    pub(super) fn add(
        &mut self,
        (host, deed): (u8, &'static str),
        about: About,
        cause: Cause,
        world: World,
    ) {
        if world != self.world {
            self.found.push((Step { host, deed, about, cause }, world));
        }
    }

    /// A step of which nothing can go wrong.
    pub(super) fn progress(&mut self, host: u8, deed: &'static str, world: World) {
        self.add((host, deed), About::Nothing, Cause::Progress, world);
    }

    pub(super) fn event(&mut self, host: u8, deed: &'static str, world: World) {
        self.add((host, deed), About::Nothing, Cause::Event, world);
    }

    /// What a host reads at the place of the head: what is there, or what was there before.
    pub(super) fn heads(&self, host: u8) -> Vec<(Option<Claim>, Cause)> {
        let volume = &self.world.volumes[self.volume(host)];
        let mut heads = vec![(volume.head, Cause::Progress)];
        if volume.former != volume.head {
            heads.push((volume.former, Cause::Event));
        }
        heads
    }

    pub(super) fn volume(&self, host: u8) -> usize {
        usize::from(self.setting.volume[usize::from(host)])
    }

    /// The claim of a generation by a host as it is now.
    pub(super) fn claim_of(&self, host: u8, generation: u8) -> Claim {
        let at = usize::from(host);
        Claim::held(generation, host, &self.world.machines[at], self.setting.volume[at])
    }

    /// Creates the file of a claim exclusively; whether it did.
    pub(super) fn create(&self, world: &mut World, claim: Claim) -> bool {
        let volume = &mut world.volumes[usize::from(claim.volume())];
        let place = &mut volume.claims[usize::from(claim.generation())];
        let is_free = self.guards.demand(Guard::Exclusive, place.is_none());
        if is_free {
            *place = Some(claim);
        }
        is_free
    }

    /// The same worlds with `late` on its way, and nobody who waits for it.
    pub(super) fn send_late(&self, late: Late) -> Option<World> {
        let mut world = self.world;
        world.left.losses = world.left.losses.checked_sub(1)?;
        *world.late.iter_mut().find(|place| place.is_none())? = Some(late);
        world.late.sort_unstable();
        Some(world)
    }
}
