//! Twelve bad nights, each as all that the checks would see: the whole report, and the one thing that
//! is wrong.

mod healthy;
mod home;

use serde_json::json;

use super::cause::Cause;
use super::observed::Cell;
use super::report::Report;
use super::scene::{Asked, Here};
use super::table::{CHECKS, Observed};
use super::text::{Paint, render};
use super::visit::again;
use crate::doctor::Verdict;
use crate::doctor::efs::api::{key, policy, replication, sample, targets};
use crate::doctor::efs::inside::intact::{Damage, Gravity, How};
use crate::doctor::efs::inside::{Heard, Trouble, Whole};
use crate::doctor::efs::mount::stuck;
use crate::doctor::efs::net::names::System;
use crate::efs::dns::Answer;
use crate::efs::reach::Barrier;

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
        it.alive = Cell::of(home::hung());
    });
    let cause = told("connection-cut", &report);
    assert_eq!(cause.id, "net.port");
    assert_eq!(names(&cause), ["mount.alive", "mount.lease", "mount.rpc", "mount.stuck"]);
}

#[test]
fn a_zone_without_a_mount_target() {
    let report = night(|it| {
        it.targets = Cell::of(targets::Seen {
            targets: vec![sample::target('b')],
            zone_id: Some("euw1-az1".to_owned()),
        });
        it.names = Cell::of(healthy::resolved(&Answer::NoName, &unknown()));
        healthy::unreached(it);
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
        let why = "Input/output error (os error 5)".to_owned();
        let trouble = Trouble { doing: "statfs".to_owned(), errno: Some(5), why };
        it.alive = Cell::of(Heard::Failed(trouble));
    });
    let cause = told("key-deleted", &report);
    assert_eq!(cause.id, "efs.key");
    assert_eq!(names(&cause), ["mount.alive"]);
}

#[test]
fn credits_that_are_used_up() {
    let report = night(|it| {
        it.throughput = Cell::of(healthy::load(1024.0, 1.0));
        it.rpc = Cell::of(healthy::calls(900, 0));
        home::slow(it, 4_000_000);
    });
    let cause = told("credits-gone", &report);
    assert_eq!(cause.id, "efs.throughput");
    assert_eq!(names(&cause), ["mount.alive", "mount.rpc", "home.write"]);
}

#[test]
fn a_copy_that_is_still_read_only() {
    let report = night(|it| {
        it.replication = Cell::of(replication::Seen {
            replication: None,
            protection: Some("REPLICATING".to_owned()),
        });
        home::unwritable(it, 30, "Read-only file system (os error 30)");
    });
    let cause = told("copy-read-only", &report);
    assert_eq!(cause.id, "efs.replication");
    assert_eq!(names(&cause), ["home.write", "home.lock"]);
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

#[test]
fn a_mount_that_hangs_though_the_server_answers() {
    let report = night(|it| {
        it.alive = Cell::of(home::hung());
        it.server_lease = Cell::of(healthy::lease(600));
        it.rpc = Cell::of(healthy::calls(8, 40));
        it.stuck = Cell::of(hanging());
    });
    let cause = told("mount-hangs", &report);
    assert_eq!(cause.id, "mount.alive");
    assert_eq!(names(&cause), ["mount.lease", "mount.rpc", "mount.stuck"]);
}

#[test]
fn a_home_that_belongs_to_the_user_of_another_image() {
    let report = night(|it| {
        home::of_another(it, 112);
        home::unwritable(it, 13, "Permission denied (os error 13)");
    });
    let cause = told("wrong-owner", &report);
    assert_eq!(cause.id, "home.owner");
    assert_eq!(names(&cause), ["home.write", "home.lock"]);
}

#[test]
fn a_second_host_that_has_it_mounted() {
    let report = night(|it| {
        it.throughput = Cell::of(healthy::load(500.0 * healthy::GIB, 2.0));
        it.lease = Cell::of(home::held(false));
    });
    let cause = told("second-client", &report);
    assert_eq!(cause.id, "efs.throughput");
    assert_eq!(names(&cause), ["home.lease"]);
}

/// A home of which this is damaged.
fn damaged(path: &str, how: How) -> Whole {
    let mut whole = home::whole();
    let damage = Damage { path: path.to_owned(), how, gravity: Gravity::Fatal };
    whole.intact.damage.push(damage);
    whole
}

#[test]
fn a_restore_that_did_not_end() {
    let report = night(|it| {
        it.leftovers = Cell::of(Heard::Said(home::failed_restore()));
        it.intact = Cell::of(Heard::Said(damaged("secrets/master.key", How::Missing)));
    });
    let cause = told("restore-failed", &report);
    assert_eq!(cause.id, "home.leftovers");
    assert_eq!(names(&cause), ["home.intact"]);
}

#[test]
fn a_home_that_is_damaged() {
    let how = How::NotXml("it ends in the middle".to_owned());
    let report = night(|it| it.intact = Cell::of(Heard::Said(damaged("config.xml", how))));
    let cause = told("home-damaged", &report);
    assert_eq!(cause.id, "home.intact");
    assert_eq!((names(&cause).len(), cause.others.len()), (0, 0));
}
