//! An account with pinned numbers, made before any package could make it with others.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use super::group::is_free;
use crate::event::Outcome;
use crate::sys::host::account;
use crate::sys::{Cmd, Tool};

/// The home of an account that has none, by Debian's convention.
pub const NO_HOME: &str = "/nonexistent";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The login name, and the name of its own group.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
    /// Its shell.
    pub shell: String,
    /// Further groups; those that are missing are made as system groups.
    pub groups: Vec<String>,
    /// A system account: no home is made.
    pub system: bool,
}

impl User {
    pub(super) fn title(&self) -> String {
        format!("making the user {} ({}:{})", self.name, self.uid, self.gid)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let read = |path| anyhow::Ok(site.host.root.read_text(path)?.unwrap_or_default());
        let (users, groups) = (read("/etc/passwd")?, read("/etc/group")?);
        let mut changes = Vec::new();
        if is_free(&groups, "group", &self.name, self.gid)? {
            changes.push(Cmd::new(Tool::Groupadd).args(["--gid", &self.gid.to_string()]));
        }
        if is_free(&users, "user", &self.name, self.uid)? {
            changes.push(self.useradd());
        } else {
            if !self.is_as_wanted(&users) {
                let cmd = Cmd::new(Tool::Usermod).args(["--home", &self.home]);
                changes.push(cmd.args(["--shell", &self.shell, "--gid", &self.gid.to_string()]));
            }
            if has_password(&read("/etc/shadow")?, &self.name) {
                changes.push(Cmd::new(Tool::Usermod).arg("--lock"));
            }
        }
        let missing: Vec<_> =
            self.groups.iter().filter(|group| !is_member(&groups, group, &self.name)).collect();
        if changes.is_empty() && missing.is_empty() {
            return Ok(Outcome::Unchanged);
        }
        if site.may(&self.title()) {
            for cmd in changes {
                self.run(site, cmd.args(["--", &self.name])).await?;
            }
            for group in missing {
                self.run(site, Cmd::new(Tool::Groupadd).args(["--system", "--force", "--", group]))
                    .await?;
                let cmd =
                    Cmd::new(Tool::Usermod).args(["--append", "--groups", group, "--", &self.name]);
                self.run(site, cmd).await?;
            }
        }
        Ok(Outcome::Changed)
    }

    fn is_as_wanted(&self, users: &str) -> bool {
        account(users, &self.name).is_some_and(|account| {
            account.fields.get(5) == Some(&self.home.as_str())
                && account.fields.get(6) == Some(&self.shell.as_str())
                && account.fields.get(3) == Some(&self.gid.to_string().as_str())
        })
    }

    fn useradd(&self) -> Cmd {
        let (uid, gid) = (self.uid.to_string(), self.gid.to_string());
        let has_home = !self.system && self.home != NO_HOME;
        let home = if has_home { "--create-home" } else { "--no-create-home" };
        let cmd = Cmd::new(Tool::Useradd).args(["--uid", &uid, "--gid", &gid, home]);
        cmd.args(["--home-dir", &self.home, "--shell", &self.shell])
    }

    async fn run(&self, site: &Site<'_>, cmd: Cmd) -> anyhow::Result<()> {
        site.host.runner.run(&cmd).await.with_context(|| self.title()).map(drop)
    }
}

/// Whether people can come in with a password: accounts of images have keys or nothing.
fn has_password(shadow: &str, user: &str) -> bool {
    let mut fields = shadow.lines().map(|line| line.split(':'));
    let password = fields.find_map(|mut line| (line.next() == Some(user)).then(|| line.next()));
    password.flatten().is_some_and(|password| !password.starts_with(['!', '*']))
}

fn is_member(groups: &str, group: &str, user: &str) -> bool {
    account(groups, group)
        .and_then(|account| account.fields.get(3).copied())
        .is_some_and(|members| members.split(',').any(|member| member == user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_a_lock_has_a_password_even_an_empty_one() {
        let shadow = "root:*:1::::::\nadmin:!:1::::::\nopen::1::::::\nold:$y$j9T$x:1::::::\n";
        let with: Vec<_> = ["root", "admin", "open", "old", "nobody-here"]
            .into_iter()
            .filter(|user| has_password(shadow, user))
            .collect();
        assert_eq!(with, ["open", "old"]);
    }
}
