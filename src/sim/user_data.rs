//! The user-data that the instance reads: the user's own, and below it what only the rehearsal
//! knows.

use anyhow::Context as _;
use toml::{Table, Value};

use crate::error::Fault;

/// Adds the endpoint and the file system's id wherever `user` says nothing about them.
///
/// # Errors
/// `user` is not TOML, or `aws` or `efs` is something else than a table.
pub fn merge(user: &str, endpoint: &str, file_system: &str) -> anyhow::Result<String> {
    let table: Table = toml::from_str(user)
        .context(Fault::recipe("the user-data is not TOML").hint("it has host.toml's format"))?;
    fill(table, endpoint, Some(file_system))
}

/// What an instance reads as its user-data when somebody launched it with `said`: the same with the
/// gaps filled, if it is for hostkit's agent (TOML, or nothing); else as it was said, for whatever
/// reads it.
pub fn complete(said: &str, endpoint: &str, file_system: Option<&str>) -> String {
    // Comments to TOML, and not meant for it.
    let for_others = ["#!", "#cloud-config", "#include", "## template:"];
    if for_others.iter().any(|sign| said.starts_with(sign)) {
        return said.to_owned();
    }
    let Ok(table) = toml::from_str::<Table>(said) else { return said.to_owned() };
    fill(table, endpoint, file_system).unwrap_or_else(|_| said.to_owned())
}

fn fill(mut table: Table, endpoint: &str, file_system: Option<&str>) -> anyhow::Result<String> {
    say(&mut table, "aws", "endpoint_url", endpoint)?;
    if let Some(id) = file_system {
        say(&mut table, "efs", "id", id)?;
    }
    toml::to_string(&table).context("writing the user-data")
}

fn say(table: &mut Table, section: &str, key: &str, value: &str) -> anyhow::Result<()> {
    let section_table = table
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()))
        .as_table_mut()
        .ok_or_else(|| Fault::recipe(format!("`{section}` in the user-data is not a table")))?;
    section_table.entry(key).or_insert_with(|| Value::String(value.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_wins_and_the_rehearsal_fills_the_gaps() {
        let user = "role = 'controller'\n[efs]\nid = 'fs-mine'\ncross_az = true\n";
        let merged: Table = merge(user, "http://10.0.2.2:1", "fs-other").unwrap().parse().unwrap();
        assert_eq!(merged["role"].as_str(), Some("controller"));
        assert_eq!(merged["efs"]["id"].as_str(), Some("fs-mine"));
        assert_eq!(merged["efs"]["cross_az"].as_bool(), Some(true));
        assert_eq!(merged["aws"]["endpoint_url"].as_str(), Some("http://10.0.2.2:1"));
    }

    #[test]
    fn what_is_for_somebody_else_is_left_alone() {
        let script = "#!/bin/sh\n";
        assert_eq!(complete(script, "e", None), script);
        assert_eq!(complete("#cloud-config\n", "e", None), "#cloud-config\n");
        assert_eq!(complete("MIME-Version: 1.0\n", "e", None), "MIME-Version: 1.0\n");
        let nothing: Table = complete("", "http://10.0.2.2:1", None).parse().unwrap();
        assert_eq!(nothing["aws"]["endpoint_url"].as_str(), Some("http://10.0.2.2:1"));
        assert!(!nothing.contains_key("efs"));
        let whole: Table = complete("role = 'agent'", "e", Some("fs-1")).parse().unwrap();
        assert_eq!(whole["efs"]["id"].as_str(), Some("fs-1"));
    }

    #[test]
    fn what_is_not_a_table_is_refused() {
        assert!(merge("efs = 'fs-1'", "e", "f").is_err());
        assert!(merge("#!/bin/sh\necho", "e", "f").is_err());
    }
}
