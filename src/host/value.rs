//! What a host was told, value by value: for people who ask why it does what it does.

use schemars::JsonSchema;
use serde::Serialize;

use super::layer::leaves;
use super::{HostConfig, Role, Told};

/// What stands for a value that may be a password.
const HIDDEN: &str = "(not shown)";

/// A value, and who said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Value {
    /// The key, with its sections.
    pub key: String,
    /// The value, as in TOML.
    pub value: String,
    /// The layer that says it; absent where it is the default.
    pub origin: Option<String>,
}

/// The values that a host of this role looks at: all that somebody has said, and the defaults of its
/// own sections.
pub fn values(told: &Told, role: Option<Role>) -> Vec<Value> {
    let Told { config, origins } = told;
    let mut values = Vec::new();
    let mut take = |key: String, value: &toml::Value| {
        let origin = origins.get(&key).cloned();
        let section = key.split('.').next().unwrap_or_default();
        if origin.is_some() || is_of(section, role) && !is_nothing(value) {
            let value = shown(&key, value);
            values.push(Value { key, value, origin });
        }
    };
    leaves(&table(config), "", &mut take);
    values
}

fn table(config: &HostConfig) -> toml::Table {
    toml::Table::try_from(config).expect("every value of a host.toml has a form in TOML")
}

fn is_nothing(value: &toml::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Whether a host of this role looks at the section.
fn is_of(section: &str, role: Option<Role>) -> bool {
    match role {
        None => true,
        Some(Role::Controller) => !["agent", "ecs"].contains(&section),
        Some(Role::Agent) => !["ecs", "efs", "jenkins", "lease"].contains(&section),
        Some(Role::Ecs) => !["agent", "efs", "jenkins", "keys", "lease"].contains(&section),
    }
}

fn shown(key: &str, value: &toml::Value) -> String {
    match (key, value) {
        // Of these a person says what they are.
        (key, _) if key.starts_with("ecs.settings.") => HIDDEN.to_owned(),
        ("jenkins.java_options", toml::Value::Array(options)) => {
            let name = |option: &toml::Value| {
                let text = option.as_str().unwrap_or_default();
                match text.split_once('=') {
                    Some((name, _)) => format!("{name}=…"),
                    None => text.to_owned(),
                }
            };
            toml::Value::from(options.iter().map(name).collect::<Vec<_>>()).to_string()
        }
        (_, value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Layer, told};

    fn of(text: &str, role: Role) -> Vec<Value> {
        values(&told(&[Layer { origin: "user-data", text }]).unwrap(), Some(role))
    }

    #[test]
    fn a_value_that_may_be_a_password_is_not_shown() {
        let text = "[ecs.settings]\nECS_ENGINE_AUTH_DATA = \"hunter2\"\n\
                    [jenkins]\njava_options = [\"-Da=hunter2\", \"-Xss1m\"]\n";
        let values = of(text, Role::Controller);
        assert!(!format!("{values:?}").contains("hunter2"), "{values:?}");
        let find = |key: &str| values.iter().find(|value| value.key == key).unwrap();
        assert_eq!(find("jenkins.java_options").value, "[\"-Da=…\", \"-Xss1m\"]");
        assert_eq!(find("ecs.settings.ECS_ENGINE_AUTH_DATA").value, HIDDEN);
    }

    #[test]
    fn what_nobody_said_is_a_default_and_only_of_the_role() {
        let values = of("[efs]\nid = \"fs-aaaaaaaa\"\n", Role::Controller);
        let origin = |key: &str| values.iter().find(|it| it.key == key).map(|it| it.origin.clone());
        assert_eq!(origin("efs.id"), Some(Some("user-data".to_owned())));
        assert_eq!(origin("efs.cross_az"), Some(None));
        assert_eq!(origin("ecs.agent"), None);
    }
}
