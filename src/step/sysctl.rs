//! Settings of the running kernel, as a file that systemd reads at boot. A live host takes them
//! over at once.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, Owner, Tool};

/// Late in the order, so that it has the last word over the distribution's own.
const PATH: &str = "/etc/sysctl.d/60-hostkit.conf";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// Values by name, as `net.ipv4.ip_forward`.
    pub settings: BTreeMap<String, String>,
}

impl Sysctl {
    pub(super) fn title(&self) -> String {
        let names: Vec<_> = self.settings.keys().map(String::as_str).collect();
        format!("setting {}", names.join(", "))
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let text = self.text();
        let root = &site.host.root;
        let stale = !root.is_file(PATH, text.as_bytes(), 0o644, Owner::ROOT)?;
        if stale && site.host.is_live() && !site.is_check() {
            // First: a setting that the kernel refuses must not stay behind in the file.
            let cmd = Cmd::new(Tool::Sysctl).args(["--quiet", "--load", "-"]).stdin(text.as_str());
            let end = site.host.runner.run(&cmd).await;
            end.with_context(|| Fault::step("the kernel does not take these settings"))?;
        }
        site.write(PATH, text.as_bytes(), 0o644, Owner::ROOT)
    }

    fn text(&self) -> String {
        self.settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
    }
}
