//! Whether a restore or a replication left something at the top of the file system.

use std::time::Duration;

use super::{ago, on_host};
use crate::doctor::efs::inside::{self, Heard, Leftover, Task, Top};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

const PATIENCE: Duration = Duration::from_secs(4);

/// What was seen: what the child found, or in what it hangs.
pub type Seen = Heard<Top>;

/// Looks. Also where there is no home: what is left may be all that there is.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    inside::ask(scene, here, Task::Top, None, PATIENCE).await
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    seen.judge(Id::Leftovers, case, |top| {
        let finding = |verdict, says: &str| Finding::new(Id::Leftovers.name(), verdict, says);
        let Top { restores, failed, fragments, replication, before, open } = top;
        let found = if let Some(at) = open {
            finding(Verdict::Fail, "a recovery was begun and has not ended: Jenkins is not started")
                .shown_by(format!(".hostkit/recover.json, last written {}", ago(case, *at)))
                .mended_by("hostkit efs recover")
                .mended_by("hostkit efs recover --undo")
        } else if !failed.is_empty() {
            finding(Verdict::Warn, "a restore of AWS Backup has failed here")
        } else if !restores.is_empty() {
            finding(Verdict::Warn, "a restore of AWS Backup lies here and is not used")
        } else if !(fragments.is_empty() && replication.is_empty()) {
            finding(Verdict::Warn, "a restore or a replication could not put all in its place")
        } else if !before.is_empty() {
            finding(Verdict::Warn, "a home of before a recovery is still kept, and costs its room")
        } else {
            return finding(Verdict::Pass, "no restore and no replication has left anything");
        };
        let all = [failed, restores, fragments, replication, before];
        let found =
            all.into_iter().flatten().fold(found, |found, it| found.shown_by(told(it, case)));
        mend(found, top, case)
    })
}

fn told(left: &Leftover, case: &Case<'_>) -> String {
    format!("{}: {} entries, last changed {}", left.path, left.entries, ago(case, left.at))
}

fn mend(mut found: Finding, top: &Top, case: &Case<'_>) -> Finding {
    if let Some(restore) = top.restores.last().filter(|_| top.open.is_none()) {
        found = found
            .mended_by("if the home is damaged, it can be brought back from there:")
            .mended_by(format!("hostkit efs recover --from {}", restore.path));
    }
    if !top.failed.is_empty() {
        found = found.mended_by("what it says of itself: hostkit efs backup status");
    }
    if let Some(first) = top.fragments.first().or_else(|| top.replication.first()) {
        let path = on_host(case, &first.path);
        found = found.mended_by(format!("look what it is, nothing in it is used: ls -lA {path}"));
    }
    if top.open.is_none() {
        found = found
            .mended_by("what nobody needs any more is removed by hand; it costs money each month");
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration as Time, SystemTime};

    use super::*;
    use crate::doctor::efs::home::sample::Setting;
    use crate::doctor::efs::inside::sample::{Tree, home};

    /// Two days before what the sample takes for now.
    const AT: u64 = 1_795_143_600 - 2 * 86_400;

    fn left(tree: &Tree, names: &[&str]) {
        for name in names {
            let path = tree.path(name);
            if name.ends_with(".json") {
                tree.put(name, "{}");
            } else {
                fs::create_dir_all(path.join("home")).unwrap();
            }
            let file = fs::File::open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Time::from_secs(AT)).unwrap();
        }
    }

    async fn told(names: &[&str]) -> String {
        let setting = Setting::on(home());
        left(&setting.tree, names);
        let seen = look(&setting.scene()).await.unwrap();
        setting.told(&judge(&seen, &setting.case()))
    }

    #[tokio::test]
    async fn a_clean_file_system_passes_and_each_leftover_is_named() {
        assert_eq!(told(&[]).await, "pass  home.leftovers\n");
        let mut all = Vec::new();
        for names in [
            &["aws-backup-restore_2026-11-18T03-00-00-000Z"][..],
            &["aws-backup-failed-restore_2026-11-18T03-00-00-000Z"],
            &["aws-backup-lost+found"],
            &["efs-replication-lost+found-1"],
            &[".hostkit/pre-restore-20261118T030000Z"],
            &[
                ".hostkit/recover.json",
                ".hostkit/pre-restore-20261118T030000Z",
                "aws-backup-restore_2026-11-18T03-00-00-000Z",
            ],
        ] {
            all.push(told(names).await);
        }
        insta::assert_snapshot!(all.join("\n"));
    }
}
