//! What a host is told to be: the types of `host.toml`.
//!
//! The image carries `/etc/hostkit/host.toml`; an instance's user-data has the same format and
//! wins key by key. Pure: it reads text and never files, and knows nothing of machines or of AWS.
//! Unknown keys are errors, because a misspelt key that is ignored is found out in production.

mod check;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Fault;

pub use check::{Refused, refused};

/// Where the image keeps it.
pub const PATH: &str = "/etc/hostkit/host.toml";

/// Where a boot leaves what it was told after all layers, for those that run later.
pub const EFFECTIVE: &str = "/run/hostkit/host.toml";

/// Where the home of the controller is mounted.
pub const HOME: &str = "/var/lib/jenkins";

/// What a host is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The one Jenkins controller on its EFS home.
    Controller,
    /// A build agent.
    Agent,
    /// An ECS container host.
    Ecs,
}

/// A whole `host.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostConfig {
    /// What the host is for. Required, in the image or in user-data.
    pub role: Option<Role>,
    /// Where AWS is.
    pub aws: Aws,
    /// The Auto Scaling group.
    pub asg: Asg,
    /// The load balancer in front.
    pub alb: Alb,
    /// The file system of the home.
    pub efs: Efs,
    /// Further file systems.
    pub mount: Vec<Mount>,
    /// Who may serve the home.
    pub lease: Lease,
    /// The key pair for build agents.
    pub keys: Keys,
    /// What Jenkins' configuration finds as `${NAME}`: a name to the SSM parameter with the value.
    pub secrets: BTreeMap<String, String>,
    /// Who may log in.
    pub login: Login,
    /// The controller.
    pub jenkins: Jenkins,
    /// A build agent.
    pub agent: Agent,
    /// A container host.
    pub ecs: Ecs,
    /// How the host goes.
    pub drain: Drain,
    /// What is watched while it serves.
    pub guard: Guard,
    /// Where its journal goes.
    pub logs: Logs,
}

/// `[aws]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// The region; from the identity document if absent.
    pub region: Option<String>,
    /// Where all calls go; for rehearsals.
    pub endpoint_url: Option<String>,
}

/// `[asg]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Asg {
    /// The launch hook that is told how a boot ended; needed where the group has several.
    pub hook: Option<String>,
    /// What a host does that could not be brought up.
    pub on_failure: OnFailure,
}

/// What a host does that could not be brought up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It tells its group, which terminates it and starts another one.
    #[default]
    Abandon,
    /// It stays as it is, so that somebody can look, and keeps its launch hook waiting.
    Hold,
    /// It starts again, twice at most; then it tells its group.
    Reboot,
}

/// `[alb]`: the load balancer in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alb {
    /// Who registers the host as a target.
    pub mode: AlbMode,
    /// The ARN of the target group; those of the Auto Scaling group if absent. Required by
    /// `explicit` for a host that is in no group.
    pub target_group: Option<String>,
    /// How long the target may take to become healthy, in seconds.
    pub patience: u32,
}

impl Default for Alb {
    fn default() -> Self {
        Self { mode: AlbMode::default(), target_group: None, patience: 300 }
    }
}

/// Who registers a host as a target of the load balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlbMode {
    /// Its group does, once the launch hook is completed; then its health is watched.
    #[default]
    Asg,
    /// hostkit does, and the launch hook is completed only when it is healthy.
    Explicit,
}

/// `[efs]`: the file system of the home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Efs {
    /// The file system's id. Required for a controller.
    pub id: Option<String>,
    /// Whether a mount target in another availability zone will do.
    pub cross_az: bool,
    /// Whether the connection is encrypted, by amazon-efs-utils.
    pub tls: bool,
    /// Whether the host proves who it is to the file system's policy. Needs `tls`.
    pub iam: bool,
    /// The access point through which it is mounted, `fsap-…`. Needs `tls`.
    pub access_point: Option<String>,
    /// Addresses of mount targets, by the id of their availability zone, for the day on which
    /// neither DNS nor EFS answers.
    pub addresses: BTreeMap<String, std::net::Ipv4Addr>,
    /// How far the kernel reads ahead, in KiB; the kernel's own choice if absent.
    pub read_ahead: Option<u32>,
}

