//! `[jenkins]`: the controller and where its builds run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[jenkins]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jenkins {
    /// The address that people use; the private address on port 8080 if absent.
    pub url: Option<String>,
    /// Who may do what. Without it Jenkins is not started.
    pub security: Security,
    /// As whom the controller logs in on build agents.
    pub agent_user: String,
    /// The build agents, by the name of their pool.
    pub pools: BTreeMap<String, Pool>,
    /// The clusters that run build agents as tasks of ECS, by a name.
    pub clouds: BTreeMap<String, Cloud>,
    /// How much of the memory the heap gets, in percent.
    pub heap: u8,
    /// Further options of the Java machine.
    pub java_options: Vec<String>,
    /// How long Jenkins may take to start, in seconds.
    pub start_timeout: u32,
    /// Whether a home that a newer Jenkins has used is served all the same.
    pub allow_downgrade: bool,
}

impl Default for Jenkins {
    fn default() -> Self {
        Self {
            url: None,
            security: Security::default(),
            agent_user: "jenkins".to_owned(),
            pools: BTreeMap::new(),
            clouds: BTreeMap::new(),
            heap: 50,
            java_options: Vec::new(),
            start_timeout: 900,
            allow_downgrade: false,
        }
    }
}

/// `[jenkins.security]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Where users and their rights come from. Required for a controller.
    pub mode: Option<SecurityMode>,
    /// With `local`: the administrator's name.
    pub admin_user: String,
    /// With `local`: the SSM parameter with the administrator's password.
    pub admin_password: String,
    /// As whom hostkit asks Jenkins. With `casc` your own files give this user its rights.
    pub hostkit_user: String,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            mode: None,
            admin_user: "admin".to_owned(),
            admin_password: "/devops-tools/jenkins/admin_password".to_owned(),
            hostkit_user: "hostkit".to_owned(),
        }
    }
}

/// Where the users of Jenkins and their rights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityMode {
    /// One administrator, whose password is in Parameter Store.
    Local,
    /// The image's own files in `/etc/hostkit/casc.d` say it.
    Casc,
}

/// `[jenkins.pools.NAME]`: build agents that are found by their group or by the tag `hostkit:pool`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// The Auto Scaling group of the agents; if absent, those instances that have the tag
    /// `hostkit:pool` with the pool's name.
    pub asg: Option<String>,
    /// Labels, beside the pool's name and what the tag `hostkit:labels` of an agent says.
    pub labels: Vec<String>,
    /// How many builds run on an agent at the same time.
    pub executors: u32,
    /// The folder that Jenkins uses on an agent.
    pub remote_root: String,
    /// The port of SSH.
    pub port: u16,
    /// The SSM parameter with the public host key that all agents of the pool have;
    /// `/hostkit/pools/NAME/host_key.pub` if absent.
    pub host_key: Option<String>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            asg: None,
            labels: Vec::new(),
            executors: 1,
            remote_root: "/var/lib/jenkins-agent".to_owned(),
            port: 22,
            host_key: None,
        }
    }
}

/// `[jenkins.clouds.NAME]`: a cluster that runs build agents as tasks of ECS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// The cluster, its name or its ARN.
    pub cluster: String,
    /// The image of the agents' containers.
    pub image: String,
    /// Labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Memory of an agent, in MiB.
    pub memory: u32,
    /// Processor of an agent, in units of which a core has 1024.
    pub cpu: u32,
    /// The role of the tasks, its ARN.
    #[serde(default)]
    pub task_role: Option<String>,
}
