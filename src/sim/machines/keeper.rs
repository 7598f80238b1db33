//! Who keeps the machine of one instance, from its launch until it is terminated.
//!
//! The keeper alone owns the machine. What EC2 was asked stands in the account; the keeper looks
//! there, does it, and tells the account once it is done: an instance is `running`, `stopped` or
//! `terminated` only when its machine is.

use std::process::ExitStatus;
use std::sync::Arc;

use anyhow::bail;
use tokio::task::JoinSet;

use super::address::{self, Addresses};
use super::capture::{self, Waiting};
use super::console;
use super::floor::{Floor, GLANCE, Wanted};
use super::volume::{Changes, Volume};
use crate::sim::endpoint::with;
use crate::sim::instance::{Ending, Instance, State};
use crate::sim::vm::machine::{self, Build, Machine};
use crate::sim::vm::run_dir::RunDir;
use crate::sim::vm::stage::Place;

/// One instance and what it has of this machine.
pub(super) struct Keeper {
    floor: Arc<Floor>,
    instance: String,
    wanted: Wanted,
    volume: Volume,
    run_dir: RunDir,
    _place: Place,
    /// Whether its processors stand still.
    still: bool,
    /// What follows its console, and ends with it.
    _tasks: JoinSet<()>,
}

/// What becomes of an instance whose machine is off.
enum Next {
    /// Its machine is switched on.
    Start,
    /// It is terminated.
    Gone,
    /// Its disk is looked at.
    Fill(Vec<Waiting>),
}

/// What happens next to a machine that is on.
enum Turn {
    /// It went off by itself: QEMU ended.
    Off(std::io::Result<ExitStatus>),
    /// It is to be stopped or terminated.
    End(Ending),
    /// It is to be restarted, and its disk looked at while it is off.
    Restart(Vec<Waiting>),
    /// Its disk is looked at while it runs.
    Fill(Vec<Waiting>),
    /// Its processors stand still from now on, or run on.
    Still(bool),
}

/// Keeps the instance until it is terminated. What goes wrong ends the instance and nothing else.
pub(super) async fn keep(floor: Arc<Floor>, instance: String, name: String, addresses: Addresses) {
    match Keeper::prepare(&floor, &instance, &name, addresses).await {
        Ok(mut keeper) => keeper.live().await,
        Err(error) => floor.give_up(&instance, &error),
    }
    // A run's folder goes with the run, which may have many instances.
    let _ = std::fs::remove_dir_all(floor.run_dir.file(&name));
}

