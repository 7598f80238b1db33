//! What a claim looks like on the wire: read from the record of a file system, never asked of the
//! hosts.

use crate::sim::nfs::change::{Change, End, Trip, Version, What};
use crate::sim::nfs::decode::number::Status;
use crate::sim::nfs::interleave::HEAD;
use crate::sim::nfs::{Record, Selection};

/// `NFS4ERR_EXIST`: what the server says to whoever links a claim second.
const TAKEN: Status = Status(17);
/// A round trip of the client's own, that keeps its session alive.
const KEEPS_ALIVE: &str = "SEQUENCE";

/// Whether two hosts called for the same claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collision {
    /// One was answered, the other one refused.
    Seen,
    /// One had read the other one's claim before, or its client knew of it.
    NotSeen,
}

/// Whether hosts collided at the claim in the file called `name`.
pub(super) fn collision(record: &Record, name: &str) -> Collision {
    judge(&record.changes(&Selection::default()), name)
}

fn judge(changes: &[Change], name: &str) -> Collision {
    let answers = |wanted: Status| {
        changes.iter().any(|change| {
            let What::Link { to, .. } = &change.what else { return false };
            let End::Answered { status, .. } = change.end else { return false };
            to.as_str().rsplit('/').next() == Some(name) && status == wanted
        })
    };
    if answers(Status::OK) && answers(TAKEN) { Collision::Seen } else { Collision::NotSeen }
}

/// The round trips of `machine`'s last claim: from the answer that shows it the release, which is
/// not counted, to its call that makes the claim the head, which is. None if they are not to be
/// seen.
pub(super) fn trips_of_claim(record: &Record, machine: &str) -> Option<usize> {
    let wanted = Selection { machine: Some(machine.to_owned()), ..Selection::default() };
    count(&record.trips(&wanted), &record.versions(), machine)
}

fn count(trips: &[Trip], versions: &[Version], machine: &str) -> Option<usize> {
    let is_claim = |by: &Version| by.machine.as_ref().is_some_and(|by| by.id() == machine);
    let (released, claim) = versions
        .iter()
        .zip(versions.iter().skip(1))
        .rfind(|(last, next)| says(last, "released") && says(next, "held") && is_claim(next))?;
    let shows = |trip: &&Trip| {
        trip.called >= released.called
            && trip.kind.split(' ').any(|operation| operation == "READ")
            && trip.path.as_ref().is_some_and(|path| path.as_str() == HEAD)
    };
    let read = trips.iter().find(shows)?.answered?;
    let counts = |trip: &&Trip| {
        trip.called > read && trip.called <= claim.called && &*trip.kind != KEEPS_ALIVE
    };
    // A claim that came without its own reading is not one that was measured.
    Some(trips.iter().filter(counts).count()).filter(|number| *number > 0)
}

/// Whether a version of the record has this state.
fn says(version: &Version, state: &str) -> bool {
    let text = version.content.as_deref().unwrap_or_default();
    let record: Option<serde_json::Value> = serde_json::from_str(text).ok();
    record.is_some_and(|record| record["state"] == state)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::nfs::change::Machine;
    use crate::sim::nfs::names::Path;

    const fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn link(machine: &str, status: u32) -> Change {
        let (from, to) = (Path::new(".claim"), Path::new(".hostkit/lease/gen-000001.json"));
        let end = End::Answered { at: ms(2), status: Status(status) };
        let machine = Machine::new(machine);
        Change { trip: 1, machine, called: ms(1), end, what: What::Link { from, to } }
    }

    #[test]
    fn hosts_collide_when_one_is_refused_what_another_one_got() {
        let judge = |changes: &[Change]| judge(changes, "gen-000001.json");
        assert_eq!(judge(&[link("i-1", 0), link("i-2", 17)]), Collision::Seen);
        assert_eq!(judge(&[link("i-1", 0)]), Collision::NotSeen);
        assert_eq!(judge(&[link("i-1", 17)]), Collision::NotSeen, "nobody got it");
        assert_eq!(judge(&[link("i-1", 0), link("i-2", 13)]), Collision::NotSeen);
    }

    fn trip(kind: &str, path: &str, called: u64) -> Trip {
        Trip {
            number: called,
            machine: Machine::new("i-2"),
            kind: kind.into(),
            path: Some(Path::new(path)),
            called: ms(called),
            answered: Some(ms(called + 1)),
            status: Some(Status::OK),
            again: false,
        }
    }

    fn version(machine: &str, state: &str, called: u64) -> Version {
        Version {
            machine: Some(Machine::new(machine)),
            called: ms(called),
            answered: ms(called + 1),
            content: Some(serde_json::json!({ "state": state }).to_string()),
        }
    }

    #[test]
    fn a_claim_is_counted_from_the_answer_that_shows_the_release() {
        let versions = [version("i-1", "released", 10), version("i-2", "held", 50)];
        let trips = [
            trip("SEQUENCE PUTFH READ", HEAD, 5),
            trip("SEQUENCE PUTFH OPEN GETFH", HEAD, 12),
            trip("SEQUENCE PUTFH READ", HEAD, 20),
            trip("SEQUENCE PUTFH CLOSE", HEAD, 30),
            trip("SEQUENCE", HEAD, 35),
            trip("SEQUENCE PUTFH LINK", ".hostkit/lease/gen-000002.json", 40),
            trip("SEQUENCE PUTFH RENAME", HEAD, 50),
            trip("SEQUENCE PUTFH GETATTR", HEAD, 60),
        ];
        assert_eq!(count(&trips, &versions, "i-2"), Some(3));
        assert_eq!(count(&trips[..2], &versions, "i-2"), None, "it read nothing");
        assert_eq!(count(&trips, &versions[..1], "i-2"), None, "it claimed nothing");
        assert_eq!(count(&trips, &versions[1..], "i-2"), None, "nobody released");
    }
}
