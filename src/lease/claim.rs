//! The newcomer: from the first look at the record to holding the home, as a state machine.
//!
//! Pure: [`Claimant::next`] is told what was observed and says what to do. It reads no clock and
//! no file; a second passes when it is told so. What it answers is one of: look, ask, wait, refuse,
//! terminate the old holder, claim, hold. It never concludes anything from silence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{Holder, Launch, Record, State};
use super::word::{Guard, Guards, InstanceState, Proof, Word, proof};
use crate::host::LeasePolicy;

/// What was found at the place of the head.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// A record.
    Record(Box<Record>),
    /// Nothing, on a file system that nobody has used yet.
    New,
    /// Nothing, though the file system has been a home.
    Gone,
    /// Nothing, and the file system has something else on it: what.
    Strange(String),
    /// Something that a newer hostkit wrote.
    Newer {
        /// Its form.
        version: u32,
        /// Its generation, if that can be read.
        generation: Option<u64>,
    },
    /// Something that is no record, and why not.
    Garbage(String),
}

/// What came of the last [`Action`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observed {
    /// What [`Action::Look`] found.
    Head(Head),
    /// What AWS said to [`Action::Ask`].
    Word(Word),
    /// [`Action::Claim`] created the file: the generation is this host's.
    Claimed,
    /// The file of [`Action::Claim`] is there already.
    Taken,
    /// What [`Action::ReadClaim`] found; none where the name is not seen, which is no news.
    Claim(Option<Head>),
    /// [`Action::Announce`] has replaced the head.
    Announced,
    /// The time of [`Action::Wait`] or [`Action::Refuse`] is over, or [`Action::Terminate`] was sent.
    Elapsed,
    /// The file system did not do it: full, read-only, silent, not there. In words for people.
    Failed(String),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the head.
    Look,
    /// Ask AWS about this holder; its claim has this generation.
    Ask(Box<Holder>, u64),
    /// Let [`TICK`] pass. Why, for people.
    Wait(String),
    /// Do not start, whatever AWS says: a person must act. Then as [`Action::Wait`], because what
    /// the person does shows in the head. Why, and what to do.
    Refuse(Refusal),
    /// Terminate the machine of this holder.
    Terminate(Box<Holder>),
    /// Create the claim of this generation exclusively.
    Claim(u64),
    /// Read whose the claim of this generation is.
    ReadClaim(u64),
    /// Replace the head by the claim of this generation.
    Announce(u64),
    /// The home is this host's.
    Hold(u64),
}

/// Why a host does not start, and what a person can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: String,
    /// Whether it is of no use to wait: the policy says that the boot fails.
    pub is_final: bool,
}

/// How long a wait is.
pub const TICK: Duration = Duration::from_secs(1);

/// How much time passes between what, in [`TICK`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// Between two questions about the same holder.
    pub ask_again: u32,
    /// Between a proof of death and the claim: what a dying machine sent may still arrive.
    pub settle: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { ask_again: 5, settle: 5 }
    }
}

/// A host that wants the home.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claimant {
    me: Holder,
    policy: LeasePolicy,
    /// The group of this host: it terminates nobody else's instances.
    group: Option<String>,
    /// How long a holder that runs is waited for before it is terminated, in [`TICK`]s.
    patience: u32,
    pace: Pace,
    guards: Guards,
    /// The generation that this boot took and has not given up.
    mine: Option<u64>,
    known: Option<Known>,
    doing: Doing,
}

/// What the next observation answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doing {
    Looking,
    Asking,
    Waiting,
    Claiming(u64),
    Reading(u64),
    /// As `Reading`, before it waits for a holder that may live: that one may be beaten already.
    Peeking(u64),
    Announcing(u64),
    Holding,
}

/// The last claim that is known, and what is known of its holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known {
    record: Record,
    /// Whether the head does not say it yet: it was found as the file of the claim.
    is_beyond_head: bool,
    /// What was last heard of the holder, and how long ago.
    heard: Option<(Word, u32)>,
    /// Whether it was looked since then if somebody has claimed the next generation.
    has_peeked: bool,
    /// Since when it is proven dead.
    dead_for: Option<u32>,
    /// How long it has been waited for, or since it was last terminated.
    waited: u32,
}

