//! A process that starts again where this boot holds the home already: the last one crashed, and
//! Jenkins may be running.
//!
//! It claims nothing and asks nobody: either the head still says so, or somebody else has the home
//! and Jenkins is stopped. It does not say that it is up before it knows which, so that Jenkins is
//! not started meanwhile; and stops none because it cannot look.

use super::newcomer::{self, Taken};
use super::{Shell, holder};
use crate::lease::claim::Head;
use crate::lease::clerk::{Answer, Desk, Request};
use crate::lease::keep::{Keep, keep};
use crate::lease::memory::Phase;
use crate::lease::word::Guards;

/// Goes on with what this boot took.
pub(super) async fn resume(shell: &mut Shell, mut desk: Desk, generation: u64) -> Taken {
    loop {
        let why = match look(shell, &mut desk, generation).await {
            Ok(Keep::On | Keep::PutRight(_)) => return Taken::Mine(desk, generation),
            Ok(Keep::Stop(why)) => return Taken::Lost(generation, why),
            Ok(Keep::Wonder(why)) | Err(why) => why,
        };
        let why =
            format!("this host held the home (generation {generation}) and looks again: {why}");
        shell.tell(Phase::Held, Some(generation), &why, None);
        if newcomer::pause(shell).await {
            // It is given up in order, as far as that is possible.
            return Taken::Mine(desk, generation);
        }
    }
}

/// What the head and the next claim come to, or why they cannot be read.
async fn look(shell: &mut Shell, desk: &mut Desk, generation: u64) -> Result<Keep, String> {
    let head = match newcomer::put(shell, desk, &Request::Look).await {
        Answer::Head(head) => head,
        other => return Err(trouble(other)),
    };
    if let Head::Record(record) = &head
        && record.holder.is_same_boot(&shell.order.me)
    {
        shell.since = record.holder.since;
    }
    match keep(Guards::default(), &shell.order.me, generation, &head) {
        Keep::PutRight(why) => {
            let next = generation.saturating_add(1);
            match newcomer::put(shell, desk, &Request::ReadClaim(next)).await {
                Answer::Claim(claim) => Ok(match holder::beyond(next, claim.as_ref()) {
                    Keep::On => Keep::PutRight(why),
                    other => other,
                }),
                other => Err(trouble(other)),
            }
        }
        other => Ok(other),
    }
}

fn trouble(answer: Answer) -> String {
    match answer {
        Answer::Failed { why, hint } => format!("{why} ({hint})"),
        _ => "the clerk is confused".to_owned(),
    }
}
