//! The steps of `hostkit lease hold` on a living machine: the newcomer, the holder, and the holder
//! that leaves.

use super::aws;
use super::minds::{Seen, Verdict};
use super::steps::{About, Cause, Steps};
use super::world::{Claim, Jenkins, Late, Lease, Leave, Move, Power, World};
use crate::lease::word::Guard;

impl Steps<'_, '_> {
    pub(super) fn process(&mut self, host: u8) {
        let machine = self.world.machines[usize::from(host)];
        match machine.lease {
            Lease::Off => self.start(host, Cause::Progress),
            Lease::Stopped if self.world.left.restarts > 0 => self.start(host, Cause::Event),
            Lease::Stopped | Lease::Ended => {}
            Lease::Asks(_, next) => self.newcomer(host, next),
            Lease::Resumes(generation) => self.resume(host, generation),
            Lease::Holds(generation) => self.holder(host, generation),
            Lease::PutsRight(generation) => {
                let claim = self.claim_of(host, generation);
                self.put(host, "writes the head", claim, Lease::Holds(generation));
            }
            Lease::Leaves(generation, stage) => self.leave(host, generation, stage),
        }
        let runs = !matches!(machine.lease, Lease::Off | Lease::Stopped | Lease::Ended);
        if runs && self.world.left.crashes > 0 {
            let mut world = self.world;
            world.left.crashes -= 1;
            world.machine(host).lease = Lease::Off;
            self.event(host, "'s lease process dies", world);
        }
    }

    fn start(&mut self, host: u8, cause: Cause) {
        let mut world = self.world;
        let at = usize::from(host);
        if world.volumes[self.volume(host)] == super::world::Volume::default()
            && self.setting.volume[at] == 1
        {
            return;
        }
        // Hosts that are alike begin in their order.
        let earlier = &world.machines[..at];
        if self.setting.in_order
            && earlier.iter().any(|other| other.is_alive() && other.lease == Lease::Off)
        {
            return;
        }
        if cause == Cause::Event {
            world.left.restarts -= 1;
        }
        world.machine(host).lease =
            if let Some(mine) = world.machines[at].mine.filter(|_| self.setting.looks_first) {
                Lease::Resumes(mine)
            } else {
                let (mind, first) = self.minds.newcomer(host, &world.machines[at]);
                Lease::Asks(mind, first)
            };
        self.add((host, "'s lease is started"), About::Nothing, cause, world);
    }

    /// The newcomer is told what came of its last move, and makes its next. It waits at once: that
    /// nothing happens meanwhile is only one of the ways on which it can go slowly. What a dead
    /// machine has sent arrives before a wait is over that began after its death.
    fn told(&mut self, mut world: World, host: u8, seen: Seen) -> World {
        let at = usize::from(host);
        let Lease::Asks(mind, _) = world.machines[at].lease else { return world };
        let (mut mind, mut next) = self.minds.next(mind, seen);
        while matches!(next, Move::Wait | Move::Refuse) {
            world.machines.iter_mut().for_each(|machine| machine.echo = false);
            (mind, next) = self.minds.next(mind, Seen::Elapsed);
        }
        let machine = world.machine(host);
        machine.lease = match next {
            Move::GiveUp => Lease::Ended,
            Move::Hold(generation) => {
                machine.mine = Some(generation);
                Lease::Holds(generation)
            }
            _ => Lease::Asks(mind, next),
        };
        world
    }

    /// The same, where it may then read a claim: it does so at once, and may not see the name yet. As
    /// a claim never changes, it is all the same when it is read.
    fn told_all(
        &mut self,
        (world, host, seen): (World, u8, Seen),
        deed: &'static str,
        about: About,
        cause: Cause,
    ) {
        let told = self.told(world, host, seen);
        let lease = told.machines[usize::from(host)].lease;
        let Lease::Asks(_, Move::ReadClaim(generation)) = lease else {
            return self.add((host, deed), about, cause, told);
        };
        let claim = told.volumes[self.volume(host)].claim(generation);
        for (seen, cause) in [(claim, cause), (None, Cause::Event)] {
            let told = self.told(told, host, Seen::Claim(seen));
            self.add((host, deed), about, cause, told);
        }
    }

