//! Kinds of values in the parts that every controller has. A root that no plugin knows keeps Jenkins
//! down, so one that looks like a known one is told.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Problem;

/// Roots that Jenkins and well-known plugins have.
const ROOTS: &[&str] = &[
    "appearance",
    "aws",
    "configuration-as-code",
    "credentials",
    "globalCredentialsConfiguration",
    "groovy",
    "jenkins",
    "jobs",
    "masking",
    "security",
    "tool",
    "unclassified",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mapping,
    List,
    Number,
    Text,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            // A reference may stand for anything but a structure.
            (Self::Number | Self::Text, Value::String(text)) if text.contains("${") => true,
            (Self::Mapping, value) => value.is_object(),
            (Self::List, value) => value.is_array(),
            (Self::Number, value) => {
                value.is_i64() || value.as_str().is_some_and(|it| it.parse::<i64>().is_ok())
            }
            (Self::Text, value) => value.is_string(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Mapping => "a mapping",
            Self::List => "a list",
            Self::Number => "a number",
            Self::Text => "a text",
        }
    }
}

const WANTED: &[(&[&str], Kind)] = &[
    (&["jenkins"], Kind::Mapping),
    (&["jenkins", "numExecutors"], Kind::Number),
    (&["jenkins", "slaveAgentPort"], Kind::Number),
    (&["jenkins", "mode"], Kind::Text),
    (&["jenkins", "nodes"], Kind::List),
    (&["jenkins", "clouds"], Kind::List),
    (&["jobs"], Kind::List),
    (&["credentials"], Kind::Mapping),
    (&["credentials", "system"], Kind::Mapping),
    (&["credentials", "system", "domainCredentials"], Kind::List),
    (&["unclassified"], Kind::Mapping),
    (&["unclassified", "location"], Kind::Mapping),
    (&["unclassified", "location", "url"], Kind::Text),
    (&["security"], Kind::Mapping),
    (&["tool"], Kind::Mapping),
];

pub(super) fn check(merged: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(roots(merged));
    for (path, kind) in WANTED {
        let value = path.iter().try_fold(merged, |value, key| value.get(key));
        if value.is_some_and(|value| !kind.fits(value)) {
            let at = path.join(".");
            problems.push(Problem::new(format!("`{at}` is not {}", kind.name())));
        }
    }
    let jenkins = &merged["jenkins"];
    problems.extend(twice("the node", &jenkins["nodes"], "name"));
    let domains = merged["credentials"]["system"]["domainCredentials"].as_array();
    let credentials = domains.into_iter().flatten().filter_map(|it| it["credentials"].as_array());
    let credentials = Value::Array(credentials.flatten().cloned().collect());
    problems.extend(twice("the credential", &credentials, "id"));
    problems
}

fn roots(merged: &Value) -> Vec<Problem> {
    let Value::Object(map) = merged else { return Vec::new() };
    let strange = map.keys().filter(|key| !ROOTS.contains(&key.as_str()));
    let near = strange.filter_map(|key| {
        let near = ROOTS.iter().find(|root| strsim::damerau_levenshtein(key, root) <= 2)?;
        Some(Problem::new(format!("no plugin has the root `{key}`; did you mean `{near}`?")))
    });
    near.collect()
}

/// Items of a list, each a mapping with its kind as the only key, that have the same `key`.
fn twice(what: &str, list: &Value, key: &str) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let items = list.as_array().into_iter().flatten();
    let names = items.filter_map(|item| item.as_object()?.values().next()?[key].as_str());
    let again = names.filter(|name| !seen.insert(*name));
    again.map(|name| Problem::new(format!("{what} `{name}` is there twice"))).collect()
}
