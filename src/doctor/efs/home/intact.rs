//! Whether the files that Jenkins cannot do without are there and can be read.

use std::time::Duration;

use super::on_host;
use crate::doctor::efs::inside::intact::{Gravity, Intact};
use crate::doctor::efs::inside::{self, Heard, Task, Whole};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::jenkins::Version;

const PATIENCE: Duration = Duration::from_secs(27);

/// So much damage is shown.
const SHOWN: usize = 10;

/// What was seen: what the child found, or in what it hangs.
pub type Seen = Heard<Whole>;

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    inside::ask(scene, here, Task::Whole, None, PATIENCE).await
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    seen.judge(Id::Intact, case, |whole| {
        if whole.place.is_none() {
            return finding(Verdict::Skip, "there is no home to look at: see home.identity");
        }
        let found = verdict(whole, case);
        let found = match whole.intact.unreached.as_slice() {
            [] => found,
            unreached => found.shown_by(format!("not looked at in time: {}", unreached.join("; "))),
        };
        match &whole.intact.owner {
            Some(owner) if found.verdict != Verdict::Pass => {
                found.shown_by(format!("Jenkins' own mark (.owner): {owner}"))
            }
            _ => found,
        }
    })
}

fn finding(verdict: Verdict, says: impl Into<String>) -> Finding {
    Finding::new(Id::Intact.name(), verdict, says)
}

fn verdict(whole: &Whole, case: &Case<'_>) -> Finding {
    let intact = &whole.intact;
    if intact.fresh {
        let says = "the home is empty: no Jenkins has run on it, or all is lost";
        return brought_back(finding(Verdict::Warn, says), whole);
    }
    if let Some(worst) = intact.damage.first() {
        let others = intact.damage.len() as u64 - 1 + intact.more;
        let more = if others > 0 { format!(", and {others} more") } else { String::new() };
        let (verdict, what) = match worst.gravity {
            Gravity::Fatal => (Verdict::Fail, "Jenkins does not come up as it was: "),
            Gravity::Loss => (Verdict::Fail, "a part of it is lost: "),
            Gravity::Minor => (Verdict::Warn, ""),
        };
        let found = finding(verdict, format!("{what}{}{more}", worst.told()));
        let shown = intact.damage.iter().take(SHOWN);
        let found = shown.fold(found, |found, damage| found.shown_by(damage.told()));
        return mended(found, whole, case);
    }
    if let Some(found) = newer(whole, case) {
        return found;
    }
    if intact.failed_boots > 0 {
        let says = format!(
            "the files are whole, and {} starts of Jenkins have failed one after the other",
            intact.failed_boots
        );
        return finding(Verdict::Warn, says)
            .shown_by("failed-boot-attempts.txt is there; Jenkins removes it once it is up")
            .mended_by("journalctl -u jenkins -b | grep -i -e SEVERE -e exception");
    }
    finding(Verdict::Pass, counted(intact))
}

fn counted(intact: &Intact) -> String {
    let Intact { jobs, builds, users, nodes, plugins, .. } = intact;
    let last = intact.last.as_deref().map(|last| format!(", last run by Jenkins {last}"));
    format!(
        "whole: configuration, secrets, {plugins} plugins, {users} users, {nodes} agents, {jobs} jobs \
         with {builds} newest builds{}",
        last.unwrap_or_default()
    )
}

/// Jenkins knows that it is older than its home, and goes on all the same.
fn newer(whole: &Whole, case: &Case<'_>) -> Option<Finding> {
    let last: Version = whole.intact.last.as_deref()?.parse().ok()?;
    let image: Version = case.here()?.jenkins.as_deref()?.parse().ok()?;
    if last <= image {
        return None;
    }
    let says =
        format!("Jenkins {last} has run on it, and the image brings {image}, which is older");
    let found = finding(Verdict::Fail, says);
    let set = whole.sets.iter().find(|set| {
        let its = set.jenkins.as_deref().and_then(|version| version.parse::<Version>().ok());
        its.is_some_and(|its| its <= image)
    });
    let found = found.mended_by(format!("an image with Jenkins {last} or newer: hostkit upgrade"));
    Some(match set {
        Some(set) => found
            .mended_by("or the way back, to what was kept before that Jenkins came:")
            .mended_by(format!("hostkit efs recover --from {}", set.path)),
        None => found,
    })
}

