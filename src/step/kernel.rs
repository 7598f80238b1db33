//! Modules and command line of the kernel.
//!
//! The command line is written down twice: for the boot menu that hostkit packs into an image
//! ([`COMMAND_LINE`]), and for the boot loader of a host that has its own.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::event::Outcome;
use crate::sys::{Cmd, Owner, Tool};

/// What is added to the command line of a packed image: one line.
pub const COMMAND_LINE: &str = "/usr/share/hostkit/kernel-command-line";

/// The same for `update-grub`.
const GRUB: &str = "/etc/default/grub.d/60-hostkit.cfg";

const MODULES: &str = "/etc/modules-load.d/60-hostkit.conf";

const BLACKLIST: &str = "/etc/modprobe.d/60-hostkit.conf";

/// Writes Debian's boot menu.
const UPDATE_GRUB: &str = "/usr/sbin/update-grub";

/// Writes Amazon Linux's boot entries.
const GRUBBY: &str = "/usr/sbin/grubby";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Modules that are loaded at boot.
    pub modules: Vec<String>,
    /// Modules that are not loaded for a device by themselves.
    pub blacklist: Vec<String>,
    /// Words that are added to the command line.
    pub command_line: Vec<String>,
}

impl Kernel {
    pub(super) fn title(&self) -> String {
        let parts = [
            ("modules", &self.modules),
            ("blacklist", &self.blacklist),
            ("command line", &self.command_line),
        ];
        let parts = parts.iter().filter(|(_, items)| !items.is_empty());
        let parts: Vec<_> =
            parts.map(|(what, items)| format!("{what} {}", items.join(" "))).collect();
        format!("telling the kernel: {}", parts.join("; "))
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let line = self.command_line.join(" ");
        let files = [
            (MODULES, lines("", &self.modules)),
            (BLACKLIST, lines("blacklist ", &self.blacklist)),
            (COMMAND_LINE, lines("", self.command_line.first().map(|_| &line))),
        ];
        let mut outcome = Outcome::Unchanged;
        for (path, text) in files.iter().filter(|(_, text)| !text.is_empty()) {
            outcome = outcome.and(site.write(path, text.as_bytes(), 0o644, Owner::ROOT)?);
        }
        if !line.is_empty() {
            outcome = outcome.and(boot_loader(&line, site).await?);
        }
        Ok(outcome)
    }
}

/// Tells the boot loader of the host, if it has one.
async fn boot_loader(line: &str, site: &Site<'_>) -> anyhow::Result<Outcome> {
    let text = format!("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {line}\"\n");
    let outcome = site.write(GRUB, text.as_bytes(), 0o644, Owner::ROOT)?;
    if outcome == Outcome::Unchanged || site.is_check() {
        return Ok(outcome);
    }
    let root = &site.host.root;
    let cmd = if root.exists(GRUBBY)? {
        let args = format!("--args={line}");
        Cmd::new(Tool::Grubby).args(["--update-kernel=ALL", &args])
    } else if site.host.is_live() && root.exists(UPDATE_GRUB)? {
        Cmd::new(Tool::UpdateGrub)
    } else {
        return Ok(outcome);
    };
    if let Err(error) = site.host.runner.run(&cmd).await {
        // The next run must find that this was not done.
        root.remove(GRUB)?;
        return Err(error).context("telling the boot loader");
    }
    Ok(outcome)
}

fn lines<'a>(prefix: &str, items: impl IntoIterator<Item = &'a String>) -> String {
    items.into_iter().map(|item| format!("{prefix}{item}\n")).collect()
}
