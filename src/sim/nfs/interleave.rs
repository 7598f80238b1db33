//! Whether two machines ever wrote the home at the same time: a pure function of the record.
//!
//! A machine may write the home from the answer to its own claim until it calls for the release,
//! or until the next machine calls for its claim. Every change of the home must lie in such a
//! period of its machine, from its call to its answer. A change of a file whose path is not known
//! counts as one of the home. The lease's record is read as plain JSON: a check must not lean on
//! what it checks.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::change::{Change, Machine, Version, seconds, some_seconds};
use super::record::Blind;

/// Jenkins' home on the file system.
pub const HOME: &str = "home";
/// The lease's record on the file system.
pub const HEAD: &str = ".hostkit/lease/head";

/// A time during which a machine may write the home.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Period {
    /// The holder.
    pub machine: Machine,
    /// The lease's generation.
    pub generation: u64,
    /// When its claim was answered.
    #[serde(serialize_with = "seconds")]
    pub from: Duration,
    /// When it was called to an end, by whomever.
    #[serde(serialize_with = "some_seconds")]
    pub until: Option<Duration>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Violation {
    /// A machine changed the home outside its periods.
    Intruder {
        /// What it did.
        change: Change,
        /// Who held the home when it was called.
        holder: Option<Machine>,
    },
    /// A machine wrote that another one holds the home.
    ForeignClaim {
        /// When it was called.
        #[serde(serialize_with = "seconds")]
        at: Duration,
        /// Who wrote it.
        machine: Machine,
        /// Whom it names.
        holder: Machine,
    },
    /// A claim whose generation is not above all earlier ones.
    Generation {
        /// When it was called.
        #[serde(serialize_with = "seconds")]
        at: Duration,
        /// Its holder.
        holder: Machine,
        /// Its generation.
        generation: u64,
        /// The highest one before.
        highest: u64,
    },
    /// The lease's record went away, or is none.
    NoRecord {
        /// When that was called.
        #[serde(serialize_with = "seconds")]
        at: Duration,
        /// By whom; nobody if it was so from the beginning.
        machine: Option<Machine>,
    },
}

/// What a record proves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Who held the home when, in the order of the claims.
    pub periods: Vec<Period>,
    /// What must not be, in the order of time.
    pub violations: Vec<Violation>,
    /// How many changes of the home were looked at.
    pub changes: usize,
    /// How many of them are of a file whose path is not known.
    pub unplaced: usize,
    /// What the record could not see.
    pub blind: Blind,
}

impl Verdict {
    /// Nothing was wrong, and nothing can have escaped.
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && !self.blind.is_blind()
    }
}

/// Judges all changes by the history of [`HEAD`].
pub fn check(changes: &[Change], versions: &[Version], blind: Blind) -> Verdict {
    let (periods, mut violations) = history(versions);
    let (mut looked_at, mut unplaced) = (0, 0);
    for change in changes.iter().filter(|change| concerns_home(change)) {
        looked_at += 1;
        if !change.what.is_below(HOME) {
            unplaced += 1;
        }
        if !periods.iter().any(|period| covers(period, change)) {
            let held = |period: &&Period| {
                period.from <= change.called
                    && period.until.is_none_or(|until| change.called < until)
            };
            let holder = periods.iter().find(held).map(|period| period.machine.clone());
            violations.push(Violation::Intruder { change: change.clone(), holder });
        }
    }
    violations.sort_by_key(Violation::at);
    Verdict { periods, violations, changes: looked_at, unplaced, blind }
}

/// What `machine` did to the home after [`HEAD`] had shown a generation above `generation`, which
/// it held.
pub fn written_after<'a>(
    changes: &'a [Change],
    versions: &[Version],
    machine: &str,
    generation: u64,
) -> Vec<&'a Change> {
    let is_later = |version: &&Version| {
        version
            .content
            .as_deref()
            .and_then(Head::parse)
            .is_some_and(|head| head.generation > generation)
    };
    let Some(later) = versions.iter().find(is_later) else { return Vec::new() };
    let after = |change: &&Change| {
        change.machine.id() == machine
            && concerns_home(change)
            && change.end.at().is_none_or(|end| end > later.called)
    };
    changes.iter().filter(after).collect()
}

fn concerns_home(change: &Change) -> bool {
    let unknown = change.what.paths().any(|path| !path.is_known());
    change.end.may_have_happened() && (unknown || change.what.is_below(HOME))
}

fn covers(period: &Period, change: &Change) -> bool {
    let end = change.end.at().unwrap_or(change.called);
    period.machine == change.machine
        && period.from <= change.called
        && period.until.is_none_or(|until| end <= until)
}

