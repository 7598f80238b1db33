//! Text as YAML that configuration as code reads as that text.

/// As a double-quoted scalar: a JSON string is one. `${` would be taken for a reference.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(&text.replace("${", "^${")).expect("a string is JSON")
}
