//! A [`Host`]: a root directory plus a way to run programs there. What a plan is applied to.

use camino::Utf8Path;

use super::downloads::Downloads;
use super::owner::Owner;
use super::root::Root;
use super::runner::{Inside, Runner};

/// A machine, or a tree that will be one.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its files.
    pub root: Root,
    /// How programs run there.
    pub runner: Runner,
    /// How programs run here, where what is fetched arrives and is verified.
    pub outside: Runner,
    /// What was fetched and verified before, if anybody keeps it.
    pub downloads: Option<Downloads>,
}

impl Host {
    /// A tree on this machine whose programs run inside it.
    pub fn tree(root: Root, downloads: Downloads) -> Self {
        Self { downloads: Some(downloads), ..Self::folder(root) }
    }

    /// As [`Host::tree`], for a tree that nobody keeps downloads for.
    pub fn folder(root: Root) -> Self {
        let runner = Runner::Chroot(Inside { root: root.path().to_owned(), epoch: None });
        Self { root, runner, outside: Runner::Direct, downloads: None }
    }

    /// This machine, whose root is `/`.
    pub fn live(root: Root) -> Self {
        Self { runner: Runner::Direct, ..Self::folder(root) }
    }

    /// Whether it is this machine, with services that run, and not a tree.
    pub fn is_live(&self) -> bool {
        self.root.path() == "/"
    }

    /// Has every program inside the tree take `epoch` (seconds since 1970) for the time that it
    /// writes into files.
    #[must_use]
    pub fn at(mut self, epoch: i64) -> Self {
        if let Runner::Chroot(inside) = &mut self.runner {
            inside.epoch = Some(epoch);
        }
        self
    }

    /// A folder that goes when it is dropped: beside a tree, so that nothing of a bake that is
    /// killed stays elsewhere; on a live host where temporary files go.
    pub fn scratch(&self) -> std::io::Result<tempfile::TempDir> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("hostkit-scratch-");
        match self.root.path().parent() {
            Some(beside) => folder.tempdir_in(beside),
            None => folder.tempdir(),
        }
    }

    /// The numbers of a user and group of *this host*, by its own account files.
    pub fn owner(&self, user: &str, group: &str) -> anyhow::Result<Owner> {
        let uid = self.lookup("/etc/passwd", user)?;
        let gid = self.lookup("/etc/group", group)?;
        Ok(Owner { uid, gid })
    }

    /// The id of `name` in a colon-separated account file.
    fn lookup(&self, file: &str, name: &str) -> anyhow::Result<u32> {
        if name == "root" {
            return Ok(0);
        }
        let text = self.root.read_text(Utf8Path::new(file))?.unwrap_or_default();
        account(&text, name)
            .map(|fields| fields.id)
            .ok_or_else(|| anyhow::anyhow!("there is no `{name}` in {file}"))
    }
}

/// One line of an account file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// The user's or group's number.
    pub id: u32,
    /// All fields of the line.
    pub fields: Vec<&'a str>,
}

/// The line of `name` in the text of `/etc/passwd` or `/etc/group`.
pub fn account<'a>(text: &'a str, name: &str) -> Option<Account<'a>> {
    text.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let id = fields.get(2)?.parse().ok()?;
        (fields[0] == name).then_some(Account { id, fields })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_account_by_its_whole_name() {
        let text =
            "jenkins-old:x:7:7::/:/bin/sh\nbroken\njenkins:x:650:651::/var/lib/jenkins:/bin/sh\n";
        assert_eq!(account(text, "jenkins").map(|a| a.id), Some(650));
        assert_eq!(account(text, "jen"), None);
    }
}
