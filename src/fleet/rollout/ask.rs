//! What somebody asks for, before anything was looked at.

use std::time::Duration;

use camino::Utf8PathBuf;

use super::{Builds, Strategy};
use crate::host::Role;

/// See the module.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The group.
    pub group: String,
    /// The recipe whose image it shall have. The image must be one of it.
    pub recipe: Option<String>,
    /// The image: `ami-…`. Absent: what `latest` of the recipe points to, or for a rollback what
    /// served before.
    pub image: Option<String>,
    /// What the hosts of the group are, where somebody says it; else it is found out.
    pub role: Option<Role>,
    /// How hosts are replaced; that of the role if absent.
    pub strategy: Option<Strategy>,
    /// What builds are worth.
    pub builds: Builds,
    /// How long builds are waited for.
    pub builds_patience: Duration,
    /// How long a replacement may take until it is proven.
    pub patience: Duration,
    /// How long what is proven must go on serving before it counts.
    pub soak: Duration,
    /// Whether this is a way back.
    pub rollback: bool,
    /// Whether a way back puts the home back, too.
    pub restore_home: bool,
    /// The group of the controller, of agents.
    pub controller: Option<String>,
    /// The CloudWatch alarms that are to be watched meanwhile, by their names.
    pub alarms: Vec<String>,
    /// Where manifests of baked images are looked for, to tell packages by.
    pub folders: Vec<Utf8PathBuf>,
}

impl Ask {
    /// How hosts of this kind are replaced.
    pub fn strategy_for(&self, role: Role) -> Strategy {
        self.strategy.unwrap_or(match role {
            Role::Controller => Strategy::TerminateFirst,
            Role::Agent | Role::Ecs => Strategy::Rolling,
        })
    }

    /// What is asked for where nothing is said but the group.
    pub fn of(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            recipe: None,
            image: None,
            role: None,
            strategy: None,
            builds: Builds::Wait,
            builds_patience: Duration::from_mins(30),
            patience: Duration::from_mins(30),
            soak: Duration::ZERO,
            rollback: false,
            restore_home: false,
            controller: None,
            alarms: Vec::new(),
            folders: vec!["out".into()],
        }
    }
}
