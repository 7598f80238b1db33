//! One host of a fleet: a machine, the task that keeps it, and what may be done to it.
//!
//! The keeper alone owns the machine. It obeys who plays the rehearsal and what the account decides
//! about the instance, and tells the account once the machine is gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::observer::{self, Seen};
use super::story::Story;
use crate::error::Fault;
use crate::event::Events;
use crate::sim::endpoint::{Shared, with};
use crate::sim::instance::{Ending, Instance, Lifecycle, State};
use crate::sim::timeline::{Milestone, Recorder};
use crate::sim::vm::command;
use crate::sim::vm::goal;
use crate::sim::vm::machine::{self, Machine};
use crate::sim::vm::options::{SSH_PORT, Session};
use crate::sim::vm::run_dir::RunDir;
use crate::sim::vm::stage::Place;
use crate::sys::Runner;

/// How often the account is asked what it has decided about an instance.
const GLANCE: Duration = Duration::from_millis(100);
/// How long after a lost connection the guest is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// The last line of a script's output tells how it ended.
const ENDED: &str = "@@ ended with ";

/// What the keeper is told.
#[derive(Debug)]
enum Order {
    Pause,
    Resume,
    Crash(Crash),
    PowerDown,
}

/// How AWS takes notice of a machine that died.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// How long EC2 goes on to say `running`.
    pub noticed_after: Duration,
    /// How long it then says `shutting-down`.
    pub gone_after: Duration,
}

/// Ends a task when it is dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A host. Dropping it ends its machine at once.
#[derive(Debug)]
pub struct Host {
    /// `A`, `B`, …
    pub name: String,
    /// Its instance.
    pub instance: String,
    shared: Arc<Ground>,
    run_dir: RunDir,
    port: u16,
    orders: mpsc::Sender<(Order, oneshot::Sender<anyhow::Result<()>>)>,
    seen: watch::Receiver<Seen>,
    recorder: Recorder,
    _tasks: [Task; 2],
    _place: Place,
}

/// What all hosts of a fleet stand on.
#[derive(Debug)]
pub struct Ground {
    /// The fleet's folder: the login key is in it.
    pub run_dir: RunDir,
    /// How programs are started.
    pub runner: Runner,
    /// The account.
    pub account: Shared,
    /// What is told.
    pub story: Story,
    /// How long anything that is waited for may take.
    pub timeout: Duration,
    /// Where consoles and records are kept; nowhere if absent.
    pub keep: Option<PathBuf>,
}

impl Drop for Host {
    /// Its console goes with its folder, unless somebody wants to keep it.
    fn drop(&mut self) {
        let Some(folder) = &self.shared.keep else { return };
        let file = folder.join(format!("{}.console.log", self.name));
        let kept = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::copy(self.run_dir.file(machine::CONSOLE), file));
        if let Err(error) = kept {
            tracing::warn!(%error, name = self.name, "a console's text is lost");
        }
    }
}

impl Host {
    /// Takes over a machine that is made and not on yet, and switches it on.
    pub async fn switch_on(
        shared: &Arc<Ground>,
        name: &str,
        run_dir: RunDir,
        place: Place,
        mut machine: Machine,
        recorder: Recorder,
    ) -> anyhow::Result<Self> {
        let instance = place.instance.clone();
        let port = machine.port(SSH_PORT).context("the SSH port was not forwarded")?;
        machine.power_on().await?;
        recorder.power_on();
        shared.change(&instance, Instance::switched_on);
        shared.story.tell(name, "power on");
        let (orders, inbox) = mpsc::channel(1);
        let (sender, seen) = watch::channel(Seen::default());
        let keeper = Keeper {
            ground: Arc::clone(shared),
            name: name.to_owned(),
            instance: instance.clone(),
            machine,
        };
        let tasks = [
            Task(tokio::spawn(keeper.keep(inbox))),
            Task(tokio::spawn(observe(Arc::clone(shared), name.to_owned(), port, sender))),
        ];
        Ok(Self {
            name: name.to_owned(),
            instance,
            shared: Arc::clone(shared),
            run_dir,
            port,
            orders,
            seen,
            recorder,
            _tasks: tasks,
            _place: place,
        })
    }

