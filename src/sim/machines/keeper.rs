//! Who keeps the machine of one instance, from its launch until it is terminated.
//!
//! The keeper alone owns the machine. What EC2 was asked stands in the account; the keeper looks
//! there, does it, and tells the account once it is done: an instance is `running`, `stopped` or
//! `terminated` only when its machine is.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::address::Addresses;
use super::capture;
use super::console;
use super::floor::{Floor, GLANCE, Wanted};
use super::volume::{Changes, Volume};
use crate::sim::endpoint::with;
use crate::sim::instance::{Ending, Instance, Order, State};
use crate::sim::vm::machine::{self, Build, Machine};
use crate::sim::vm::run_dir::RunDir;
use crate::sim::vm::stage::Place;

/// One instance and what it has of this machine.
pub(super) struct Keeper {
    floor: Arc<Floor>,
    instance: String,
    wanted: Wanted,
    addresses: Addresses,
    volume: Volume,
    run_dir: RunDir,
    _place: Place,
    /// What follows its console, and ends with it.
    _tasks: JoinSet<()>,
}

/// What happens next to a machine that is on.
enum Turn {
    /// It went off by itself.
    Off,
    /// It is to be stopped.
    Stop(Ending),
    /// It is to be terminated.
    Terminate(Ending),
    /// Something else is to be done to it.
    Obey(Order),
}

/// Keeps the instance until it is terminated. What goes wrong ends the instance and nothing else.
pub(super) async fn keep(
    floor: Arc<Floor>,
    instance: String,
    name: String,
    addresses: Addresses,
) {
    match Keeper::prepare(&floor, &instance, &name, addresses).await {
        Ok(mut keeper) => keeper.live().await,
        Err(error) => floor.give_up(&instance, &error),
    }
    // A run's folder goes with the run, which may have many instances.
    let _ = std::fs::remove_dir_all(floor.run_dir.file(&name));
}

impl Keeper {
    async fn prepare(
        floor: &Arc<Floor>,
        instance: &str,
        name: &str,
        addresses: Addresses,
    ) -> anyhow::Result<Self> {
        let wanted = floor.wanted(instance, addresses)?;
        let run_dir = floor.run_dir.below(name)?;
        let base = floor.disk_of(&wanted).await?;
        let volume = Volume::make(&floor.runner, &run_dir, base, wanted.disk_bytes).await?;
        let files = floor.passage(instance);
        let place = Place::around(&floor.account, &run_dir, (instance, &wanted.mac), files)?;
        let mut tasks = JoinSet::new();
        let file = run_dir.file(machine::CONSOLE);
        tasks.spawn(console::follow(Arc::clone(&floor.account), instance.to_owned(), file));
        Ok(Self {
            floor: Arc::clone(floor),
            instance: instance.to_owned(),
            wanted,
            addresses,
            volume,
            run_dir,
            _place: place,
            _tasks: tasks,
        })
    }

    /// On, off, on again, until it is terminated.
    async fn live(&mut self) {
        loop {
            match self.off().await {
                Next::Start => {}
                Next::Gone => return,
                Next::Obey(order) => {
                    self.obey_while_off(&order).await;
                    continue;
                }
            }
            match self.switch_on().await {
                Ok(machine) => {
                    self.floor.change(&self.instance, Instance::switched_on);
                    let Addresses { public, .. } = self.addresses;
                    self.floor.tell(&self.instance, &format!("its machine is on: {public}"));
                    self.run(machine).await;
                }
                Err(error) => self.floor.give_up(&self.instance, &error),
            }
        }
    }

