//! Twelve bad nights, each as all that the checks would see: the whole report, and the one thing that
//! is wrong.

mod healthy;

use serde_json::json;

use super::cause::Cause;
use super::observed::Cell;
use super::report::Report;
use super::scene::{Asked, Here};
use super::table::{CHECKS, Observed};
use super::text::{Paint, render};
use super::visit::again;
use crate::doctor::Verdict;
use crate::doctor::efs::mount::stuck;
use crate::doctor::efs::net::names::System;
use crate::efs::dns::Answer;
use crate::efs::reach::Barrier;
use crate::doctor::efs::api::{key, policy, replication, sample, targets};

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
    let report = night(|it| {
        it.groups = Cell::of(healthy::passage(Vec::new()));
        it.port = Cell::of(healthy::connections(&Err(Barrier::Dropped(3000))));
        healthy::unmounted(it);
    });
    let cause = told("groups-closed", &report);
    assert_eq!(cause.id, "net.groups");
    assert_eq!(names(&cause), ["net.port", "mount.there"]);
    assert_eq!(cause.others, [] as [&str; 0]);
}

/// What the system says of a name that nobody has.
fn unknown() -> System {
    System::Failed("Name or service not known".to_owned())
}

#[test]
fn names_that_the_vpc_does_not_resolve() {
    let report = night(|it| {
        it.names = Cell::of(healthy::resolved(&Answer::NoName, &unknown()));
        healthy::unmounted(it);
    });
    let cause = told("names-off", &report);
    assert_eq!(cause.id, "net.names");
    assert_eq!(names(&cause), ["mount.there"]);
}

/// What hangs of Jenkins.
fn hanging() -> stuck::Seen {
    let task = stuck::Task {
        pid: 812,
        tid: 830,
        name: "java".to_owned(),
        unit: Some("jenkins.service".to_owned()),
        wchan: Some("rpc_wait_bit_killable".to_owned()),
        stack: vec!["rpc_wait_bit_killable".to_owned(), "nfs4_do_close".to_owned()],
    };
    stuck::Seen { tasks: vec![task], more: 0, looked: 412, whole: true }
}

#[test]
fn a_connection_that_was_cut_under_a_running_jenkins() {
    let report = night(|it| {
        it.port = Cell::of(healthy::connections(&Err(Barrier::Dropped(3000))));
        it.server_lease = Cell::of(healthy::lease(600));
        it.rpc = Cell::of(healthy::calls(8, 40));
        it.stuck = Cell::of(hanging());
    });
    let cause = told("connection-cut", &report);
    assert_eq!(cause.id, "net.port");
    assert_eq!(names(&cause), ["mount.lease", "mount.rpc", "mount.stuck"]);
}

#[test]
fn a_zone_without_a_mount_target() {
    let report = night(|it| {
        it.targets = Cell::of(targets::Seen {
            targets: vec![sample::target('b')],
            zone_id: Some("euw1-az1".to_owned()),
        });
        it.names = Cell::of(healthy::resolved(&Answer::NoName, &unknown()));
        healthy::unmounted(it);
    });
    let cause = told("no-target", &report);
    assert_eq!(cause.id, "efs.targets");
    assert!(names(&cause).starts_with(&["net.names"]), "{cause:?}");
    assert!(names(&cause).contains(&"mount.there"), "{cause:?}");
    assert_eq!(cause.others, [] as [&str; 0]);
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
    let report = night(|it| {
        it.throughput = Cell::of(healthy::load(1024.0, 1.0));
        it.rpc = Cell::of(healthy::calls(900, 0));
    });
    let cause = told("credits-gone", &report);
    assert_eq!(cause.id, "efs.throughput");
    assert!(names(&cause).contains(&"mount.rpc"), "{cause:?}");
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

#[test]
fn a_policy_that_demands_an_encrypted_connection() {
    let report = night(|it| {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "encrypted",
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "*",
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
                {
                    "Sid": "all",
                    "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": [
                        "elasticfilesystem:ClientMount",
                        "elasticfilesystem:ClientWrite",
                        "elasticfilesystem:ClientRootAccess",
                    ],
                },
            ],
        });
        it.policy = Cell::of(policy::Seen { policy: Some(policy.to_string()) });
        healthy::unmounted(it);
    });
    let cause = told("policy-demands-tls", &report);
    assert_eq!(cause.id, "efs.policy");
    assert_eq!(names(&cause), ["mount.there"]);
}
