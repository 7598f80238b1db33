//! A group with a pinned number.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::host::account;
use crate::sys::{Cmd, Tool};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
}

impl Group {
    pub(super) fn title(&self) -> String {
        format!("making the group {} ({})", self.name, self.gid)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let groups = site.host.root.read_text("/etc/group")?.unwrap_or_default();
        if !is_free(&groups, "group", &self.name, self.gid)? {
            return Ok(Outcome::Unchanged);
        }
        if site.may(&self.title()) {
            let gid = self.gid.to_string();
            let cmd = Cmd::new(Tool::Groupadd).args(["--gid", &gid, "--", &self.name]);
            site.host.runner.run(&cmd).await.with_context(|| self.title())?;
        }
        Ok(Outcome::Changed)
    }
}

/// Whether an account is still to be made. A name with another number, or a number with another
/// name, is an error: files on the shared home know their owner by number only.
pub(super) fn is_free(accounts: &str, kind: &str, name: &str, id: u32) -> anyhow::Result<bool> {
    let of_name = account(accounts, name).map(|account| account.id);
    let of_id = accounts.lines().find(|line| line.split(':').nth(2) == Some(&id.to_string()));
    let holder = of_id.and_then(|line| line.split(':').next());
    match (of_name, holder) {
        (Some(now), _) if now == id => Ok(false),
        (Some(now), _) => {
            let what = format!("the {kind} `{name}` is there with the number {now}, not {id}");
            let hint = format!("give the recipe the number {now}, or start from another base");
            Err(Fault::step(what).hint(hint).into())
        }
        (None, Some(other)) => {
            let what = format!("the number {id} is that of the {kind} `{other}`");
            let hint = "choose one that is free on every base: the recipes that come with hostkit \
                        have variables for it (jenkins_uid, admin_uid)";
            Err(Fault::step(what).hint(hint).into())
        }
        (None, None) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_name_belong_to_each_other() {
        let groups = "root:x:0:\ndocker:x:998:jenkins\n";
        assert!(is_free(groups, "group", "jenkins", 650).unwrap());
        assert!(!is_free(groups, "group", "docker", 998).unwrap());
        let other = is_free(groups, "group", "docker", 999).unwrap_err();
        assert!(other.to_string().contains("with the number 998, not 999"));
        let taken = is_free(groups, "group", "jenkins", 998).unwrap_err();
        assert!(taken.to_string().contains("that of the group `docker`"));
    }
}