/// The periods that the versions of the lease's record make, and what is wrong with them.
fn history(versions: &[Version]) -> (Vec<Period>, Vec<Violation>) {
    let (mut periods, mut violations) = (Vec::<Period>::new(), Vec::new());
    let mut highest = None;
    for (index, version) in versions.iter().enumerate() {
        let head = version.content.as_deref().and_then(Head::parse);
        let open = periods.last_mut().filter(|period| period.until.is_none());
        let same = |period: &&mut Period| head.as_ref().is_some_and(|head| head.is_held_in(period));
        if open.as_ref().is_some_and(same) {
            continue;
        }
        if let Some(period) = open {
            period.until = Some(version.called);
        }
        let (at, machine) = (version.called, version.machine.clone());
        let Some(head) = head else {
            // A file system that never had a holder has no record.
            if index > 0 || version.content.is_some() {
                violations.push(Violation::NoRecord { at, machine });
            }
            continue;
        };
        let Head { generation, held, holder } = head;
        if held {
            if let Some(machine) = machine.filter(|machine| *machine != holder) {
                violations.push(Violation::ForeignClaim { at, machine, holder: holder.clone() });
            }
            if let Some(highest) = highest.filter(|highest| generation <= *highest) {
                let holder = holder.clone();
                violations.push(Violation::Generation { at, holder, generation, highest });
            }
            let from = version.answered;
            periods.push(Period { machine: holder, generation, from, until: None });
        }
        highest = highest.max(Some(generation));
    }
    (periods, violations)
}

/// What of the lease's record matters here.
struct Head {
    generation: u64,
    held: bool,
    holder: Machine,
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let held = match value["state"].as_str()? {
            "held" => true,
            "released" => false,
            _ => return None,
        };
        let holder = &value["holder"];
        let holder = holder["instance_id"].as_str().or_else(|| holder["task"].as_str())?;
        let holder = Machine::new(holder);
        Some(Self { generation: value["generation"].as_u64()?, held, holder })
    }

    /// Whether it says what was so in `period`: a holder may write its record anew.
    fn is_held_in(&self, period: &Period) -> bool {
        self.held && self.generation == period.generation && self.holder == period.machine
    }
}

impl Violation {
    /// When it happened, since the record began.
    pub const fn at(&self) -> Duration {
        match self {
            Self::Intruder { change, .. } => change.called,
            Self::ForeignClaim { at, .. }
            | Self::Generation { at, .. }
            | Self::NoRecord { at, .. } => *at,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at().as_secs_f64();
        match self {
            Self::Intruder { change, holder: Some(holder) } if *holder == change.machine => {
                write!(f, "{change}, and it held the home no more when that was over")
            }
            Self::Intruder { change, holder: Some(holder) } => {
                write!(f, "{change}, while {holder} held the home")
            }
            Self::Intruder { change, holder: None } => {
                write!(f, "{change}, while nobody held the home")
            }
            Self::ForeignClaim { machine, holder, .. } => {
                write!(f, "{seconds:9.3} s  {machine}  wrote that {holder} holds the home")
            }
            Self::Generation { holder, generation, highest, .. } => write!(
                f,
                "{seconds:9.3} s  {holder}  claimed generation {generation}, but {highest} was there",
            ),
            Self::NoRecord { machine, .. } => {
                let machine = machine.as_ref().map_or("nobody", Machine::id);
                write!(f, "{seconds:9.3} s  {machine}  left no record of the lease")
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for period in &self.periods {
            let (from, until) = (period.from.as_secs_f64(), period.until.map(|t| t.as_secs_f64()));
            let until = until.map_or_else(|| "the end".to_owned(), |until| format!("{until:.3} s"));
            let Period { machine, generation, .. } = period;
            writeln!(f, "{machine} held generation {generation} from {from:.3} s to {until}")?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION {violation}")?;
        }
        let Blind { unread, why, left_out, forgotten } = &self.blind;
        if self.blind.is_blind() {
            let why = why.map(|why| format!(" (first: {why})")).unwrap_or_default();
            writeln!(
                f,
                "NOT SEEN: {unread} messages{why}, {left_out} entries left out, \
                 {forgotten} files without a path"
            )?;
        }
        let verdict = if self.holds() { "never interleaved" } else { "NOT proven" };
        write!(
            f,
            "{} changes of the home by {} holders: {verdict}",
            self.changes,
            self.periods.len()
        )
    }
}

#[cfg(test)]
mod tests;
