//! What makes the home large and slow: workspaces, huge folders, leftovers of git.

use std::time::Duration;

use camino::Utf8Path;

use super::on_host;
use crate::doctor::efs::inside::scan::{HUGE, MANY_BUILDS, Many, Weight};
use crate::doctor::efs::inside::{self, Heard, Scan, Task};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

/// The walk itself ends a moment before.
const PATIENCE: Duration = Duration::from_secs(42);

/// Caches with so many entries cost more than they spare.
const MANY_CACHED: u64 = 10_000;

/// So many fingerprints slow each build that records one.
const MANY_FINGERPRINTS: u64 = 100_000;

/// Of each kind so many are shown.
const SHOWN: usize = 5;

/// What was seen: what the child found, or in what it hangs.
pub type Seen = Heard<Scan>;

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    inside::ask(scene, here, Task::Scan, None, PATIENCE).await
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let id = Id::Bloat;
    seen.judge(id, case, |scan| {
        let size = format!(
            "{} files in {} folders, looked at in {}.{} s",
            scan.files,
            scan.folders,
            scan.took / 1000,
            scan.took % 1000 / 100
        );
        if let Some(first) = scan.hanging.first() {
            let says = format!("a part of the home does not answer: {first} hangs");
            let found = Finding::new(id.name(), Verdict::Fail, says);
            let found = scan.hanging.iter().skip(1).fold(found, Finding::shown_by);
            return unreached(found.shown_by(size), scan).mended_by("hostkit efs recover hang");
        }
        let burdens: Vec<_> = BURDENS.iter().filter(|it| (it.weighs)(scan)).collect();
        let names: Vec<_> = burdens.iter().map(|it| (it.says)(scan)).collect();
        let found = match (names.is_empty(), scan.failed.count) {
            (true, 0) => Finding::new(id.name(), Verdict::Pass, size),
            (true, failed) => {
                let says = format!("{failed} folders cannot be read; {size}");
                Finding::new(id.name(), Verdict::Warn, says)
            }
            (false, _) => Finding::new(id.name(), Verdict::Warn, names.join("; ")).shown_by(size),
        };
        let found = burdens.iter().fold(found, |found, burden| {
            let shown = (burden.shown)(scan).iter().take(SHOWN);
            let found = shown.fold(found, |it, one| it.shown_by(told(one, burden.unit)));
            found.mended_by((burden.fix)(scan, case))
        });
        unreached(found, scan)
    })
}

