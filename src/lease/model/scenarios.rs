//! The scenarios: small worlds that cover together what may happen.

use super::setting::{Kind, Setting};
use super::world::{Budget, HOSTS, Jenkins, Lease, Machine, Operator, Power, Volume, World};
use crate::host::LeasePolicy;

fn machine(power: Power) -> Machine {
    let mut machine = Machine {
        power: Power::New,
        launch: 0,
        booted_in: 0,
        boot: 0,
        past: 0,
        lease: Lease::Off,
        mine: None,
        jenkins: Jenkins::Down,
        echo: false,
        task_stopped: false,
    };
    machine.turn(power);
    machine
}

/// Three hosts on a new file system, of which so many run.
fn plain(name: &'static str, running: usize, left: Budget) -> Setting {
    let mut machines = [machine(Power::New); HOSTS];
    machines[..running].fill(machine(Power::Running));
    Setting {
        name,
        kind: [Kind::Instance; 3],
        policy: [LeasePolicy::Wait; 3],
        group: [None; 3],
        can_hibernate: [false; 3],
        is_abroad: [false; 3],
        volume: [0; 3],
        forgets: false,
        denies: false,
        operator_errs: false,
        looks_first: true,
        in_order: false,
        start: World {
            volumes: [Volume::default(); 2],
            machines,
            late: [None; 2],
            operator: Operator::Idle,
            was_deceived: false,
            old: 0,
            left,
        },
    }
}

/// All three want a new home, and answers of the file system are lost or late.
pub(super) fn races() -> Setting {
    let left = Budget { losses: 1, terminations: 1, ..Budget::default() };
    Setting { in_order: true, ..plain("races on a new file system", 3, left) }
}

/// Clean and unclean ends of a holder whose machine goes on, and its return.
pub(super) fn replacement() -> Setting {
    let left = Budget { losses: 1, crashes: 1, leaves: 1, restarts: 1, ..Budget::default() };
    plain("clean and unclean stops", 2, left)
}

/// The same with three hosts, whose requests and processes are not lost.
pub(super) fn replacement_of_three() -> Setting {
    let left = Budget { leaves: 2, restarts: 1, ..Budget::default() };
    plain("clean and unclean stops, three hosts", 3, left)
}

/// Machines that reboot, stop and start, and die.
pub(super) fn boots() -> Setting {
    let left = Budget { crashes: 1, reboots: 1, stops: 1, terminations: 1, ..Budget::default() };
    plain("reboots, stops and starts", 2, left)
}

/// The same with three hosts, of whose processes none dies, and of which none reboots.
pub(super) fn boots_of_three() -> Setting {
    let left = Budget { stops: 1, terminations: 1, ..Budget::default() };
    plain("reboots, stops and starts, three hosts", 3, left)
}

/// The first host keeps its memory when it is stopped.
pub(super) fn hibernation() -> Setting {
    let left = Budget { stops: 2, crashes: 1, terminations: 1, ..Budget::default() };
    let plain = plain("hibernation", 2, left);
    Setting { can_hibernate: [true, false, false], ..plain }
}

/// The same with three hosts, of whose processes none dies.
pub(super) fn hibernation_of_three() -> Setting {
    let left = Budget { stops: 1, terminations: 1, ..Budget::default() };
    let plain = plain("hibernation, three hosts", 3, left);
    Setting { can_hibernate: [true, false, false], ..plain }
}

/// EC2 does not know instances that are new, or long gone, or in another region.
pub(super) fn forgetting() -> Setting {
    let left = Budget { terminations: 1, reboots: 1, ..Budget::default() };
    let plain = plain("instances that EC2 does not know", 3, left);
    Setting { forgets: true, denies: true, is_abroad: [false, false, true], ..plain }
}

/// Newcomers that terminate a holder of their group, and one that gives up.
pub(super) fn stonith() -> Setting {
    let left = Budget { leaves: 1, crashes: 1, ..Budget::default() };
    let plain = plain("newcomers that terminate the holder", 3, left);
    let policy = [LeasePolicy::Stonith, LeasePolicy::Stonith, LeasePolicy::Fail];
    Setting { policy, group: [Some("one"), Some("one"), Some("two")], ..plain }
}

/// An operator breaks the lease of a holder that is dead.
pub(super) fn breaks() -> Setting {
    let left = Budget { terminations: 1, breaks: 1, leaves: 1, ..Budget::default() };
    plain("breaks of a dead holder's lease", 3, left)
}

/// An operator breaks the lease of a holder that lives.
pub(super) fn lies() -> Setting {
    let left = Budget { losses: 1, crashes: 1, breaks: 1, ..Budget::default() };
    Setting { operator_errs: true, ..plain("breaks of a living holder's lease", 2, left) }
}

/// The same with three hosts, of whose requests none is lost.
pub(super) fn lies_to_three() -> Setting {
    let left = Budget { crashes: 1, breaks: 1, ..Budget::default() };
    let name = "breaks of a living holder's lease, three hosts";
    Setting { operator_errs: true, ..plain(name, 3, left) }
}

/// Controllers that run as tasks of ECS.
pub(super) fn tasks() -> Setting {
    let left = Budget { terminations: 2, leaves: 1, task_errors: 1, ..Budget::default() };
    let kind = [Kind::TaskOnInstance, Kind::Fargate, Kind::Instance];
    Setting { kind, ..plain("tasks of ECS", 3, left) }
}

/// A copy of the file system, and a host that is given the copy.
pub(super) fn copy() -> Setting {
    let left = Budget { copies: 1, leaves: 1, terminations: 1, breaks: 1, ..Budget::default() };
    Setting { volume: [0, 0, 1], ..plain("a copy of the file system", 3, left) }
}
