//! What may befall machines, messages and file systems, and what an operator may do.

use super::processes::terminate;
use super::setting::Kind;
use super::steps::{About, Cause, Steps};
use super::world::{HOSTS, Jenkins, Late, Lease, Machine, Operator, Power, World};
use crate::lease::word::Guard;

impl Machine {
    /// Its kernel is gone, and all that it had in memory.
    pub(super) fn lose_memory(&mut self) {
        self.lease = Lease::Off;
        self.mine = None;
        self.jenkins = Jenkins::Down;
    }

    /// It is cut off; what it has sent may still arrive.
    fn die(&mut self) {
        self.echo = self.jenkins != Jenkins::Down;
        self.lose_memory();
    }
}

impl Steps<'_, '_> {
    /// What may befall the machine of a host.
    pub(super) fn fate(&mut self, host: u8) {
        let before = self.world;
        let left = before.left;
        let machine = &before.machines[usize::from(host)];
        let mut then = |deed, cause, change: &dyn Fn(&mut World)| {
            let mut world = before;
            change(&mut world);
            self.add((host, deed), About::Nothing, cause, world);
        };
        match machine.power {
            Power::Running if left.reboots > 0 => {
                then("reboots", Cause::Event, &|world| {
                    world.left.reboots -= 1;
                    let machine = world.machine(host);
                    machine.lose_memory();
                    machine.boot += 1;
                });
            }
            Power::Stopping => {
                then("is stopped", Cause::Progress, &|world| {
                    let machine = world.machine(host);
                    machine.die();
                    machine.turn(Power::Stopped);
                });
                if self.setting.can_hibernate[usize::from(host)] {
                    let mut world = before;
                    world.machine(host).turn(Power::Kept);
                    self.event(host, "hibernates", world);
                }
            }
            Power::Stopped => {
                then("is started", Cause::Event, &|world| {
                    let machine = world.machine(host);
                    machine.launch += 1;
                    machine.boot += 1;
                    machine.booted_in = machine.launch;
                    machine.echo = false;
                    machine.turn(Power::Running);
                });
            }
            Power::Kept => {
                then("is started, and goes on where it was", Cause::Event, &|world| {
                    let machine = world.machine(host);
                    machine.launch += 1;
                    machine.turn(Power::Running);
                });
            }
            Power::ShuttingDown => {
                then("is terminated", Cause::Progress, &|world| {
                    let machine = world.machine(host);
                    machine.die();
                    machine.turn(Power::Terminated);
                });
            }
            _ => {}
        }
        self.end(host);
    }

    /// Somebody ends a machine, or ECS errs.
    fn end(&mut self, host: u8) {
        let machine = self.world.machines[usize::from(host)];
        if machine.power == Power::Running && self.world.left.stops > 0 {
            let mut world = self.world;
            world.left.stops -= 1;
            world.machine(host).turn(Power::Stopping);
            self.event(host, "is being stopped", world);
        }
        let is_there = !matches!(machine.power, Power::New | Power::Terminated);
        if is_there && self.world.left.terminations > 0 {
            let mut world = self.world;
            terminate(&mut world, host);
            world.left.terminations -= 1;
            self.event(host, "is being terminated", world);
        }
        let kind = self.setting.kind[usize::from(host)];
        if kind == Kind::Instance {
            return;
        }
        let mut world = self.world;
        world.machine(host).task_stopped = true;
        if machine.power == Power::Terminated {
            self.progress(host, "is a stopped task, says ECS", world);
        } else if kind == Kind::TaskOnInstance && world.left.task_errors > 0 && machine.is_alive() {
            world.left.task_errors -= 1;
            self.event(host, "is a stopped task, says ECS, though it runs", world);
        }
    }