    fn newcomer(&mut self, host: u8, next: Move) {
        match next {
            Move::Look => {
                for (head, cause) in self.heads(host) {
                    let told = self.told(self.world, host, Seen::Head(head));
                    self.add((host, "reads the head"), About::Claim(head), cause, told);
                }
            }
            Move::Ask(other, generation) => {
                for (heard, is_true) in
                    aws::answers(self.setting, &self.world, (host, other, generation))
                {
                    let cause = if is_true { Cause::Progress } else { Cause::Event };
                    let told = (self.world, host, Seen::Heard(heard));
                    self.told_all(told, "asks AWS", About::Heard(heard), cause);
                }
            }
            Move::Terminate(other) => {
                let mut world = self.world;
                terminate(&mut world, other);
                let told = self.told(world, host, Seen::Elapsed);
                self.add((host, "terminates"), About::Host(other), Cause::Progress, told);
            }
            Move::Claim(generation) => self.newcomer_claims(host, generation),
            Move::Announce(generation) => {
                let claim = self.claim_of(host, generation);
                self.announce(host, claim);
            }
            // What is done at once, see `told` and `told_all`.
            Move::Wait | Move::Refuse | Move::ReadClaim(_) | Move::Hold(_) | Move::GiveUp => {}
        }
    }

    fn newcomer_claims(&mut self, host: u8, generation: u8) {
        let claim = self.claim_of(host, generation);
        let about = About::Generation(generation);
        let mut world = self.world;
        let is_created = self.create(&mut world, claim);
        if is_created {
            let told = self.told(world, host, Seen::Claimed);
            self.add((host, "claims"), about, Cause::Progress, told);
        } else {
            self.told_all((world, host, Seen::Taken), "cannot claim", about, Cause::Progress);
        }
        if world.left.losses == 0 {
            return;
        }
        world.left.losses -= 1;
        let told = self.told(world, host, Seen::Failed);
        self.add((host, "does not hear of the answer to its claim of"), about, Cause::Event, told);
        if is_created {
            let deed = "claims, and is told that it cannot,";
            self.told_all((world, host, Seen::Taken), deed, about, Cause::Event);
        }
        if let Some(world) = self.send_late(Late::Claim(claim)) {
            let told = self.told(world, host, Seen::Failed);
            let deed = "'s clerk is killed, and what it has sent is still to come, the claim of";
            self.add((host, deed), about, Cause::Event, told);
        }
    }

    fn announce(&mut self, host: u8, claim: Claim) {
        let about = About::Claim(Some(claim));
        let mut world = self.world;
        world.volumes[usize::from(claim.volume())].replace(claim);
        let told = self.told(world, host, Seen::Announced);
        self.add((host, "makes its claim the head"), about, Cause::Progress, told);
        if world.left.losses > 0 {
            world.left.losses -= 1;
            let told = self.told(world, host, Seen::Failed);
            self.add((host, "makes its claim the head, unheard"), about, Cause::Event, told);
        }
        if let Some(world) = self.send_late(Late::Head(claim)) {
            let told = self.told(world, host, Seen::Failed);
            let deed = "'s clerk is killed, and what it has sent is still to come, the head";
            self.add((host, deed), about, Cause::Event, told);
        }
    }

    /// A process that starts again where this boot holds a generation: it looks whether that is still
    /// so before anything else, and claims nothing.
    fn resume(&mut self, host: u8, generation: u8) {
        let mine = self.claim_of(host, generation);
        let holds = Lease::Holds(generation);
        for (head, cause) in self.heads(host) {
            match self.minds.keep(mine, head) {
                Verdict::On => {
                    let mut world = self.world;
                    world.machine(host).lease = holds;
                    let about = About::Claim(head);
                    self.add((host, "goes on with what it holds"), about, cause, world);
                }
                Verdict::PutRight => self.doubt(host, generation, holds, cause),
                Verdict::Stop => self.stop((host, "stops because of the head"), head, cause),
            }
        }
    }

    fn holder(&mut self, host: u8, generation: u8) {
        let machine = self.world.machines[usize::from(host)];
        if machine.jenkins != Jenkins::Up {
            let mut world = self.world;
            world.machine(host).jenkins = Jenkins::Up;
            self.progress(host, "starts Jenkins", world);
        }
        let mine = self.claim_of(host, generation);
        let puts_right = Lease::PutsRight(generation);
        // Soon after a claim the head is written again, to be a file of its own; here at any time.
        self.doubt(host, generation, puts_right, Cause::Event);
        for (head, cause) in self.heads(host) {
            match self.minds.keep(mine, head) {
                Verdict::On => {}
                Verdict::PutRight => self.doubt(host, generation, puts_right, cause),
                Verdict::Stop => self.stop((host, "stops because of the head"), head, cause),
            }
        }
        if world_allows_leave(&self.world, host) {
            let mut world = self.world;
            world.left.leaves -= 1;
            world.machine(host).lease = Lease::Leaves(generation, Leave::StopJenkins);
            self.event(host, "'s lease is stopped", world);
        }
    }

