//! `[ecs]`: a container host.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[ecs]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ecs {
    /// The cluster that the host joins. Required for a container host.
    pub cluster: Option<String>,
    /// Whether a host without the ECS agent is an error.
    pub agent: EcsAgent,
    /// What tasks are placed by, as `pool = "builds"`. What has changed since the host was
    /// registered is told to ECS at boot; one that is not named any more stays.
    pub attributes: BTreeMap<String, String>,
    /// Tags of the container instance.
    pub tags: BTreeMap<String, String>,
    /// Whether the tags of the EC2 instance become tags of the container instance.
    pub propagate_tags: bool,
    /// Memory in MiB that ECS leaves to the host; if absent 1/32 of what there is, between 256 and
    /// 2048, and at most a quarter.
    pub reserved_memory: Option<u32>,
    /// Whether the tasks are moved away when a spot instance is about to be taken back.
    pub spot_draining: bool,
    /// Further variables of the ECS agent, as `ECS_IMAGE_PULL_BEHAVIOR = "once"`.
    pub settings: BTreeMap<String, String>,
}

impl Default for Ecs {
    fn default() -> Self {
        Self {
            cluster: None,
            agent: EcsAgent::default(),
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
            propagate_tags: false,
            reserved_memory: None,
            spot_draining: true,
            settings: BTreeMap::new(),
        }
    }
}

/// Whether the ECS agent must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EcsAgent {
    /// A host without it can run no task, so its boot fails.
    #[default]
    Required,
    /// The host only runs containers; where there is an agent it is started.
    Optional,
}
