//! Which process a number means: numbers are used again, and other machines and containers have the
//! same ones. Linux tells it by when the kernel came up, by the numbers' namespace, and by when the
//! process began.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// What makes the number of a process say which one it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The kernel that it runs on, since that came up: a random id.
    pub boot: String,
    /// Within which its number means it: `pid:[4026531836]`.
    pub namespace: String,
    /// When it began, in ticks since the kernel came up.
    pub started: u64,
}

impl Process {
    /// This process; none where the system does not tell.
    pub fn this() -> Option<Self> {
        let ours = std::fs::read_link("/proc/self").ok()?;
        let number = std::process::id();
        // What is mounted there may have the numbers of another namespace.
        (ours.to_str() == Some(&number.to_string())).then_some(())?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Self {
            boot: boot.trim().to_owned(),
            namespace: namespace.to_string_lossy().into_owned(),
            started: started(number)?,
        })
    }

    /// Whether it is known to be gone, where it had the number `pid` and `here` asks. Whoever cannot
    /// know takes it for living.
    pub fn is_gone(&self, pid: u32, here: &Self) -> bool {
        if (&self.boot, &self.namespace) != (&here.boot, &here.namespace) {
            return false;
        }
        match i32::try_from(pid) {
            Ok(number) if number > 0 => {
                // It is there, too, where it is another user's, or hidden from this one.
                kill(Pid::from_raw(number), None) == Err(Errno::ESRCH)
                    || started(pid).is_some_and(|it| it != self.started)
            }
            // Nobody has such a number.
            _ => true,
        }
    }
}

/// When a process began, in ticks since the kernel came up.
fn started(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name may hold spaces and parentheses. What follows begins with the third field.
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_gone_is_gone() {
        let this = Process::this().unwrap();
        let pid = std::process::id();
        assert!(!this.is_gone(pid, &this), "it asks itself");
        let first = Process { started: started(1).unwrap(), ..this.clone() };
        assert!(!first.is_gone(1, &this), "it may be another user's");
        // Another one has its number now.
        let before = Process { started: this.started.wrapping_sub(1), ..this.clone() };
        assert!(before.is_gone(pid, &this));
        // Linux counts to four million.
        assert!([0, 0x7fff_fffe, u32::MAX].into_iter().all(|pid| this.is_gone(pid, &this)));
        // A container of the same name, and a laptop.
        let elsewhere = [
            Process { namespace: "pid:[1]".to_owned(), ..this.clone() },
            Process { boot: "another".to_owned(), ..this.clone() },
        ];
        for other in elsewhere {
            assert!(!other.is_gone(u32::MAX, &this), "{other:?}");
        }
    }
}
