//! What a person does: makes keys, looks at them, exchanges them.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use hostkit::iam::Role;
use hostkit::keys::PublicKey;
use hostkit::sim::account::REGION;
use hostkit::sim::parameters::{Kind, Parameters};
use serde_json::Value;

use super::{LIST, NEXT, PRIVATE, Stage};
use crate::account::words;
use crate::iam::covered;

#[test]
fn a_pair_is_made_once_and_never_overwritten() {
    let stage = Stage::empty();
    // Others may make keys at the same time.
    let left = || {
        let names = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let names = names.map(|it| it.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("hostkit-keys-")).collect::<Vec<_>>()
    };
    let said = stage.said("generate --kms-key alias/ci");
    let waiting = std::time::Instant::now();
    while !left().is_empty() && waiting.elapsed() < Duration::from_secs(30) {
        crate::support::pause();
    }
    assert_eq!(left(), [""; 0], "the folder in memory goes with its key");
    let (private, kind) = stage.stored(PRIVATE).unwrap();
    assert_eq!(kind, Kind::SecureString);
    assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    assert_eq!(stage.stored(LIST).unwrap().1, Kind::String);
    let used = stage.in_use();
    assert!(said.starts_with(&used.fingerprint()), "{said}");
    assert!(!said.contains("PRIVATE"), "{said}");
    stage.holds();

    let again = stage.run("generate");
    assert_eq!(again.status.code(), Some(2), "{}", words(&again));
    insta::assert_snapshot!("refused", String::from_utf8(again.stderr).unwrap());
    assert_eq!(stage.value(PRIVATE), private);
    stage.validate("ssm:PutParameter");
}

#[test]
fn a_pool_has_a_host_key_of_its_own() {
    let stage = Stage::empty();
    let made: Value =
        serde_json::from_str(&stage.said("generate --pool linux --format json")).unwrap();
    assert_eq!(made["private"], "/hostkit/pools/linux/host_key");
    assert_eq!(stage.stored("/hostkit/pools/linux/host_key").unwrap().1, Kind::SecureString);
    let public = PublicKey::parse(&stage.value("/hostkit/pools/linux/host_key.pub")).unwrap();
    assert_eq!(public.fingerprint(), made["fingerprint"].as_str().unwrap());
    assert_eq!(stage.run("generate --pool linux").status.code(), Some(2));
    assert_eq!(stage.run("generate --pool linux --type rsa").status.code(), Some(2));
    assert_eq!(stage.run("generate --pool a/b").status.code(), Some(2));
}

#[test]
fn what_a_killed_run_left_is_completed_and_other_kinds_are_made() {
    let stage = Stage::empty();
    stage.said("generate --type ecdsa");
    let private = stage.value(PRIVATE);
    // As if it had been killed between the two.
    assert!(stage.cloud.account.lock().unwrap().region(REGION).parameters.remove(LIST));
    let said = stage.said("generate");
    assert!(said.contains("was there, and has its public half now"), "{said}");
    assert_eq!(stage.value(PRIVATE), private);
    assert_eq!(stage.in_use().kind(), "ecdsa-sha2-nistp256");
    stage.holds();
}

#[test]
fn a_status_tells_what_is_wrong_without_showing_a_key() {
    let stage = Stage::empty();
    let nothing = stage.run("status");
    assert_eq!(nothing.status.code(), Some(5), "{}", words(&nothing));
    assert!(words(&nothing).contains("does not exist"), "{}", words(&nothing));
    stage.said("generate");
    let used = stage.in_use();
    let said = stage.said("status");
    assert!(said.contains(&used.fingerprint()) && said.contains("in use"), "{said}");
    assert!(!said.contains("AAAA"), "{said}");
    let line: Value = serde_json::from_str(&stage.said("status --format json")).unwrap();
    assert_eq!(line["public"][0]["in_use"], true);
}

/// Every step of a rotation, in the order in which requests that change something are made.
const CHANGES: usize = 5;

#[test]
fn a_rotation_that_is_killed_after_any_of_its_steps_is_carried_on() {
    let stage = Stage::empty();
    stage.said("generate");
    for kill_after in 0..CHANGES {
        let old = stage.in_use();
        let changes = |stage: &Stage| stage.count("PutParameter") + stage.count("DeleteParameter");
        let before = changes(&stage);
        let mut rotation = stage.command("rotate --refresh 1 --yes");
        let mut child = rotation.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // SIGKILL, as soon as that many changes were asked for; the last of them may have been made.
        loop {
            // Asked before the changes are counted: it may end with its last one.
            let ended = child.try_wait().unwrap().is_some();
            if changes(&stage) > before + kill_after {
                break;
            }
            assert!(!ended, "it ended after {kill_after} changes");
            stage.holds();
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        stage.holds();
        if kill_after + 1 < CHANGES {
            let plan = stage.said("rotate --refresh 1");
            assert!(plan.contains("wait") || kill_after + 2 >= CHANGES, "{plan}");
            let said = stage.said("rotate --refresh 1 --yes");
            assert!(said.starts_with("in use: SHA256:"), "{said}");
        }
        stage.holds();
        assert!(!stage.in_use().is(&old), "after {kill_after}");
        if stage.stored(NEXT).is_some() {
            // Killed in the very moment in which the last step was asked for.
            stage.said("rotate --refresh 1 --yes");
        }
        assert_eq!(stage.listed().len(), 1, "after {kill_after}: {}", stage.value(LIST));
        assert!(stage.stored(NEXT).is_none());
    }
    covered(&[Role::Keys], &stage.requests());
    stage.validate("ssm:GetParameters,ssm:PutParameter,ssm:DeleteParameter,ssm:DescribeParameters");
}

#[test]
fn two_who_rotate_at_the_same_time_do_the_same() {
    let stage = Stage::empty();
    stage.said("generate");
    let old = stage.in_use();
    let start =
        || stage.command("rotate --refresh 2 --yes").stdout(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()];
    let mut ends = both.map(|child| child.wait_with_output().unwrap());
    stage.holds();
    assert!(ends.iter().any(|end| end.status.success()));
    ends.sort_by_key(|end| end.status.success());
    assert!(!stage.in_use().is(&old));
}

#[test]
fn nothing_is_rotated_unasked() {
    let stage = Stage::empty();
    stage.said("generate");
    let before = stage.count("PutParameter");
    for line in ["rotate", "rotate --plan"] {
        let output = stage.run(line);
        assert!(output.status.success(), "{}", words(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        let fingerprint = stage.in_use().fingerprint();
        insta::assert_snapshot!("plan", said.replace(&fingerprint, "SHA256:…"));
    }
    assert_eq!(stage.count("PutParameter"), before);
    // A key that no agent lets in is put right by a person.
    let other = Parameters::default().with(PRIVATE, Kind::SecureString, stage.value(PRIVATE)).with(
        LIST,
        Kind::String,
        "# nobody\n",
    );
    let broken = Stage::with(other).run("rotate --yes");
    assert_eq!(broken.status.code(), Some(6), "{}", words(&broken));
    assert!(words(&broken).contains("the controller gets in nowhere"), "{}", words(&broken));
}
