//! `DescribeParameters`, and the filters of lists.

use serde::Deserialize;

use super::page::Page;
use super::read::{listed, metadata};
use super::{arn, store};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, error, input};
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::parameter_store::Stored;
use crate::sim::seed::PUBLIC_PARAMETERS;

const PAGE_LIMIT: usize = 50;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    filters: Vec<Filter>,
    parameter_filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// A condition, as it is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

pub(super) fn answer(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let page = Page::of(asked.max_results, asked.next_token.as_deref(), PAGE_LIMIT)?;
    let mut filters = asked.parameter_filters;
    // The older kind of filter is what the newer one is with this option.
    filters.extend(asked.filters.into_iter().map(|filter| {
        let option = if filter.key == "Name" { "BeginsWith" } else { "Equals" };
        Filter { option: Some(option.to_owned()), ..filter }
    }));
    let mut found = Vec::new();
    for (name, stored) in store(account, call).iter() {
        // AWS's own can be read, but are nobody else's.
        if let Some(version) = stored.latest()
            && !name.starts_with(PUBLIC_PARAMETERS)
            && matches_all(&filters, name, stored)?
        {
            let mut described = metadata(name, version);
            described["ARN"] = arn(&call.region, name).into();
            found.push(described);
        }
    }
    Ok(listed(page.cut(found)))
}

/// Whether a parameter meets all conditions.
pub(super) fn matches_all(filters: &[Filter], name: &str, stored: &Stored) -> Result<bool, Reply> {
    for filter in filters {
        if !filter.matches(name, stored)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Filter {
    fn matches(&self, name: &str, stored: &Stored) -> Result<bool, Reply> {
        let Some(latest) = stored.latest() else { return Ok(false) };
        let any = |is: Option<&str>| {
            is.is_some_and(|is| self.values.is_empty() || self.values.iter().any(|one| one == is))
        };
        Ok(match self.key.as_str() {
            "Name" => self.matches_name(name)?,
            "Path" => self.matches_path(name)?,
            "Type" => any(Some(latest.kind.word())),
            "Tier" => any(Some(latest.tier.word())),
            "DataType" => any(Some(&latest.data_type)),
            "KeyId" => any(latest.key.as_deref()),
            "Label" => stored.versions.iter().flat_map(|one| &one.labels).any(|one| any(Some(one))),
            key => {
                let tag = key.strip_prefix("tag:").ok_or_else(|| {
                    let message = format!("The following filter key is not valid: {key}.");
                    error("InvalidFilterKey", &message)
                })?;
                any(stored.tags.get(tag).map(String::as_str))
            }
        })
    }

    fn matches_name(&self, name: &str) -> Result<bool, Reply> {
        let bare = |text: &str| text.trim_start_matches('/').to_owned();
        let fits = |value: &String| match self.option.as_deref() {
            None | Some("Equals") => Ok(bare(name) == bare(value)),
            Some("BeginsWith") => Ok(bare(name).starts_with(&bare(value))),
            Some("Contains") => Ok(name.contains(value.as_str())),
            Some(option) => Err(wrong_option(option)),
        };
        any_of(self.values.iter().map(fits))
    }

    fn matches_path(&self, name: &str) -> Result<bool, Reply> {
        let fits = |value: &String| {
            let path = format!("{}/", value.trim_end_matches('/'));
            let rest = name.strip_prefix(&path);
            match self.option.as_deref() {
                Some("Recursive") => Ok(rest.is_some()),
                None | Some("OneLevel") => Ok(rest.is_some_and(|rest| !rest.contains('/'))),
                Some(option) => Err(wrong_option(option)),
            }
        };
        any_of(self.values.iter().map(fits))
    }
}

fn any_of(mut results: impl Iterator<Item = Result<bool, Reply>>) -> Result<bool, Reply> {
    results.try_fold(false, |any, result| result.map(|one| any || one))
}

fn wrong_option(option: &str) -> Reply {
    let message = format!("The following filter option is not valid: {option}.");
    error("InvalidFilterOption", &message)
}
