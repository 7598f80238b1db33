//! Which one thing is wrong, where many look so: the failure that explains the others.
//!
//! A table of what follows from what, and a pure function over what was found. What is named has
//! always been seen to be wrong: it failed, or it was warned of and explains a failure. It is never
//! something that could not be looked at.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use rules::{HINTS, effects};

use super::scene::Case;
use super::table::{CHECKS, Id};
use crate::doctor::{Finding, Verdict};

/// The one thing that is wrong, as far as what was seen tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cause {
    /// The check that found it.
    pub id: &'static str,
    /// What follows from it, in the order of the table.
    pub explains: Vec<Explained>,
    /// What else is wrong, and does not follow from it.
    pub others: Vec<&'static str>,
}

/// Something that is wrong because something else is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explained {
    /// The check that found it.
    pub id: &'static str,
    /// Why it follows, in a sentence that begins in the middle.
    pub because: &'static str,
}

/// What follows from one finding: each with the sentence that leads there.
type Consequences = BTreeMap<Id, &'static str>;

/// Names the cause of what was found; nothing if nothing failed.
///
/// It is the failure that explains most of the others and follows from none; the first in the order
/// of the table among equals. A warning is named only where it explains a failure that no failure
/// explains.
pub fn name(findings: &[Finding], case: &Case<'_>) -> Option<Cause> {
    let found: BTreeMap<Id, Verdict> = findings
        .iter()
        .filter_map(|finding| Some((Id::find(finding.id)?, finding.verdict)))
        .collect();
    let is = |verdict: Verdict| {
        let those = found.iter().filter(move |(_, its)| **its == verdict);
        those.map(|(id, _)| *id).collect::<BTreeSet<_>>()
    };
    let (failed, warned) = (is(Verdict::Fail), is(Verdict::Warn));
    let reach: BTreeMap<Id, Consequences> = failed
        .iter()
        .chain(&warned)
        .map(|id| (*id, consequences(*id, &failed, &warned, case)))
        .collect();
    let follows = |id: &Id, from: &BTreeSet<Id>| from.iter().any(|of| reach[of].contains_key(id));
    // What no failure explains is a cause, unless a warning explains it, which then is one.
    let first: BTreeSet<Id> = failed.iter().filter(|id| !follows(id, &failed)).copied().collect();
    let hinted: BTreeSet<Id> = warned
        .iter()
        .filter(|id| HINTS.contains(id) && !follows(id, &failed))
        .filter(|id| first.iter().any(|of| reach[*id].contains_key(of)))
        .copied()
        .collect();
    let unled = |id: &&Id| !follows(id, &hinted);
    let candidates = first.iter().chain(&hinted).filter(unled);
    let explained = |id: &Id| reach[id].keys().filter(|of| failed.contains(of)).count();
    // The last of the greatest is what `max_by_key` gives: the first of the table is wanted.
    let mut candidates: Vec<Id> = candidates.copied().collect();
    candidates.sort_unstable();
    let cause = candidates.into_iter().rev().max_by_key(explained)?;
    let mut explains: Vec<Id> = reach[&cause].keys().copied().collect();
    explains.sort_unstable();
    let others = failed.iter().filter(|id| **id != cause && !reach[&cause].contains_key(id));
    let others = others.map(|id| id.name()).collect();
    let explained = |id: &Id| Explained { id: id.name(), because: reach[&cause][id] };
    Some(Cause { id: cause.name(), explains: explains.iter().map(explained).collect(), others })
}

/// What of the wrong things follows from one of them, directly or through others.
fn consequences(
    id: Id,
    failed: &BTreeSet<Id>,
    warned: &BTreeSet<Id>,
    case: &Case<'_>,
) -> Consequences {
    let mut all = Consequences::new();
    let mut edge = vec![id];
    while let Some(from) = edge.pop() {
        let those = effects(from).filter(|effect| (effect.holds)(case));
        for (on, because) in those.flat_map(|it| it.on.iter().map(|on| (*on, it.because))) {
            let wrong = failed.contains(&on) || warned.contains(&on);
            if wrong && on != id && !all.contains_key(&on) {
                all.insert(on, because);
                edge.push(on);
            }
        }
    }
    all
}

/// Every check that follows from another one, by the table, whatever was seen. For what is told of a
/// check.
pub fn follows(id: Id) -> Vec<Id> {
    let all = CHECKS.iter().map(|check| check.id);
    all.filter(|on| effects(id).any(|effect| effect.on.contains(on))).collect()
}