/// `[[mount]]`: a further file system, as for the volumes of containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The file system's id.
    pub id: String,
    /// Where it is mounted, an absolute path.
    pub path: String,
    /// As [`Efs::cross_az`].
    #[serde(default)]
    pub cross_az: bool,
    /// As [`Efs::tls`].
    #[serde(default)]
    pub tls: bool,
    /// As [`Efs::iam`].
    #[serde(default)]
    pub iam: bool,
    /// As [`Efs::access_point`].
    #[serde(default)]
    pub access_point: Option<String>,
    /// Whether nothing can be written there.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the host comes up without it.
    #[serde(default)]
    pub optional: bool,
}

/// `[lease]`: what a new controller does about one that still runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// Whether it waits for its death, sees to it, or gives up.
    pub policy: LeasePolicy,
    /// How long a holder that runs is waited for before `stonith` terminates it, in seconds.
    pub patience: u32,
}

impl Default for Lease {
    fn default() -> Self {
        Self { policy: LeasePolicy::default(), patience: 120 }
    }
}

/// What a new controller does about a holder that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeasePolicy {
    /// It waits until the holder has released the home or is proven dead.
    #[default]
    Wait,
    /// After `patience` it terminates the holder's instance, if that is in the same Auto Scaling
    /// group, and waits until EC2 says that it is gone.
    Stonith,
    /// The boot fails, and the group replaces this host.
    Fail,
}

/// `[keys]`: names of SSM parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The private key, a `SecureString`.
    pub private: String,
    /// The public keys, one a line.
    pub public: String,
    /// How often they are read again, in seconds; 0 is never.
    pub refresh: u32,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            private: "/devops-tools/jenkins/id_rsa".to_owned(),
            public: "/devops-tools/jenkins/id_rsa.pub".to_owned(),
            refresh: 600,
        }
    }
}

/// `[login]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Who gets the public key of the EC2 key pair.
    pub user: String,
}

impl Default for Login {
    fn default() -> Self {
        Self { user: "admin".to_owned() }
    }
}

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
}

impl Default for Security {
    fn default() -> Self {
        Self {
            mode: None,
            admin_user: "admin".to_owned(),
            admin_password: "/devops-tools/jenkins/admin_password".to_owned(),
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

/// `[agent]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// As whom the controller logs in. The image must have that user, and it must be another one
    /// than `login.user`.
    pub user: String,
    /// Where the controller may come from, as `10.0.0.0/16`; from anywhere if empty.
    pub from: Vec<String>,
    /// The pool of which this host is. The instance tag `hostkit:pool` wins.
    pub pool: Option<String>,
    /// Labels of its own. The instance tag `hostkit:labels` wins.
    pub labels: Vec<String>,
    /// The SSM parameter with the private host key that all agents of the pool share;
    /// `/hostkit/pools/POOL/host_key` if absent. Without a pool the host has a key of its own.
    pub host_key: Option<String>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            user: "jenkins".to_owned(),
            from: Vec::new(),
            pool: None,
            labels: Vec::new(),
            host_key: None,
        }
    }
}

/// `[drain]`: how a host goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long builds or tasks may go on, in seconds. A spot interruption leaves less.
    pub patience: u32,
    /// What people read in Jenkins meanwhile.
    pub message: String,
    /// Whether a rebalance recommendation drains the host; it is only told otherwise.
    pub on_rebalance: bool,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            patience: 600,
            message: "This controller is being replaced and will be back in a moment".to_owned(),
            on_rebalance: false,
        }
    }
}

/// `[guard]`: what is watched while a host serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// Whether a host that no longer serves tells its group that it is unhealthy.
    pub report_unhealthy: bool,
    /// How long it must not serve before that, in seconds.
    pub unhealthy_after: u32,
    /// Where numbers for Prometheus are written; nowhere if empty.
    pub metrics: String,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            report_unhealthy: true,
            unhealthy_after: 300,
            metrics: "/run/hostkit/metrics.prom".to_owned(),
        }
    }
}

/// `[logs]`: shipping to CloudWatch Logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// The log group, which must be there; nothing is shipped if absent. Its stream has the
    /// instance's id.
    pub group: Option<String>,
}