impl Drop for Keeper {
    /// One that still runs when the account ends leaves its console, too.
    fn drop(&mut self) {
        self.floor.keep_console(&self.instance, &self.run_dir.file(machine::CONSOLE));
    }
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
        let volume = Volume::make(&floor.runner, &run_dir, base, wanted.volume.gib << 30).await?;
        let files = floor.passage(instance);
        let place = Place::around(&floor.account, &run_dir, (instance, &wanted.mac), files)?;
        let mut tasks = JoinSet::new();
        let file = run_dir.file(machine::CONSOLE);
        tasks.spawn(console::follow(Arc::clone(&floor.account), instance.to_owned(), file));
        Ok(Self {
            floor: Arc::clone(floor),
            instance: instance.to_owned(),
            wanted,
            volume,
            run_dir,
            _place: place,
            still: false,
            _tasks: tasks,
        })
    }

    /// On, off, on again, until it is terminated.
    async fn live(&mut self) {
        loop {
            match self.off().await {
                Next::Gone => return,
                Next::Fill(waiting) => self.fill(&waiting, self.changes().await).await,
                Next::Start => match self.switch_on().await {
                    Ok(machine) => {
                        self.floor.change(&self.instance, Instance::switched_on);
                        self.floor.tell(&self.instance, &format!("on, {}", self.reached_at()));
                        self.run(machine).await;
                    }
                    Err(error) => self.floor.give_up(&self.instance, &error),
                },
            }
        }
    }

    fn reached_at(&self) -> String {
        let addresses = self.wanted.addresses.iter().rev().map(|one| format!("at {one}"));
        addresses.collect::<Vec<_>>().join(" and ")
    }

    /// Waits, while there is no machine, for what becomes of the instance.
    async fn off(&self) -> Next {
        loop {
            let next = with(&self.floor.account, |account| {
                let waiting = capture::waiting(account, &self.wanted.region, &self.instance);
                if !waiting.is_empty() {
                    return Some(Next::Fill(waiting));
                }
                let Some((instance, now)) = account.instance_mut(&self.instance) else {
                    return Some(Next::Gone);
                };
                match instance.state() {
                    State::Pending => Some(Next::Start),
                    State::Terminated => Some(Next::Gone),
                    State::Stopped => None,
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
        let options = &self.floor.options;
        let build = Build {
            chosen: self.floor.chosen,
            firmware: self.wanted.firmware,
            memory_mib: options.memory_mib,
            cpus: options.cpus,
            mac: self.wanted.mac.clone(),
            forwards: Vec::new(),
            doors: address::doors(&self.wanted.addresses),
            efs_reachable: options.efs.is_some(),
        };
        let Self { floor, run_dir, volume, .. } = self;
        let mut machine = Machine::on_disk(&floor.runner, run_dir, volume.top(), &build).await?;
        machine.power_on().await?;
        Ok(machine)
    }

    /// Has the machine run until it is off, and tells the account.
    async fn run(&mut self, machine: Machine) {
        let end = self.see_through(machine).await;
        let file = self.run_dir.file(machine::CONSOLE);
        console::tell(&self.floor.account, &self.instance, &file).await;
        // The volumes of one that is terminated go: what waits for them gets them first.
        let waiting = with(&self.floor.account, |account| {
            capture::waiting(account, &self.wanted.region, &self.instance)
        });
        if !waiting.is_empty() {
            self.fill(&waiting, self.changes().await).await;
        }
        match end {
            Ok(()) => self.floor.change(&self.instance, Instance::switched_off),
            Err(error) => {
                self.floor.tell(&self.instance, &format!("its machine is lost: {error:#}"));
                self.floor.change(&self.instance, Instance::died);
            }
        }
        let state = self.floor.state(&self.instance);
        self.floor.tell(&self.instance, state.word());
    }

    async fn see_through(&mut self, mut machine: Machine) -> anyhow::Result<()> {
        loop {
            match self.next(&mut machine).await {
                Turn::Off(Ok(status)) if status.success() => return Ok(()),
                Turn::Off(Ok(status)) => {
                    bail!("QEMU ended ({status}): {}", machine::said(&self.run_dir));
                }
                Turn::Off(Err(error)) => return Err(error.into()),
                Turn::End(ending) => {
                    self.end(&mut machine, ending).await;
                    return Ok(());
                }
                Turn::Restart(waiting) => {
                    machine.power_down().await;
                    self.fill(&waiting, self.changes().await).await;
                    machine = self.switch_on().await?;
                }
                Turn::Still(true) => {
                    machine.pause().await?;
                    self.still = true;
                }
                Turn::Still(false) => {
                    machine.power_on().await?;
                    self.still = false;
                }
                Turn::Fill(waiting) => {
                    let next = self.run_dir.argument(&self.volume.next())?;
                    machine.freeze_disk(&next).await?;
                    self.volume.frozen();
                    let Self { floor, run_dir, volume, .. } = &*self;
                    let changes = volume.frozen_changes(&floor.runner, run_dir).await;
                    self.fill(&waiting, changes).await;
                }
            }
        }
    }

    async fn next(&self, machine: &mut Machine) -> Turn {
        tokio::select! {
            biased;
            end = machine.process.wait() => Turn::Off(end),
            turn = self.asked() => turn,
        }
    }

    /// Waits for what EC2 was asked.
    async fn asked(&self) -> Turn {
        loop {
            let turn = with(&self.floor.account, |account| {
                let waiting = capture::waiting(account, &self.wanted.region, &self.instance);
                let (instance, _) = account.instance_mut(&self.instance)?;
                if !matches!(instance.state(), State::Pending | State::Running) {
                    return Some(Turn::End(instance.ending.unwrap_or(Ending::Graceful)));
                }
                if std::mem::take(&mut instance.launch.as_mut()?.reboot) {
                    return Some(Turn::Restart(waiting));
                }
                if !waiting.is_empty() {
                    return Some(Turn::Fill(waiting));
                }
                let still = self.floor.is_still(&self.instance);
                (still != self.still).then_some(Turn::Still(still))
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

    /// What the disk of a machine that is off has become.
    async fn changes(&self) -> anyhow::Result<Changes> {
        self.volume.changes(&self.floor.runner, &self.run_dir).await
    }

    /// Gives snapshots what the disk has become.
    async fn fill(&self, waiting: &[Waiting], changes: anyhow::Result<Changes>) {
        let changes = changes.map(Arc::new).map_err(|error| format!("{error:#}"));
        for one in waiting {
            if one.volume != self.wanted.volume.id {
                capture::fill_unchanged(&self.floor, &self.wanted, one);
                continue;
            }
            let taken = match &changes {
                Ok(changes) => {
                    let changes = Arc::clone(changes);
                    let end = capture::fill(&self.floor, &self.wanted, &one.id, changes).await;
                    end.map_err(|error| format!("{error:#}"))
                }
                Err(error) => Err(error.clone()),
            };
            let told = match taken {
                Ok(count) => format!("its disk is in {}: {count} blocks are new", one.id),
                Err(error) => {
                    capture::fail(&self.floor, &self.wanted, &one.id);
                    format!("its disk is not in {}: {error}", one.id)
                }
            };
            self.floor.tell(&self.instance, &told);
        }
    }
}
