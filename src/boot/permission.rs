//! Who may start what this host is for: only a boot that has made sure that it may.
//!
//! The units of Jenkins and of the ECS agent assert that a file exists, so that nobody else's start
//! gets past that. A boot that fails takes the file away and stops what it has started.

use anyhow::Context as _;

use super::context::{Context, Machine};
use crate::sys::{atomic, systemd};

const FILE: &str = "may-start";

/// Takes the permission away. What runs goes on.
pub(super) fn withdraw(machine: &Machine) -> anyhow::Result<()> {
    match std::fs::remove_file(machine.run(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("taking the permission to start away")
        }
        _ => Ok(()),
    }
}

/// Gives it.
pub(super) fn grant(machine: &Machine) -> anyhow::Result<()> {
    let written = atomic::write(&machine.run(FILE), b"", 0o444);
    written.map(drop).context("giving the permission to start")
}

/// Remembers that this boot starts `unit`.
pub(super) fn starts(context: &Context, unit: &'static str) {
    context.started.lock().expect("nobody panics with this lock").push(unit);
}

/// Withdraws the permission and stops what this boot has started: its successor may start any
/// moment. Says what could not be done.
pub(super) async fn give_up(context: &Context, step: &str) {
    if let Err(error) = withdraw(&context.machine) {
        context.events.log(step, format!("{error:#}"));
    }
    let started =
        std::mem::take(&mut *context.started.lock().expect("nobody panics with this lock"));
    for unit in started {
        if let Err(error) = systemd::stop_no_block(&context.machine.runner, unit).await {
            context.events.log(step, format!("{unit} could not be stopped: {error}"));
        }
    }
}
