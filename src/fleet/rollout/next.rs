//! What is to be done next, by what the journal says and what is to be seen. Pure.
//!
//! Nothing is remembered but the journal: a process that was killed anywhere is carried on by looking
//! and asking here again. So whatever is done must be seen to be undone first, and doing it twice must
//! do no harm.

use jiff::Timestamp;

use super::common::is_loose;
use super::journal::Journal;
use super::seen::Seen;
use super::{Phase, Way, back, forward};

/// Something that is done to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A version of the launch template is made.
    AddVersion,
    /// The group is told not to do these by itself.
    Suspend(Vec<String>),
    /// A host is told to begin no builds.
    Quiet(String),
    /// A refresh to this side is begun.
    Start(Way),
    /// The refresh that is under way is rolled back.
    RollBack,
    /// It is cancelled.
    Cancel,
    /// A host is told to begin builds again.
    Unquiet(String),
    /// What was said to it is taken away.
    Untag(String),
    /// The version becomes the template's default.
    SetDefault,
    /// The group is told to do these by itself again.
    Resume(Vec<String>),
    /// `current` and `previous` are written.
    Point,
    /// It is written into the history.
    Record,
    /// The lock is given back.
    Unlock,
}

impl Act {
    /// Its name in the journal.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddVersion => "add-version",
            Self::Suspend(_) => "suspend",
            Self::Quiet(_) => "quiet",
            Self::Start(_) => "start",
            Self::RollBack => "roll-back",
            Self::Cancel => "cancel",
            Self::Unquiet(_) => "unquiet",
            Self::Untag(_) => "untag",
            Self::SetDefault => "set-default",
            Self::Resume(_) => "resume",
            Self::Point => "point",
            Self::Record => "record",
            Self::Unlock => "unlock",
        }
    }
}

/// What is next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This is done, then it is looked again.
    Act(Act),
    /// The journal is written as it is here, then it is looked again.
    Note(Box<Journal>),
    /// There is nothing to do but to look again: what is waited for.
    Wait(String),
    /// It is over.
    End(End),
}

/// How it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The new image serves.
    Done,
    /// The old one does.
    Back,
    /// Nobody knows.
    Stuck,
}

/// What is next.
pub fn next(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    match (journal.way, journal.phase) {
        (_, Phase::Recorded) => recorded(journal, seen),
        (Way::Back, _) => back::next(journal, seen, now),
        (Way::Forward, _) => forward::next(journal, seen, now),
    }
}

fn recorded(journal: &Journal, seen: &Seen) -> Next {
    if !seen.recorded && !is_loose(journal, "record") {
        return Next::Act(Act::Record);
    }
    if seen.locked && !is_loose(journal, "unlock") {
        return Next::Act(Act::Unlock);
    }
    Next::End(match journal.way {
        Way::Forward => End::Done,
        Way::Back => End::Back,
    })
}
