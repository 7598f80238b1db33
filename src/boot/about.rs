//! What the host of a boot is, for whoever reads about that boot later and elsewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::{Context, Machine};
use crate::facts::Identity;
use crate::group::Found;
use crate::host::{self, HostConfig, Role};

/// A host, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct About {
    /// The version of hostkit.
    pub hostkit: String,
    /// The instance.
    #[serde(skip)]
    pub instance_id: Option<String>,
    /// What it is for.
    pub role: Option<Role>,
    /// Its Auto Scaling group.
    pub group: Option<String>,
    /// The file system of its home.
    pub file_system: Option<String>,
    /// Its ECS cluster.
    pub cluster: Option<String>,
    /// Its image.
    pub image_id: Option<String>,
    /// Its availability zone.
    pub zone: Option<String>,
    /// Its name.
    pub hostname: Option<String>,
    /// Its address.
    pub address: Option<String>,
}

impl About {
    /// What the steps of a boot have found out so far.
    pub(super) fn of(context: &Context) -> Self {
        let known = context.known().map(|known| &known.identity);
        let mut about = Self::from(known, context.config.get());
        about.role = about.role.or_else(|| context.role());
        about.group = match context.launch.get() {
            Some(Found::Hook(hook, _)) => Some(hook.group.clone()),
            Some(Found::NoHook(member)) => Some(member.group.clone()),
            Some(Found::NoGroup) | None => None,
        };
        about
    }

    /// What a boot that has not ended has written down.
    pub(super) fn kept(machine: &Machine, boot_id: &str) -> Self {
        let identity = Identity::kept(&machine.root, boot_id).ok();
        // Only root may read it.
        let text = std::fs::read_to_string(machine.path(host::EFFECTIVE)).ok();
        let config = text.and_then(|text| host::effective(&text).ok());
        Self::from(identity.as_ref(), config.as_ref())
    }

    fn from(identity: Option<&Identity>, config: Option<&HostConfig>) -> Self {
        let role = config.and_then(|config| config.role);
        let of_role =
            |wanted: Role, value: Option<&String>| value.filter(|_| role == Some(wanted)).cloned();
        Self {
            hostkit: env!("CARGO_PKG_VERSION").to_owned(),
            instance_id: identity.map(|it| it.instance_id.clone()),
            role,
            group: None,
            file_system: of_role(Role::Controller, config.and_then(|it| it.efs.id.as_ref())),
            cluster: of_role(Role::Ecs, config.and_then(|it| it.ecs.cluster.as_ref())),
            image_id: identity.map(|it| it.image_id.clone()),
            zone: identity.map(|it| it.availability_zone.clone()),
            hostname: identity.map(|it| it.hostname.clone()),
            address: identity.map(|it| it.private_ip.to_string()),
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        let named = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{name} {value}"))
        };
        let role = self.role.map(|role| match role {
            Role::Controller => "controller".to_owned(),
            Role::Agent => "build agent".to_owned(),
            Role::Ecs => "container host".to_owned(),
        });
        let parts = [
            role,
            self.hostname.clone(),
            self.zone.clone(),
            self.image_id.clone(),
            named("group", &self.group),
            named("home on", &self.file_system),
            named("cluster", &self.cluster),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}
