//! What the types of `host.toml` cannot say.
//!
//! Names end up in paths, in rendered files and in options of sshd, so they are narrow. Nothing
//! here asks a machine whether what is named exists.

use super::{Ecs, HostConfig, Role};
use crate::error::Fault;

/// Variables of the ECS agent that have a key of their own, or that hostkit decides.
const OWN_VARIABLES: &[&str] = &[
    "ECS_AWSVPC_BLOCK_IMDS",
    "ECS_CLUSTER",
    "ECS_ENABLE_SPOT_INSTANCE_DRAINING",
    "ECS_INSTANCE_ATTRIBUTES",
    "ECS_RESERVED_MEMORY",
];

/// Refuses what could mean something else where it ends up.
pub(super) fn check(config: &HostConfig) -> Result<(), Fault> {
    match refused(config).into_iter().next() {
        None => Ok(()),
        Some((key, value)) => {
            Err(Fault::recipe(format!("`{key}` cannot be `{}`", value.escape_debug())))
        }
    }
}

/// The keys whose values cannot be, and the values.
pub fn refused(config: &HostConfig) -> Vec<(&'static str, String)> {
    let mut refused = Vec::new();
    let mut require = |holds: bool, key, value: &str| {
        if !holds {
            refused.push((key, value.to_owned()));
        }
    };
    if let Some(id) = &config.efs.id {
        let digits = id.strip_prefix("fs-").unwrap_or_default();
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        require((8..=40).contains(&digits.len()) && digits.chars().all(hex), "efs.id", id);
    }
    for (key, name) in [
        ("login.user", &config.login.user),
        ("jenkins.admin_user", &config.jenkins.admin_user),
        ("jenkins.agent_user", &config.jenkins.agent_user),
        ("agent.user", &config.agent.user),
    ] {
        require(is_user_name(name), key, name);
    }
    if let Some(url) = &config.jenkins.url {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.unwrap_or_default();
        let safe = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]~%".contains(c);
        require(!host.is_empty() && host.chars().all(safe), "jenkins.url", url);
    }
    // People and the controller each have a file of their own there.
    let own_user = config.role != Some(Role::Agent) || config.agent.user != config.login.user;
    require(own_user, "agent.user", &config.agent.user);
    for from in &config.agent.from {
        let part = |c: char| c.is_ascii_hexdigit() || ".:/".contains(c);
        require(!from.is_empty() && from.chars().all(part), "agent.from", from);
    }
    ecs(&config.ecs, &mut require);
    refused
}

fn ecs(ecs: &Ecs, require: &mut impl FnMut(bool, &'static str, &str)) {
    if let Some(cluster) = &ecs.cluster {
        let part = |c: char| c.is_ascii_alphanumeric() || "-_:/".contains(c);
        require(!cluster.is_empty() && cluster.chars().all(part), "ecs.cluster", cluster);
    }
    for text in ecs.attributes.iter().flat_map(|(name, value)| [name, value]) {
        let part = |c: char| c.is_ascii_alphanumeric() || "-_./@ ".contains(c);
        let good = (1..=128).contains(&text.len()) && text.chars().all(part);
        require(good, "ecs.attributes", text);
    }
    for (name, value) in &ecs.settings {
        let part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let good = name.starts_with("ECS_") && name.chars().all(part);
        let good = good && !OWN_VARIABLES.contains(&name.as_str());
        // systemd and Docker read the file, each by its own rules of quoting: these need none.
        let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '\\';
        let good = good && !value.starts_with(['"', '\'']) && value.trim() == value;
        // A value may be a password: only its name is told.
        require(good && value.chars().all(plain), "ecs.settings", name);
    }
}

fn is_user_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    (1..=32).contains(&name.len()) && name.starts_with(first) && name.chars().all(rest)
}
