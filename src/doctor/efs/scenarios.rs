//! Twelve bad nights, each as all that the checks would see: the whole report, and the one thing that
//! is wrong.

mod healthy;

use super::cause::Cause;
use super::observed::Cell;
use super::report::Report;
use super::scene::{Asked, Here};
use super::table::{CHECKS, Observed};
use super::text::{Paint, render};
use super::visit::again;
use crate::doctor::Verdict;
use crate::doctor::efs::api::{key, replication, sample, targets};

/// What is asked: on the controller.
fn asked() -> Asked {
    let here = Here { jenkins: Some("2.528.3".to_owned()), ..sample::host() };
    sample::asked(Some(here))
}

/// What is found where something is otherwise than on a good day. It goes through a bundle: what is
/// judged is what a colleague would judge.
fn night(change: impl FnOnce(&mut Observed)) -> Report {
    let mut observed = healthy::observed();
    change(&mut observed);
    let text = serde_json::to_string(&observed).unwrap();
    let observed: Observed = serde_json::from_str(&text).unwrap();
    let mut masked: serde_json::Value = serde_json::from_str(&text).unwrap();
    crate::secret::redact_json(&mut masked);
    assert_eq!(masked, serde_json::to_value(&observed).unwrap(), "nothing looks like a secret");
    again(&asked(), &observed, healthy::now(), 3.2, &[])
}

/// The whole report in a snapshot, and what it names.
fn told(name: &str, report: &Report) -> Cause {
    insta::assert_snapshot!(name, render(report, Paint::Plain));
    assert_eq!(report.verdict, Verdict::Fail);
    report.cause.clone().expect("something failed")
}

fn names(cause: &Cause) -> Vec<&'static str> {
    cause.explains.iter().map(|it| it.id).collect()
}

#[test]
fn a_good_day_passes_everything() {
    let report = night(|_| {});
    insta::assert_snapshot!("healthy", render(&report, Paint::Plain));
    for finding in &report.findings {
        assert!(finding.verdict <= Verdict::Skip, "{finding:?}");
    }
    assert_eq!(report.cause, None);
    assert_eq!(report.findings.len(), CHECKS.len());
}

#[test]
fn a_security_group_that_was_closed() {
    let report = night(|it| it.groups = Cell::of(healthy::passage(Vec::new())));
    let cause = told("groups-closed", &report);
    assert_eq!(cause.id, "net.groups");
}

#[test]
fn a_zone_without_a_mount_target() {
    let report = night(|it| {
        it.targets = Cell::of(targets::Seen {
            targets: vec![sample::target('b')],
            zone_id: Some("euw1-az1".to_owned()),
        });
    });
    let cause = told("no-target", &report);
    assert_eq!(cause.id, "efs.targets");
}

#[test]
fn a_key_that_somebody_deletes() {
    let report = night(|it| {
        let seen = it.key.seen().unwrap().clone();
        let waiting = crate::aws::kms::Key {
            state: "PendingDeletion".to_owned(),
            deleted_at: Some(healthy::ago(-24 * 7)),
            ..seen.key.clone().unwrap()
        };
        it.key = Cell::of(key::Seen { key: Some(waiting), ..seen });
    });
    let cause = told("key-deleted", &report);
    assert_eq!(cause.id, "efs.key");
}

#[test]
fn credits_that_are_used_up() {
    let report = night(|it| it.throughput = Cell::of(healthy::load(1024.0, 1.0)));
    let cause = told("credits-gone", &report);
    assert_eq!(cause.id, "efs.throughput");
}

#[test]
fn a_copy_that_is_still_read_only() {
    let report = night(|it| {
        it.replication = Cell::of(replication::Seen {
            replication: None,
            protection: Some("REPLICATING".to_owned()),
        });
    });
    let cause = told("copy-read-only", &report);
    assert_eq!(cause.id, "efs.replication");
}
