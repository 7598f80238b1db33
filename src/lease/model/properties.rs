//! What must never be, and what must come.

use super::setting::Setting;
use super::world::{Claim, HOSTS, Jenkins, Lease, Machine, Power, World};
use crate::host::LeasePolicy;

/// What a state demands and what it satisfies: bits of [`MUST_COME`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    pub(super) demands: u8,
    pub(super) satisfies: u8,
}

const SOMEBODY_GETS_IN: u8 = 1;

/// What must be reachable without any event, from every state that demands it.
pub(super) const MUST_COME: [(&str, u8); 1 + HOSTS] = [
    ("nobody holds the home, and nobody gets in", SOMEBODY_GETS_IN),
    ("A is fenced, and its Jenkins goes on", 2),
    ("B is fenced, and its Jenkins goes on", 4),
    ("C is fenced, and its Jenkins goes on", 8),
];

/// What must never be: two hosts whose Jenkins may write, as long as every operator told the truth.
/// A host on a copy of the file system counts, until an operator has let it in.
pub(super) fn broken_by(setting: &Setting, world: &World) -> Option<&'static str> {
    if world.was_deceived {
        return None;
    }
    let is_let_in = world.volumes[1].claims.iter().flatten().any(|claim| claim.is_broken());
    let writers = |volume: Option<u8>| {
        let machines = world.machines.iter().zip(setting.volume);
        machines
            .filter(|(machine, on)| machine.may_write() && volume.is_none_or(|v| v == *on))
            .count()
    };
    let is_broken =
        if is_let_in { writers(Some(0)) > 1 || writers(Some(1)) > 1 } else { writers(None) > 1 };
    is_broken.then_some("two hosts may write")
}

/// What a state demands and satisfies.
pub(super) fn flags(setting: &Setting, world: &World) -> Flags {
    let mut flags = Flags { demands: 0, satisfies: 0 };
    if world.machines.iter().any(serves) {
        flags.satisfies |= SOMEBODY_GETS_IN;
    } else if is_free(setting, world) {
        flags.demands |= SOMEBODY_GETS_IN;
    }
    for (at, machine) in world.machines.iter().enumerate() {
        let bit = 2 << at;
        if machine.jenkins != Jenkins::Up {
            flags.satisfies |= bit;
        } else if is_fenced(setting, world, at) {
            flags.demands |= bit;
        }
    }
    flags
}

fn serves(machine: &Machine) -> bool {
    machine.is_alive() && matches!(machine.lease, Lease::Holds(_)) && machine.jenkins == Jenkins::Up
}

/// Whether nobody holds the home for good, and somebody is there who wants it and may have it.
fn is_free(setting: &Setting, world: &World) -> bool {
    let volume = &world.volumes[0];
    let holds = |machine: &Machine| {
        machine.may_write()
            || matches!(machine.lease, Lease::Holds(_) | Lease::PutsRight(_) | Lease::Leaves(..))
    };
    let Some(last) = volume.last() else { return false };
    // Whoever breaks a living holder's lease may see the head fall back, and break it again.
    let has_fallen = volume.head.map(Claim::generation) != Some(last.generation());
    if world.was_deceived && has_fallen {
        return false;
    }
    let is_given_up = last.is_released() || volume.head == Some(last.released());
    let may = |at: usize| is_given_up || may_take(setting, world, last, at);
    let candidate = |(at, machine): (usize, &Machine)| {
        let wants = match machine.lease {
            // It goes on with what it has, or is fenced.
            Lease::Off | Lease::Resumes(_) => {
                machine.mine.is_none_or(|mine| mine == last.generation())
            }
            lease => matches!(lease, Lease::Asks(..)),
        };
        setting.volume[at] == 0
            && setting.policy[at] != LeasePolicy::Fail
            && machine.power == Power::Running
            && wants
            && may(at)
    };
    !world.machines.iter().any(holds) && world.machines.iter().enumerate().any(candidate)
}

/// Whether the machine that made the last claim is dead for good, as this host can know, or itself.
fn may_take(setting: &Setting, world: &World, last: Claim, at: usize) -> bool {
    let by = usize::from(last.host());
    let holder = &world.machines[by];
    let is_over = match holder.power {
        Power::Terminated => true,
        Power::Stopped => !setting.can_hibernate[by],
        _ => false,
    };
    at == by || is_over && setting.is_abroad[at] == setting.is_abroad[by]
}

/// Whether another host holds the home by now, or may, which this one does not know yet. A lease whose
/// process died counts, for systemd starts it again.
fn is_fenced(setting: &Setting, world: &World, at: usize) -> bool {
    let machine = &world.machines[at];
    let Some(mine) = machine.mine else { return false };
    if matches!(
        machine.lease,
        Lease::Stopped | Lease::Ended | Lease::PutsRight(_) | Lease::Leaves(..)
    ) {
        return false;
    }
    let volume = &world.volumes[usize::from(setting.volume[at])];
    let is_told = volume.head.is_some_and(|head| head.generation() > mine);
    let is_beaten = volume.last().is_some_and(|last| {
        let other = &world.machines[usize::from(last.host())];
        usize::from(last.host()) != at
            && other.power == Power::Running
            && other.lease == Lease::Holds(last.generation())
    });
    machine.power == Power::Running && (is_told || is_beaten)
}
