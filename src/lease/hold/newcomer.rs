//! Until the home is this host's: does what the [`Claimant`] says and tells it what came of it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Shell;
use crate::error::Fault;
use crate::lease::claim::{Action, Claimant, Head, Observed, Refusal};
use crate::lease::clerk::{Answer, Desk, Request};
use crate::lease::memory::Phase;
use crate::lease::record::{Holder, State};
use crate::lease::witness;
use crate::lease::word::Word;
use crate::sys::notify;

/// What a claim may take, in seconds: a throttled file system needs some.
const PATIENCE: u32 = 20;

/// What came of it.
pub(super) enum Taken {
    /// This generation is this host's.
    Mine(Desk, u64),
    /// This process was asked to end before.
    Nothing,
    /// This boot held a generation, and somebody else has the home now.
    Lost(u64, String),
}

/// Takes the home as soon as it may.
///
/// # Errors
/// The policy says not to wait, or this machine lacks something.
pub(super) async fn take(shell: &mut Shell, mut desk: Desk) -> Result<Taken, Fault> {
    let (me, manner) = (shell.order.me.clone(), shell.order.manner());
    let mut claimant = Claimant::new(me, manner, None);
    // A claim that was made and could not be announced: nobody else comes past it.
    let mut claimed = None;
    let mut action = claimant.first();
    let mut looked = Instant::now();
    loop {
        let observed = match action {
            Action::Hold(generation) => {
                let took = looked.elapsed().as_millis();
                let line = format!("generation {generation} was taken within {took} ms");
                shell.events.log(super::STEP, line);
                return keep(shell, desk, generation);
            }
            Action::Wait(why) => {
                shell.tell(Phase::Waiting, None, &why, None);
                if pause(shell).await {
                    return leave(shell, desk, claimed);
                }
                Observed::Elapsed
            }
            Action::Refuse(Refusal { why, hint, is_final }) => {
                let phase = if is_final { Phase::GivenUp } else { Phase::Refused };
                shell.tell(phase, None, &why, Some(&hint));
                if is_final {
                    return Err(Fault::step(why).hint(hint));
                }
                if pause(shell).await {
                    return leave(shell, desk, claimed);
                }
                Observed::Elapsed
            }
            Action::Ask(holder, generation) => {
                let Some(observed) = ask(shell, &mut desk, &holder, generation).await else {
                    return leave(shell, desk, claimed);
                };
                observed
            }
            Action::Terminate(holder) => terminate(shell, &holder).await,
            other => {
                let generation = if let Action::Claim(it) = other { Some(it) } else { None };
                let observed = file_work(shell, &mut desk, other).await;
                if observed == Observed::Claimed {
                    claimed = generation;
                }
                observed
            }
        };
        if matches!(observed, Observed::Head(_)) {
            looked = Instant::now();
        }
        action = claimant.next(observed);
    }
}

/// Remembers what was taken.
fn keep(shell: &mut Shell, desk: Desk, generation: u64) -> Result<Taken, Fault> {
    shell.since = Some(Timestamp::now());
    shell.memory.take(generation).map_err(|error| {
        Fault::environment(format!("what was taken cannot be remembered: {error}"))
    })?;
    Ok(Taken::Mine(desk, generation))
}

/// This process was asked to end. What it has claimed is held for a moment, so that it is released.
fn leave(shell: &mut Shell, desk: Desk, claimed: Option<u64>) -> Result<Taken, Fault> {
    claimed.map_or(Ok(Taken::Nothing), |generation| keep(shell, desk, generation))
}

/// Has something done on the file system, while the watchdog is fed.
pub(super) async fn put(shell: &Shell, desk: &mut Desk, request: &Request) -> Answer {
    shell.attended(desk.ask(request, shell.seconds(PATIENCE))).await
}

/// What is done on the file system.
async fn file_work(shell: &Shell, desk: &mut Desk, action: Action) -> Observed {
    let request = match action {
        Action::Look => Request::Look,
        Action::Claim(generation) => {
            Request::Claim(Box::new(shell.record(generation, State::Held)))
        }
        Action::ReadClaim(generation) => Request::ReadClaim(generation),
        Action::Announce(_) => Request::Announce,
        Action::Hold(_)
        | Action::Wait(_)
        | Action::Refuse(_)
        | Action::Ask(..)
        | Action::Terminate(_) => return Observed::Failed("nothing was to be done".to_owned()),
    };
    match put(shell, desk, &request).await {
        Answer::Head(head) => Observed::Head(head),
        Answer::Claimed => Observed::Claimed,
        Answer::Taken => Observed::Taken,
        Answer::Claim(claim) => Observed::Claim(claim),
        Answer::Done => Observed::Announced,
        Answer::Failed { why, hint } => Observed::Failed(format!("{why} ({hint})")),
        Answer::Age(_) | Answer::Shown(_) => Observed::Failed("the clerk is confused".to_owned()),
    }
}

/// Lets a second pass. True where this process was asked to end.
pub(super) async fn pause(shell: &mut Shell) -> bool {
    let second = shell.seconds(1);
    notify::watchdog();
    tokio::select! {
        () = shell.asked.clone() => true,
        () = tokio::time::sleep(second) => false,
    }
}

/// Asks AWS about the holder, and looks at the head meanwhile: a holder that gives the home up is not
/// kept waiting by an API that is slow. None where this process was asked to end.
async fn ask(
    shell: &mut Shell,
    desk: &mut Desk,
    holder: &Holder,
    generation: u64,
) -> Option<Observed> {
    let second = shell.seconds(1);
    let word = {
        let answer = witness::ask(&shell.place.runner, &shell.order, holder);
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                word = &mut answer => break word,
                () = shell.asked.clone() => return None,
                () = tokio::time::sleep(second) => notify::watchdog(),
            }
            if let Answer::Head(head) = put(shell, desk, &Request::Look).await
                && !is_held_by(&head, holder, generation)
            {
                // It is looked at again, by who knows what to make of it.
                return Some(Observed::Elapsed);
            }
        }
    };
    Some(Observed::Word(match word {
        Word::NotFound { .. } => Word::NotFound { age: age(shell, desk, generation).await },
        word => word,
    }))
}

fn is_held_by(head: &Head, holder: &Holder, generation: u64) -> bool {
    let record = match head {
        Head::Record(record) => record,
        // The head of the first claim is still to come.
        Head::New => return true,
        _ => return false,
    };
    // A claim beyond the head is asked about while the head still shows the one before.
    record.generation < generation
        || (record.generation == generation
            && record.state == State::Held
            && record.holder.is_same_boot(holder))
}

/// The age of a claim by the file server's clock. It is asked once, because that writes a file; after
/// that it grows by what passes here.
async fn age(shell: &mut Shell, desk: &mut Desk, generation: u64) -> Option<Duration> {
    if let Some((of, age, then)) = shell.age
        && of == generation
    {
        return Some(age + then.elapsed());
    }
    match put(shell, desk, &Request::Age(generation)).await {
        Answer::Age(age) => {
            shell.age = Some((generation, age, Instant::now()));
            Some(age)
        }
        _ => None,
    }
}

async fn terminate(shell: &mut Shell, holder: &Holder) -> Observed {
    shell.events.log(super::STEP, format!("terminating {}, as the policy says", holder.name()));
    notify::status(&format!("terminating {}", holder.name()));
    match shell.attended(witness::terminate(&shell.place.runner, &shell.order, holder)).await {
        Ok(()) => Observed::Elapsed,
        Err(why) => Observed::Failed(format!("{} could not be terminated: {why}", holder.name())),
    }
}
