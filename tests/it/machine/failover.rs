//! `hostkit rehearse failover`: bad nights, on the image of the controller.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use super::alone;
use super::controller::{await_programs, boot_sector, image};
use crate::support::{await_gone, hostkit, is_root, scratch, send, tell};

/// What all nights take under emulation on a quiet machine is a quarter of an hour.
const ALL_NIGHTS: Duration = Duration::from_hours(1);

/// The object that a rehearsal ends with.
fn last(output: &[u8]) -> Value {
    let text = String::from_utf8_lossy(output);
    serde_json::from_str(text.trim().lines().last().unwrap_or_default()).unwrap()
}

/// All that the lease promises, on real machines. The timelines are in the output.
#[test]
fn never_two_controllers_write_one_home() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let assert = hostkit()
        .args(["rehearse", "failover", "--format", "json", "--timeout", "15m"])
        .arg(image())
        .timeout(ALL_NIGHTS)
        .assert();
    let output = assert.get_output();
    let ended = last(&output.stdout);
    let nights = ended["nights"].as_array().unwrap();
    for night in nights {
        tell(&format!("{}: {}", night["night"], night["holds"]));
        for line in night["timeline"].as_array().unwrap() {
            let [who, what] = ["who", "what"].map(|key| line[key].as_str().unwrap());
            tell(&format!("{:>8.1}  {who:<5}  {what}", line["at"].as_f64().unwrap()));
        }
        tell(&format!("          {} {}", night["seconds"], night["failed"]));
    }
    assert_eq!(nights.len(), 7);
    for night in nights {
        assert_eq!(night["holds"], true, "{night}");
        let verdicts = night["verdicts"].as_object().unwrap();
        let changes = verdicts.values().map(|verdict| verdict["changes"].as_u64().unwrap());
        assert!(changes.sum::<u64>() > 0, "nothing was seen of what hosts write: {night}");
    }
    assert.success();
}

/// A disk without an operating system: its hosts never come to their file system.
#[test]
fn a_night_whose_hosts_never_come_is_told_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let folder = scratch();
    let (disk, keep) = (folder.path().join("empty.raw"), folder.path().join("keep"));
    fs::write(&disk, boot_sector("no system here")).unwrap();
    let assert = hostkit()
        .args(["rehearse", "failover", "--accel", "tcg", "--memory", "256M", "--timeout", "8s"])
        .args(["--night", "race", "--night", "killed", "--keep"])
        .arg(&keep)
        .arg(&disk)
        .assert()
        .code(5)
        .stdout(
            contains("killed: the holder's machine dies")
                .and(contains("A      its group terminates it").not())
                .and(contains("broken off: host A: 8 s passed before it held the home"))
                .and(contains("8 s passed before first NFS connection"))
                .and(contains("WRONG: killed, race (3 boots, ")),
        );
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    for host in ["A", "B", "C"] {
        assert!(text.contains(&format!("{host}      power on")), "{text}");
        let console = fs::read_to_string(keep.join(format!("{host}.console.log"))).unwrap();
        assert!(console.contains("no system here"), "{host}: {console}");
    }
}

#[test]
fn a_rehearsal_that_is_stopped_or_killed_takes_its_programs_along() {
    if !is_root() {
        return;
    }
    let folder = scratch();
    let disk = folder.path().join("empty.raw");
    fs::write(&disk, boot_sector("no system here")).unwrap();
    for signal in ["INT", "KILL"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
            .args(["rehearse", "failover", "--accel", "tcg", "--memory", "256M"])
            .args(["--night", "killed"])
            .arg(&disk)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let programs = await_programs(&child);
        send(signal, child.id());
        let status = child.wait().unwrap();
        assert!(signal == "KILL" || status.code() == Some(130), "{status:?}");
        for program in programs {
            await_gone(&program);
        }
    }
}
