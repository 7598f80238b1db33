//! Where a step is applied: the host, who hears of it, and whether it is done or only told.
//!
//! Steps change a host through here alone, so that a check can walk the same way and change
//! nothing: each asks for what it wants, and hears whether that was a change.

use similar::TextDiff;

use crate::event::{Events, Outcome};
use crate::secret::Secrets;
use crate::sys::{Host, Owner};

/// What is longer is not shown line by line.
const LONGEST_DIFF: usize = 256 << 10;

/// An owner that no file has: for accounts that are not there yet when a host is only checked.
const NOBODY_YET: Owner = Owner { uid: u32::MAX, gid: u32::MAX };

/// Whether what a step finds wrong is put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    #[default]
    Apply,
    /// It is told, and nothing is touched.
    Check,
}

/// Where a step is applied, and who hears of it.
#[derive(Debug)]
pub struct Site<'a> {
    /// The host.
    pub host: &'a Host,
    /// The listener.
    pub events: &'a Events,
    /// What the references of a plan stand for.
    pub secrets: &'a Secrets,
    /// The id of the step in its plan.
    pub id: &'a str,
    /// Whether anything is changed.
    pub mode: Mode,
    /// Whether the lines of files that change are shown.
    pub diff: bool,
}

impl Site<'_> {
    /// Shows a line below the step.
    pub fn log(&self, line: impl Into<String>) {
        self.events.log(self.id, self.secrets.redact(&line.into()));
    }

    /// Whether nothing may be changed.
    pub fn is_check(&self) -> bool {
        self.mode == Mode::Check
    }

    /// Something is about to be changed that is no file. Says whether to go on; in a check it
    /// tells instead.
    pub fn may(&self, doing: &str) -> bool {
        if self.is_check() {
            self.log(format!("would be {doing}"));
        }
        !self.is_check()
    }

    /// The numbers of a user and a group of the host.
    pub fn owner(&self, user: &str, group: &str) -> anyhow::Result<Owner> {
        match self.host.owner(user, group) {
            Err(_) if self.is_check() => Ok(NOBODY_YET),
            owner => owner,
        }
    }

    /// Makes `path` a file with this content, mode and owner, and its missing parents as root's
    /// 0755.
    pub fn write(
        &self,
        path: &str,
        bytes: &[u8],
        mode: u32,
        owner: Owner,
    ) -> anyhow::Result<Outcome> {
        let root = &self.host.root;
        if root.is_file(path, bytes, mode, owner)? {
            return Ok(Outcome::Unchanged);
        }
        if self.diff {
            self.show(path, bytes, mode)?;
        }
        if self.may(&format!("writing {path}")) {
            root.make_parents(path)?;
            root.write(path, bytes, mode, owner)?;
        }
        Ok(Outcome::Changed)
    }

    /// Makes `path` a directory with this mode and owner.
    pub fn make_dir(&self, path: &str, mode: u32, owner: Owner) -> anyhow::Result<Outcome> {
        if self.host.root.is_dir(path, mode, owner)? {
            return Ok(Outcome::Unchanged);
        }
        if self.may(&format!("making {path}")) {
            self.host.root.make_dir(path, mode, owner)?;
        }
        Ok(Outcome::Changed)
    }

    /// Makes `path` a symbolic link to `to`.
    pub fn link(&self, path: &str, to: &str) -> anyhow::Result<Outcome> {
        if self.host.root.is_link(path, to)? {
            return Ok(Outcome::Unchanged);
        }
        if self.may(&format!("linking {path} to {to}")) {
            self.host.root.make_parents(path)?;
            self.host.root.link(path, to)?;
        }
        Ok(Outcome::Changed)
    }

    /// The lines that change. What not everybody on the host may read is not shown.
    fn show(&self, path: &str, wanted: &[u8], mode: u32) -> anyhow::Result<()> {
        let root = &self.host.root;
        let is_file = root.metadata(path)?.is_some_and(|meta| meta.is_file());
        let now = if is_file { root.read(path)? } else { None };
        let now_mode = if is_file { root.mode(path)? } else { None };
        if let Some(now_mode) = now_mode.filter(|now| *now != mode) {
            self.log(format!("{path}: mode {now_mode:04o}, wanted {mode:04o}"));
        }
        if mode & 0o004 == 0 || now_mode.is_some_and(|mode| mode & 0o004 == 0) {
            self.log(format!("{path}: not shown, because not everybody may read it"));
            return Ok(());
        }
        let now = now.unwrap_or_default();
        match (std::str::from_utf8(&now), std::str::from_utf8(wanted)) {
            (Ok(now), Ok(wanted)) if now.len().max(wanted.len()) <= LONGEST_DIFF => {
                let diff = TextDiff::from_lines(now, wanted);
                let diff = diff.unified_diff().header(path, path).to_string();
                diff.lines().for_each(|line| self.log(line));
            }
            _ => self.log(format!("{path}: {} bytes, wanted {}", now.len(), wanted.len())),
        }
        Ok(())
    }
}
