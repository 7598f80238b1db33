//! Runs checks: each as soon as those are done that it rests on, all others beside it.
//!
//! Every run ends: a check is given up at its deadline, and all of them together after [`ALL`], but
//! for those that read the home itself and only run where that answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use super::scene::{Asked, Case, Scene};
use super::table::{CHECKS, Check, Id, Observed, Side, judge};
use crate::doctor::{Finding, Gap, Verdict};
use crate::event::{Events, Outcome};
use crate::host;

/// What has not ended by then is given up: a dead mount and a dead network must not add up.
const ALL: Duration = Duration::from_secs(14);

/// A check with a longer deadline reads the home, and is not run where that is dead.
const READS_THE_HOME: Duration = Duration::from_secs(12);

/// What only root sees: other people's files, the stacks of other people's processes.
const FOR_ROOT: &[Id] = &[
    Id::Stuck,
    Id::Identity,
    Id::Owner,
    Id::Write,
    Id::Lock,
    Id::Lease,
    Id::Speed,
    Id::Bloat,
    Id::Leftovers,
    Id::Intact,
];

/// What is looked at in the home of a Jenkins, and in no other file system.
const OF_A_HOME: &[Id] =
    &[Id::Identity, Id::Owner, Id::Write, Id::Lock, Id::Lease, Id::Speed, Id::Bloat, Id::Intact];

/// How a check ended, and how long it looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which one.
    pub id: Id,
    /// What it found.
    pub finding: Finding,
    /// How long it took.
    pub took: Duration,
    /// Whether it was not run because something that it needs is not so.
    pub barred: bool,
    /// Whether nothing answered it in time.
    silent: bool,
}

/// What a run tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// A check begins to look.
    Began(&'static Check),
    /// One has ended, or was not run.
    Ended(&'a Done),
}

impl Told<'_> {
    /// The same as an event.
    pub fn say(&self, events: &Events) {
        match self {
            Self::Began(check) => events.started(check.id.name(), check.does),
            Self::Ended(done) => {
                let says = || done.finding.says.clone();
                let outcome = match done.finding.verdict {
                    Verdict::Pass => Outcome::Unchanged,
                    Verdict::Skip => Outcome::Skipped(says()),
                    Verdict::Warn => Outcome::Degraded(says()),
                    Verdict::Fail => Outcome::Failed(says()),
                };
                events.finished(done.id.name(), outcome, done.took);
            }
        }
    }
}

/// Says of what only root sees that it cannot be seen. For a run by somebody else.
pub fn without_root(observed: &Observed) {
    for id in FOR_ROOT {
        let why = "only root can look: sudo hostkit efs check".to_owned();
        observed.refuse(*id, Gap { needs: String::new(), denied: false, why });
    }
}

/// Runs these checks and those that they rest on. Tells each when it begins and as soon as it has
/// ended; returns all in the order of the table.
pub async fn run(scene: &Scene<'_>, which: &[Id], mut told: impl FnMut(Told<'_>)) -> Vec<Done> {
    let wanted = closure(which);
    let began = Instant::now();
    let mut waiting: Vec<&'static Check> =
        CHECKS.iter().filter(|it| wanted.contains(&it.id)).collect();
    let mut done: BTreeMap<Id, Done> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        let (ready, rest): (Vec<&Check>, Vec<&Check>) = waiting
            .into_iter()
            .partition(|it| it.needs.iter().chain(it.after).all(|id| done.contains_key(id)));
        waiting = rest;
        for check in ready {
            let why = unfit(check, scene.asked).or_else(|| barred(check, &done));
            if why.is_none() {
                told(Told::Began(check));
            }
            running.push(one(scene, check, why, within(check, began.elapsed())));
        }
        let Some(ended) = running.next().await else { break };
        told(Told::Ended(&ended));
        done.insert(ended.id, ended);
    }
    done.into_values().collect()
}

