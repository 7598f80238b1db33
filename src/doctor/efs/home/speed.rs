//! How fast small files are made, found and read: only when somebody asks for it, because it makes
//! some hundred files.

use std::time::Duration;

use super::tenant;
use crate::doctor::efs::inside::{self, Heard, Speed, Spread, Task};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

const PATIENCE: Duration = Duration::from_secs(55);

/// A healthy file system makes a small file in some milliseconds; what takes longer than this half of
/// the times is slow, in microseconds.
const SLOW: u64 = 50_000;

/// What was seen: what the child found, or in what it hangs.
pub type Seen = Heard<Speed>;

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let here = inside::controller(scene)?;
    if !scene.asked.benchmark {
        let why = "it is only done when it is asked for: hostkit efs check --benchmark";
        return Err(Gap { needs: String::new(), denied: false, why: why.to_owned() });
    }
    let user = tenant(scene, here)?;
    inside::ask(scene, here, Task::Speed, Some(user), PATIENCE).await
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let id = Id::Speed;
    seen.judge(id, case, |speed| {
        let told = |spread: &Spread| {
            let [p50, p99, max] = [spread.p50, spread.p99, spread.max].map(milliseconds);
            format!("{}: half within {p50}, 99 of 100 within {p99}, all within {max}", spread.what)
        };
        let half = |spread: &Spread| format!("{} {}", spread.what, milliseconds(spread.p50));
        let halves = speed.steps.iter().map(half).collect::<Vec<_>>().join(", ");
        let slow = speed.steps.iter().any(|spread| spread.p50 > SLOW);
        let (verdict, word) = if slow { (Verdict::Warn, "slow") } else { (Verdict::Pass, "fast") };
        let says = format!("{} small files are {word}: {halves}", speed.files);
        let found = Finding::new(id.name(), verdict, says);
        let found = speed.steps.iter().map(told).fold(found, Finding::shown_by);
        if slow {
            return found
                .mended_by("hostkit efs check --only efs.throughput,mount.rpc")
                .mended_by("hostkit efs recover throughput");
        }
        found
    })
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::home::sample::{Setting, case};
    use crate::doctor::efs::inside::sample::home;
    use crate::doctor::render;

    #[tokio::test]
    async fn it_is_done_only_when_asked_for_and_nothing_stays() {
        let mut setting = Setting::on(home());
        assert!(look(&setting.scene()).await.unwrap_err().why.contains("--benchmark"));
        setting.asked.benchmark = true;
        let seen = look(&setting.scene()).await.unwrap();
        let Heard::Said(speed) = &seen else { panic!("{seen:?}") };
        assert_eq!((speed.files, speed.steps.len()), (200, 4));
        assert!(speed.steps.iter().all(|it| it.p50 <= it.p99 && it.p99 <= it.max));
        let names = setting.tree.root().list("home").unwrap();
        assert!(names.iter().all(|name| !name.starts_with(".hostkit-probe")), "{names:?}");
    }

    #[test]
    fn a_slow_one_is_warned_of() {
        let spread =
            |what: &str, p50| Spread { what: what.to_owned(), p50, p99: 3 * p50, max: 4 * p50 };
        let speed =
            |p50| Speed { files: 200, steps: vec![spread("create", p50), spread("stat", 900)] };
        let told = [6_200, 81_000].map(|p50| {
            let finding = case(|case| judge(&Heard::Said(speed(p50)), case));
            format!("{}{}\n", render(std::slice::from_ref(&finding)), finding.says)
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