    /// Holds its processors.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.order(Order::Pause).await
    }

    /// Lets them run on.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.order(Order::Resume).await
    }

    /// Kills its machine. EC2 notices later, as `crash` says.
    pub async fn crash(&self, crash: Crash) -> anyhow::Result<()> {
        self.order(Order::Crash(crash)).await
    }

    /// Presses its power button, and does not wait: it is `stopping`.
    pub async fn power_down(&self) -> anyhow::Result<()> {
        self.order(Order::PowerDown).await
    }

    /// Its group terminates it.
    pub fn terminate(&self, ending: Ending) {
        self.shared.story.tell(&self.name, "its group terminates it");
        self.shared.change(&self.instance, |instance, now| instance.terminate(now, ending));
    }

    async fn order(&self, order: Order) -> anyhow::Result<()> {
        let (answer, done) = oneshot::channel();
        let off = || Fault::step(format!("{} is off", self.name));
        self.orders.send((order, answer)).await.map_err(|_| off())?;
        done.await.map_err(|_| off())?
    }

    /// What EC2 says of it.
    pub fn state(&self) -> State {
        with(&self.shared.account, |account| {
            account.instance(&self.instance).map_or(State::Terminated, Instance::state)
        })
    }

    /// When EC2 came to say something of it.
    pub fn since(&self, state: State) -> Option<Instant> {
        with(&self.shared.account, |account| account.instance(&self.instance)?.since(state))
    }

    /// Where its group has it.
    pub fn lifecycle(&self) -> Lifecycle {
        let lifecycle = with(&self.shared.account, |account| account.lifecycle(&self.instance));
        lifecycle.unwrap_or(Lifecycle::Terminating)
    }

    /// What was last seen of its inside.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// What its console shows so far.
    pub fn console(&self) -> String {
        let text = std::fs::read(self.run_dir.file(machine::CONSOLE)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What was seen of its boot, from outside.
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Waits until its inside is seen to be as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> anyhow::Result<Seen> {
        let mut seen = self.seen.clone();
        let work = async {
            match seen.wait_for(|seen| wanted(seen)).await {
                Ok(seen) => seen.clone(),
                Err(_closed) => std::future::pending().await,
            }
        };
        self.within(what, work).await
    }

    /// Waits until its boot reached something.
    pub async fn reaches(&self, milestone: Milestone) -> anyhow::Result<()> {
        let what = milestone.to_string();
        let work = async {
            while self.recorder.timeline().at(&milestone).is_none() {
                tokio::time::sleep(GLANCE / 10).await;
            }
        };
        self.within(&what, work).await
    }

    /// Waits until its launch hook got CONTINUE.
    pub async fn in_service(&self) -> anyhow::Result<()> {
        let work = goal::ready(&self.shared.account, &self.instance);
        self.within("its launch hook got CONTINUE", work).await
    }

    /// Waits until EC2 says something of it.
    pub async fn becomes(&self, state: State) -> anyhow::Result<()> {
        let work = async {
            while self.state() != state {
                tokio::time::sleep(GLANCE).await;
            }
        };
        self.within(&format!("EC2 said {}", state.word()), work).await
    }

    /// Does `work`, and fails when it takes too long.
    pub async fn within<T>(&self, what: &str, work: impl Future<Output = T>) -> anyhow::Result<T> {
        let timeout = self.shared.timeout;
        tokio::time::timeout(timeout, work).await.map_err(|_elapsed| {
            let Seen { lease, says, jenkins } = self.seen();
            Fault::step(format!("host {}: {} s passed before {what}", self.name, timeout.as_secs()))
                .hint(format!(
                    "EC2 says {}, the lease's unit is `{lease}` ({says}), Jenkins {}",
                    self.state().word(),
                    if jenkins { "runs" } else { "does not run" },
                ))
                .into()
        })
    }

    /// Runs a script for `sh` as root in it: its exit status, and all that it printed.
    pub async fn ask(&self, script: &str) -> anyhow::Result<(i32, String)> {
        let Ground { runner, run_dir, .. } = &*self.shared;
        let script = format!("( {script}\n) 2>&1; echo \"{ENDED}$?\"");
        let (session, silent) = (Session::Script(script), Events::silent());
        let work = command::run(runner, run_dir, self.port, &session, &silent);
        let said = self.within("a command in it ended", work).await??.said;
        let (said, status) = said.rsplit_once(ENDED).with_context(|| {
            Fault::step(format!("host {}: the connection broke during a command", self.name))
        })?;
        let status = status.trim().parse().context("reading a command's exit status")?;
        Ok((status, said.trim_end().to_owned()))
    }
}

impl Ground {
    /// Changes an instance.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Instance, Instant)) {
        with(&self.account, |account| {
            if let Some((instance, now)) = account.instance_mut(id) {
                change(instance, now);
            }
        });
    }
}

