//! When what happened in a replacement, seen from outside, and where the time went. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ended::{Span, Times};
use super::journal::Journal;
use super::seen::Seen;
use super::{Side, Way};
use crate::group::standing::{Standing, State};

/// Something that happens once in a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// The host was asked to begin no builds.
    Asked,
    /// It begins none, and those that were waited for are over.
    Quiet,
    /// The refresh was begun.
    Began,
    /// The old host goes.
    Draining,
    /// It has released the home.
    Drained,
    /// The new host is there.
    Launched,
    /// It holds the home.
    Claimed,
    /// It serves.
    Ready,
    /// It is proven.
    Proven,
    /// It has gone on serving for as long as somebody asked.
    Soaked,
}

/// The span in which what was proven went on serving.
pub(super) const SOAK: &str = "soak";

/// What is told of a way, between which moments.
const SPANS: [(&str, Moment, Moment); 8] = [
    ("quiet", Moment::Asked, Moment::Quiet),
    ("drain", Moment::Began, Moment::Draining),
    ("release", Moment::Draining, Moment::Drained),
    ("boot", Moment::Drained, Moment::Launched),
    ("claim", Moment::Launched, Moment::Claimed),
    ("ready", Moment::Claimed, Moment::Ready),
    ("proof", Moment::Ready, Moment::Proven),
    (SOAK, Moment::Proven, Moment::Soaked),
];

/// When what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(BTreeMap<Moment, Timestamp>);

impl Marks {
    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When something happened.
    pub fn at(&self, moment: Moment) -> Option<Timestamp> {
        self.0.get(&moment).copied()
    }

    /// It happened now, if it did not before.
    pub fn mark(&mut self, moment: Moment, at: Timestamp) {
        self.0.entry(moment).or_insert(at);
    }

    fn spans(&self, prefix: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut last = None;
        for (name, from, to) in SPANS {
            // A moment that nobody saw is as the last one that somebody did.
            let from = self.at(from).or(last);
            if let (Some(from), Some(to)) = (from, self.at(to)) {
                let seconds = to.duration_since(from).as_secs_f64().max(0.0);
                spans.push(Span { name: format!("{prefix}{name}"), seconds });
                last = Some(to);
            }
        }
        spans
    }
}

/// Takes into the journal what is to be seen now and was not before.
pub fn observe(journal: &mut Journal, seen: &Seen, now: Timestamp) {
    moments(journal, seen, now);
    outage(journal, seen, now);
}

fn moments(journal: &mut Journal, seen: &Seen, now: Timestamp) {
    let side = match journal.way {
        Way::Forward => journal.order.to.clone(),
        Way::Back => journal.order.from.clone(),
    };
    let marks = &mut journal.attempt_mut().marks;
    let Some(began) = marks.at(Moment::Began) else { return };
    let since = |standing: &Standing| standing.since.clamp(began.min(now), now);
    if let Some(standing) = &seen.standing {
        let is_new = is_of(seen, &standing.instance, &side);
        match standing.state {
            State::Draining if !is_new => marks.mark(Moment::Draining, since(standing)),
            State::Drained if !is_new => {
                marks.mark(Moment::Draining, since(standing));
                marks.mark(Moment::Drained, since(standing));
            }
            State::Serving | State::Quiet if is_new => {
                let proof = standing.proof.as_ref();
                // What the host says of its own boot is nearer to the truth than when it was heard.
                let boot = proof.and_then(|proof| proof.boot);
                let told = |at: Option<Timestamp>, heard: Timestamp| {
                    at.map_or(heard, |at| at.clamp(began.min(now), now))
                };
                if proof.is_some_and(|proof| proof.generation.is_some() || proof.ready) {
                    marks.mark(Moment::Claimed, told(boot.and_then(|boot| boot.claimed), now));
                }
                if proof.is_some_and(|proof| proof.ready) {
                    let ready = boot.and_then(|boot| boot.ready);
                    marks.mark(Moment::Ready, told(ready, since(standing)));
                }
            }
            _ => {}
        }
    }
    if seen.crew.hosts.iter().any(|host| !host.is_leaving() && host.version == side.version) {
        marks.mark(Moment::Launched, now);
    }
}

fn is_of(seen: &Seen, instance: &str, side: &Side) -> bool {
    seen.crew.hosts.iter().any(|host| host.id == instance && host.version == side.version)
}

/// Whether a controller serves, by its own word and its group's: one that the group lets go gets no
/// requests any more, and one that stands still says nothing of that.
fn serves(seen: &Seen) -> Option<bool> {
    let standing = seen.standing.as_ref()?;
    let hosts = &seen.crew.hosts;
    let there = hosts.iter().any(|host| host.id == standing.instance && !host.is_leaving());
    Some(there && matches!(standing.state, State::Serving | State::Quiet))
}

fn outage(journal: &mut Journal, seen: &Seen, now: Timestamp) {
    let Some(standing) = &seen.standing else { return };
    match (serves(seen), journal.down) {
        (Some(false), None) => {
            let told = matches!(standing.state, State::Draining | State::Drained);
            let at = if told { standing.since } else { now };
            journal.down = Some(at.clamp(journal.begun.min(now), now));
        }
        (Some(true), Some(down)) => {
            let up = standing.since.clamp(down.min(now), now);
            journal.outages += up.duration_since(down).as_secs_f64();
            journal.outage = Some((journal.outage.map_or(down, |(first, _)| first), up));
            journal.down = None;
        }
        _ => {}
    }
}

/// Where the time went.
pub fn times(journal: &Journal, now: Timestamp) -> Times {
    let mut spans = journal.forward.marks.spans("");
    spans.extend(journal.back.marks.spans("back "));
    let going_on = journal.down.map_or(0.0, |down| now.duration_since(down).as_secs_f64());
    let outage = journal.outage;
    Times {
        seconds: now.duration_since(journal.begun).as_secs_f64(),
        own: journal.own,
        down_from: outage.map(|(from, _)| from).or(journal.down),
        down_to: outage.map(|(_, to)| to).filter(|_| journal.down.is_none()),
        down: journal.outages + going_on,
        spans,
    }
}
