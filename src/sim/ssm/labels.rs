//! `LabelParameterVersion`, `UnlabelParameterVersion`.

use serde::Deserialize;
use serde_json::json;

use super::refusal::{no_version, not_found};
use super::{needed, plain, store};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, error, input};
use crate::sim::call::Call;
use crate::sim::parameter_store::LABELS_LIMIT;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    name: Option<String>,
    parameter_version: Option<u64>,
    labels: Option<Vec<String>>,
}

/// A label is with one version: it moves.
pub(super) fn add(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = needed(asked.name, "name")?;
    let name = plain(call, &name);
    let (good, bad): (Vec<String>, Vec<String>) =
        needed(asked.labels, "labels")?.into_iter().partition(|label| is_label(label));
    let stored = store(account, call).get_mut(name).ok_or_else(not_found)?;
    let latest = stored.latest().map_or(0, |version| version.number);
    let number = asked.parameter_version.unwrap_or(latest);
    let version = stored.versions.iter().position(|version| version.number == number);
    let version = version.ok_or_else(|| no_version(name, &number.to_string()))?;
    let mut labels = stored.versions[version].labels.clone();
    labels.extend(good.iter().cloned());
    if labels.len() > LABELS_LIMIT {
        let message = "A parameter version can have maximum 10 labels.";
        return Err(error("ParameterVersionLabelLimitExceeded", message));
    }
    for other in &mut stored.versions {
        other.labels.retain(|label| !good.contains(label));
    }
    stored.versions[version].labels = labels;
    Ok(json!({ "InvalidLabels": bad, "ParameterVersion": number }))
}

pub(super) fn remove(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = needed(asked.name, "name")?;
    let name = plain(call, &name);
    let number = needed(asked.parameter_version, "parameterVersion")?;
    let labels = needed(asked.labels, "labels")?;
    let stored = store(account, call).get_mut(name).ok_or_else(not_found)?;
    let version = stored.versions.iter_mut().find(|version| version.number == number);
    let version = version.ok_or_else(|| no_version(name, &number.to_string()))?;
    let (removed, unknown): (Vec<String>, Vec<String>) =
        labels.into_iter().partition(|label| version.labels.remove(label));
    Ok(json!({ "RemovedLabels": removed, "InvalidLabels": unknown }))
}

fn is_label(label: &str) -> bool {
    let permitted = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let lower = label.to_ascii_lowercase();
    (1..=100).contains(&label.len())
        && label.chars().all(permitted)
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}