/// From what the damage can be mended, the least first.
fn mended(found: Finding, whole: &Whole, case: &Case<'_>) -> Finding {
    let copy = |(to, from): &(String, String)| {
        format!(
            "cp -a --backup=simple --suffix=.damaged {} {}",
            on_host(case, from),
            on_host(case, to)
        )
    };
    let found = match whole.sets.first().filter(|_| !whole.copies.is_empty()) {
        Some(set) => {
            let found = found.mended_by(format!(
                "kept aside on {}; with Jenkins stopped (systemctl stop jenkins):",
                set.at
            ));
            whole.copies.iter().map(copy).fold(found, Finding::mended_by)
        }
        None => found,
    };
    let worst = whole.intact.damage.first().map(|damage| damage.gravity);
    if worst == Some(Gravity::Minor) {
        return found.mended_by("Jenkins goes on without it: what is not shown any more can be removed");
    }
    let needs_more = whole.copies.len() < whole.intact.damage.len();
    if needs_more { brought_back(found, whole) } else { found }
}

fn brought_back(found: Finding, whole: &Whole) -> Finding {
    match whole.restores.first() {
        Some(restore) => found.mended_by(format!("hostkit efs recover --from {restore}")),
        None => found
            .mended_by(
                "from a backup: hostkit efs backup list, then hostkit efs backup restore, then",
            )
            .mended_by("hostkit efs recover --from aws-backup-restore_…"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::doctor::efs::home::sample::Setting;
    use crate::doctor::efs::inside::sample::{Tree, home};

    async fn told(tree: Tree) -> String {
        let setting = Setting::on(tree);
        let seen = look(&setting.scene()).await.unwrap();
        let json = serde_json::to_string(&seen).unwrap();
        assert_eq!(serde_json::from_str::<Seen>(&json).unwrap(), seen);
        setting.told(&judge(&seen, &setting.case()))
    }

    fn kept(tree: &Tree, jenkins: &str, at: &str) {
        let set = format!(".hostkit/before/{jenkins}-{at}");
        tree.put(
            &format!("{set}/set.json"),
            &format!(
                r#"{{"version": 1, "from": {{"jenkins": "{jenkins}", "plugins": null}},
                "to": {{"jenkins": "2.600", "plugins": null}}, "at": "{at}"}}"#
            ),
        );
        for path in ["config.xml", "jobs/build/config.xml"] {
            tree.put(&format!("{set}/home/{path}"), "<hudson/>");
        }
    }

    #[tokio::test]
    async fn a_whole_home_passes() {
        let setting = Setting::on(home());
        let seen = look(&setting.scene()).await.unwrap();
        let found = judge(&seen, &setting.case());
        assert_eq!(
            found.says,
            "whole: configuration, secrets, 2 plugins, 1 users, 1 agents, 4 jobs with 3 newest \
             builds, last run by Jenkins 2.555.3"
        );
        assert_eq!(found.verdict, Verdict::Pass);
    }

    #[tokio::test]
    async fn what_is_damaged_comes_with_what_mends_it() {
        let mut all = Vec::new();
        let tree = home();
        tree.put("home/config.xml", "");
        tree.put("home/jobs/build/config.xml", "<project>");
        kept(&tree, "2.541.1", "2026-10-01T03:00:00Z");
        kept(&tree, "2.550.2", "2026-11-01T03:00:00Z");
        tree.put(".hostkit/before/.unfinished/set.json", "{}");
        all.push(told(tree).await);
        let tree = home();
        fs::remove_file(tree.path("home/secrets/master.key")).unwrap();
        tree.put("home/nodes/linux-1/config.xml", "");
        tree.put("home/.owner", "1234@ip-10-0-2-15\n");
        all.push(told(tree).await);
        let tree = home();
        fs::remove_dir_all(tree.path("home/secrets")).unwrap();
        fs::create_dir(tree.path("aws-backup-restore_2026-11-18T03-00-00-000Z")).unwrap();
        all.push(told(tree).await);
        let tree = home();
        tree.put("home/jobs/build/builds/12/build.xml", "");
        all.push(told(tree).await);
        let tree = home();
        fs::remove_dir_all(tree.path("home")).unwrap();
        fs::create_dir(tree.path("home")).unwrap();
        all.push(told(tree).await);
        insta::assert_snapshot!(all.join("\n"));
    }

    #[tokio::test]
    async fn a_newer_jenkins_and_starts_that_failed_are_told() {
        let mut all = Vec::new();
        let last = "home/jenkins.install.InstallUtil.lastExecVersion";
        let tree = home();
        tree.put(last, "2.600");
        all.push(told(tree).await);
        let tree = home();
        tree.put(last, "2.600\n");
        kept(&tree, "2.555.3", "2026-11-01T03:00:00Z");
        all.push(told(tree).await);
        let tree = home();
        tree.put(last, "no version at all");
        all.push(told(tree).await);
        let tree = home();
        tree.put("home/failed-boot-attempts.txt", "Fri Nov 20 02:00:00 UTC 2026\nagain\n");
        all.push(told(tree).await);
        all.push(told(Tree::empty()).await);
        insta::assert_snapshot!(all.join("\n"));
    }
}