/// Judges what was seen at another time, as if it were seen now: these checks and those that they
/// rest on.
pub fn replay(asked: &Asked, observed: &Observed, now: Timestamp, which: &[Id]) -> Vec<Done> {
    let wanted = closure(which);
    let mut done: BTreeMap<Id, Done> = BTreeMap::new();
    for check in CHECKS.iter().filter(|check| wanted.contains(&check.id)) {
        let why = unfit(check, asked).or_else(|| barred(check, &done));
        let ended = ended(check, why, &Case { asked, observed, now }, Duration::ZERO);
        done.insert(check.id, ended);
    }
    done.into_values().collect()
}

/// How long a check may look that begins after so long.
fn within(check: &Check, elapsed: Duration) -> Duration {
    if check.deadline > READS_THE_HOME {
        return check.deadline;
    }
    check.deadline.min(ALL.saturating_sub(elapsed))
}

async fn one(
    scene: &Scene<'_>,
    check: &'static Check,
    why: Option<String>,
    within: Duration,
) -> Done {
    let began = Instant::now();
    if why.is_none() {
        scene.observed.look(check.id, within, scene).await;
    }
    let (asked, observed, now) = (scene.asked, scene.observed, Timestamp::now());
    ended(check, why, &Case { asked, observed, now }, began.elapsed())
}

fn ended(check: &Check, why: Option<String>, case: &Case<'_>, took: Duration) -> Done {
    let (id, barred) = (check.id, why.is_some());
    let finding = match why {
        Some(why) => Finding::new(id.name(), Verdict::Skip, why),
        None => judge(id, case),
    };
    let silent = !barred && case.observed.gap(id).is_some_and(Gap::is_silence);
    Done { id, finding, took, barred, silent }
}

/// Why there is nothing to look at here.
fn unfit(check: &Check, asked: &Asked) -> Option<String> {
    match &asked.host {
        None if check.side == Side::Host => Some("only on the host that mounts it".to_owned()),
        Some(here) if here.mount_point != host::HOME && OF_A_HOME.contains(&check.id) => {
            Some(format!("{} is not the home of a Jenkins", here.mount_point))
        }
        _ => None,
    }
}

/// Why there is nothing to look at now: something that it needs is not so.
fn barred(check: &Check, done: &BTreeMap<Id, Done>) -> Option<String> {
    check.needs.iter().filter_map(|id| done.get(id)).find_map(|need| {
        let name = need.id.name();
        match need.finding.verdict {
            // The first in the chain is the reason of all.
            _ if need.barred => Some(need.finding.says.clone()),
            Verdict::Fail => Some(format!("{name} failed")),
            _ if need.silent => Some(format!("{name} had no answer")),
            Verdict::Pass | Verdict::Skip | Verdict::Warn => None,
        }
    })
}