    /// Waits, while there is no machine, for what becomes of the instance.
    async fn off(&self) -> Next {
        loop {
            let next = with(&self.floor.account, |account| {
                let Some((instance, now)) = account.instance_mut(&self.instance) else {
                    return Some(Next::Gone);
                };
                match instance.state() {
                    State::Pending => Some(Next::Start),
                    State::Terminated => Some(Next::Gone),
                    State::Stopped => instance.orders.pop_front().map(Next::Obey),
                    // Asked for before the machine was on: there is nothing to wait for.
                    State::ShuttingDown | State::Stopping | State::Running => {
                        instance.switched_off(now);
                        None
                    }
                }
            });
            if let Some(next) = next {
                return next;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn switch_on(&self) -> anyhow::Result<Machine> {
        let build = Build {
            chosen: self.floor.chosen,
            firmware: self.wanted.firmware,
            memory_mib: self.floor.options.memory_mib,
            cpus: self.floor.options.cpus,
            mac: self.wanted.mac.clone(),
            forwards: Vec::new(),
            doors: self.addresses.doors(),
            efs_reachable: self.floor.options.efs.is_some(),
        };
        let Self { floor, run_dir, volume, .. } = self;
        let mut machine =
            Machine::on_disk(&floor.runner, run_dir, volume.top(), &build).await?;
        machine.power_on().await?;
        Ok(machine)
    }

    /// Has the machine run until it is off, and tells the account.
    async fn run(&mut self, mut machine: Machine) {
        loop {
            match self.next(&mut machine).await {
                Turn::Off => break,
                Turn::Stop(ending) | Turn::Terminate(ending) => {
                    self.end(&mut machine, ending).await;
                    break;
                }
                Turn::Obey(order) => match self.obey(machine, &order).await {
                    Ok(on) => machine = on,
                    Err(error) => {
                        self.floor.tell(&self.instance, &format!("its machine is lost: {error:#}"));
                        break;
                    }
                },
            }
        }
        self.floor.change(&self.instance, Instance::switched_off);
        let state = self.floor.state(&self.instance);
        self.floor.tell(&self.instance, &format!("its machine is off: {}", state.word()));
    }

    async fn next(&self, machine: &mut Machine) -> Turn {
        tokio::select! {
            biased;
            _ = machine.process.wait() => Turn::Off,
            turn = self.asked() => turn,
        }
    }

    /// Waits for what EC2 was asked.
    async fn asked(&self) -> Turn {
        loop {
            let turn = with(&self.floor.account, |account| {
                account.lifecycle(&self.instance);
                let (instance, _) = account.instance_mut(&self.instance)?;
                let ending = instance.ending.unwrap_or(Ending::Graceful);
                match instance.state() {
                    State::Stopping | State::Stopped => Some(Turn::Stop(ending)),
                    State::ShuttingDown | State::Terminated => Some(Turn::Terminate(ending)),
                    State::Pending | State::Running => {
                        instance.orders.pop_front().map(Turn::Obey)
                    }
                }
            });
            if let Some(turn) = turn {
                return turn;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Ends the machine: by its power button, until somebody is in more of a hurry.
    async fn end(&self, machine: &mut Machine, first: Ending) {
        if first == Ending::Graceful {
            let hurry = async {
                while self.floor.ending(&self.instance) != Some(Ending::SkipOsShutdown) {
                    tokio::time::sleep(GLANCE).await;
                }
            };
            tokio::select! {
                _ = machine.power_down() => {}
                () = hurry => {}
            }
        }
        machine.unplug().await;
    }

    /// Does what was asked of a machine that is on; the machine that is on afterwards.
    async fn obey(&mut self, mut machine: Machine, order: &Order) -> anyhow::Result<Machine> {
        match order {
            Order::Reboot => {
                machine.power_down().await;
                self.switch_on().await
            }
            Order::Image { no_reboot: false, .. } => {
                machine.power_down().await;
                self.obey_while_off(order).await;
                self.switch_on().await
            }
            Order::Image { no_reboot: true, .. } => {
                let next = self.run_dir.argument(&self.volume.next())?;
                machine.freeze_disk(&next).await?;
                self.volume.frozen();
                let Self { floor, run_dir, volume, .. } = &*self;
                self.capture(order, volume.frozen_changes(&floor.runner, run_dir).await).await;
                Ok(machine)
            }
        }
    }

    async fn obey_while_off(&self, order: &Order) {
        if let Order::Image { .. } = order {
            let Self { floor, run_dir, volume, .. } = self;
            self.capture(order, volume.changes(&floor.runner, run_dir).await).await;
        }
    }

    /// Makes a snapshot of what the disk has become, for an image.
    async fn capture(&self, order: &Order, changes: anyhow::Result<Changes>) {
        let Order::Image { image, .. } = order else { return };
        let taken = match changes {
            Ok(changes) => capture::take(&self.floor, &self.wanted, image, changes).await,
            Err(error) => Err(error),
        };
        match taken.with_context(|| format!("taking the disk of {} for {image}", self.instance)) {
            Ok(blocks) => {
                let text = format!("{image} has its disk: {blocks} blocks are new");
                self.floor.tell(&self.instance, &text);
            }
            Err(error) => {
                self.floor.tell(&self.instance, &format!("{error:#}"));
                capture::fail(&self.floor, &self.wanted, image);
            }
        }
    }
}

/// What becomes of an instance whose machine is off.
enum Next {
    /// Its machine is switched on.
    Start,
    /// It is terminated.
    Gone,
    /// Something is done to its disk.
    Obey(Order),
}

