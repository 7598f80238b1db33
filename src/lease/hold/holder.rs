//! While the home is this host's: reads the head, writes the heartbeat, feeds the watchdog.
//!
//! Work on the file system goes on beside the loop, one piece at a time. That it fails, or does not
//! end, never stops Jenkins: as long as this host lives nobody may take the home.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::{STEP, Shell};
use crate::lease::claim::Head;
use crate::lease::clerk::{Answer, Beat, Desk, Request};
use crate::lease::keep::{self, Keep};
use crate::lease::memory::Phase;
use crate::lease::record::State;
use crate::lease::word::Guards;
use crate::sys::notify;

/// How often the head is read, in seconds: whoever loses the home stops Jenkins that much later.
const LOOK_EVERY: u32 = 2;
/// How often the heartbeat is written, in seconds.
const BEAT_EVERY: u32 = 10;
/// So many seconds after a claim the head is written once more, to a file of its own. Until then it
/// is the file of the claim with a second name, which is quicker to make: but one that lives on when
/// it is replaced, so that the kernel of another host may go on reading it for half a minute.
const SETTLE_AFTER: u32 = 4;
/// After so many seconds a piece of work is given up, and its clerk with it.
const PATIENCE: u32 = 20;

/// How holding ended.
pub(super) enum Held {
    /// This process was asked to end.
    UntilAsked(Desk),
    /// Somebody else has the home, and why that is known.
    Lost(String),
}

/// A piece of work on the file system, and the desk that it comes back with.
type Errand = BoxFuture<'static, (Desk, Request, Answer)>;

struct Holding {
    generation: u64,
    /// Seconds until the head is read.
    look_in: u32,
    /// Seconds until the heartbeat is written.
    beat_in: u32,
    beats: u64,
    /// Seconds until the head gets a file of its own, where it has none yet.
    settle_in: Option<u32>,
    /// What follows from the last answer.
    then: Option<Request>,
}

/// Holds the home until this process is asked to end, or it is lost.
pub(super) async fn hold(shell: &mut Shell, desk: Desk, generation: u64) -> Held {
    let mut holding = Holding::new(generation);
    shell.tell(Phase::Held, Some(generation), &holding.fine(), None);
    notify::ready();
    let mut clock = interval(shell.seconds(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut idle = Some(desk);
    let mut errand: Option<Errand> = None;
    loop {
        if let Some(desk) = idle.take() {
            match holding.next(shell) {
                Some(request) => errand = Some(run(desk, request, shell.seconds(PATIENCE))),
                None => idle = Some(desk),
            }
        }
        tokio::select! {
            biased;
            () = shell.asked.clone() => {
                return Held::UntilAsked(match (idle, errand) {
                    (Some(desk), _) => desk,
                    (None, Some(errand)) => errand.await.0,
                    (None, None) => unreachable!("the desk is idle or on an errand"),
                });
            }
            (desk, request, answer) = finished(&mut errand) => {
                errand = None;
                if let Some(why) = holding.hear(shell, &request, answer) {
                    return Held::Lost(why);
                }
                idle = Some(desk);
            }
            _ = clock.tick() => {
                notify::watchdog();
                holding.tick();
            }
        }
    }
}

fn run(mut desk: Desk, request: Request, patience: Duration) -> Errand {
    Box::pin(async move {
        let answer = desk.ask(&request, patience).await;
        (desk, request, answer)
    })
}

/// The end of an errand; never, where there is none.
async fn finished(errand: &mut Option<Errand>) -> (Desk, Request, Answer) {
    match errand {
        Some(errand) => errand.await,
        None => std::future::pending().await,
    }
}

impl Holding {
    const fn new(generation: u64) -> Self {
        let (look_in, settle_in) = (LOOK_EVERY, Some(SETTLE_AFTER));
        Self { generation, look_in, beat_in: 0, beats: 0, settle_in, then: None }
    }

    fn fine(&self) -> String {
        format!("this host holds the home (generation {})", self.generation)
    }

    /// A second has passed.
    fn tick(&mut self) {
        self.look_in = self.look_in.saturating_sub(1);
        self.beat_in = self.beat_in.saturating_sub(1);
        self.settle_in = self.settle_in.map(|seconds| seconds.saturating_sub(1));
    }

    /// What is to be done on the file system now, if anything.
    fn next(&mut self, shell: &Shell) -> Option<Request> {
        if let Some(request) = self.then.take() {
            return Some(request);
        }
        if self.look_in == 0 {
            self.look_in = LOOK_EVERY;
            return Some(Request::Look);
        }
        if self.settle_in == Some(0) {
            self.settle_in = None;
            return Some(Request::ReadClaim(self.generation + 1));
        }
        if self.beat_in > 0 {
            return None;
        }
        self.beat_in = BEAT_EVERY;
        self.beats += 1;
        Some(Request::Beat(Box::new(Beat {
            generation: self.generation,
            holder: shell.order.me.name().to_owned(),
            count: self.beats,
            at: Timestamp::now(),
        })))
    }

    /// What to make of an answer. Says why the home is lost, if it is.
    fn hear(&mut self, shell: &mut Shell, request: &Request, answer: Answer) -> Option<String> {
        let me = &shell.order.me;
        let keep = match answer {
            Answer::Head(head) => keep::keep(Guards::default(), me, self.generation, &head),
            Answer::Claim(claim) => match beyond(self.generation + 1, claim.as_ref()) {
                Keep::On => {
                    let record = shell.record(self.generation, State::Held);
                    self.then = Some(Request::Replace(Box::new(record)));
                    Keep::On
                }
                keep => keep,
            },
            Answer::Failed { why, hint } => {
                if matches!(request, Request::ReadClaim(_) | Request::Replace(_)) {
                    self.settle_in = Some(SETTLE_AFTER);
                }
                let why = format!("{}; {why}", self.fine());
                shell.tell(Phase::Held, Some(self.generation), &why, Some(&hint));
                return None;
            }
            _ => Keep::On,
        };
        match keep {
            Keep::Stop(why) => return Some(why),
            Keep::PutRight(why) => {
                shell.events.log(STEP, format!("{why}: it is written again"));
                self.then = Some(Request::ReadClaim(self.generation + 1));
            }
            Keep::Wonder(why) => {
                let why = format!("{}, but {why}", self.fine());
                shell.tell(Phase::Held, Some(self.generation), &why, None);
            }
            Keep::On if matches!(request, Request::Look) => {
                shell.tell(Phase::Held, Some(self.generation), &self.fine(), None);
            }
            Keep::On => {}
        }
        None
    }
}

/// What stands as the claim of `generation`, which nobody should have. Where nobody is seen, the head
/// may be written again.
pub(super) fn beyond(generation: u64, claim: Option<&Head>) -> Keep {
    match claim {
        Some(Head::Record(record)) => keep::beyond(Some(record)),
        Some(Head::Newer { .. } | Head::Garbage(_)) => {
            Keep::Stop(format!("generation {generation} was claimed"))
        }
        None | Some(Head::New | Head::Gone | Head::Strange(_)) => Keep::On,
    }
}
