//! What the types of `host.toml` cannot say.
//!
//! Names end up in paths, in rendered files and in options of sshd, so they are narrow. Nothing
//! here asks a machine whether what is named exists.

use std::net::IpAddr;

use super::{Ecs, HostConfig, Role};
use crate::error::Fault;

/// Variables of the ECS agent that have a key of their own, or that hostkit decides.
const OWN_VARIABLES: &[&str] = &[
    "ECS_AWSVPC_BLOCK_IMDS",
    "ECS_BACKEND_HOST",
    "ECS_CLUSTER",
    "ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM",
    "ECS_CONTAINER_INSTANCE_TAGS",
    "ECS_ENABLE_SPOT_INSTANCE_DRAINING",
    "ECS_INSTANCE_ATTRIBUTES",
    "ECS_RESERVED_MEMORY",
    "ECS_WARM_POOLS_CHECK",
];

/// Whom systemd/sshd-20-agent.conf keeps from letting others in.
const AGENT_USER: &str = "jenkins";

/// Refuses what could mean something else where it ends up.
pub(super) fn check(config: &HostConfig) -> Result<(), Fault> {
    match refused(config).into_iter().next() {
        None => Ok(()),
        Some(Refused { key, value, hint }) => {
            let fault = Fault::recipe(format!("`{key}` cannot be `{}`", value.escape_debug()));
            Err(match hint {
                Some(hint) => fault.hint(hint),
                None => fault,
            })
        }
    }
}

/// A key whose value cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The key, with its section.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What to write instead, where it is known.
    pub hint: Option<String>,
}

/// The keys whose values cannot be.
pub fn refused(config: &HostConfig) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut require = |holds: bool, key, value: &str| {
        if !holds {
            refused.push(Refused { key, value: value.to_owned(), hint: None });
        }
    };
    if let Some(id) = &config.efs.id {
        let digits = id.strip_prefix("fs-").unwrap_or_default();
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        require((8..=40).contains(&digits.len()) && digits.chars().all(hex), "efs.id", id);
    }
    for (key, name) in [
        ("login.user", &config.login.user),
        ("jenkins.security.admin_user", &config.jenkins.security.admin_user),
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
    ecs(&config.ecs, &mut require);
    if config.role == Some(Role::Agent) && own_user && config.agent.user != AGENT_USER {
        let hint = format!(
            "sshd keeps `{AGENT_USER}` to the controller's keys; of any other user it would also \
             take the keys that a build puts into the home"
        );
        let (key, value) = ("agent.user", config.agent.user.clone());
        refused.push(Refused { key, value, hint: Some(hint) });
    }
    for from in &config.agent.from {
        if let Err(hint) = network(from) {
            refused.push(Refused { key: "agent.from", value: from.clone(), hint: Some(hint) });
        }
    }
    refused
}

/// Whether sshd takes this for an address or a network, else what it would take. With one that it
/// does not take, it takes none of the line's keys.
fn network(text: &str) -> Result<(), String> {
    let example = || "wanted is an address or a network, as 10.0.0.0/16".to_owned();
    let (address, length) = match text.split_once('/') {
        None => return text.parse::<IpAddr>().map(drop).map_err(|_| example()),
        Some((address, length)) => (address.parse::<IpAddr>(), length),
    };
    let address = address.map_err(|_| example())?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let digits = length.bytes().all(|digit| digit.is_ascii_digit());
    let length: u32 = length.parse().ok().filter(|_| digits).ok_or_else(example)?;
    // The bits that its hosts have.
    let rest = width.checked_sub(length);
    let rest = rest.ok_or_else(|| format!("an address of this kind has {width} bits"))?;
    let network = match address {
        IpAddr::V4(ip) => {
            let bits = ip.to_bits().checked_shr(rest).and_then(|bits| bits.checked_shl(rest));
            IpAddr::V4(bits.unwrap_or(0).into())
        }
        IpAddr::V6(ip) => {
            let bits = ip.to_bits().checked_shr(rest).and_then(|bits| bits.checked_shl(rest));
            IpAddr::V6(bits.unwrap_or(0).into())
        }
    };
    if network == address {
        return Ok(());
    }
    Err(format!("the network is {network}/{length}; one address alone is {address}"))
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
    for (name, value) in &ecs.tags {
        let part = |c: char| c.is_ascii_alphanumeric() || "-_./=+:@ ".contains(c);
        let good = |text: &str, most| text.len() <= most && text.chars().all(part);
        let named = !name.is_empty() && !name.to_ascii_lowercase().starts_with("aws:");
        require(named && good(name, 128) && good(value, 256), "ecs.tags", name);
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

pub(super) fn is_user_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    (1..=32).contains(&name.len()) && name.starts_with(first) && name.chars().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_what_sshd_takes_for_one() {
        for good in ["10.0.0.5", "10.0.0.0/16", "0.0.0.0/0", "10.0.0.5/32", "::/0", "fd00::/8"] {
            assert_eq!(network(good), Ok(()), "{good}");
        }
        for (wrong, hint) in [
            ("10.0.0.5/16", "10.0.0.0/16"),
            ("10.0.0.5/0", "0.0.0.0/0"),
            ("fd00::1/8", "fd00::/8"),
            ("10.0.0.0/33", "32 bits"),
            ("10.0.0.0/", "10.0.0.0/16"),
            ("10.0.0.0/+8", "10.0.0.0/16"),
            ("10.0.0", "an address"),
            ("", "an address"),
        ] {
            assert!(network(wrong).unwrap_err().contains(hint), "{wrong}");
        }
    }

    #[test]
    fn an_agent_lets_in_only_the_user_whom_sshd_shuts_in() {
        let of = |text: &str| refused(&toml::from_str(text).unwrap());
        assert_eq!(of("role = 'agent'\n[agent]\nuser = 'jenkins'\nfrom = ['10.0.0.0/8']"), []);
        let other = of("role = 'agent'\n[agent]\nuser = 'builder'");
        assert_eq!(other[0].key, "agent.user");
        assert!(other[0].hint.as_ref().unwrap().contains("jenkins"));
        assert_eq!(of("[agent]\nfrom = ['10.0.0.5/16']")[0].key, "agent.from");
    }
}
