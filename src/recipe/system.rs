//! The sections about the machine itself: groups, units, and the kernel.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::types::When;

/// `[[group]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// `[[unit]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Its full name, as `jenkins.service`.
    pub name: String,
    /// What the image does with it; else what its package wants.
    pub state: Option<UnitState>,
    /// Files that change parts of it: `/etc/systemd/system/UNIT.d/NAME`.
    #[serde(default)]
    pub drop_in: Vec<DropIn>,
    /// When it applies.
    #[serde(default)]
    pub when: When,
}

/// What an image does with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// Started at boot.
    Enabled,
    /// Not started at boot.
    Disabled,
    /// Cannot be started at all.
    Masked,
}

/// `[[unit.drop_in]]`: exactly one of `content`, `source` and `template`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropIn {
    /// Its file name, as `10-order.conf`.
    pub name: String,
    /// What is in it.
    pub content: Option<String>,
    /// A file that is copied as it is: of the project, else shipped with hostkit.
    pub source: Option<String>,
    /// A template that is rendered with the recipe's variables: of the project, else shipped.
    pub template: Option<String>,
}

/// `[kernel]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Modules that are loaded at boot.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Modules that are not loaded for a device by themselves.
    #[serde(default)]
    pub blacklist: Vec<String>,
    /// Words that are added to the command line.
    #[serde(default)]
    pub command_line: Vec<String>,
}

/// The value of a kernel setting, as text: people write a number or a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting(pub String);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Setting;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or a string")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Setting, E> {
                Ok(Setting(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Setting, E> {
                Ok(Setting(value.to_string()))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Setting, E> {
                Ok(Setting(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Setting".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number or a string.",
            "type": ["integer", "string"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_number_or_a_string_and_nothing_else() {
        let read = toml::from_str::<std::collections::BTreeMap<String, Setting>>;
        let settings = read("\"net.ipv4.ip_forward\" = 1\n'kernel.core_pattern' = '|/bin/false'");
        let settings = settings.unwrap();
        assert_eq!(settings["net.ipv4.ip_forward"], Setting("1".into()));
        assert_eq!(settings["kernel.core_pattern"], Setting("|/bin/false".into()));
        let error = read("a = true").unwrap_err();
        assert!(error.to_string().contains("a number or a string"), "{error}");
    }
}
