//! What may end a wait: the thing itself, the time-out, a signal, the machine, its group.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::goal;
use super::machine::Machine;
use crate::error::Fault;
use crate::sim::endpoint::Shared;

/// How long an abandoned machine may still write to its console.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Watches over a run from its start.
#[derive(Debug)]
pub struct Watch {
    timeout: Duration,
    deadline: Instant,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// Whether an abandoned launch hook ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// It does: what is waited for will not come.
    Minds,
    /// It does not: somebody wants to look at the machine all the same.
    Ignored,
}

impl Watch {
    /// The time-out counts from now; signals no longer kill this process.
    pub fn new(timeout: Duration) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            timeout,
            deadline: Instant::now() + timeout,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until somebody asks to stop.
    pub async fn stopped(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// Does `work`, before there is a machine.
    pub async fn over<T>(
        &mut self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let (deadline, timeout) = (self.deadline, self.timeout);
        tokio::select! {
            biased;
            end = work => end,
            () = self.stopped() => Err(Fault::interrupted().into()),
            () = tokio::time::sleep_until(deadline) => Err(too_late(what, timeout).into()),
        }
    }

    /// Does `work` while the machine runs.
    pub async fn over_machine<T>(
        &mut self,
        machine: &mut Machine,
        (account, instance): (&Shared, &str),
        hook: Hook,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let guarded = async {
            tokio::select! {
                biased;
                end = work => end,
                () = goal::abandoned(account, instance), if hook == Hook::Minds => {
                    tokio::time::sleep(LAST_WORDS).await;
                    Err(Fault::step(format!("the launch hook was abandoned before {what}")).into())
                }
                end = machine.process.wait() => {
                    let status = end.context("waiting for QEMU")?;
                    let how = if status.success() { String::new() } else { format!(" ({status})") };
                    Err(Fault::step(format!("the machine went off{how} before {what}")).into())
                }
            }
        };
        self.over(what, guarded).await
    }
}

fn too_late(what: &str, timeout: Duration) -> Fault {
    Fault::step(format!("{} s passed before {what}", timeout.as_secs()))
}
