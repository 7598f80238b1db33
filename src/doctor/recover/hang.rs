//! What is done about a mount that does not answer: the tunnel again, then off with it, and at last a
//! reboot.
//!
//! Who uses the mount is told by what the kernel keeps of each process beside its memory: names of open
//! files, and its state. Neither the mount is touched, nor a process' command line, which hangs whoever
//! reads it while the process hangs.

mod steps;
#[cfg(test)]
mod tests;
mod users;

use camino::Utf8Path;
use serde::Serialize;

pub use steps::{Freed, apply};
pub use users::User;

use crate::error::Fault;
use crate::sys::mountinfo::{self, Mount};

/// The mount, and who uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hang {
    /// Where it is.
    pub mount_point: String,
    /// What is mounted there; none where nothing is.
    pub source: Option<String>,
    /// Who uses it, by number.
    pub users: Vec<User>,
}

/// One step, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The tunnel of EFS's own helper starts again.
    Tunnel,
    /// Who uses the mount is killed.
    Kill,
    /// What waits for the server is given up, and the mount goes.
    Force,
    /// The mount goes from the tree, whoever still waits for it.
    Lazy,
    /// It is mounted again, and Jenkins starts.
    Again,
    /// The host starts again.
    Reboot,
}

/// Looks at who uses what is mounted at `mount_point`. Touches neither.
///
/// # Errors
/// The kernel's table cannot be read.
pub fn look(root: &Utf8Path, mount_point: &str) -> Result<Hang, Fault> {
    let mounts = mountinfo::read(root).map_err(|error| {
        Fault::environment(format!("what is mounted cannot be read: {error}"))
            .hint("/proc must be there; is this a host?")
    })?;
    let mount = mountinfo::at(&mounts, mount_point).filter(|mount| mount.is_nfs());
    let users = users::of(root, mount_point);
    Ok(Hang {
        mount_point: mount_point.to_owned(),
        source: mount.map(|Mount { source, .. }| source.clone()),
        users,
    })
}

impl Hang {
    /// Whether the mount goes through the tunnel of EFS's own helper.
    fn has_tunnel(&self) -> bool {
        self.source.as_deref().is_some_and(|source| source.starts_with("127.0.0.1:"))
    }

    /// The steps that there are here.
    pub fn steps(&self) -> Vec<Step> {
        let mounted = self.source.is_some();
        let all = [
            (Step::Tunnel, self.has_tunnel()),
            (Step::Kill, !self.killed().is_empty()),
            (Step::Force, mounted),
            (Step::Lazy, mounted),
            (Step::Again, true),
            (Step::Reboot, true),
        ];
        all.into_iter().filter(|(_, there)| *there).map(|(step, _)| step).collect()
    }

    /// Who is killed: all that use it, but those who ask for that.
    pub fn killed(&self) -> Vec<&User> {
        self.users.iter().filter(|user| !user.spared).collect()
    }

    /// Who uses it, and what would be done, for people.
    pub fn text(&self) -> String {
        let point = &self.mount_point;
        let mut text = match &self.source {
            Some(source) => format!("{source} is mounted at {point}.\n"),
            None => format!("No network file system is mounted at {point}.\n"),
        };
        text += if self.users.is_empty() { "No process uses it.\n" } else { "\nWho uses it:\n" };
        for user in &self.users {
            let end = if user.spared { "is left: leave it yourself" } else { "is killed" };
            text += &format!("  {:>7}  {:<16}  {}, {end}\n", user.pid, user.name, user.told());
        }
        text += "\nStep by step, each only where the one before did not help:\n";
        for (at, step) in self.steps().into_iter().enumerate() {
            text += &format!("{:>3}  {}\n       {}\n", at + 1, step.title(), self.command(step));
        }
        text + "\nWhat Jenkins has written and the server has not seen is lost with the third step: \
                it is lost\nalready where the server does not come back.\n"
    }

    /// The command of a step.
    fn command(&self, step: Step) -> String {
        let point = &self.mount_point;
        match step {
            Step::Tunnel => "systemctl restart amazon-efs-mount-watchdog".to_owned(),
            Step::Kill => {
                let all: Vec<_> = self.killed().iter().map(|user| user.pid.to_string()).collect();
                format!("kill -KILL {}", all.join(" "))
            }
            Step::Force => format!("umount -f {point}"),
            Step::Lazy => format!("umount -l {point}"),
            Step::Again => "systemctl restart hostkit-boot".to_owned(),
            Step::Reboot => "systemctl reboot --force".to_owned(),
        }
    }
}

impl Step {
    /// What it does, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tunnel => "the tunnel to the file system starts again",
            Self::Kill => "who uses the mount is killed",
            Self::Force => "what waits for the server gets an error, and the mount goes",
            Self::Lazy => "the mount goes from the tree, whoever still waits for it",
            Self::Again => "this host boots again: it mounts, takes the lease and starts Jenkins",
            Self::Reboot => "this host starts again, where something still hangs (--reboot)",
        }
    }
}
