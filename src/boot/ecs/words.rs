//! The last words of the ECS agent: evidence for an error. It writes them to files of its own, and
//! not to the journal.

use std::io::{Read as _, Seek as _, SeekFrom};

use crate::boot::context::Machine;
use crate::error::Fault;

/// Where somebody looks next.
pub(super) const HINT: &str = "journalctl -u ecs; /var/log/ecs/ecs-agent.log";

const LOG: &str = "var/log/ecs/ecs-agent.log";

/// So much of the end of the log is looked at, in bytes.
const TAIL: u64 = 64 << 10;

/// A line is cut off here.
const LONGEST: usize = 400;

/// The fault, with what the agent complained of last as its cause.
pub(super) fn blame(machine: &Machine, fault: Fault) -> anyhow::Error {
    match last_complaint(machine) {
        Some(words) => anyhow::anyhow!("the ECS agent wrote: {words}").context(fault),
        None => fault.into(),
    }
}

fn last_complaint(machine: &Machine) -> Option<String> {
    let mut file = std::fs::File::open(machine.path(LOG)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    complaint(&text)
}

/// The last line of the log that is worse than a warning: `level=error time=… msg=…`.
fn complaint(log: &str) -> Option<String> {
    let bad = |line: &&str| {
        ["level=error", "level=critical", "[ERROR]", "[CRITICAL]"]
            .iter()
            .any(|it| line.contains(it))
    };
    let line = log.lines().rev().find(bad)?;
    let plain: String = line.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thing_that_went_wrong_is_told() {
        let log = "level=error time=1 msg=\"old\"\nlevel=error time=2 msg=\"Unable to register\"\n\
                   level=info time=3 msg=\"waiting\"\n";
        assert_eq!(
            complaint(log).as_deref(),
            Some("level=error time=2 msg=\"Unable to register\"")
        );
        assert_eq!(complaint("level=info msg=x\n"), None);
    }
}