    /// What killed clerks have sent arrives.
    pub(super) fn late(&mut self) {
        for at in 0..self.world.late.len() {
            let mut world = self.world;
            let Some(late) = world.late[at].take() else { continue };
            world.late.sort_unstable();
            let claim = match late {
                Late::Claim(claim) => {
                    self.create(&mut world, claim);
                    claim
                }
                Late::Head(claim) => {
                    world.volumes[usize::from(claim.volume())].replace(claim);
                    claim
                }
            };
            let deed = "'s late request takes effect";
            self.add((claim.host(), deed), About::Claim(Some(claim)), Cause::Progress, world);
        }
    }

    /// What an operator does, on a host that waits.
    pub(super) fn operator(&mut self) {
        for host in 0..u8::try_from(HOSTS).expect("few") {
            let machine = self.world.machines[usize::from(host)];
            let waits = matches!(machine.lease, Lease::Asks(..));
            if machine.power == Power::Running && waits {
                self.operator_on(host);
            }
        }
    }

    fn operator_on(&mut self, host: u8) {
        match self.world.operator {
            Operator::Idle if self.world.left.breaks > 0 => {
                for (head, _) in self.heads(host) {
                    let Some(head) = head.filter(|head| !head.is_released()) else { continue };
                    let mut world = self.world;
                    world.operator = Operator::Looked(head.generation());
                    let deed = "'s operator looks";
                    self.add((host, deed), About::Claim(Some(head)), Cause::Event, world);
                }
            }
            Operator::Looked(generation) => {
                for (head, _) in self.heads(host) {
                    let Some(head) = head else { continue };
                    let is_same = head.generation() == generation;
                    let mut world = self.world;
                    if self.guards.demand(Guard::SameGeneration, is_same) {
                        self.break_lease(host, generation, head.generation());
                    } else {
                        world.operator = Operator::Idle;
                        self.event(host, "'s operator finds another generation", world);
                    }
                }
            }
            Operator::Claimed(claim) if claim.host() == host => {
                let mut world = self.world;
                world.volumes[usize::from(claim.volume())].replace(claim);
                world.operator = Operator::Idle;
                let about = About::Claim(Some(claim));
                self.add((host, "'s operator makes it the head"), about, Cause::Progress, world);
            }
            Operator::Idle | Operator::Claimed(_) => {}
        }
    }

    /// The operator says that the holder of `looked` is dead, and breaks `broken`.
    fn break_lease(&mut self, host: u8, looked: u8, broken: u8) {
        let mut world = self.world;
        world.left.breaks -= 1;
        if !is_dead(&world, self.volume(host), looked) {
            if !self.setting.operator_errs {
                return;
            }
            world.was_deceived = true;
        }
        let claim = self.claim_of(host, broken + 1).broken();
        let is_created = self.create(&mut world, claim);
        world.operator = if is_created { Operator::Claimed(claim) } else { Operator::Idle };
        world.was_deceived &= is_created || self.world.was_deceived;
        let deed = if is_created { "'s operator breaks" } else { "'s operator cannot break" };
        self.add((host, deed), About::Generation(broken), Cause::Event, world);
    }

    /// Two hours pass; the file system is copied.
    pub(super) fn time(&mut self) {
        let last = self.world.volumes[0].last();
        if let Some(last) = last.filter(|_| self.setting.forgets && self.world.old == 0) {
            let mut world = self.world;
            world.old = last.generation();
            self.event(last.host(), "'s claim is two hours old", world);
        }
        if let Some(last) = last.filter(|_| self.world.left.copies > 0) {
            let mut world = self.world;
            world.left.copies -= 1;
            world.volumes[1] = world.volumes[0];
            self.event(last.host(), "'s file system is copied", world);
        }
    }
}

/// Whether the boot that made the claim of a generation is over.
pub(super) fn is_dead(world: &World, volume: usize, generation: u8) -> bool {
    world.volumes[volume].claim(generation).is_none_or(|claim| {
        let machine = &world.machines[usize::from(claim.host())];
        let has_memory = machine.is_alive() || machine.power == Power::Kept;
        machine.boot != claim.boot() || !has_memory
    })
}
