//! Values that are used and never shown or kept.
//!
//! In a bake they are the values of secret variables: known while it runs, and to nothing that it
//! makes. A plan holds references (`secret:NAME`) and never values. Whatever is shown or kept goes
//! through [`Secrets::redact`] first.
//!
//! On a host they come from Parameter Store. Whoever gets one there has it [`learn`]ed, and all that
//! leaves this process (the console, the journal, reports, records, bundles, answers) goes through
//! [`redact`]: it masks what was learnt, and what has the shape of a secret ([`shape`]). Nothing here
//! reads or writes files.

mod known;
pub mod shape;
mod spans;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

pub use known::learn;
use spans::Spans;

/// What a reference to a secret begins with, where a plan has one in the place of a value.
pub const REFERENCE: &str = "secret:";

/// What is shown in the place of a secret.
pub const MASK: &str = "[secret]";

/// `text` without the secrets that this process has learnt, and without what has the shape of one.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut spans = Spans::default();
    known::find(text, &mut spans);
    shape::find(text, &mut spans);
    spans.masked(text)
}

/// The same for the strings of a JSON value, those under a name that tells a secret included.
pub fn redact_json(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = redact(text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if shape::hides(name, text) => MASK.clone_into(text),
                    other => redact_json(other),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The values of secret variables, by name. Wiped when dropped, never shown.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, Zeroizing<String>>);

impl Secrets {
    /// Takes a value in.
    pub fn insert(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), Zeroizing::new(value));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What `text` stands for: the value that it refers to, else itself. None for a reference to a
    /// secret that nobody gave.
    pub fn resolve<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        match text.strip_prefix(REFERENCE) {
            None => Some(text),
            Some(name) => self.0.get(name).map(|value| value.as_str()),
        }
    }

    /// `text` without any of the values.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.0.values().filter(|value| !value.is_empty()) {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), MASK);
            }
        }
        text
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_resolved_by_reference_and_never_shown() {
        let mut secrets = Secrets::default();
        secrets.insert("token", "hunter2-hunter2".into());
        assert_eq!(secrets.resolve("secret:token"), Some("hunter2-hunter2"));
        assert_eq!(secrets.resolve("plain"), Some("plain"));
        assert_eq!(secrets.resolve("secret:other"), None);
        assert_eq!(secrets.redact("curl -H hunter2-hunter2 x"), "curl -H [secret] x");
        assert_eq!(format!("{secrets:?}"), "{\"token\"}");
    }
}
