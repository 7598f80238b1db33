//! `hostkit rehearse upgrade`: a controller is replaced by one of another image, on virtual machines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use super::controller::{boot_sector, image};
use super::{alone, folder, run};
use crate::support::{hostkit, is_root, repository, scratch, tell};

/// What the newer image has of Jenkins.
const NEWER: &str = "2.580.1";

/// hostkit's own time in a planned replacement is below 5 s. A machine that is emulated takes several
/// times as long for all that is no waiting, and here the slack is three times that.
const OWN: f64 = 60.0;

/// What a night takes under emulation on a quiet machine is five minutes.
const NIGHT: Duration = Duration::from_mins(30);

/// The image of `jenkins-controller` with a newer stand-in package, in a folder of its own.
fn newer() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let folder = folder().join("newer");
        let package = folder.join("jenkins.deb");
        let build = repository("tests/fixtures/jenkins-package/build.sh");
        assert!(run(Command::new(build).arg(&package).arg(NEWER)), "the package was not built");
        let package = format!("jenkins_package={}", package.display());
        hostkit()
            .current_dir(&folder)
            .args(["bake", "jenkins-controller", "--update-lock", "--var", &package, "--output"])
            .arg(&folder)
            .timeout(Duration::from_mins(20))
            .assert()
            .success();
        folder.join("jenkins-controller.raw")
    })
}

/// Plays one night with these arguments; what is told of it, which is in the output, too.
fn played(arguments: &[&str]) -> Value {
    let assert = hostkit()
        .args(["rehearse", "upgrade", "--format", "json", "--timeout", "10m"])
        .args(arguments)
        .args([image(), newer()])
        .timeout(NIGHT)
        .assert();
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    let last = text.trim().lines().last().unwrap_or_default();
    let ended: Value = serde_json::from_str(last).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&assert.get_output().stderr));
    });
    let night = ended["nights"][0].clone();
    for line in night["timeline"].as_array().unwrap() {
        let [who, what] = ["who", "what"].map(|key| line[key].as_str().unwrap());
        tell(&format!("{:>8.1}  {who:<5}  {what}", line["at"].as_f64().unwrap()));
    }
    for span in night["times"]["spans"].as_array().unwrap() {
        tell(&format!("{} s  {} ({})", span["seconds"], span["name"], span["whose"]));
    }
    let times = &night["times"];
    tell(&format!(
        "nobody served for {} s; hostkit's own time {} s of {} s; the command: {}",
        times["down"], times["own"], times["all"], night["said"]
    ));
    for check in night["checks"].as_array().unwrap() {
        assert_eq!(check["holds"], true, "{check}");
    }
    assert_eq!(night["failed"], Value::Null);
    assert!(night["verdicts"]["EFS"]["changes"].as_u64().unwrap() > 0, "nothing was seen");
    assert_eq!(night["verdicts"]["EFS"]["violations"], Value::Array(Vec::new()));
    assert.success();
    night
}

/// The jobs are in place, the build that ran was waited for, and it is told where the time went.
#[test]
fn a_new_image_serves_the_home_of_the_old_one() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let night = played(&["--build", "25s"]);
    assert_eq!(night["code"], 0);
    let times = &night["times"];
    assert!(times["down"].as_f64().unwrap() > 0.0, "{times}");
    assert!(times["own"].as_f64().unwrap() < OWN, "{times}");
    let spans = night["times"]["spans"].as_array().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    for wanted in ["quiet", "drain", "release", "boot", "claim", "ready"] {
        assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
    }
    let checks = night["checks"].as_array().unwrap();
    let shown = |what: &str| checks.iter().any(|one| one["what"].as_str().unwrap().contains(what));
    assert!(
        shown("the jobs are in place") && shown("was waited for") && shown(NEWER),
        "{checks:?}"
    );
}

/// EC2 takes the old host back while its builds are waited for. The group may replace it from the old
/// version before the refresh is begun.
#[test]
fn a_host_that_ec2_takes_back_meanwhile_does_not_end_it() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let night = played(&["--break", "spot"]);
    assert_eq!(night["code"], 0);
    let timeline = night["timeline"].as_array().unwrap();
    let noticed = timeline.iter().any(|line| {
        let said = line["what"].as_str().unwrap();
        said.starts_with("EC2 takes ") && said.ends_with(" back in two minutes")
    });
    assert!(noticed, "the host served to its end");
}

#[test]
fn a_new_image_that_is_never_healthy_makes_way_for_the_old_one() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let night = played(&["--break", "never-healthy", "--build", "0s", "--patience", "2m"]);
    assert_eq!(night["code"], 5);
}

/// The file system does not answer while the host is replaced, and comes back.
#[test]
#[ignore = "three minutes that CI does not have: make nights"]
fn a_file_system_that_is_away_meanwhile_is_waited_for() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let night = played(&["--break", "efs-dies"]);
    assert_eq!(night["code"], 0);
    let times = &night["times"];
    let spans = times["spans"].as_array().unwrap();
    assert!(spans.iter().any(|span| span["name"] == "outage"), "{times}");
    assert!(times["own"].as_f64().unwrap() < OWN, "{times}");
}

/// Nobody claims the home before EC2 says that the old host, which stands still, is gone.
#[test]
#[ignore = "four minutes that CI does not have: make nights"]
fn a_host_that_stands_still_is_not_succeeded_before_it_is_gone() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let night = played(&["--break", "old-paused"]);
    assert_eq!(night["code"], 0);
    let checks = night["checks"].as_array().unwrap();
    let gone = |one: &Value| one["what"].as_str().unwrap().starts_with("nobody claims before");
    assert!(checks.iter().any(gone), "{checks:?}");
    assert!(night["times"]["own"].as_f64().unwrap() < OWN, "{}", night["times"]);
}

/// One evening, three deaths, and an EC2 that answers nobody for a minute: whoever carries on finds in
/// the journal what was done.
#[test]
fn an_upgrade_that_is_killed_is_carried_on_and_ends_well() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let kills = ["--kill-at", "quiet", "--kill-at", "refresh", "--kill-at", "proof"];
    let night = played(&[kills.as_slice(), &["--break", "ec2-down"]].concat());
    assert_eq!(night["code"], 0);
    let timeline = night["timeline"].as_array().unwrap();
    let killed = timeline.iter().filter(|line| {
        line["what"].as_str().unwrap().starts_with("the command is killed as it begins")
    });
    assert_eq!(killed.count(), 3);
}

/// What an image is stands in its manifest; without that there is nothing to upgrade to.
#[test]
fn an_image_that_nobody_knows_is_refused_before_anything_is_booted() {
    let folder = scratch();
    let disk = folder.path().join("empty.raw");
    std::fs::write(&disk, boot_sector("no system here")).unwrap();
    hostkit()
        .args(["rehearse", "upgrade"])
        .args([&disk, &disk])
        .assert()
        .code(2)
        .stderr(contains("is no image of hostkit's").and(contains("empty.json")));
}