/// How a newcomer is told to behave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Manner {
    /// What to do about a holder that runs.
    pub policy: LeasePolicy,
    /// The Auto Scaling Group of this host.
    pub group: Option<String>,
    /// How long a holder that runs is waited for before it is terminated, in [`TICK`]s.
    pub patience: u32,
    /// How much time passes between what.
    pub pace: Pace,
}

impl Claimant {
    /// A host that has seen nothing yet. `mine` is the generation that this boot took and has not
    /// given up, if it did: its memory of that outlives this process and not the boot.
    pub fn new(me: Holder, manner: Manner, mine: Option<u64>) -> Self {
        let Manner { policy, group, patience, pace } = manner;
        Self {
            me,
            policy,
            group,
            patience,
            pace,
            guards: Guards::default(),
            mine,
            known: None,
            doing: Doing::Looking,
        }
    }

    /// With one guard less, to show what it is for.
    #[cfg(test)]
    pub(crate) const fn with(mut self, guards: Guards) -> Self {
        self.guards = guards;
        self
    }

    /// What to do first.
    pub const fn first(&self) -> Action {
        Action::Look
    }

    /// Who asks.
    pub const fn me(&self) -> &Holder {
        &self.me
    }

    /// What to do after `observed`. What does not answer the last action is ignored, and the head is
    /// looked at again.
    pub fn next(&mut self, observed: Observed) -> Action {
        match (self.doing, observed) {
            (_, Observed::Failed(why)) => self.wait(why),
            (Doing::Looking, Observed::Head(head)) => self.on_head(head),
            (Doing::Asking, Observed::Word(word)) => {
                if let Some(known) = &mut self.known {
                    (known.heard, known.has_peeked) = (Some((word, 0)), false);
                }
                self.decide()
            }
            (Doing::Waiting, Observed::Elapsed) => {
                if let Some(known) = &mut self.known {
                    known.tick(self.pace, self.patience);
                }
                self.look()
            }
            (Doing::Claiming(generation), Observed::Claimed) => {
                self.doing = Doing::Announcing(generation);
                Action::Announce(generation)
            }
            (Doing::Claiming(generation), Observed::Taken) => {
                self.doing = Doing::Reading(generation);
                Action::ReadClaim(generation)
            }
            (Doing::Peeking(_), Observed::Claim(None)) => self.decide(),
            (Doing::Reading(generation) | Doing::Peeking(generation), Observed::Claim(claim)) => {
                self.on_claim(generation, claim)
            }
            (Doing::Announcing(generation), Observed::Announced) => self.hold(generation),
            _ => self.look(),
        }
    }

    fn look(&mut self) -> Action {
        self.doing = Doing::Looking;
        Action::Look
    }

    fn wait(&mut self, why: String) -> Action {
        self.doing = Doing::Waiting;
        Action::Wait(why)
    }

    fn refuse(&mut self, why: String, hint: &str) -> Action {
        self.doing = Doing::Waiting;
        Action::Refuse(Refusal { why, hint: hint.to_owned(), is_final: false })
    }

    fn claim(&mut self, generation: u64) -> Action {
        self.doing = Doing::Claiming(generation);
        Action::Claim(generation)
    }

    fn hold(&mut self, generation: u64) -> Action {
        self.doing = Doing::Holding;
        self.mine = Some(generation);
        Action::Hold(generation)
    }

    fn on_head(&mut self, head: Head) -> Action {
        match head {
            Head::Record(record) => {
                // A claim that was found beyond the head stays known until the head has caught up.
                let known = self.known.as_ref();
                let stale = known.is_none_or(|known| {
                    if known.is_beyond_head {
                        record.generation >= known.record.generation
                    } else {
                        known.record != *record
                    }
                });
                if stale {
                    self.known = Some(Known::new(*record, false));
                }
                self.decide()
            }
            Head::New => match &self.known {
                // Somebody was first, and its head is still to come.
                Some(known) if known.is_beyond_head => self.decide(),
                _ => self.claim(1),
            },
            other => self.refuse_head("lease/head", other),
        }
    }

