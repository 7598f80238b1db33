//! Whether files can be locked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tenant;
use crate::doctor::efs::inside::{self, Heard, Probe, Step, Task};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

const PATIENCE: Duration = Duration::from_secs(6);

/// So many locks EFS gives to one mount.
const MOST: usize = 8192;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What the child found, or in what it hangs.
    pub heard: Heard<Probe>,
    /// How many locks this host has on the file system; nothing where the kernel does not say.
    pub locks: Option<usize>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    let user = tenant(scene, here)?;
    let heard: Heard<Probe> = inside::ask(scene, here, Task::Lock, Some(user), PATIENCE).await?;
    let locks = match &heard {
        Heard::Said(probe) => std::fs::read_to_string(scene.path("proc/locks"))
            .ok()
            .map(|table| count(&table, probe.device)),
        Heard::Failed(_) | Heard::Hangs(_) => None,
    };
    Ok(Seen { heard, locks })
}

/// `1: POSIX  ADVISORY  WRITE 723 00:34:1234 0 EOF`: the device is of hexadecimal digits.
fn count(table: &str, (major, minor): (u64, u64)) -> usize {
    let device = format!("{major:02x}:{minor:02x}:");
    // One that waits has an arrow before its kind.
    let held = table.lines().filter(|line| !line.contains("->"));
    held.filter(|line| line.split_whitespace().any(|word| word.starts_with(&device))).count()
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let id = Id::Lock;
    let found = seen.heard.judge(id, case, |probe| {
        let told = Step::list(&probe.steps);
        let locks = seen.locks.map(|locks| format!("; this host has {locks} locks on it"));
        let says = format!("{told}{}", locks.unwrap_or_default());
        match seen.locks.filter(|locks| *locks > MOST / 2) {
            Some(locks) => {
                let says = format!("this host has {locks} locks on it, and EFS gives {MOST}");
                Finding::new(id.name(), Verdict::Warn, says)
                    .shown_by(told)
                    .mended_by("awk '{print $5}' /proc/locks | sort | uniq -c | sort -n | tail")
            }
            None => Finding::new(id.name(), Verdict::Pass, says),
        }
    });
    match &seen.heard {
        Heard::Hangs(hang) if hang.doing == "lock" => found.shown_by(
            "a server that has just started gives no locks for up to 90 s: look again after that",
        ),
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;
    use crate::doctor::efs::home::sample::{Setting, case};
    use crate::doctor::efs::inside::sample::home;
    use crate::doctor::efs::inside::{Hang, Trouble};
    use crate::doctor::render;

    const TABLE: &str = "1: POSIX  ADVISORY  WRITE 723 00:34:1234 0 EOF\n\
                         2: FLOCK  ADVISORY  WRITE 900 08:01:55 0 EOF\n\
                         3: OFDLCK ADVISORY  READ -1 00:34:77 0 EOF\n\
                         3: -> OFDLCK ADVISORY  WRITE -1 00:34:77 0 EOF\n\
                         4: POSIX  ADV";

    #[tokio::test]
    async fn a_home_whose_files_can_be_locked_passes() {
        let setting = Setting::on(home());
        let seen = look(&setting.scene()).await.unwrap();
        let Heard::Said(probe) = &seen.heard else { panic!("{seen:?}") };
        let told: Vec<_> = probe.steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!((told, seen.locks), (vec!["create", "lock", "unlock"], None));
        assert_eq!(judge(&seen, &setting.case()).verdict, Verdict::Pass);
        let (major, minor) = probe.device;
        setting.machine.put(
            "proc/locks",
            &format!("1: POSIX ADVISORY WRITE 7 {major:02x}:{minor:02x}:9 0 EOF\n"),
        );
        assert_eq!(look(&setting.scene()).await.unwrap().locks, Some(1));
    }

    #[test]
    fn only_the_locks_of_the_file_system_count() {
        assert_eq!(count(TABLE, (0, 0x34)), 2);
        assert_eq!(count("garbage\n\n: :", (0, 0x34)), 0);
    }

    #[test]
    fn what_is_wrong_with_locks_is_said() {
        let step = Step { what: "create".to_owned(), micros: 900 };
        let probe = Probe { steps: vec![step], uid: 1000, owner: 1000, device: (0, 52), swept: 0 };
        let failed = |errno| {
            let error = std::io::Error::from_raw_os_error(errno);
            Heard::Failed(Trouble::new("lock", &error))
        };
        let hang = Hang { doing: "lock".into(), done: Vec::new(), after: 6000, left: None };
        let seen = [
            Seen { heard: Heard::Said(probe), locks: Some(8000) },
            Seen { heard: failed(libc::ENOLCK), locks: None },
            Seen { heard: failed(libc::EDQUOT), locks: None },
            Seen { heard: Heard::Hangs(hang), locks: None },
        ];
        let told = seen.map(|seen| render(&[case(|case| judge(&seen, case))]));
        insta::assert_snapshot!(told.join("\n"));
    }
}