/// These checks and all that they rest on.
pub fn closure(which: &[Id]) -> BTreeSet<Id> {
    let mut wanted: BTreeSet<Id> = which.iter().copied().collect();
    // Each comes after what it rests on: one pass from the end finds all.
    for check in CHECKS.iter().rev() {
        if wanted.contains(&check.id) {
            wanted.extend(check.needs.iter().chain(check.after));
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use camino::Utf8Path;

    use super::*;
    use crate::doctor::efs::scene::Here;
    use crate::host::{Efs, Role};
    use crate::lease::ground::Ground;
    use crate::sys::Runner;

    fn asked(host: bool) -> Asked {
        let here = Here {
            role: Role::Controller,
            mount_point: host::HOME.into(),
            efs: Efs { id: Some("fs-0123456789abcdef0".to_owned()), ..Efs::default() },
            user: "jenkins".to_owned(),
            jenkins: None,
        };
        Asked {
            file_system: "fs-0123456789abcdef0".to_owned(),
            region: "eu-west-1".to_owned(),
            host: host.then_some(here),
            benchmark: false,
        }
    }

    /// A machine that has nothing, in a network that answers nothing.
    async fn nowhere(asked: &Asked, observed: &Observed, which: &[Id]) -> Vec<Done> {
        let folder = tempfile::tempdir().unwrap();
        let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let why = "AWS cannot be asked: nobody has credentials".to_owned();
        let scene = Scene {
            asked,
            observed,
            root: Utf8Path::from_path(folder.path()).unwrap(),
            runner: &Runner::Direct,
            aws: &Err(Gap { needs: String::new(), denied: false, why }),
            imds: None,
            nfs_port: 9,
            resolver: nobody,
            ground: Ground::Any,
        };
        let mut told = 0;
        let done = run(&scene, which, |_| told += 1).await;
        assert!(told >= done.len(), "each that has ended was told");
        done
    }

    fn all() -> Vec<Id> {
        CHECKS.iter().map(|check| check.id).collect()
    }

    #[tokio::test]
    async fn on_a_machine_that_has_nothing_every_check_ends_and_is_judged_the_same_later() {
        for host in [true, false] {
            let (asked, observed) = (asked(host), Observed::default());
            let began = Instant::now();
            let done = nowhere(&asked, &observed, &all()).await;
            assert!(began.elapsed() < 3 * ALL, "{:?}", began.elapsed());
            assert_eq!(done.iter().map(|it| it.id).collect::<Vec<_>>(), all());
            let text = serde_json::to_string(&observed).unwrap();
            let observed: Observed = serde_json::from_str(&text).unwrap();
            let later = replay(&asked, &observed, Timestamp::now(), &all());
            for (then, now) in done.iter().zip(&later) {
                assert_eq!(then.finding.verdict, now.finding.verdict, "{:?}", (then, now));
            }
        }
    }

    #[tokio::test]
    async fn from_outside_the_host_is_not_looked_at() {
        let (asked, observed) = (asked(false), Observed::default());
        for done in nowhere(&asked, &observed, &all()).await {
            let outside = done.id.check().side == Side::Both;
            assert_eq!(done.finding.says != "only on the host that mounts it", outside);
            assert_eq!(done.finding.verdict, Verdict::Skip, "nobody has credentials: {done:?}");
        }
    }

    #[tokio::test]
    async fn who_is_not_root_is_told_so_and_sees_the_rest() {
        let (asked, observed) = (asked(true), Observed::default());
        without_root(&observed);
        let done = nowhere(&asked, &observed, &[Id::Stuck, Id::Kernel]).await;
        let says = |id: Id| &done.iter().find(|it| it.id == id).unwrap().finding.says;
        assert_eq!(says(Id::Stuck), "only root can look: sudo hostkit efs check");
        assert!(!says(Id::Kernel).contains("only root"));
        assert!(done.iter().all(|it| it.id != Id::Bloat), "only what was asked for is run");
    }

    #[test]
    fn what_is_no_home_is_not_taken_for_one() {
        let mut asked = asked(true);
        if let Some(here) = &mut asked.host {
            here.mount_point = "/srv/volumes".into();
        }
        let done = replay(&asked, &Observed::default(), Timestamp::now(), &all());
        let owner = done.iter().find(|it| it.id == Id::Owner).unwrap();
        assert_eq!(owner.finding.says, "/srv/volumes is not the home of a Jenkins");
    }

    #[test]
    fn all_checks_that_do_not_read_the_home_end_together() {
        let check = Id::Alive.check();
        assert_eq!(within(check, Duration::ZERO), check.deadline);
        assert_eq!(within(check, ALL), Duration::ZERO);
        let reads = Id::Intact.check();
        assert_eq!(within(reads, ALL), reads.deadline);
    }

    fn done(id: Id, verdict: Verdict, barred: bool, silent: bool) -> Done {
        let finding = Finding::new(id.name(), verdict, "because");
        Done { id, finding, took: Duration::ZERO, barred, silent }
    }

    #[test]
    fn what_rests_on_a_failure_is_not_run_and_the_first_of_a_chain_is_the_reason() {
        let of = |done: Done| barred(Id::Owner.check(), &BTreeMap::from([(done.id, done)]));
        let alive = |verdict, barred, silent| of(done(Id::Alive, verdict, barred, silent));
        assert_eq!(alive(Verdict::Fail, false, false).unwrap(), "mount.alive failed");
        assert_eq!(alive(Verdict::Skip, true, false).unwrap(), "because");
        assert_eq!(alive(Verdict::Skip, false, true).unwrap(), "mount.alive had no answer");
        for verdict in [Verdict::Pass, Verdict::Warn, Verdict::Skip] {
            assert_eq!(alive(verdict, false, false), None);
        }
    }
}
