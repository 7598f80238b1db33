//! A drain under way: looks at the world, hears what is to be done, and does it.
//!
//! What is decided is decided in [`Drain`]. Meanwhile the hook that waits is kept waiting.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::budget::{Budget, SPOT_NOTICE, beat_is_due};
use super::drain::{Drain, Moment, Next, Row, Seen, Stage};
use super::envoy::{self, Answer, Errand};
use super::notes::Begun;
use super::post::Watched;
use super::wish::{Interruption, Reason};
use super::world::{self, Learnt};
use crate::event::Outcome;
use crate::host::{AlbMode, Role};

/// So long before a hook that does not wait yet is looked for again, in seconds.
const LOOK_FOR_HOOK: f64 = 15.0;

/// What has just begun is looked at again after so many seconds.
const SOON: f64 = 0.2;

/// What a drain does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// It goes on after so many seconds.
    Goes(f64),
    /// It goes on trying, and cannot come further by itself.
    Stuck,
    /// It has come to its end.
    Ended,
}

/// A drain under way.
#[derive(Debug)]
pub(super) struct Going {
    pub(super) begun: Begun,
    drain: Drain,
    pub(super) learnt: Learnt,
    /// The stage that people were told of, and since when.
    announced: Option<(Stage, Instant)>,
    /// What was said of it last.
    said: String,
    beats: Beats,
}

/// How a hook is kept waiting.
#[derive(Debug, Default)]
struct Beats {
    /// When it was asked for more time, or was found.
    last: Option<Moment>,
    /// When it was looked for.
    looked: Option<Moment>,
    /// What is being said to AWS.
    errand: Option<JoinHandle<Answer>>,
}

impl Going {
    /// Carries on what was begun, or begins.
    pub(super) fn new(host: &Watched, begun: Begun) -> Self {
        let drain = Drain::new(rows(host, &begun));
        let (announced, said) = (None, String::new());
        let is_final = begun.reason.is_final();
        let (learnt, beats) = (Learnt::of(is_final), Beats::default());
        Self { begun, drain, learnt, announced, said, beats }
    }

    /// Less is left than was thought.
    pub(super) fn hurry(&mut self, host: &Watched, begun: Begun) {
        self.learnt.is_final = begun.reason.is_final();
        self.begun = begun;
        self.drain.hurry(rows(host, &self.begun));
        (self.beats.last, self.beats.looked) = (None, None);
    }

    /// What it is at, in words.
    pub(super) fn say(&self) -> String {
        match self.drain.stage() {
            None => "drained".to_owned(),
            Some(stage) if self.said.is_empty() => format!("draining: {}", stage.title()),
            Some(stage) => format!("draining: {}: {}", stage.title(), self.said),
        }
    }

    /// The stages that were given up.
    pub(super) fn failed(&self) -> &[Stage] {
        self.drain.failed()
    }

    /// Whether what the host is for was stopped already.
    pub(super) fn is_past_stop(&self) -> bool {
        self.drain.stage().is_none_or(|stage| stage >= Stage::Stop)
    }

    fn now(&self, host: &Watched) -> Moment {
        host.post.clock() - self.begun.clock
    }

    /// Goes one step.
    pub(super) async fn step(&mut self, host: &Watched) -> Step {
        self.keep_waiting(host).await;
        let Some(stage) = self.drain.stage() else { return Step::Ended };
        self.announce(host, stage);
        let seen = world::look(host, &mut self.learnt, stage).await;
        let (Seen::Left(what) | Seen::Unclear(what)) = &seen else {
            return self.hear(host, stage, &seen).await;
        };
        self.mention(host, stage, what);
        self.hear(host, stage, &seen).await
    }

    async fn hear(&mut self, host: &Watched, stage: Stage, seen: &Seen) -> Step {
        let patience = self.patience(host, stage);
        match self.drain.hear(self.now(host), seen) {
            Next::Ended(note) => {
                let outcome = note.map_or(Outcome::Changed, Outcome::Skipped);
                self.finish(host, stage, outcome);
                Step::Goes(0.0)
            }
            Next::GivenUp(why) => {
                self.finish(host, stage, Outcome::Failed(why));
                Step::Goes(0.0)
            }
            Next::Stuck(why) => {
                let what = format!(
                    "{why}; the group is not told that this host may go before the home is \
                     released, and stops waiting by itself"
                );
                self.mention(host, stage, &what);
                Step::Stuck
            }
            Next::Act => {
                if let Err(why) = world::act(host, &mut self.learnt, stage).await {
                    self.mention(host, stage, &why);
                }
                Step::Goes(patience)
            }
            Next::Force => {
                self.mention(host, stage, "its time is over: it is killed");
                if let Err(why) = world::force(host, stage).await {
                    self.mention(host, stage, &why);
                }
                Step::Goes(1.0)
            }
            Next::Wait => Step::Goes(patience),
        }
    }