/// `[ecs]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ecs {
    /// The cluster that the host joins. Required for a container host.
    pub cluster: Option<String>,
    /// Whether a host without the ECS agent is an error.
    pub agent: EcsAgent,
    /// What tasks are placed by, as `pool = "builds"`. ECS takes them at the first registration
    /// only.
    pub attributes: BTreeMap<String, String>,
    /// Tags of the container instance.
    pub tags: BTreeMap<String, String>,
    /// Whether the tags of the EC2 instance become tags of the container instance.
    pub propagate_tags: bool,
    /// Memory in MiB that ECS leaves to the host; a share of what there is if absent.
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

/// One text that tells a host what to be, and where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// A name that a person recognises: a path, or `user-data`.
    pub origin: &'a str,
    /// TOML.
    pub text: &'a str,
}

/// Reads the layers in order; the last wins, key by key.
pub fn read(layers: &[Layer<'_>]) -> Result<HostConfig, Fault> {
    let mut merged = toml::Table::new();
    for layer in layers {
        // Each layer is parsed into the real types first: errors then point at its own lines.
        let wrong = |error: toml::de::Error| {
            Fault::recipe(format!("{} is not right: {}", layer.origin, told(layer.text, &error)))
                .hint("the keys of host.toml are listed in the documentation of the boot agent")
        };
        toml::from_str::<HostConfig>(layer.text).map_err(wrong)?;
        merge(&mut merged, toml::from_str(layer.text).map_err(wrong)?);
    }
    let config: HostConfig = merged.try_into().map_err(|error| {
        Fault::recipe(format!("the merged configuration is not right: {error}"))
    })?;
    check::check(&config)?;
    Ok(config)
}

/// The text of [`EFFECTIVE`], from what a host was told by all layers.
pub fn to_effective(config: &HostConfig) -> String {
    let text = toml::to_string(config).expect("every value of a host.toml has a form in TOML");
    format!("# Written by every boot: what this host was told by all layers.\n{text}")
}

/// Reads the text of [`EFFECTIVE`].
pub fn effective(text: &str) -> Result<HostConfig, Fault> {
    read(&[Layer { origin: EFFECTIVE, text }])
}

/// What is wrong and where, without the line itself: it may hold a password that was not meant
/// for hostkit, and errors end up on the console.
fn told(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let message = error.message().lines().next().unwrap_or_default();
    format!("line {line}: {message}")
}

/// One section of the layers on its own, as far as it can be read: for what must be known even
/// when the rest is wrong.
pub fn section<T: serde::de::DeserializeOwned + Default>(layers: &[Layer<'_>], name: &str) -> T {
    let readable = |layer: &Layer<'_>| {
        let mut table: toml::Table = toml::from_str(layer.text).ok()?;
        let Some(toml::Value::Table(section)) = table.remove(name) else { return None };
        let checked: Result<T, _> = section.clone().try_into();
        checked.is_ok().then_some(section)
    };
    let mut merged = toml::Table::new();
    layers.iter().filter_map(readable).for_each(|section| merge(&mut merged, section));
    merged.try_into().unwrap_or_default()
}

/// Whom the key pair lets in, as far as the layers can be read: whoever looks for what is wrong with
/// a host must get in.
pub fn login_user(layers: &[Layer<'_>]) -> String {
    let login: Login = section(layers, "login");
    if check::is_user_name(&login.user) { login.user } else { Login::default().user }
}

/// The role, as far as the layers can be read: which table of steps is run must be known even when
/// another key is wrong.
pub fn role(layers: &[Layer<'_>]) -> Option<Role> {
    let said = |layer: &Layer<'_>| {
        let mut table: toml::Table = toml::from_str(layer.text).ok()?;
        table.remove("role")?.try_into().ok()
    };
    layers.iter().rev().find_map(said)
}

/// Puts `above` over `below`, table by table; anything but a table replaces.
pub fn merge(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer<'a>(origin: &'a str, text: &'a str) -> Layer<'a> {
        Layer { origin, text }
    }

    #[test]
    fn user_data_wins_key_by_key() {
        let image =
            "role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\ncross_az = true\n";
        let config =
            read(&[layer("host.toml", image), layer("user-data", "[efs]\nid = \"fs-aaaaaaaa\"\n")])
                .unwrap();
        assert_eq!(config.role, Some(Role::Controller));
        assert_eq!(config.efs.id.as_deref(), Some("fs-aaaaaaaa"));
        assert!(config.efs.cross_az, "what user-data does not name stays");
        assert_eq!(config.keys.private, "/devops-tools/jenkins/id_rsa");
    }

    #[test]
    fn what_a_boot_was_told_is_read_back_whole() {
        let text = "role = \"agent\"\n[jenkins]\njava_options = [\"-Xss1m\"]\n\
                    [jenkins.pools.linux]\nport = 2222\n[efs.addresses]\nuse1-az1 = \"10.0.0.1\"\n\
                    [[mount]]\nid = \"fs-aaaaaaaa\"\npath = \"/srv/x\"\n[secrets]\nA = \"/x\"\n";
        let config = read(&[layer("host.toml", text)]).unwrap();
        assert_eq!(effective(&to_effective(&config)).unwrap(), config);
        let nothing = HostConfig::default();
        assert_eq!(effective(&to_effective(&nothing)).unwrap(), nothing);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_its_origin() {
        let error =
            read(&[layer("user-data", "[efs]\nid = \"fs-aaaaaaaa\"\nmountpoint = \"/x\"\n")])
                .unwrap_err()
                .to_string();
        assert!(error.contains("user-data") && error.contains("line 3"), "{error}");
        assert!(error.contains("mountpoint"), "{error}");
    }

    #[test]
    fn a_shell_script_as_user_data_is_refused() {
        assert!(read(&[layer("user-data", "#!/bin/sh\napt-get update\n")]).is_err());
    }

    #[test]
    fn a_line_of_user_data_is_never_repeated() {
        let script = "#!/bin/sh\nexport DB_PASSWORD=hunter2\n";
        let error = read(&[layer("user-data", script)]).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_section_is_read_where_another_is_wrong() {
        let image = "[aws]\nregion = \"eu-west-1\"\n";
        let user = "[efs]\nwrong = 1\n[aws]\nendpoint_url = \"http://x\"\n";
        let aws: Aws = section(&[layer("host.toml", image), layer("user-data", user)], "aws");
        assert_eq!(aws.region.as_deref(), Some("eu-west-1"));
        assert_eq!(aws.endpoint_url.as_deref(), Some("http://x"));
        let aws: Aws = section(&[layer("host.toml", image), layer("user-data", "?")], "aws");
        assert_eq!(aws.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn the_role_is_known_where_another_key_is_wrong() {
        let image = layer("host.toml", "role = \"agent\"\n[efs]\nwrong = 1\n");
        assert_eq!(role(&[image]), Some(Role::Agent));
        assert_eq!(role(&[image, layer("user-data", "role = \"ecs\"\n")]), Some(Role::Ecs));
        assert_eq!(role(&[image, layer("user-data", "?")]), Some(Role::Agent));
        assert_eq!(role(&[layer("user-data", "role = \"cook\"\n")]), None);
    }

    #[test]
    fn who_may_log_in_is_known_where_another_key_is_wrong_and_never_leads_elsewhere() {
        let image = layer("host.toml", "[login]\nuser = \"ops\"\n[efs]\nwrong = 1\n");
        assert_eq!(login_user(&[image]), "ops");
        assert_eq!(login_user(&[image, layer("user-data", "?")]), "ops");
        let path = layer("user-data", "[login]\nuser = \"../root\"\n");
        assert_eq!(login_user(&[image, path]), "admin");
    }

    #[test]
    fn values_that_would_escape_into_paths_or_templates_are_refused() {
        for text in [
            "[efs]\nid = \"fs-x\"",
            "[login]\nuser = \"../root\"",
            "[jenkins]\nurl = \"http://x/${HOME}\"",
            "[jenkins.security]\nadmin_user = \"a\\nb\"",
            "[agent]\nuser = \"a b\"",
            "role = \"agent\"\n[agent]\nuser = \"admin\"",
            "[agent]\nfrom = [\"10.0.0.0/16\\\",command=\"]",
            "[ecs]\ncluster = \"a b\"",
            "[ecs.attributes]\nx = \"a\\nb\"",
            "[ecs.settings]\nPATH = \"/\"",
            "[ecs.settings]\nECS_X = \"a\\nECS_Y=b\"",
            "[ecs.settings]\nECS_CLUSTER = \"other\"",
        ] {
            assert!(read(&[layer("host.toml", text)]).is_err(), "{text}");
        }
    }
}