/// Something that makes a home slow, and what helps.
struct Burden {
    weighs: fn(&Scan) -> bool,
    says: fn(&Scan) -> String,
    shown: fn(&Scan) -> &[Weight],
    unit: &'static str,
    fix: fn(&Scan, &Case<'_>) -> String,
}

const BURDENS: &[Burden] = &[
    Burden {
        weighs: |scan| scan.empty.count > 0,
        says: |scan| format!("{} files of XML are empty", scan.empty.count),
        shown: |scan| &scan.empty.named,
        unit: "",
        fix: |_, _| {
            "a write was cut off: home.intact tells which Jenkins needs; hostkit efs backup list"
                .to_owned()
        },
    },
    Burden {
        weighs: |scan| scan.workspaces.count > 0,
        says: |scan| {
            let Many { count, weight, .. } = scan.workspaces;
            format!("{count} workspaces are on it, with {weight} entries")
        },
        shown: |scan| &scan.workspaces.named,
        unit: "entries",
        fix: |_, _| {
            "builds run on the controller: give it no executors (`jenkins.numExecutors: 0`); the \
             workspaces of jobs that run elsewhere are not needed"
                .to_owned()
        },
    },
    Burden {
        weighs: |scan| scan.caches.weight > MANY_CACHED,
        says: |scan| format!("caches have {} entries", scan.caches.weight),
        shown: |scan| &scan.caches.named,
        unit: "entries",
        fix: |_, _| {
            "caches belong on the host's own disk: for branch sources and libraries \
             -Djenkins.plugins.git.AbstractGitSCMSource.cacheRootDir=/var/cache/jenkins/git"
                .to_owned()
        },
    },
    Burden {
        weighs: |scan| scan.packs.count > 0,
        says: |scan| {
            let Many { count, weight, .. } = scan.packs;
            format!("git has left {count} unfinished packs of {} MiB", weight >> 20)
        },
        shown: |scan| &scan.packs.named,
        unit: "bytes",
        fix: |scan, case| {
            let first = scan.packs.named.first().map_or("", |first| first.path.as_str());
            let repository = first.split("/objects/").next().unwrap_or_default();
            let path = on_host(case, Utf8Path::new(&scan.folder).join(repository).as_str());
            format!(
                "git removes them where no other git runs: git -C {path} prune --expire=1.day.ago"
            )
        },
    },
    Burden {
        weighs: |scan| scan.builds.count > 0,
        says: |scan| format!("{} jobs keep more than {MANY_BUILDS} builds", scan.builds.count),
        shown: |scan| &scan.builds.named,
        unit: "entries",
        fix: |_, _| {
            "give those jobs a limit, `buildDiscarder(logRotator(numToKeepStr: '100'))`: Jenkins \
             removes the rest itself"
                .to_owned()
        },
    },
    Burden {
        weighs: |scan| scan.huge.count > 0,
        says: |scan| format!("{} folders have more than {HUGE} entries", scan.huge.count),
        shown: |scan| &scan.huge.named,
        unit: "entries",
        fix: |_, _| {
            "each file that is made or found there is slow: whatever fills the folder has to be \
             told to keep less"
                .to_owned()
        },
    },
    Burden {
        weighs: |scan| scan.fingerprints > MANY_FINGERPRINTS,
        says: |scan| format!("there are {} fingerprints", scan.fingerprints),
        shown: |_| &[],
        unit: "",
        fix: |_, _| {
            "builds record more fingerprints than anybody looks up; those of removed builds go once \
             a day, if `hudson.model.FingerprintCleanupThread` is not disabled"
                .to_owned()
        },
    },
];

fn told(one: &Weight, unit: &str) -> String {
    if unit.is_empty() { one.path.clone() } else { format!("{}: {} {unit}", one.path, one.weight) }
}

/// Adds what was not looked at.
fn unreached(mut found: Finding, scan: &Scan) -> Finding {
    let late = scan.late.count;
    if late > 0 {
        let named: Vec<_> = scan.late.named.iter().take(SHOWN).map(|it| it.path.as_str()).collect();
        found.says += &format!("; not all was reached in time, {late} folders and what is below");
        found = found.shown_by(format!("not reached: {}", named.join(", ")));
    }
    let failed = scan.failed.named.iter().take(SHOWN);
    failed.fold(found, |found, it| found.shown_by(format!("not read: {}", it.path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::home::sample::{Setting, case};
    use crate::doctor::efs::inside::sample::home;
    use crate::doctor::render;

    #[tokio::test]
    async fn a_lean_home_passes() {
        let setting = Setting::on(home());
        let seen = look(&setting.scene()).await.unwrap();
        let Heard::Said(scan) = &seen else { panic!("{seen:?}") };
        assert!(scan.is_whole());
        assert_eq!((scan.files, scan.folders), (20, 19));
        assert_eq!(setting.told(&judge(&seen, &setting.case())), "pass  home.bloat\n");
    }

    #[tokio::test]
    async fn a_workspace_on_it_is_warned_of() {
        let setting = Setting::on(home());
        setting.tree.put("home/workspace/build/pom.xml", "");
        setting.tree.put("home/caches/git-1/objects/pack/tmp_pack_x", "unfinished");
        let seen = look(&setting.scene()).await.unwrap();
        let found = judge(&seen, &setting.case());
        assert_eq!(found.verdict, Verdict::Warn);
        assert_eq!(
            found.says,
            "1 workspaces are on it, with 2 entries; git has left 1 unfinished packs of 0 MiB"
        );
    }

    #[test]
    fn each_burden_has_its_help_and_what_was_not_reached_is_said() {
        let many = |path: &str, count, weight| Many {
            count,
            weight,
            named: vec![Weight { path: path.to_owned(), weight }],
        };
        let scan = Scan {
            folder: "home".to_owned(),
            files: 1_203_000,
            folders: 98_000,
            took: 40_300,
            workspaces: many("workspace", 3, 400_000),
            caches: many("caches", 2, 20_001),
            huge: many("jobs/a/builds", 1, 20_000),
            builds: many("jobs/a/builds", 1, 20_000),
            empty: many("jobs/b/config.xml", 1, 0),
            packs: many("caches/git-1/objects/pack/tmp_pack_1", 9, 5 << 30),
            fingerprints: 300_000,
            late: many("jobs/z", 17, 0),
            failed: many("jobs/y: Input/output error (EIO)", 1, 0),
            ..Scan::default()
        };
        let (late, failed) = (many("jobs/z", 17, 0), many("jobs/y: error", 2, 0));
        let hanging = vec!["listing jobs/x".to_owned(), "listing jobs/y".to_owned()];
        let all = [
            scan,
            Scan { late, ..Scan::default() },
            Scan { failed, ..Scan::default() },
            Scan { hanging, files: 12, ..Scan::default() },
        ];
        let told = all.map(|scan| {
            let found = case(|case| judge(&Heard::Said(scan.clone()), case));
            format!("{}{}\n", render(std::slice::from_ref(&found)), found.says)
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
