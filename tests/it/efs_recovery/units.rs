//! The systemd of that controller, which follows a script: its lease's unit claims and releases as
//! the real one does, and its boot asks the real child whether it may have the home.

use std::sync::{Arc, Mutex};

use camino::Utf8Path;
use hostkit::boot::inside as boot;
use hostkit::lease::claim::Head;
use hostkit::lease::clerk::{Answer, Clerk, Request};
use hostkit::lease::ground::Ground;
use hostkit::lease::memory::{Memory, Phase, Standing};
use hostkit::lease::order::Order;
use hostkit::lease::record::{Record, State as Held, VERSION};
use hostkit::sys::dialogue::Reply;
use hostkit::sys::runner::Script;

use super::host::{BOOT_ID, Machine, child, home_step};
use crate::efs_recover::scene::FS;

/// The lease's unit, as far as it matters here.
pub(super) struct Lease {
    order: Order,
    memory: Memory,
    clerk: Clerk,
}

impl Lease {
    pub(super) fn of(root: &Utf8Path, order: &Order) -> Self {
        let mut clerk = Clerk::new(Ground::Any);
        let mount_point = order.mount_point.clone();
        clerk.answer(&Request::Open { mount_point, fs_id: FS.to_owned() });
        Self { order: order.clone(), memory: Memory::new(root, BOOT_ID), clerk }
    }

    fn record(&self, generation: u64, state: Held) -> Box<Record> {
        let holder = self.order.me.clone();
        Box::new(Record { version: VERSION, generation, state, holder, broken: None })
    }

    fn tell(&self, phase: Phase, generation: Option<u64>, why: &str) {
        let since = jiff::Timestamp::now();
        let (why, hint) = (why.to_owned(), None);
        self.memory.tell(&Standing { version: 1, phase, generation, why, hint, since }).unwrap();
    }

    pub(super) fn start(mut self, machine: &mut Machine) {
        machine.lease = true;
        if machine.elsewhere {
            self.tell(Phase::Waiting, None, "i-0bbbbbbbbbbbbbbbb holds the home, and runs");
            return;
        }
        let generation = if let Some(generation) = self.memory.mine() {
            generation
        } else {
            let next = match self.clerk.answer(&Request::Look) {
                Answer::Head(Head::Record(head)) => head.generation + 1,
                // A home that had one before.
                Answer::Head(_) => 1,
                other => panic!("{other:?}"),
            };
            let claim = self.record(next, Held::Held);
            assert_eq!(self.clerk.answer(&Request::Claim(claim)), Answer::Claimed);
            assert_eq!(self.clerk.answer(&Request::Announce), Answer::Done);
            self.memory.take(next).unwrap();
            next
        };
        self.tell(Phase::Held, Some(generation), "it is held");
    }

    pub(super) fn stop(mut self, machine: &mut Machine) {
        machine.lease = false;
        let Some(generation) = self.memory.mine() else { return };
        self.memory.give_up().unwrap();
        let released = self.record(generation, Held::Released);
        assert_eq!(self.clerk.answer(&Request::Replace(released)), Answer::Done);
        self.tell(Phase::Released, Some(generation), "it is released");
    }
}

pub(super) fn script(root: &Utf8Path, order: &Order, machine: &Arc<Mutex<Machine>>) -> Script {
    let shared = || (Arc::clone(machine), root.to_owned(), order.clone());
    let [recover, jenkins, booted, held] = [(); 4].map(|()| Arc::clone(machine));
    let ((start, its_root, its_order), (stop, other_root, other_order)) = (shared(), shared());
    let (again, boot_root, boot_order) = shared();
    let halt = Arc::clone(machine);
    Script::default()
        .on("hostkit inner recover", move |command| {
            let mut machine = recover.lock().unwrap();
            machine.children += 1;
            let mut arguments = vec!["inner", "recover", "--anywhere"];
            let moment = machine.die.filter(|(at, _)| *at == machine.children);
            let moment = moment.map(|(_, moment)| moment.to_string());
            if let Some(moment) = &moment {
                arguments.extend(["--die-at", moment]);
            }
            let end = child(&arguments, command.stdin.as_deref().unwrap());
            machine.died |= end.is_err();
            end
        })
        .on("systemctl show jenkins.service", move |_| {
            let state = if jenkins.lock().unwrap().jenkins { "active" } else { "inactive" };
            Ok(format!("LoadState=loaded\nActiveState={state}\nControlGroup=\n"))
        })
        .on("systemctl stop --no-block jenkins.service", move |_| {
            halt.lock().unwrap().jenkins = false;
            Ok(String::new())
        })
        .on("systemctl show hostkit-boot.service", move |_| {
            let (state, run) = booted.lock().unwrap().boot;
            Ok(format!("ActiveState={state}\nInvocationID={run}\n"))
        })
        .on("systemctl show hostkit-lease.service", move |_| {
            let state = if held.lock().unwrap().lease { "active" } else { "inactive" };
            Ok(format!("ActiveState={state}\n"))
        })
        .on("systemctl start --no-block hostkit-lease.service", move |_| {
            Lease::of(&its_root, &its_order).start(&mut start.lock().unwrap());
            Ok(String::new())
        })
        .on("systemctl stop --no-block hostkit-lease.service", move |_| {
            Lease::of(&other_root, &other_order).stop(&mut stop.lock().unwrap());
            Ok(String::new())
        })
        .on("systemctl restart --no-block hostkit-boot.service", move |_| {
            let mut machine = again.lock().unwrap();
            Lease::of(&boot_root, &boot_order).start(&mut machine);
            let may = matches!(home_step(&boot_order.mount_point), boot::Answer::Done { .. });
            machine.jenkins = may;
            machine.boot = (if may { "active" } else { "failed" }, machine.boot.1 + 1);
            if !may {
                Lease::of(&boot_root, &boot_order).stop(&mut machine);
            }
            Ok(String::new())
        })
        .converse("hostkit inner clerk", |_| {
            let mut clerk = Clerk::new(Ground::Any);
            Box::new(move |line| Reply::Line(clerk.answer_line(line)))
        })
}
