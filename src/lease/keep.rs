//! The holder: what it makes of the record that it reads every two seconds.
//!
//! Pure. A holder never stops Jenkins because it could not read or write: as long as it lives,
//! nobody may take over. It stops Jenkins when it reads that somebody has.

use super::claim::Head;
use super::record::{Holder, Record, State};
use super::word::{Guard, Guards};

/// What a holder does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    /// All is as it should be.
    On,
    /// The head does not say who holds the home: it is looked whether anybody claimed the next
    /// generation ([`beyond`]), and if not, the head is written again.
    PutRight(String),
    /// Somebody else holds the home, or may: Jenkins is stopped at once.
    Stop(String),
    /// Nothing can be concluded; people are told.
    Wonder(String),
}

/// What the holder of `generation` makes of `head`.
pub fn keep(guards: Guards, me: &Holder, generation: u64, head: &Head) -> Keep {
    match head {
        Head::Record(record) => of_record(guards, me, generation, record),
        Head::Newer { version, generation: Some(theirs) } if *theirs > generation => {
            Keep::Stop(format!(
                "generation {theirs} was claimed by a newer hostkit (record of form {version})"
            ))
        }
        Head::Newer { version, .. } => {
            Keep::Wonder(format!("the head was written by a newer hostkit (form {version})"))
        }
        Head::Garbage(why) => Keep::PutRight(format!("the head cannot be read: {why}")),
        Head::New | Head::Gone | Head::Strange(_) => {
            Keep::PutRight("the head is not there any more".to_owned())
        }
    }
}

fn of_record(guards: Guards, me: &Holder, generation: u64, record: &Record) -> Keep {
    if record.holder.fs_id != me.fs_id {
        // Whoever copies a record of another file system over ours does not hold ours.
        return Keep::Wonder(format!(
            "the head is that of another file system, {}",
            record.holder.fs_id
        ));
    }
    let theirs = record.generation;
    if theirs > generation {
        let goes_on = guards.demand(Guard::HigherGeneration, false);
        return if goes_on { Keep::On } else { Keep::Stop(told(record)) };
    }
    if theirs < generation {
        // A host that slept between its claim and this has woken up.
        return Keep::PutRight(format!("the head fell back to generation {theirs}"));
    }
    match record.state {
        _ if !record.holder.is_same_boot(me) => Keep::Stop(told(record)),
        State::Held => Keep::On,
        // Nobody but this host writes that. If it is there all the same, others may act on it.
        State::Released => Keep::Stop("the head says that this host gave it up".to_owned()),
    }
}

/// What the holder of `generation` makes of the claim of the next one, which it reads before it
/// writes the head again. That it is not seen proves nothing, and nothing is concluded from it.
pub fn beyond(claim: Option<&Record>) -> Keep {
    claim.map_or(Keep::On, |record| Keep::Stop(told(record)))
}

fn told(record: &Record) -> String {
    let generation = record.generation;
    match &record.broken {
        Some(broken) => {
            format!(
                "generation {} was broken by {}: {}",
                broken.generation, broken.by, broken.reason
            )
        }
        None => format!("generation {generation} is held by {}", record.holder.name()),
    }
}
