//! What changed between two plans, by the digests of their steps: the older one is known by those
//! alone, from the manifest of its image.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Plan, Planned};
use crate::digest::sha256;
use crate::step::Step;

/// Steps by their ids, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Those that are new.
    pub added: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// Those that do something else now.
    pub changed: Vec<String>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Plan {
    /// The digest of every step by its id, for the manifest of an image. The packages are told
    /// one by one, as `packages.install:git`.
    pub fn step_digests(&self) -> BTreeMap<String, String> {
        let mut digests = BTreeMap::new();
        for planned in self.steps.iter().cloned().map(Planned::without_places) {
            let value = serde_json::to_value(&planned.step).expect("a step is plain data");
            match (&planned.step, inner(&value)) {
                (Step::Packages(_), Value::Object(lists)) => {
                    for (list, items) in lists {
                        for item in items.as_array().into_iter().flatten() {
                            let name =
                                item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                            let id = format!("{}.{list}:{name}", planned.id);
                            digests.insert(id, sha256(&name));
                        }
                    }
                }
                _ => drop(digests.insert(planned.id, sha256(value.to_string()))),
            }
        }
        digests
    }

    /// What changed since the plan with these [`Plan::step_digests`].
    pub fn changes_since(&self, before: &BTreeMap<String, String>) -> Changes {
        let now = self.step_digests();
        let missing = |from: &BTreeMap<String, String>, in_: &BTreeMap<String, String>| {
            in_.keys().filter(|id| !from.contains_key(*id)).cloned().collect()
        };
        let differs = |(id, digest): &(&String, &String)| {
            before.get(*id).is_some_and(|before| before != *digest)
        };
        Changes {
            added: missing(before, &now),
            removed: missing(&now, before),
            changed: now.iter().filter(differs).map(|(id, _)| id.clone()).collect(),
        }
    }
}

/// A step without the name of its kind.
fn inner(value: &Value) -> &Value {
    value.as_object().and_then(|object| object.values().next()).unwrap_or(value)
}
