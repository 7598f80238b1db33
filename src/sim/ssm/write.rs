//! `PutParameter`, `DeleteParameter`, `DeleteParameters`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::read::check_names;
use super::refusal::{invalid, not_found, validation};
use super::tags::Tag;
use super::{IMAGE, TEXT, VALIDATION, needed, plain, store};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, error, input};
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::parameter_store::{Stored, Tier, Version};
use crate::sim::parameters::Kind;

/// How many levels a name has at most.
const LEVELS_LIMIT: usize = 15;
const NAME_LIMIT: usize = 1011;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    name: Option<String>,
    names: Option<Vec<String>>,
    value: Option<String>,
    description: Option<String>,
    #[serde(rename = "Type")]
    kind: Option<String>,
    key_id: Option<String>,
    overwrite: bool,
    allowed_pattern: Option<String>,
    tags: Vec<Tag>,
    tier: Option<String>,
    data_type: Option<String>,
}

pub(super) fn put(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = plain(call, needed(asked.name.as_deref(), "name")?);
    check_name(name)?;
    let tags = super::tags::checked(&asked.tags)?;
    let due = account.due(VALIDATION);
    let world = account.world();
    let stored = store(account, call).place(name);
    let mut version = asked.version(stored)?;
    (version.written, version.writer) = (world, call.caller.arn());
    let output = json!({ "Version": version.number, "Tier": version.tier.word() });
    if stored.versions.is_empty() {
        stored.tags = tags;
    }
    if version.data_type == IMAGE {
        stored.candidate = Some((due, version));
    } else if !stored.add(version) {
        let message = "The oldest version of the parameter has a label and cannot be deleted.";
        return Err(error("ParameterMaxVersionLimitExceeded", message));
    }
    Ok(output)
}

impl Asked {
    /// The version that is to be written after those that are there.
    fn version(&self, stored: &Stored) -> Result<Version, Reply> {
        let latest = stored.latest();
        if latest.is_some() && !self.overwrite {
            let message = "The parameter already exists. To overwrite this value, set the \
                           overwrite option in the request to true.";
            return Err(error("ParameterAlreadyExists", message));
        }
        if self.overwrite && !self.tags.is_empty() {
            return Err(invalid(
                "Invalid request: tags and overwrite can't be used together. To create a \
                 parameter with tags, please remove overwrite flag. To update tags for an \
                 existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
            ));
        }
        let value = needed(self.value.clone(), "value")?;
        if value.is_empty() {
            return Err(validation(
                "Value '' at 'value' failed to satisfy constraint: Member must have length \
                 greater than or equal to 1",
            ));
        }
        let kind = self.kind(latest)?;
        let data_type = self.data_type(latest, kind, &value)?;
        Ok(Version {
            number: stored.next_number(),
            tier: self.tier(latest, value.len())?,
            key: self.key(kind)?,
            value,
            kind,
            data_type,
            description: self.description.clone(),
            allowed_pattern: self.allowed_pattern.clone(),
            written: jiff::Timestamp::UNIX_EPOCH,
            writer: String::new(),
            labels: BTreeSet::new(),
        })
    }

    fn kind(&self, latest: Option<&Version>) -> Result<Kind, Reply> {
        let asked = match self.kind.as_deref() {
            None => None,
            Some("String") => Some(Kind::String),
            Some("StringList") => Some(Kind::StringList),
            Some("SecureString") => Some(Kind::SecureString),
            Some(other) => {
                return Err(validation(&format!(
                    "Value '{other}' at 'type' failed to satisfy constraint: Member must satisfy \
                     enum value set: [SecureString, StringList, String]"
                )));
            }
        };
        match (asked, latest.map(|version| version.kind)) {
            (Some(asked), Some(is)) if asked != is => {
                let message = "A parameter's type cannot be changed by overwriting it.";
                Err(error("HierarchyTypeMismatchException", message))
            }
            (Some(kind), _) | (None, Some(kind)) => Ok(kind),
            (None, None) => {
                Err(invalid("A parameter type is required when you create a parameter."))
            }
        }
    }

