//! Whether the mounted file system answers, and how fast.

use std::time::Duration;

use crate::doctor::efs::inside::{self, Alive, Heard, Step, Task};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// A file system that has not answered after so long does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One that takes longer is slow, in microseconds.
const SLOW: u64 = 2_000_000;

/// What was seen: what the child found, or in what it hangs.
pub type Seen = Heard<Alive>;

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = scene.asked.host.as_ref().ok_or_else(|| Gap {
        needs: String::new(),
        denied: false,
        why: "only on the host that mounts it".to_owned(),
    })?;
    inside::ask(scene, here, Task::Alive, None, PATIENCE).await
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let id = Id::Alive;
    seen.judge(id, case, |alive| {
        let told = Step::list(&alive.steps);
        let slowest = alive.steps.iter().max_by_key(|step| step.micros);
        let Some(slow) = slowest.filter(|step| step.micros >= SLOW) else {
            return Finding::new(id.name(), Verdict::Pass, format!("it answers: {told}"));
        };
        Finding::new(
            id.name(),
            Verdict::Warn,
            format!("it answers slowly: {} took {} s", slow.what, slow.micros / 1_000_000),
        )
        .shown_by(told)
        .mended_by("hostkit efs check --only efs.throughput,mount.rpc,net.port")
    })
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;
    use crate::doctor::efs::home::sample::{Setting, case};
    use crate::doctor::efs::inside::sample::home;
    use crate::doctor::efs::inside::{Hang, Left, Trouble};
    use crate::doctor::render;

    #[tokio::test]
    async fn one_that_answers_passes() {
        let setting = Setting::on(home());
        let seen = look(&setting.scene()).await.unwrap();
        let Heard::Said(alive) = &seen else { panic!("{seen:?}") };
        assert!(alive.marked);
        let told: Vec<_> = alive.steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(told, ["statfs", "stat of the top", "stat of the mark"]);
        assert_eq!(judge(&seen, &setting.case()).verdict, Verdict::Pass);
    }

    #[tokio::test]
    async fn one_that_is_not_there_fails() {
        let mut setting = Setting::on(home());
        setting.here().mount_point = "/nowhere".into();
        let seen = look(&setting.scene()).await.unwrap();
        let told = render(&[judge(&seen, &setting.case())]);
        assert!(told.starts_with("fail  mount.alive  statfs: No such file"), "{told}");
    }

    #[test]
    fn slow_hanging_and_gone_are_told_apart() {
        let step = |what: &str, micros| Step { what: what.to_owned(), micros };
        let failed = |errno: i32| {
            let error = std::io::Error::from_raw_os_error(errno);
            Heard::Failed(Trouble::new("statfs", &error))
        };
        let hang = Hang {
            doing: "stat of the top".to_owned(),
            done: vec![step("statfs", 1234)],
            after: 10_000,
            left: Some(Left { pid: 4711, state: 'D' }),
        };
        let mute = Hang { doing: String::new(), done: Vec::new(), after: 11_200, left: None };
        let seen = [
            Heard::Said(Alive { steps: vec![step("statfs", 3_100_000)], marked: true }),
            Heard::Hangs(hang),
            Heard::Hangs(mute),
            failed(libc::ESTALE),
            failed(libc::EIO),
            failed(libc::ENOTCONN),
            failed(libc::EACCES),
            failed(libc::E2BIG),
        ];
        let told = seen.map(|seen| render(&[case(|case| judge(&seen, case))]));
        insta::assert_snapshot!(told.join("\n"));
    }
}
