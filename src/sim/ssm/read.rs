//! `GetParameter`, `GetParameters`, `GetParametersByPath`, `GetParameterHistory`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::describe::{Filter, matches_all};
use super::page::Page;
use super::refusal::{no_version, not_found, validation};
use super::{arn, needed, plain, store};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, input, seconds};
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::parameter_store::{ParameterStore, Version};
use crate::sim::parameters::Kind;
use crate::sim::random;
use crate::sim::timeline::Milestone;

/// One call may name this many parameters.
pub(super) const NAMES_LIMIT: usize = 10;
const PATH_PAGE_LIMIT: usize = 10;
const HISTORY_PAGE_LIMIT: usize = 50;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    name: Option<String>,
    names: Option<Vec<String>>,
    path: Option<String>,
    recursive: bool,
    with_decryption: bool,
    parameter_filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(super) fn one(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = needed(asked.name, "name")?;
    account.mark(call.caller.name(), Milestone::Parameters);
    let (plain, version, selector) = look_up(store(account, call), call, &name)?;
    let described = describe(call, plain, version, selector, asked.with_decryption);
    Ok(json!({ "Parameter": described }))
}

pub(super) fn several(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let names = needed(asked.names, "names")?;
    check_names(&names)?;
    account.mark(call.caller.name(), Milestone::Parameters);
    let store = store(account, call);
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in &names {
        match look_up(store, call, name) {
            Ok((plain, version, selector)) => {
                found.push(describe(call, plain, version, selector, asked.with_decryption));
            }
            Err(_) => invalid.push(name),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

pub(super) fn check_names(names: &[String]) -> Result<(), Reply> {
    if (1..=NAMES_LIMIT).contains(&names.len()) {
        return Ok(());
    }
    Err(validation(&format!(
        "Value '{names:?}' at 'names' failed to satisfy constraint: Member must have length less \
         than or equal to {NAMES_LIMIT}"
    )))
}

pub(super) fn below(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let path = needed(asked.path, "path")?;
    if !path.starts_with('/') {
        return Err(super::refusal::invalid(
            "The parameter doesn't meet the parameter name requirements. The parameter name must \
             begin with a forward slash \"/\".",
        ));
    }
    let page = Page::of(asked.max_results, asked.next_token.as_deref(), PATH_PAGE_LIMIT)?;
    let path = format!("{}/", path.trim_end_matches('/'));
    let store = store(account, call);
    let mut found = Vec::new();
    for (name, stored) in store.iter() {
        let rest = name.strip_prefix(&path);
        let here = rest.is_some_and(|rest| asked.recursive || !rest.contains('/'));
        if let Some(version) = stored.latest().filter(|_| here)
            && matches_all(&asked.parameter_filters, name, stored)?
        {
            found.push(describe(call, name, version, None, asked.with_decryption));
        }
    }
    Ok(listed(page.cut(found)))
}

pub(super) fn history(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = needed(asked.name, "name")?;
    let page = Page::of(asked.max_results, asked.next_token.as_deref(), HISTORY_PAGE_LIMIT)?;
    let (name, stored) = store(account, call).get(plain(call, &name)).ok_or_else(not_found)?;
    let versions = stored.versions.iter().map(|version| {
        let mut described = metadata(name, version);
        described["Value"] = shown(version, asked.with_decryption).into();
        described["Labels"] = version.labels.iter().cloned().collect();
        described
    });
    Ok(listed(page.cut(versions.collect())))
}

/// What is known of a version beside its value.
pub(super) fn metadata(name: &str, version: &Version) -> Value {
    let mut described = json!({
        "Name": name,
        "Type": version.kind.word(),
        "LastModifiedDate": seconds(version.written),
        "LastModifiedUser": version.writer,
        "Version": version.number,
        "Tier": version.tier.word(),
        "Policies": [],
        "DataType": version.data_type,
    });
    let optional = [
        ("Description", &version.description),
        ("AllowedPattern", &version.allowed_pattern),
        ("KeyId", &version.key),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            described[member] = value.as_str().into();
        }
    }
    described
}

pub(super) fn listed((page, next): (Vec<Value>, Option<String>)) -> Value {
    let mut output = json!({});
    output["Parameters"] = page.into();
    if let Some(next) = next {
        output["NextToken"] = next.into();
    }
    output
}

/// A name is plain, with a version or a label, or an ARN.
fn look_up<'a, 'b>(
    store: &'a ParameterStore,
    call: &Call<'_>,
    asked: &'b str,
) -> Result<(&'a str, &'a Version, Option<&'b str>), Reply> {
    let asked = plain(call, asked);
    let (name, selector) = match asked.split_once(':') {
        None => (asked, None),
        Some((name, selector)) => (name, Some(selector)),
    };
    let (name, stored) = store.get(name).ok_or_else(not_found)?;
    let version = match selector {
        None => stored.latest(),
        Some(selector) => stored.selected(selector),
    };
    let version = version.ok_or_else(|| no_version(name, selector.unwrap_or_default()))?;
    Ok((name, version, selector))
}

fn describe(
    call: &Call<'_>,
    name: &str,
    version: &Version,
    selector: Option<&str>,
    decrypt: bool,
) -> Value {
    let mut parameter = json!({
        "Name": name,
        "Type": version.kind.word(),
        "Value": shown(version, decrypt),
        "Version": version.number,
        "LastModifiedDate": seconds(version.written),
        "ARN": arn(&call.region, name),
        "DataType": version.data_type,
    });
    if let Some(selector) = selector {
        parameter["Selector"] = format!(":{selector}").into();
    }
    parameter
}

fn shown(version: &Version, decrypt: bool) -> String {
    if version.kind == Kind::SecureString && !decrypt {
        // What KMS gives back is of no use without asking for decryption.
        format!("AQICAH{}", random::derived(&version.value, 64))
    } else {
        version.value.clone()
    }
}
