//! `SuspendProcesses` and `ResumeProcesses`.

use super::{Asked, habits, list, named, validation};
use crate::sim::account::Account;
use crate::sim::group::process::Process;
use crate::sim::http::Reply;

/// Suspends or resumes the processes that are named, or all.
pub(super) fn suspend(
    account: &mut Account,
    region: &str,
    asked: &Asked,
    suspend: bool,
) -> Result<String, Reply> {
    let habits = habits(account, region, named(asked)?)?;
    let mut processes = Vec::new();
    for word in list(asked, "ScalingProcesses") {
        let process = Process::of(&word);
        processes.push(
            process.ok_or_else(|| validation(&format!("Invalid scaling process type: {word}")))?,
        );
    }
    if processes.is_empty() {
        processes.extend(Process::ALL);
    }
    for process in processes {
        if suspend {
            habits.suspended.insert(process);
        } else {
            habits.suspended.remove(&process);
        }
    }
    Ok(String::new())
}
