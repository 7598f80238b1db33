//! The check that all nights have in common: the hosts never wrote the home at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::play::Play;
use crate::sim::fleet::{Host, Story, Volume};
use crate::sim::nfs::interleave::{self, Verdict, Violation};
use crate::sim::nfs::{Record, Selection};

/// How many lines of a list are told; all are in the JSON and in the kept record.
const SHOWN: usize = 8;

/// A file system that the nights are played on, and what may be held against its hosts.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) name: String,
    record: Record,
    /// What was earlier, an earlier night has judged.
    judged: Duration,
    excused: Vec<Excuse>,
}

/// A host whose lease an operator broke: until its Jenkins is gone, it writes.
#[derive(Debug)]
struct Excuse {
    instance: String,
    until: Duration,
}

impl Excuse {
    fn covers(&self, violation: &Violation) -> bool {
        let Violation::Intruder { change, .. } = violation else { return false };
        change.machine.id() == self.instance && change.called <= self.until
    }
}

impl Witness {
    /// From now on all that is done to `volume` is judged.
    pub(super) fn of(volume: &Volume) -> Self {
        Self {
            name: volume.name.clone(),
            record: volume.record(),
            judged: Duration::ZERO,
            excused: Vec::new(),
        }
    }

    /// What is wrong since the last time, and the verdict on everything.
    fn judge(&mut self) -> (Verdict, Vec<Violation>) {
        let now = self.record.elapsed();
        let changes = self.record.changes(&Selection::default());
        let verdict = interleave::check(&changes, &self.record.versions(), self.record.blind());
        let counts = |violation: &&Violation| {
            violation.at() >= self.judged && !self.excused.iter().any(|one| one.covers(violation))
        };
        let wrong = verdict.violations.iter().filter(counts).cloned().collect();
        self.judged = now;
        (verdict, wrong)
    }
}

impl Play {
    /// The verdict on every file system that the night was played on.
    pub(super) fn judge(&mut self) -> BTreeMap<String, Verdict> {
        let mut verdicts = BTreeMap::new();
        let mut witnesses = std::mem::take(&mut self.witnesses);
        for witness in &mut witnesses {
            let (verdict, wrong) = witness.judge();
            let story = self.fleet.ground.story.clone();
            for violation in wrong.iter().take(SHOWN) {
                story.tell(&witness.name, &format!("VIOLATION {violation}"));
            }
            let excused: Vec<String> = witness
                .excused
                .iter()
                .map(|one| format!(", but for {} after the break", story.called(&one.instance)))
                .collect();
            let seen = format!("{} violations; {:?}", wrong.len(), verdict.blind);
            let holds = wrong.is_empty() && !verdict.blind.is_blind();
            let what = format!(
                "{}: hosts never interleave{} ({} changes of the home)",
                witness.name,
                excused.concat(),
                verdict.changes
            );
            self.check(what, holds, seen);
            verdicts.insert(witness.name.clone(), verdict);
        }
        self.witnesses = witnesses;
        verdicts
    }

    /// Lists what `host`, whose lease of `generation` was broken, did to the home after that, and
    /// excuses what it called for until its Jenkins was seen to be gone, at `gone` on the record's
    /// clock. Later than that there must be nothing.
    pub(super) fn list_after_break(
        &mut self,
        volume: &Volume,
        host: &Host,
        generation: u64,
        gone: Duration,
    ) {
        let record = volume.record();
        let (changes, versions) = (record.changes(&Selection::default()), record.versions());
        let late = interleave::written_after(&changes, &versions, &host.instance, generation);
        let story: &Story = &self.fleet.ground.story;
        let number = late.len();
        if number == 0 {
            story.tell(&host.name, "wrote nothing to the home after the break");
        } else {
            story.tell(&host.name, &format!("changed the home {number} times after the break"));
        }
        for change in late.iter().take(SHOWN) {
            story.tell(&host.name, &format!("  {change}"));
        }
        if number > SHOWN {
            story.tell(&host.name, &format!("  and {} more", number - SHOWN));
        }
        let stray: Vec<_> = late.iter().filter(|change| change.called > gone).collect();
        let first = stray.first().map(|change| format!("; the first: {change}"));
        let seen = format!("{} changes{}", stray.len(), first.unwrap_or_default());
        self.check(
            format!("{} leaves the home alone once its Jenkins is gone", host.name),
            stray.is_empty(),
            seen,
        );
        if let Some(witness) = self.witnesses.iter_mut().find(|one| one.name == volume.name) {
            witness.excused.push(Excuse { instance: host.instance.clone(), until: gone });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::nfs::change::{Change, End, Machine, What};
    use crate::sim::nfs::names::Path;

    fn intruder(instance: &str, called: u64) -> Violation {
        let what = What::Commit { path: Path::new("home") };
        let (machine, called) = (Machine::new(instance), Duration::from_secs(called));
        let change = Change { trip: 1, machine, called, end: End::Open, what };
        Violation::Intruder { change, holder: None }
    }

    #[test]
    fn a_break_excuses_only_the_broken_holder_and_only_until_it_has_stopped() {
        let excuse = Excuse { instance: "i-1".into(), until: Duration::from_secs(10) };
        assert!(excuse.covers(&intruder("i-1", 10)));
        assert!(!excuse.covers(&intruder("i-1", 11)), "it has stopped by then");
        assert!(!excuse.covers(&intruder("i-2", 5)), "somebody else");
        let none = Violation::NoRecord { at: Duration::ZERO, machine: None };
        assert!(!excuse.covers(&none));
    }
}
