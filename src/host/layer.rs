//! What a host is told comes in layers: the image, the user-data, a few tags. The last wins.

use std::collections::BTreeMap;

use super::check;
use super::{EFFECTIVE, HostConfig, Login, Role};
use crate::error::Fault;

/// One text that tells a host what to be, and where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// A name that a person recognises: a path, or `user-data`.
    pub origin: &'a str,
    /// TOML.
    pub text: &'a str,
}

/// What a host was told, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it was told.
    pub config: HostConfig,
    /// The origin of every value that a layer says, by its key with its sections. What is not here
    /// is a default.
    pub origins: BTreeMap<String, String>,
}

/// Reads the layers in order; the last wins, key by key.
pub fn read(layers: &[Layer<'_>]) -> Result<HostConfig, Fault> {
    told(layers).map(|told| told.config)
}

/// As [`read`], and remembers which layer said what.
pub fn told(layers: &[Layer<'_>]) -> Result<Told, Fault> {
    let mut merged = toml::Table::new();
    let mut origins = BTreeMap::new();
    for layer in layers {
        // Each layer is parsed into the real types first: errors then point at its own lines.
        let wrong = |error: toml::de::Error| {
            Fault::recipe(format!("{} is not right: {}", layer.origin, explain(layer.text, &error)))
                .hint("docs/reference.md has all keys of host.toml; `hostkit check --host FILE` finds \
                       all that is wrong with a file")
        };
        toml::from_str::<HostConfig>(layer.text).map_err(wrong)?;
        let table = toml::from_str(layer.text).map_err(wrong)?;
        leaves(&table, "", &mut |key, _| {
            origins.insert(key, layer.origin.to_owned());
        });
        merge(&mut merged, table);
    }
    let config: HostConfig = merged.try_into().map_err(|error| {
        Fault::recipe(format!("the merged configuration is not right: {error}"))
    })?;
    check::check(&config, |key| origins.get(key).map(String::as_str))?;
    Ok(Told { config, origins })
}

/// Hands every value that is no table to `take`, with its key and the sections that it is in.
pub(super) fn leaves(
    table: &toml::Table,
    above: &str,
    take: &mut impl FnMut(String, &toml::Value),
) {
    for (name, value) in table {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match value {
            toml::Value::Table(inner) => leaves(inner, &key, take),
            value => take(key, value),
        }
    }
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
fn explain(text: &str, error: &toml::de::Error) -> String {
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
    use super::super::Aws;
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