/// Who owns a machine that is on.
struct Keeper {
    ground: Arc<Ground>,
    name: String,
    instance: String,
    machine: Machine,
}

/// What an order came to.
enum After {
    On,
    Off,
    Died(Crash),
}

impl Keeper {
    /// Keeps the machine until it is gone, and tells the account.
    async fn keep(
        mut self,
        mut inbox: mpsc::Receiver<(Order, oneshot::Sender<anyhow::Result<()>>)>,
    ) {
        loop {
            let after = tokio::select! {
                biased;
                ending = ending(&self.ground.account, &self.instance) => {
                    self.end(ending).await;
                    After::Off
                }
                _ = self.machine.process.wait() => After::Off,
                Some((order, answer)) = inbox.recv() => {
                    let (after, end) = self.obey(order).await;
                    let _ = answer.send(end);
                    after
                }
            };
            match after {
                After::On => {}
                After::Off => break,
                After::Died(crash) => {
                    tokio::time::sleep(crash.noticed_after).await;
                    self.ground.story.tell(&self.name, "EC2 says shutting-down");
                    self.ground.change(&self.instance, |instance, now| {
                        instance.terminate(now, Ending::SkipOsShutdown);
                    });
                    tokio::time::sleep(crash.gone_after).await;
                    break;
                }
            }
        }
        self.ground.change(&self.instance, Instance::switched_off);
        let state = with(&self.ground.account, |account| {
            account.instance(&self.instance).map_or("terminated", |one| one.state().word())
        });
        self.ground.story.tell(&self.name, &format!("the machine is gone; EC2 says {state}"));
    }

    async fn obey(&mut self, order: Order) -> (After, anyhow::Result<()>) {
        let tell = |what: &str| self.ground.story.tell(&self.name, what);
        match order {
            Order::Pause => {
                let end = self.machine.pause().await;
                tell("paused: its processors stand still");
                (After::On, end)
            }
            Order::Resume => {
                tell("resumed");
                (After::On, self.machine.power_on().await)
            }
            Order::Crash(crash) => {
                self.machine.process.kill().await;
                tell("its machine was killed; EC2 has not noticed");
                (After::Died(crash), Ok(()))
            }
            Order::PowerDown => {
                tell("the power button is pressed");
                self.ground.change(&self.instance, Instance::stop);
                self.machine.power_down().await;
                (After::Off, Ok(()))
            }
        }
    }

    /// Ends the machine of an instance that is being terminated.
    async fn end(&mut self, first: Ending) {
        if first == Ending::Graceful {
            let hurry = async {
                while with(&self.ground.account, |account| {
                    account
                        .instance(&self.instance)
                        .is_some_and(|one| one.ending == Some(Ending::Graceful))
                }) {
                    tokio::time::sleep(GLANCE).await;
                }
            };
            tokio::select! {
                _ = self.machine.power_down() => {}
                () = hurry => {}
            }
        }
        self.machine.unplug().await;
    }
}

/// Waits until an instance is being terminated.
async fn ending(account: &Shared, instance: &str) -> Ending {
    loop {
        let ending = with(account, |account| {
            account.lifecycle(instance);
            account.instance(instance).and_then(|one| one.ending)
        });
        if let Some(ending) = ending {
            return ending;
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Logs in and follows what goes on inside, for ever.
async fn observe(ground: Arc<Ground>, name: String, port: u16, seen: watch::Sender<Seen>) {
    let Ground { runner, run_dir, story, .. } = &*ground;
    let silent = Recorder::silent();
    loop {
        if let Err(error) = command::log_in(runner, run_dir, port, &silent).await {
            tracing::warn!(%error, name, "cannot look into a host");
            return;
        }
        let line = |line: &str| observer::take(line, &name, story, &seen);
        let end = command::follow(runner, run_dir, port, observer::SCRIPT, line).await;
        tracing::debug!(?end, name, "lost sight of a host");
        tokio::time::sleep(AGAIN).await;
    }
}
