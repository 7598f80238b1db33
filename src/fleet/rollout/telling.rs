//! What is said while a rollout is carried out: a step for each phase, for the soak, and for what a host
//! goes through.

use std::cell::RefCell;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::journal::Journal;
use super::picture::picture;
use super::seen::Seen;
use super::timeline;
use super::{Phase, Way, reaction, soak};
use crate::event::{Events, Fact, Outcome};

/// A new id of a rollout: when it began, and something that no other has.
pub(super) fn id(now: Timestamp) -> String {
    format!("{}-{:06x}", now.strftime("%Y%m%d-%H%M%S"), fastrand::u32(..0x0100_0000))
}

/// See the module.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    events: &'a Events,
    open: RefCell<Option<Open>>,
    /// The parts of the time that were told: one that nobody saw at first may come in between.
    told: RefCell<Vec<String>>,
    shown: RefCell<Vec<Fact>>,
}

/// A step that is under way.
#[derive(Debug)]
struct Open {
    way: Way,
    step: String,
    since: Instant,
    last: String,
}

impl<'a> Teller<'a> {
    pub(super) const fn new(events: &'a Events) -> Self {
        Self {
            events,
            open: RefCell::new(None),
            told: RefCell::new(Vec::new()),
            shown: RefCell::new(Vec::new()),
        }
    }

    /// Says what has come since it was last asked.
    pub(super) fn tell(&self, journal: &Journal) {
        self.spans(journal);
        let step = step(journal);
        if self.open.borrow().as_ref().is_some_and(|open| open.step == step) {
            return;
        }
        self.close(|open| match (&journal.cause, open.way) {
            (Some(cause), Way::Forward) => Outcome::Failed(cause.clone()),
            _ => Outcome::Changed,
        });
        self.events.started(&step, title(journal));
        let (way, since) = (journal.way, Instant::now());
        let open = Open { way, step, since, last: String::new() };
        *self.open.borrow_mut() = Some(open);
    }

    /// Says how the group stands, where that is news. Whether it is.
    pub(super) fn stands(&self, journal: &Journal, seen: &Seen) -> bool {
        let facts = picture(journal, seen);
        let mut shown = self.shown.borrow_mut();
        if *shown == facts {
            return false;
        }
        shown.clone_from(&facts);
        self.events.stands(&step(journal), facts);
        true
    }

    /// What a host has gone through is told once it has.
    fn spans(&self, journal: &Journal) {
        let spans = timeline::times(journal, Timestamp::now()).spans;
        let mut told = self.told.borrow_mut();
        for span in &spans {
            // These are phases, or a part of one that is told while it lasts.
            let name = span.name.trim_start_matches("back ");
            let is_phase = matches!(name, "quiet" | "proof" | "soak");
            if is_phase || told.contains(&span.name) {
                continue;
            }
            self.events.started(&span.name, span_title(&span.name));
            let took = Duration::try_from_secs_f64(span.seconds).unwrap_or_default();
            self.events.finished(&span.name, Outcome::Changed, took);
            told.push(span.name.clone());
        }
    }

    fn close(&self, outcome: impl FnOnce(&Open) -> Outcome) {
        if let Some(open) = self.open.borrow_mut().take() {
            let how = outcome(&open);
            self.events.finished(&open.step, how, open.since.elapsed());
        }
    }

    /// Says what is waited for, where that is news.
    pub(super) fn waits(&self, what: &str) {
        if let Some(open) = self.open.borrow_mut().as_mut()
            && open.last != what
        {
            what.clone_into(&mut open.last);
            self.events.log(&open.step, what);
        }
    }

    /// It was stopped on purpose.
    pub(super) fn stopped(&self) {
        self.close(|_| Outcome::Degraded("stopped, and can be carried on".to_owned()));
    }

    /// It is over.
    pub(super) fn over(&self, journal: &Journal) {
        self.close(|_| match &journal.stuck {
            Some(why) => Outcome::Failed(why.clone()),
            None => Outcome::Changed,
        });
    }
}

/// What a part of the time was, for people.
fn span_title(name: &str) -> &str {
    match name.trim_start_matches("back ") {
        "drain" => "the host that goes heard of it",
        "release" => "it ended Jenkins and released the home",
        "boot" => "the group launched the next host",
        "claim" => "the next host booted and claimed the home",
        "ready" => "Jenkins got ready on it",
        _ => name,
    }
}

/// What is under way, as events call it: a phase, on the way there or back; or the soak, which ends the
/// proof.
fn step(journal: &Journal) -> String {
    let back = if journal.way == Way::Back { "back " } else { "" };
    let name = if soak::is_on(journal) { "soak" } else { reaction::phase_name(journal.phase) };
    format!("{back}{name}")
}

fn title(journal: &Journal) -> &'static str {
    if soak::is_on(journal) {
        return "watching that it goes on serving";
    }
    match (journal.way, journal.phase) {
        (_, Phase::Begun) => "writing down what is to be done",
        (_, Phase::Version) => "making a version of the launch template",
        (_, Phase::Suspend) => "suspending what the group does by itself",
        (_, Phase::Quiet) => "having Jenkins begin no more builds",
        (Way::Forward, Phase::Refresh) => "replacing the host",
        (Way::Back, Phase::Refresh) => "going back to what served before",
        (_, Phase::Proof) => "proving that it serves",
        (Way::Forward, Phase::Promote) => "moving defaults and pointers",
        (Way::Back, Phase::Promote) => "resuming what was suspended",
        (_, Phase::Recorded) => "recording it, and giving the lock back",
    }
}
