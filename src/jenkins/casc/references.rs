//! `${NAME}` in configuration as code. What nothing satisfies becomes an empty text in Jenkins, and
//! an empty password is one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Problem;

/// What may stand before a colon: such a reference names no secret, but what to do with a text.
const LOOKUPS: &[&str] = &[
    "base64",
    "decodeBase64",
    "file",
    "fileBase64",
    "json",
    "readFile",
    "readFileBase64",
    "sysProp",
    "trim",
];

/// Keys that end like this have a secret as their value.
const SECRET_KEYS: &[&str] =
    &["password", "passphrase", "secret", "privatekey", "token", "apikey", "secretkey"];

/// The references in `tree` that nothing in `names` satisfies.
pub(super) fn check(file: &str, tree: &Value, names: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(tree, &mut Vec::new(), &mut |path, text| {
        for name in unsatisfied(text, names) {
            problems.push(Problem::new(format!(
                "{file}: `{}` refers to ${{{name}}}, which is no secret of this host ([secrets] of \
                 host.toml) and no variable of jenkins.service; a text that Jenkins shall not touch \
                 is written ^${{{name}}}",
                path.join(".")
            )));
        }
    });
    problems
}

/// Where a secret seems to stand in the text.
pub(super) fn plain_secrets(file: &str, tree: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(tree, &mut Vec::new(), &mut |path, text| {
        let key = path.last().map(|key| key.to_ascii_lowercase()).unwrap_or_default();
        let is_secret = SECRET_KEYS.iter().any(|end| key.ends_with(end));
        // Encrypted by a Jenkins, or hashed.
        let is_hidden =
            text.contains("${") || text.starts_with('{') || text.starts_with("#jbcrypt:");
        if is_secret && !is_hidden && !text.is_empty() {
            found.push(format!(
                "{file}: `{}` seems to hold a secret in plain text; put it into Parameter Store \
                 and name it in [secrets] of host.toml",
                path.join(".")
            ));
        }
    });
    found
}

/// Every text in `tree`, with the keys that lead to it.
fn walk<'a>(tree: &'a Value, path: &mut Vec<&'a str>, tell: &mut impl FnMut(&[&'a str], &'a str)) {
    match tree {
        Value::String(text) => tell(path, text),
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, tell)),
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key);
                walk(value, path, tell);
                path.pop();
            }
        }
        _ => {}
    }
}

/// The names in `text` that are not among `names` and have no value of their own to fall back to.
fn unsatisfied(text: &str, names: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let is_escaped = rest[..start].ends_with('^');
        let inner = &rest[start + 2..];
        let end = closing(inner);
        if is_escaped {
            rest = inner;
            continue;
        }
        let body = &inner[..end];
        found.extend(unsatisfied_body(body, names));
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    found
}

fn unsatisfied_body(body: &str, names: &BTreeSet<String>) -> Vec<String> {
    // What is inside is resolved first.
    if body.contains("${") {
        return unsatisfied(body, names);
    }
    let is_lookup = body.split_once(':').is_some_and(|(head, _)| LOOKUPS.contains(&head));
    let has_default = body.contains(":-");
    if is_lookup || has_default || names.contains(body) {
        Vec::new()
    } else {
        vec![body.to_owned()]
    }
}

/// Where the reference ends that `text` is the inside of.
fn closing(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return at,
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_jenkins_would_leave_empty_is_told() {
        let names = BTreeSet::from(["A".to_owned()]);
        for (text, wanted) in [
            ("${A} ${B}", vec!["B"]),
            ("^${B} ${B:-x} ${B:-}", vec![]),
            ("${base64:${B}} ${readFile:/etc/x}", vec!["B"]),
            ("${unended", vec!["unended"]),
            ("$A {A} $", vec![]),
        ] {
            assert_eq!(unsatisfied(text, &names), wanted, "{text}");
        }
    }
}
