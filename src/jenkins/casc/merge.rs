//! Puts files together as the plugin does it: mappings key by key, lists one behind the other, and
//! two values for one key are an error, even if they are the same.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Problem, RENDERED};

/// One tree out of all, and what contradicts.
pub(super) fn all(trees: &[(&str, Value)]) -> (Value, Vec<Problem>) {
    let mut merged = Value::Object(Map::new());
    let mut merger = Merger { origins: BTreeMap::new(), problems: Vec::new() };
    for (file, tree) in trees {
        merger.merge(&mut merged, tree, &mut Vec::new(), file);
    }
    (merged, merger.problems)
}

struct Merger<'a> {
    /// Which file said what stands at a path.
    origins: BTreeMap<String, &'a str>,
    problems: Vec<Problem>,
}

impl<'a> Merger<'a> {
    fn merge(&mut self, into: &mut Value, from: &Value, path: &mut Vec<String>, file: &'a str) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    path.push(key.clone());
                    if let Some(there) = into.get_mut(key) {
                        self.merge(there, value, path, file);
                    } else {
                        into.insert(key.clone(), value.clone());
                        self.note(value, path, file);
                    }
                    path.pop();
                }
            }
            (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
            (into, from) => {
                let at = path.join(".");
                let other = self.origins.get(&at).copied().unwrap_or("another file");
                let same = kind(into) == kind(from);
                let how = if same { "both say" } else { "say different kinds of things as" };
                let ours = [other, file].contains(&RENDERED);
                let help =
                    if ours { "; leave it out, or bring a template of your own" } else { "" };
                self.problems.push(Problem::new(format!("{other} and {file} {how} `{at}`{help}")));
            }
        }
    }

    /// Remembers where all that is in `value` came from.
    fn note(&mut self, value: &Value, path: &mut Vec<String>, file: &'a str) {
        self.origins.insert(path.join("."), file);
        if let Value::Object(map) = value {
            for (key, value) in map {
                path.push(key.clone());
                self.note(value, path, file);
                path.pop();
            }
        }
    }
}

/// The kinds that the plugin tells apart.
fn kind(value: &Value) -> u8 {
    match value {
        Value::Object(_) => 0,
        Value::Array(_) => 1,
        _ => 2,
    }
}
