//! Runs checks: each as soon as those are done that it rests on, all others beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use super::scene::{Asked, Case, Scene};
use super::table::{CHECKS, Check, Id, Observed, Side, judge};
use crate::doctor::{Finding, Verdict};

/// How a check ended, and how long it looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which one.
    pub id: Id,
    /// What it found.
    pub finding: Finding,
    /// How long it took.
    pub took: Duration,
    /// Whether it was not run because something that it needs is not so.
    pub barred: bool,
}

/// Runs these checks and those that they rest on. Tells each as soon as it has ended; returns all in
/// the order of the table.
pub async fn run(scene: &Scene<'_>, which: &[Id], mut told: impl FnMut(&Done)) -> Vec<Done> {
    let wanted = closure(which);
    let mut waiting: Vec<&Check> = CHECKS.iter().filter(|it| wanted.contains(&it.id)).collect();
    let mut done: BTreeMap<Id, Done> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        let (ready, rest): (Vec<&Check>, Vec<&Check>) = waiting
            .into_iter()
            .partition(|it| it.needs.iter().chain(it.after).all(|id| done.contains_key(id)));
        waiting = rest;
        for check in ready {
            let why = unfit(check, scene.asked).or_else(|| barred(check, &done));
            running.push(one(scene, check, why));
        }
        let Some(ended) = running.next().await else { break };
        told(&ended);
        done.insert(ended.id, ended);
    }
    done.into_values().collect()
}

/// Judges what was seen at another time, as if it were seen now.
pub fn replay(asked: &Asked, observed: &Observed, now: Timestamp) -> Vec<Done> {
    let mut done: BTreeMap<Id, Done> = BTreeMap::new();
    for check in CHECKS {
        let why = unfit(check, asked).or_else(|| barred(check, &done));
        let ended = ended(check, why, &Case { asked, observed, now }, Duration::ZERO);
        done.insert(check.id, ended);
    }
    done.into_values().collect()
}

async fn one(scene: &Scene<'_>, check: &'static Check, why: Option<String>) -> Done {
    let began = Instant::now();
    if why.is_none() {
        scene.observed.look(check.id, scene).await;
    }
    let (asked, observed, now) = (scene.asked, scene.observed, Timestamp::now());
    ended(check, why, &Case { asked, observed, now }, began.elapsed())
}

fn ended(check: &Check, why: Option<String>, case: &Case<'_>, took: Duration) -> Done {
    let (id, barred) = (check.id, why.is_some());
    let finding = match why {
        Some(why) => Finding::new(id.name(), Verdict::Skip, why),
        None => judge(id, case),
    };
    Done { id, finding, took, barred }
}

/// Why there is nothing to look at here.
fn unfit(check: &Check, asked: &Asked) -> Option<String> {
    let outside = asked.host.is_none() && check.side == Side::Host;
    outside.then(|| "only on the host that mounts it".to_owned())
}

/// Why there is nothing to look at now: something that it needs is not so.
fn barred(check: &Check, done: &BTreeMap<Id, Done>) -> Option<String> {
    let need = check
        .needs
        .iter()
        .filter_map(|id| done.get(id))
        .find(|need| need.barred || need.finding.verdict == Verdict::Fail)?;
    Some(format!("{} did not pass", need.id.name()))
}

/// These checks and all that they rest on.
fn closure(which: &[Id]) -> BTreeSet<Id> {
    let mut wanted: BTreeSet<Id> = which.iter().copied().collect();
    // Each comes after what it rests on: one pass from the end finds all.
    for check in CHECKS.iter().rev() {
        if wanted.contains(&check.id) {
            wanted.extend(check.needs.iter().chain(check.after));
        }
    }
    wanted
}
