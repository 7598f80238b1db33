//! What follows when AWS refuses something. Pure.

use jiff::Timestamp;

use super::back::stuck;
use super::journal::{Journal, Loose, shortened};
use super::next::{Act, failed};
use super::seen::Seen;
use super::{Phase, Way};
use crate::aws::Failure;
use crate::aws::asg::refresh::{BUSY, IRREVERSIBLE, NONE};

/// In the codes that say that nothing can be done with these credentials any more.
const LOST: &[&str] = &[
    "ExpiredToken",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "AuthFailure",
    "InvalidAccessKeyId",
];

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Reaction {
    /// It is looked again, and done again if it still is to be done.
    Again,
    /// The journal is written as it is here.
    Note(Box<Journal>),
    /// Nothing can be done any more, and nothing was decided: another process carries it on.
    Leave,
}

/// What follows when a call that only looks is refused.
pub fn is_lost(failure: &Failure) -> bool {
    let by_code = failure.code().is_some_and(|code| LOST.iter().any(|it| code.contains(it)));
    by_code || (failure.code().is_none() && failure.message().contains("credential"))
}

/// What follows when `act` is refused.
pub fn react(
    journal: &Journal,
    seen: &Seen,
    act: &Act,
    failure: &Failure,
    now: Timestamp,
) -> Reaction {
    let note = |journal| Reaction::Note(Box::new(journal));
    if is_lost(failure) {
        return Reaction::Leave;
    }
    let code = failure.code().unwrap_or_default();
    match act {
        // Whose it is, is to be seen.
        Act::Start(_) if code == BUSY => return Reaction::Again,
        Act::RollBack | Act::Cancel if code == NONE => return Reaction::Again,
        Act::RollBack if code == IRREVERSIBLE || !failure.is_passing() => {
            let mut next = journal.clone();
            next.forward.irreversible = true;
            return note(next);
        }
        _ if failure.is_passing() => return Reaction::Again,
        _ => {}
    }
    match (journal.way, act) {
        (
            _,
            Act::Unquiet(_)
            | Act::Untag(_)
            | Act::SetDefault
            | Act::Resume(_)
            | Act::Point
            | Act::Record
            | Act::Unlock,
        ) => {
            let mut next = journal.clone();
            let says = shortened(&format!("{failure}: {}", by_hand(journal, act)), 300);
            next.loose.push(Loose { act: act.name().to_owned(), says });
            note(next)
        }
        (Way::Forward, _) => {
            let phase = phase_name(journal.phase);
            note(failed(journal, seen, now, &format!("{phase}: {failure}")))
        }
        (Way::Back, _) => note(stuck(journal, &failure.to_string())),
    }
}

/// The phase's name, as in events.
pub const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Begun => "lock",
        Phase::Version => "version",
        Phase::Suspend => "suspend",
        Phase::Quiet => "quiet",
        Phase::Refresh => "refresh",
        Phase::Proof => "proof",
        Phase::Promote => "promote",
        Phase::Recorded => "record",
    }
}

/// The command that does it.
pub fn by_hand(journal: &Journal, act: &Act) -> String {
    let order = &journal.order;
    let group = &order.group;
    match act {
        Act::Unquiet(host) => {
            format!(
                "`aws ec2 create-tags --resources {host} --tags Key=hostkit:drain,Value=cancel`"
            )
        }
        Act::Untag(host) => {
            format!("`aws ec2 delete-tags --resources {host} --tags Key=hostkit:drain`")
        }
        Act::SetDefault => format!(
            "`aws ec2 modify-launch-template --launch-template-id {} --default-version {}`",
            order.to.template,
            order.to.version.unwrap_or_default()
        ),
        Act::Resume(processes) => format!(
            "`aws autoscaling resume-processes --auto-scaling-group-name {group} \
             --scaling-processes {}`",
            processes.join(" ")
        ),
        Act::Unlock => format!("`aws ssm delete-parameter --name /hostkit/asg/{group}/lock`"),
        Act::Point => format!("/hostkit/asg/{group}/current does not say what serves"),
        _ => "it is not in the history".to_owned(),
    }
}