    /// The head is wrong, or to be written again: the holder reads whether anybody has claimed the next
    /// generation, which it may not see, and then does the next thing, however much later.
    fn doubt(&mut self, host: u8, generation: u8, then: Lease, cause: Cause) {
        let next = self.world.volumes[self.volume(host)].claim(generation + 1);
        for (seen, cause) in [(next, cause), (None, Cause::Event)] {
            if self.minds.beyond(seen) == Verdict::Stop {
                self.stop((host, "stops because of the claim"), seen, cause);
            } else {
                let mut world = self.world;
                world.machine(host).lease = then;
                self.add((host, "sees no claim beyond its own"), About::Nothing, cause, world);
            }
        }
    }

    /// Jenkins is killed; what it has written may still be in the kernel's memory.
    fn stop(&mut self, (host, deed): (u8, &'static str), why: Option<Claim>, cause: Cause) {
        let mut world = self.world;
        let machine = world.machine(host);
        machine.lease = Lease::Ended;
        if machine.jenkins == Jenkins::Up {
            machine.jenkins = Jenkins::Unwritten;
        }
        let cause = if world.was_deceived { cause } else { Cause::Needless };
        self.add((host, deed), About::Claim(why), cause, world);
    }

    fn leave(&mut self, host: u8, generation: u8, stage: Leave) {
        let mut world = self.world;
        let machine = world.machine(host);
        let jenkins = machine.jenkins;
        let to = |stage| Lease::Leaves(generation, stage);
        match stage {
            Leave::StopJenkins => {
                if jenkins == Jenkins::Up {
                    machine.jenkins = Jenkins::Unwritten;
                    self.progress(host, "'s Jenkins goes down", world);
                }
                let mut world = self.world;
                let is_down = self.guards.demand(Guard::JenkinsIsDown, jenkins != Jenkins::Up);
                let lease = if is_down { to(Leave::Look) } else { Lease::Stopped };
                world.machine(host).lease = lease;
                let deed = if is_down { "goes on to leave" } else { "ends, for Jenkins is up" };
                self.event(host, deed, world);
            }
            Leave::Sync => {
                if jenkins == Jenkins::Unwritten {
                    machine.jenkins = Jenkins::Down;
                }
                machine.lease = to(Leave::Release);
                self.progress(host, "has the kernel write everything", world);
                let is_synced = self.guards.demand(Guard::Synced, jenkins == Jenkins::Down);
                let mut world = self.world;
                world.machine(host).lease =
                    if is_synced { to(Leave::Release) } else { Lease::Stopped };
                self.event(host, "cannot have the kernel write everything", world);
            }
            Leave::Forget => {
                machine.mine = None;
                machine.lease = to(Leave::Sync);
                self.progress(host, "forgets its generation", world);
            }
            Leave::Look => {
                let mine = self.claim_of(host, generation);
                for (head, cause) in self.heads(host) {
                    let mut world = self.world;
                    if self.minds.keep(mine, head) == Verdict::Stop {
                        self.stop((host, "releases nothing"), head, cause);
                    } else {
                        world.machine(host).lease = to(Leave::Forget);
                        let about = About::Claim(head);
                        self.add((host, "finds that it holds the home"), about, cause, world);
                    }
                }
            }
            Leave::Release => {
                let claim = self.claim_of(host, generation).released();
                self.put(host, "releases the home", claim, Lease::Stopped);
            }
        }
    }

    /// Replaces the head, and goes on.
    fn put(&mut self, host: u8, deed: &'static str, head: Claim, then: Lease) {
        let about = About::Claim(Some(head));
        let mut world = self.world;
        world.volumes[usize::from(head.volume())].replace(head);
        world.machine(host).lease = then;
        self.add((host, deed), about, Cause::Progress, world);
        if let Some(mut world) = self.send_late(Late::Head(head)) {
            world.machine(host).lease = then;
            let deed = "'s clerk is killed, and what it has sent is still to come, the head";
            self.add((host, deed), about, Cause::Event, world);
        }
    }
}

fn world_allows_leave(world: &World, host: u8) -> bool {
    world.left.leaves > 0 && world.machines[usize::from(host)].power == Power::Running
}

/// EC2 is told to terminate a machine.
pub(super) fn terminate(world: &mut World, host: u8) {
    let machine = world.machine(host);
    match machine.power {
        Power::Running | Power::Stopping => machine.turn(Power::ShuttingDown),
        Power::Stopped | Power::Kept => {
            machine.turn(Power::Terminated);
            machine.lose_memory();
        }
        Power::New | Power::ShuttingDown | Power::Terminated => {}
    }
}
