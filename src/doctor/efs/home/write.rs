//! Whether the user that Jenkins runs as can create, write, rename, read back and remove a file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tenant;
use crate::doctor::efs::inside::{self, Heard, Probe, Step, Task, User};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

const PATIENCE: Duration = Duration::from_secs(6);

/// A step that takes longer is slow, in microseconds.
const SLOW: u64 = 1_000_000;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// As whom it was tried.
    pub user: User,
    /// What the child found, or in what it hangs.
    pub heard: Heard<Probe>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    let user = tenant(scene, here)?;
    let heard = inside::ask(scene, here, Task::Write, Some(user), PATIENCE).await?;
    Ok(Seen { user, heard })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let id = Id::Write;
    let finding = |verdict, says: String| Finding::new(id.name(), verdict, says);
    let found = seen.heard.judge(id, case, |probe| {
        let told = Step::list(&probe.steps);
        if probe.owner != probe.uid {
            let says = format!(
                "what user {} makes belongs to user {}: the access point or the server has it so",
                probe.uid, probe.owner
            );
            return finding(Verdict::Fail, says).shown_by(told).mended_by(format!(
                "hostkit bake … --var jenkins_uid={}, or an access point without a user of its own",
                probe.owner
            ));
        }
        match probe.steps.iter().max_by_key(|step| step.micros).filter(|it| it.micros > SLOW) {
            Some(slow) => {
                let says = format!("it can be written, slowly: {}", slow.told());
                finding(Verdict::Warn, says)
                    .shown_by(told)
                    .mended_by("hostkit efs check --only efs.throughput,mount.rpc")
            }
            None => finding(Verdict::Pass, format!("user {}: {told}", probe.uid)),
        }
    });
    if let Heard::Failed(_) = &seen.heard {
        return found.shown_by(format!("tried as user {}:{}", seen.user.uid, seen.user.gid));
    }
    found
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;
    use crate::doctor::efs::home::sample::{Setting, case};
    use crate::doctor::efs::inside::Trouble;
    use crate::doctor::efs::inside::sample::home;
    use crate::doctor::render;

    #[tokio::test]
    async fn a_home_that_can_be_written_passes_and_nothing_stays() {
        let setting = Setting::on(home());
        // Left by a child that is gone, long ago; and one of another run, just now.
        setting.tree.put("home/.hostkit-probe-1", "");
        setting.tree.put("home/.hostkit-probe-2-many/small-1", "");
        setting.tree.put("home/.hostkit-probe-3", "");
        let long_ago = std::time::SystemTime::now() - Duration::from_hours(1);
        for old in ["home/.hostkit-probe-1", "home/.hostkit-probe-2-many"] {
            let file = std::fs::File::open(setting.tree.path(old)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        let seen = look(&setting.scene()).await.unwrap();
        let Heard::Said(probe) = &seen.heard else { panic!("{seen:?}") };
        let told: Vec<_> = probe.steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(told, ["create", "write", "fsync", "rename", "read back", "remove"]);
        assert_eq!((probe.swept, probe.owner), (2, seen.user.uid));
        assert_eq!(judge(&seen, &setting.case()).verdict, Verdict::Pass);
        let mut names = setting.tree.root().list("home").unwrap();
        names.retain(|name| name.starts_with(".hostkit"));
        assert_eq!(names, [".hostkit-probe-3"], "another's is left alone");
    }

    #[test]
    fn each_way_to_fail_has_its_own_fix() {
        let user = User { uid: 1000, gid: 1000 };
        let step = |what: &str, micros| Step { what: what.to_owned(), micros };
        let probe = |owner, micros| Probe {
            steps: vec![step("create", micros), step("write", 400)],
            uid: 1000,
            owner,
            device: (0, 52),
            swept: 0,
        };
        let failed = |what: &str, errno| {
            let error = std::io::Error::from_raw_os_error(errno);
            Heard::Failed(Trouble::new(what, &error))
        };
        let heard = [
            Heard::Said(probe(498, 1000)),
            Heard::Said(probe(1000, 2_345_678)),
            failed("create", libc::EROFS),
            failed("create", libc::EACCES),
            failed("create", libc::EDQUOT),
            failed("write", libc::ENOSPC),
            failed("fsync", libc::ESTALE),
        ];
        let told = heard.map(|heard| {
            let seen = Seen { user, heard };
            render(&[case(|case| judge(&seen, case))])
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
