use super::*;
use crate::doctor::efs::api::night::{asked, case};
use crate::doctor::render;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

fn hour(from: f64, to: f64) -> Vec<Point> {
    let begin: Timestamp = "2026-11-27T02:00:00Z".parse().unwrap();
    let point = |minute: i32| Point {
        at: begin + SignedDuration::from_mins(minute.into()),
        value: from + (to - from) * f64::from(minute) / 59.0,
    };
    (0..60).map(point).collect()
}

fn flat(value: f64) -> Vec<Point> {
    hour(value, value)
}

/// A small home in bursting mode that is well.
fn well() -> Seen {
    Seen {
        mode: "bursting".into(),
        performance: "generalPurpose".into(),
        size: 20 << 30,
        targets: Some(3),
        credits: flat(2100.0 * GIB),
        permitted: flat(100.0 * MIB),
        metered: flat(60.0 * 2.5 * MIB),
        limit: flat(4.0),
        clients: flat(1.0),
    }
}

fn found(seen: &Seen) -> Finding {
    judge(seen, &case(&asked()))
}

#[test]
fn what_is_well_passes_with_the_numbers() {
    let finding = found(&well());
    assert_eq!(finding.verdict, Verdict::Pass);
    assert_eq!(
        finding.says,
        "bursting, 2.5 MiB/s of 100.0 MiB/s, credits for 2100.0 GiB, at most 4 % of the operations \
         that it can do, 1 client"
    );
}

#[test]
fn what_is_not_well_is_told_with_the_line_that_mends_it() {
    let spent = Seen { credits: hour(400.0 * GIB, 0.5 * GIB), permitted: flat(MIB), ..well() };
    let soon = Seen { credits: hour(900.0 * GIB, 700.0 * GIB), ..well() };
    let full = Seen { mode: "provisioned".into(), metered: flat(60.0 * 98.0 * MIB), ..well() };
    let busy = Seen { mode: "elastic".into(), limit: flat(99.0), ..well() };
    let two = Seen { clients: hour(1.0, 2.0), ..well() };
    let both = Seen { clients: flat(2.0), ..spent.clone() };
    let verdicts = [Verdict::Fail, Verdict::Warn, Verdict::Warn, Verdict::Warn, Verdict::Warn];
    let all = [&spent, &soon, &full, &busy, &two, &both].map(found);
    for (finding, verdict) in all.iter().zip(verdicts) {
        assert_eq!(finding.verdict, verdict, "{}", finding.says);
    }
    assert_eq!(all[5].verdict, Verdict::Fail, "the worse of two");
    let text: String = all.iter().map(|finding| render(std::slice::from_ref(finding))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn credits_mean_nothing_in_other_modes() {
    for mode in ["elastic", "provisioned"] {
        let seen = Seen { mode: mode.into(), credits: flat(0.0), ..well() };
        assert_eq!(found(&seen).verdict, Verdict::Pass, "{mode}");
    }
}

#[test]
fn without_numbers_nothing_is_said() {
    let empty = Seen {
        credits: Vec::new(),
        permitted: Vec::new(),
        metered: Vec::new(),
        limit: Vec::new(),
        clients: Vec::new(),
        ..well()
    };
    assert_eq!(found(&empty).verdict, Verdict::Skip);
    // One number is enough to say what it says.
    assert_eq!(found(&Seen { clients: flat(1.0), ..empty }).verdict, Verdict::Pass);
}