    /// What stands at the generation that this host wanted to claim.
    fn on_claim(&mut self, generation: u64, claim: Option<Head>) -> Action {
        match claim {
            Some(Head::Record(record)) if record.generation == generation => {
                self.known = Some(Known::new(*record, true));
                self.decide()
            }
            Some(Head::Record(record)) => self.refuse_head(
                &super::record::claim_file(generation),
                Head::Garbage(format!("it says generation {}", record.generation)),
            ),
            // The client of this host has not seen the name yet.
            None | Some(Head::New | Head::Gone | Head::Strange(_)) => {
                self.wait(format!("generation {generation} was claimed by another host just now"))
            }
            Some(other) => self.refuse_head(&super::record::claim_file(generation), other),
        }
    }

    /// What to do about the last claim that is known.
    fn decide(&mut self) -> Action {
        let Some(known) = &self.known else { return self.look() };
        let Record { generation, state, holder, .. } = &known.record;
        let (generation, holder) = (*generation, holder.clone());
        if !self.guards.demand(Guard::OwnFileSystem, holder.fs_id == self.me.fs_id) {
            return self.refuse_copy(&holder);
        }
        if *state == State::Released {
            // An operator's word is about a death as EC2's is, and may be as fresh.
            return if known.record.broken.is_some() {
                self.is_dead()
            } else {
                self.claim(generation + 1)
            };
        }
        if self.guards.demand(Guard::OwnInstance, holder.is_same_host(&self.me)) {
            // A claim of this boot that it never held, or gave up, is used up: the next one is made.
            let is_kept = self.guards.demand(Guard::NotGivenUp, self.mine == Some(generation));
            let goes_on = holder.is_same_boot(&self.me) && is_kept;
            return if goes_on { self.hold(generation) } else { self.claim(generation + 1) };
        }
        match &known.heard {
            Some((word, ago)) if *ago < self.pace.ask_again => self.judge(&word.clone()),
            _ if known.dead_for.is_some() => self.settle(),
            _ => {
                self.doing = Doing::Asking;
                Action::Ask(Box::new(holder), generation)
            }
        }
    }

    /// What to do after `word` about the holder.
    fn judge(&mut self, word: &Word) -> Action {
        let Some(known) = &mut self.known else { return self.look() };
        let holder = known.record.holder.clone();
        match proof(self.guards, &self.me, &holder, word) {
            Proof::Dead(why) => {
                tracing::debug!(why, "the holder is dead");
                self.is_dead()
            }
            Proof::MayLive(why) => {
                known.dead_for = None;
                if known.has_peeked {
                    return self.endure(&holder, word, &why);
                }
                // Whoever claimed and did not come to write the head must not wait for this holder,
                // which may be waiting for it.
                known.has_peeked = true;
                let next = known.record.generation + 1;
                self.doing = Doing::Peeking(next);
                Action::ReadClaim(next)
            }
        }
    }

    /// The holder is dead, since now at the latest.
    fn is_dead(&mut self) -> Action {
        if let Some(known) = &mut self.known {
            known.dead_for.get_or_insert(0);
        }
        self.settle()
    }

    /// The holder is proven dead. What cannot be undone need not be asked again.
    fn settle(&mut self) -> Action {
        let Some(known) = &self.known else { return self.look() };
        let generation = known.record.generation;
        let is_long_ago = known.dead_for.is_some_and(|ticks| ticks >= self.pace.settle);
        if self.guards.demand(Guard::Settled, is_long_ago) {
            return self.claim(generation + 1);
        }
        let who = match &known.record.broken {
            Some(broken) => format!("the holder of generation {}", broken.generation),
            None => known.record.holder.name().to_owned(),
        };
        let why = format!("{who} is dead; what it has sent may still arrive");
        self.wait(why)
    }

