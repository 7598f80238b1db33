//! What AWS may answer: anything that was ever true of the instance, in any order and however late;
//! that it does not know a new instance; nothing; and that it refuses. `terminated` is never early.

use super::minds::{Fact, Heard};
use super::setting::{Kind, Setting};
use super::world::{Machine, Power, World};

impl Fact {
    /// Its bit in [`Machine::past`].
    const fn bit(self) -> u16 {
        1 << match self {
            Self::Running(launch) => 3 * launch,
            Self::Stopping(launch) => 3 * launch + 1,
            Self::Stopped(launch) => 3 * launch + 2,
            Self::ShuttingDown => 12,
            Self::Terminated => 13,
        }
    }

    /// All that can be said of a machine that was started so often.
    fn all(launches: u8) -> impl Iterator<Item = Self> {
        let of_launch =
            |launch| [Self::Running(launch), Self::Stopping(launch), Self::Stopped(launch)];
        (0..=launches).flat_map(of_launch).chain([Self::ShuttingDown, Self::Terminated])
    }
}

impl Machine {
    /// What is true now.
    fn fact(&self) -> Option<Fact> {
        Some(match self.power {
            Power::New => return None,
            Power::Running => Fact::Running(self.launch),
            Power::Stopping => Fact::Stopping(self.launch),
            Power::Stopped | Power::Kept => Fact::Stopped(self.launch),
            Power::ShuttingDown => Fact::ShuttingDown,
            Power::Terminated => Fact::Terminated,
        })
    }

    /// Changes its state, which AWS may tell from now on.
    pub(super) fn turn(&mut self, power: Power) {
        self.power = power;
        self.past |= self.fact().map_or(0, Fact::bit);
    }
}

/// Everything that AWS may answer to `asker` about a host with that generation, and whether it is the
/// truth of this moment.
pub(super) fn answers(
    setting: &Setting,
    world: &World,
    (asker, host, generation): (u8, u8, u8),
) -> Vec<(Heard, bool)> {
    let machine = &world.machines[usize::from(host)];
    let is_old = generation <= world.old;
    let is_foreign = setting.is_abroad[usize::from(asker)] != setting.is_abroad[usize::from(host)];
    let mut answers = vec![(Heard::Silent, false)];
    if setting.denies {
        answers.push((Heard::Denied, false));
    }
    if is_foreign {
        answers.push((Heard::NotFound(is_old), true));
        return answers;
    }
    let now = machine.fact();
    // An hour after its end EC2 has forgotten it, and will not say again that it is terminated.
    let is_forgotten = setting.forgets && is_old && machine.power == Power::Terminated;
    let is_known = |fact: &Fact| !(is_forgotten && *fact == Fact::Terminated);
    let was = |fact: &Fact| machine.past & fact.bit() != 0;
    let facts = || Fact::all(machine.launch).filter(was).filter(is_known);
    match setting.kind[usize::from(host)] {
        Kind::Instance => {
            answers.extend(facts().map(|fact| (Heard::Instance(host, fact), Some(fact) == now)));
            // Two hours after a launch everybody in AWS has heard of it.
            let is_new = world.old == 0;
            if setting.forgets && (is_new || machine.power == Power::Terminated) {
                answers.push((Heard::NotFound(is_old), is_forgotten));
            }
        }
        Kind::TaskOnInstance => {
            answers.push((Heard::Task(host, false, now), !machine.task_stopped));
            if machine.task_stopped {
                answers.push((Heard::Task(host, true, None), false));
                let all =
                    facts().map(|fact| (Heard::Task(host, true, Some(fact)), Some(fact) == now));
                answers.extend(all);
            }
        }
        Kind::Fargate => {
            answers.push((Heard::Task(host, false, None), !machine.task_stopped));
            if machine.task_stopped {
                answers.push((Heard::Task(host, true, None), true));
            }
        }
    }
    answers
}