    fn key(&self, kind: Kind) -> Result<Option<String>, Reply> {
        match (kind, &self.key_id) {
            (Kind::SecureString, Some(key)) => Ok(Some(key.clone())),
            (Kind::SecureString, None) => Ok(Some("alias/aws/ssm".to_owned())),
            (_, None) => Ok(None),
            (_, Some(_)) => Err(invalid("KeyId is required for SecureString type parameter only.")),
        }
    }

    fn tier(&self, latest: Option<&Version>, length: usize) -> Result<Tier, Reply> {
        let was = latest.map_or(Tier::Standard, |version| version.tier);
        let tier = match self.tier.as_deref() {
            Some("Standard") if was == Tier::Advanced => {
                return Err(invalid(
                    "This parameter uses the advanced-parameter tier. You can't downgrade a \
                     parameter from the advanced-parameter tier to the standard-parameter tier.",
                ));
            }
            Some("Standard") => Tier::Standard,
            Some("Advanced") => Tier::Advanced,
            Some("Intelligent-Tiering") if length > Tier::Standard.limit() => Tier::Advanced,
            None | Some("Intelligent-Tiering") => was,
            Some(other) => {
                return Err(validation(&format!(
                    "Value '{other}' at 'tier' failed to satisfy constraint: Member must satisfy \
                     enum value set: [Standard, Advanced, Intelligent-Tiering]"
                )));
            }
        };
        if length > tier.limit() {
            return Err(invalid(&format!(
                "{} tier parameters support a maximum parameter value of {} characters.",
                tier.word(),
                tier.limit()
            )));
        }
        Ok(tier)
    }

    fn data_type(
        &self,
        latest: Option<&Version>,
        kind: Kind,
        value: &str,
    ) -> Result<String, Reply> {
        let was = latest.map_or(TEXT, |version| &version.data_type);
        let data_type = self.data_type.as_deref().unwrap_or(was);
        match data_type {
            IMAGE if kind != Kind::String => {
                return Err(invalid(
                    "Only String parameters can have the data type aws:ec2:image.",
                ));
            }
            IMAGE if !is_image_id(value) => {
                return Err(invalid(
                    "Parameter value doesn't match the required format of an AMI id, for example \
                     ami-12345abcdeEXAMPLE.",
                ));
            }
            TEXT | IMAGE => {}
            other => {
                return Err(invalid(&format!("The following data type is not supported: {other}")));
            }
        }
        Ok(data_type.to_owned())
    }
}

fn is_image_id(value: &str) -> bool {
    let digits = value.strip_prefix("ami-").unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn check_name(name: &str) -> Result<(), Reply> {
    let permitted = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(permitted) {
        return Err(invalid(
            "Invalid parameter name. Please use alphanumeric characters, and the symbols: . - _ /",
        ));
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("/aws") || lower.starts_with("aws") {
        let message = format!("No access to reserved parameter name: {name}.");
        return Err(error("AccessDeniedException", &message));
    }
    if lower.starts_with("/ssm") || lower.starts_with("ssm") {
        return Err(invalid("Parameter name: can't be prefixed with \"ssm\" (case-insensitive)."));
    }
    if name.contains('/') && (!name.starts_with('/') || name.ends_with('/')) {
        return Err(invalid("Parameter name must be a fully qualified name."));
    }
    if name.split('/').count() > LEVELS_LIMIT + 1 {
        let message = format!("A parameter's name can have at most {LEVELS_LIMIT} levels.");
        return Err(error("HierarchyLevelLimitExceededException", &message));
    }
    Ok(())
}

pub(super) fn delete(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = needed(asked.name, "name")?;
    if store(account, call).remove(plain(call, &name)) { Ok(json!({})) } else { Err(not_found()) }
}

pub(super) fn delete_several(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let names = needed(asked.names, "names")?;
    check_names(&names)?;
    let store = store(account, call);
    let (deleted, unknown): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| store.remove(plain(call, name)));
    let output: Value = json!({ "DeletedParameters": deleted, "InvalidParameters": unknown });
    Ok(output)
}