    /// The holder may be alive.
    fn endure(&mut self, holder: &Holder, word: &Word, why: &str) -> Action {
        let Some(known) = &self.known else { return self.look() };
        let waits = format!("generation {} is held by {}", known.record.generation, holder.name());
        let why = format!("{waits}; {why}");
        let Word::Instance(instance) = word else { return self.wait(why) };
        let runs = matches!(instance.state, InstanceState::Running | InstanceState::Pending);
        let leaves =
            instance.lifecycle.as_ref().is_some_and(|state| state.starts_with("Terminating"));
        if leaves {
            return self.wait(format!("{why}, and its group is draining it"));
        }
        match self.policy {
            LeasePolicy::Fail if runs => {
                let hint = "the policy is `fail`: terminate that instance, or set `lease.policy`";
                self.doing = Doing::Waiting;
                Action::Refuse(Refusal { why, hint: hint.to_owned(), is_final: true })
            }
            LeasePolicy::Stonith if runs && instance.lifecycle.is_none() => {
                // It may be draining.
                self.wait(format!(
                    "{why}; where its group has it is not known, so it is not terminated"
                ))
            }
            LeasePolicy::Stonith if runs => {
                if self.group.is_none() || instance.group != self.group {
                    return self.wait(format!(
                        "{why}; it is not of this host's group, so it is not terminated"
                    ));
                }
                if on_fargate(holder) || known.waited < self.patience {
                    return self.wait(format!(
                        "{why}; it is terminated if it is still there after {} s",
                        self.patience
                    ));
                }
                if let Some(known) = &mut self.known {
                    known.waited = 0;
                }
                self.doing = Doing::Waiting;
                Action::Terminate(Box::new(holder.clone()))
            }
            LeasePolicy::Wait | LeasePolicy::Stonith | LeasePolicy::Fail => self.wait(why),
        }
    }

    fn refuse_copy(&mut self, holder: &Holder) -> Action {
        let why = format!(
            "the record was written on {}, and this is {}: the file system is a copy, and the \
             original's controller may be at work",
            holder.fs_id, self.me.fs_id
        );
        self.refuse(
            why,
            "make sure that nothing serves the original any more; then `hostkit lease break` here",
        )
    }

    fn refuse_head(&mut self, file: &str, head: Head) -> Action {
        let (why, hint) = match head {
            Head::Gone => (
                format!("this file system is a controller's home, and its {file} is gone"),
                "find out who serves this home; then `hostkit lease break` makes a new record",
            ),
            Head::Strange(found) => (
                format!(
                    "the file system is not empty (it has `{found}`) and has never been a \
                         controller's home"
                ),
                "use an empty file system, or move an existing JENKINS_HOME in as the \
                 documentation of the home says",
            ),
            Head::Newer { version, .. } => (
                format!("{file} has form {version}, written by a newer hostkit"),
                "boot an image whose hostkit is at least as new",
            ),
            Head::Garbage(why) => (
                format!("{file} cannot be trusted: {why}"),
                "`hostkit lease status` shows what is there; `hostkit lease break` replaces it",
            ),
            Head::New | Head::Record(_) => (format!("{file} changed meanwhile"), "look again"),
        };
        self.refuse(why, hint)
    }
}

impl Known {
    const fn new(record: Record, is_beyond_head: bool) -> Self {
        Self { record, is_beyond_head, heard: None, has_peeked: false, dead_for: None, waited: 0 }
    }

    /// A tick has passed. Nothing is counted further than to what it is compared with, so that the
    /// states of a newcomer are finite.
    fn tick(&mut self, pace: Pace, patience: u32) {
        self.waited = patience.min(self.waited.saturating_add(1));
        self.dead_for = self.dead_for.map(|ticks| pace.settle.min(ticks.saturating_add(1)));
        let heard = self.heard.take().map(|(word, ago)| (word, ago.saturating_add(1)));
        self.heard = heard.filter(|(_, ago)| *ago < pace.ask_again);
    }
}

fn on_fargate(holder: &Holder) -> bool {
    holder.task.as_ref().is_some_and(|task| task.launch == Launch::Fargate)
}

#[cfg(test)]
mod tests;