    /// After how many seconds a stage is looked at again: soon where it has just begun, ever later the
    /// longer it lasts. Whoever waits for the host waits for this, too.
    fn patience(&self, host: &Watched, stage: Stage) -> f64 {
        let longest = match stage {
            Stage::Tasks | Stage::Hook => 3.0,
            _ => 1.0,
        };
        let lasts = self.announced.map_or(Duration::ZERO, |(_, began)| began.elapsed());
        (lasts.div_duration_f64(host.post.second) / 2.0).clamp(SOON, longest)
    }

    fn announce(&mut self, host: &Watched, stage: Stage) {
        if self.announced.is_none_or(|(told, _)| told != stage) {
            host.events.started(stage.name(), stage.title());
            self.announced = Some((stage, Instant::now()));
            self.said.clear();
        }
    }

    fn finish(&mut self, host: &Watched, stage: Stage, outcome: Outcome) {
        let took = self.announced.take().map_or(Duration::ZERO, |(_, began)| began.elapsed());
        host.events.finished(stage.name(), outcome, took);
        self.said.clear();
    }

    /// Says what is news.
    fn mention(&mut self, host: &Watched, stage: Stage, what: &str) {
        if self.said != what {
            host.events.log(stage.name(), what);
            what.clone_into(&mut self.said);
        }
    }

    /// Asks the hook for more time where it is due, beside the drain.
    async fn keep_waiting(&mut self, host: &Watched) {
        if let Some(errand) = self.beats.errand.take_if(|errand| errand.is_finished()) {
            match errand.await {
                Ok(Answer::Place(place)) => {
                    if place.waits() && self.beats.last.is_none() {
                        self.beats.last = Some(self.now(host));
                    }
                    self.learnt.place = Some(*place);
                }
                Ok(Answer::Done(_)) => {}
                Ok(other) => {
                    let what = format!("the group: {}", world::trouble(other));
                    host.events.log(Stage::Hook.name(), what);
                }
                Err(error) => tracing::debug!(%error, "an errand was lost"),
            }
        }
        if self.beats.errand.is_some() || self.drain.is_stuck() {
            return;
        }
        let now = self.now(host);
        let hook = self.learnt.place.as_ref().and_then(|place| place.hook.clone());
        let errand = match (hook, self.beats.last) {
            (Some(hook), Some(last)) => {
                let (timeout, at_most) = (seconds(hook.timeout), seconds(hook.at_most));
                if !beat_is_due(now, last, timeout, at_most) {
                    return;
                }
                self.beats.last = Some(now);
                Errand::Beat(hook)
            }
            // Nobody waits who is terminated without a group.
            _ if self.begun.reason == Reason::Person => return,
            _ if self.beats.looked.is_some_and(|then| now < then + LOOK_FOR_HOOK) => return,
            _ => {
                self.beats.looked = Some(now);
                world::place_errand(host)
            }
        };
        let (runner, sender) = (host.post.runner.clone(), host.sender());
        let work = async move { envoy::send(&runner, &sender, errand).await };
        self.beats.errand = Some(tokio::spawn(work));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a hook waits for two days at most")]
const fn seconds(count: u64) -> f64 {
    count as f64
}

/// The stages of a drain of this host, and their times.
pub(super) fn rows(host: &Watched, begun: &Begun) -> Vec<Row> {
    let budget = Budget {
        role: host.role,
        patience: f64::from(host.config.drain.patience),
        gone: begun.gone.map(|gone| gone - begun.clock),
        explicit: host.role == Role::Controller && host.config.alb.mode == AlbMode::Explicit,
    };
    budget.rows()
}

/// How many seconds are left until the host is gone. A clock that is wrong is not believed: EC2 tells
/// two minutes ahead, and it is asked every few seconds.
pub(super) fn left(interruption: &Interruption, now: Timestamp) -> f64 {
    let left = interruption.time.duration_since(now);
    if left > SignedDuration::ZERO && left.as_secs_f64() <= SPOT_NOTICE {
        left.as_secs_f64()
    } else {
        SPOT_NOTICE - 5.0
    }
}
