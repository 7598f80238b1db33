//! Pieces of answers that many operations have.

use jiff::Timestamp;

use crate::sim::region::Tags;
use crate::sim::xml::{leaf, node};

/// `<name><item>…</item><item>…</item></name>`
pub fn set(name: &str, items: impl IntoIterator<Item = String>) -> String {
    node(name, &items.into_iter().map(|item| node("item", &item)).collect::<String>())
}

/// A text, where there is one.
pub fn some(name: &str, text: Option<&str>) -> String {
    text.map(|text| leaf(name, text)).unwrap_or_default()
}

/// A number, where there is one.
pub fn number(name: &str, number: Option<u64>) -> String {
    number.map(|number| leaf(name, &number.to_string())).unwrap_or_default()
}

/// `true` or `false`.
pub fn flag(name: &str, flag: bool) -> String {
    leaf(name, super::filter::truth(flag))
}

/// What operations say that have nothing else to say.
pub fn done() -> String {
    leaf("return", "true")
}

/// `<tagSet>`
pub fn tags(tags: &Tags) -> String {
    set("tagSet", tags.iter().map(|(key, value)| leaf("key", key) + &leaf("value", value)))
}

/// A moment, in the one form that EC2 has.
pub fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
