//! What the model knows of the world: small values that are copied, compared and hashed by millions.

use std::fmt;
use std::num::NonZeroU16;

/// How many hosts there are.
pub(super) const HOSTS: usize = 3;
/// One more than the highest generation that any scenario comes to, and one for the name that is
/// not used.
pub(super) const GENERATIONS: usize = 9;

/// A claim, as it stands in a file: generation, host, boot, its launch, file system, released,
/// broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Claim(NonZeroU16);

impl Claim {
    /// Held by a boot of a host.
    pub(super) fn held(generation: u8, host: u8, by: &Machine, volume: u8) -> Self {
        let bits = u16::from(generation)
            | u16::from(host) << 4
            | u16::from(by.boot) << 6
            | u16::from(by.booted_in) << 8
            | u16::from(volume) << 10;
        Self(NonZeroU16::new(bits).expect("generations begin at 1"))
    }

    /// The same, given up.
    pub(super) fn released(self) -> Self {
        Self(self.0 | 1 << 11)
    }

    /// The same, made by an operator who broke the one before.
    pub(super) fn broken(self) -> Self {
        Self(self.released().0 | 1 << 12)
    }

    pub(super) const fn generation(self) -> u8 {
        (self.0.get() & 15) as u8
    }

    pub(super) const fn host(self) -> u8 {
        (self.0.get() >> 4 & 3) as u8
    }

    pub(super) const fn boot(self) -> u8 {
        (self.0.get() >> 6 & 3) as u8
    }

    /// In which start of the host it was made.
    pub(super) const fn launch(self) -> u8 {
        (self.0.get() >> 8 & 3) as u8
    }

    pub(super) const fn volume(self) -> u8 {
        (self.0.get() >> 10 & 1) as u8
    }

    pub(super) const fn is_released(self) -> bool {
        self.0.get() & 1 << 11 != 0
    }

    pub(super) const fn is_broken(self) -> bool {
        self.0.get() & 1 << 12 != 0
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_broken(), self.is_released()) {
            (true, _) => "broken by an operator on",
            (_, true) => "released by",
            _ => "held by",
        };
        write!(f, "{} {state} {}", self.generation(), name(self.host()))?;
        if self.boot() > 0 { write!(f, " in boot {}", self.boot() + 1) } else { Ok(()) }
    }
}

/// What people call a host.
pub(super) fn name(host: u8) -> char {
    char::from(b'A' + host)
}

/// A file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Volume {
    /// The head.
    pub(super) head: Option<Claim>,
    /// What was the head before, which a client's cache may still show.
    pub(super) former: Option<Claim>,
    /// The claims, by generation.
    pub(super) claims: [Option<Claim>; GENERATIONS],
}

impl Volume {
    /// The claim of a generation.
    pub(super) fn claim(&self, generation: u8) -> Option<Claim> {
        self.claims[usize::from(generation)]
    }

    /// The last claim.
    pub(super) fn last(&self) -> Option<Claim> {
        self.claims.iter().rev().find_map(|claim| *claim)
    }

    /// Replaces the head.
    pub(super) fn replace(&mut self, head: Claim) {
        if self.head != Some(head) {
            self.former = self.head;
            self.head = Some(head);
        }
    }
}

/// What is true of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Power {
    /// Never launched: the scenario has fewer hosts.
    New,
    Running,
    /// On the way to `Stopped` or `Kept`: its kernel still runs.
    Stopping,
    /// Off, and its memory is lost.
    Stopped,
    /// Off, and it goes on where it was when it is started.
    Kept,
    /// Being terminated: its kernel still runs.
    ShuttingDown,
    Terminated,
}

/// Jenkins on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Jenkins {
    Down,
    Up,
    /// Its processes are gone, and the kernel has not written everything yet.
    Unwritten,
}

/// What a newcomer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Move {
    Look,
    /// About a host, which has this generation.
    Ask(u8, u8),
    Wait,
    Refuse,
    /// Finally.
    GiveUp,
    Terminate(u8),
    Claim(u8),
    ReadClaim(u8),
    Announce(u8),
    Hold(u8),
}

/// What `hostkit lease hold` does on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lease {
    /// Nothing; systemd starts it.
    Off,
    /// Nothing; a person may start it.
    Stopped,
    /// Nothing any more.
    Ended,
    /// It wants the home: the newcomer's number, and what it does next.
    Asks(u16, Move),
    /// It was started again where this boot holds a generation, and looks first.
    Resumes(u8),
    Holds(u8),
    /// The head is wrong, and nobody has claimed the next generation as far as it saw: it replaces
    /// the head.
    PutsRight(u8),
    Leaves(u8, Leave),
}

/// How far a holder is that gives up the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Leave {
    StopJenkins,
    /// Looks whether the home is still its own to release.
    Look,
    Forget,
    Sync,
    Release,
}

/// A machine. What EC2 may say of it is the set of all that was ever true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Machine {
    pub(super) power: Power,
    /// How often it was started, and which start its present kernel is from.
    pub(super) launch: u8,
    pub(super) booted_in: u8,
    pub(super) boot: u8,
    /// A bit for each state that it was in; see [`super::aws`].
    pub(super) past: u16,
    pub(super) lease: Lease,
    /// The generation that this boot took and has not given up, in `/run`.
    pub(super) mine: Option<u8>,
    pub(super) jenkins: Jenkins,
    /// It died, and what it sent last may not have arrived.
    pub(super) echo: bool,
    /// ECS says that the task is stopped.
    pub(super) task_stopped: bool,
}

impl Machine {
    /// Whether its kernel runs.
    pub(super) const fn is_alive(&self) -> bool {
        matches!(self.power, Power::Running | Power::Stopping | Power::ShuttingDown)
    }

    /// Whether anything of Jenkins on it may still be written.
    pub(super) fn may_write(&self) -> bool {
        let has_memory = self.is_alive() || self.power == Power::Kept;
        self.echo || has_memory && self.jenkins != Jenkins::Down
    }
}

/// What was sent by a clerk that was killed, and takes effect later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Late {
    Claim(Claim),
    Head(Claim),
}

/// What an operator is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Idle,
    /// Has seen that this generation is held.
    Looked(u8),
    /// Has claimed: the head is still to be replaced.
    Claimed(Claim),
}

/// How often what may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// An answer of the file system is lost, or comes late.
    pub(super) losses: u8,
    /// The process of the lease dies.
    pub(super) crashes: u8,
    pub(super) reboots: u8,
    /// A machine is stopped; it may be started again.
    pub(super) stops: u8,
    /// The group, or a person, terminates a machine.
    pub(super) terminations: u8,
    /// A holder is stopped cleanly.
    pub(super) leaves: u8,
    /// A person starts a lease that was stopped.
    pub(super) restarts: u8,
    pub(super) breaks: u8,
    /// The file system is copied.
    pub(super) copies: u8,
    /// ECS calls a task stopped that runs on.
    pub(super) task_errors: u8,
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) volumes: [Volume; 2],
    pub(super) machines: [Machine; HOSTS],
    pub(super) late: [Option<Late>; 2],
    pub(super) operator: Operator,
    /// An operator said that a holder was dead, and it was not.
    pub(super) was_deceived: bool,
    /// The two hours after which EC2 knows every instance are over for all that are launched, and
    /// for the claims up to this generation.
    pub(super) old: u8,
    pub(super) left: Budget,
}

impl World {
    /// The machine of a host.
    pub(super) fn machine(&mut self, host: u8) -> &mut Machine {
        &mut self.machines[usize::from(host)]
    }
}
