//! The child that works on a home, as a process of its own: killed at any moment, and run again.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hostkit::boot::inside::{Answer, Former, Request};

use crate::support::{lay, my_name, scratch};

const FS: &str = "fs-0123456789abcdef0";
const CONFIG: &str = "<?xml version='1.1'?>\n<hudson/>\n";
const ROUNDS: u32 = 60;

/// Sends a request, and kills whoever works on it after `life`, if one is given.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn ask(request: &Request, life: Option<Duration>) -> Option<Answer> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .args(["inner", "home", "--anywhere"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&serde_json::to_vec(request).unwrap()).unwrap();
    drop(input);
    if let Some(life) = life {
        let until = Instant::now() + life;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        // It may be through already.
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

/// Different moments, and the same in every run as far as the machine allows.
fn life(round: u32) -> Duration {
    Duration::from_micros(u64::from(round.wrapping_mul(2_654_435_761) % 40_000))
}

fn jobs(root: &Path, top: &str) {
    lay(root, &format!("{top}config.xml"), CONFIG);
    lay(root, &format!("{top}jenkins.install.InstallUtil.lastExecVersion"), "2.500");
    for job in 0..20 {
        lay(root, &format!("{top}jobs/job-{job}/config.xml"), &format!("<job-{job}/>"));
    }
}

#[test]
fn an_upgrade_that_is_killed_at_any_moment_is_carried_on() {
    let mut stopped = 0;
    for round in 0..ROUNDS {
        let (folder, image) = (scratch(), scratch());
        let root = folder.path();
        lay(root, ".hostkit/fs-id", FS);
        jobs(root, "home/");
        for plugin in 0..10 {
            lay(root, &format!("home/plugins/p{plugin}.jpi"), "old");
            lay(image.path(), &format!("p{plugin}.jpi"), "new");
        }
        let request = Request::Plugins {
            from: Some(image.path().to_str().unwrap().into()),
            mount_point: root.to_str().unwrap().into(),
            user: my_name(),
            jenkins: Some("2.510".parse().unwrap()),
            image: "ami-1".to_owned(),
        };
        stopped += u32::from(ask(&request, Some(life(round))).is_none());
        assert!(matches!(ask(&request, None), Some(Answer::Done { .. })));

        let sets: Vec<_> = fs::read_dir(root.join(".hostkit/before")).unwrap().collect();
        assert_eq!(sets.len(), 1);
        let set = sets[0].as_ref().unwrap().path();
        for plugin in 0..10 {
            let path = format!("home/plugins/p{plugin}.jpi");
            assert_eq!(fs::read_to_string(set.join(&path)).unwrap(), "old", "round {round}");
            assert_eq!(fs::read_to_string(root.join(&path)).unwrap(), "new");
        }
        assert_eq!(fs::read_dir(set.join("home/jobs")).unwrap().count(), 20);
        assert!(set.file_name().unwrap().to_str().unwrap().starts_with("2.500-"));
        // Nothing is left to do.
        let again = Answer::Done { changed: false, told: Vec::new() };
        assert_eq!(ask(&request, None), Some(again));
    }
    assert!(stopped > 0, "some were killed before they were through");
}

#[test]
fn a_home_whose_move_is_killed_at_any_moment_is_moved_on() {
    let mut stopped = 0;
    for round in 0..ROUNDS {
        let folder = scratch();
        let root = folder.path();
        jobs(root, "");
        for entry in 0..30 {
            lay(root, &format!("entry-{entry}.xml"), "");
        }
        let request = Request::Prepare {
            mount_point: root.to_str().unwrap().into(),
            file_system: FS.to_owned(),
            user: my_name(),
            jenkins: Some("2.510".parse().unwrap()),
            allow_downgrade: false,
            image: "ami-1".to_owned(),
            former: Former::Tell,
        };
        stopped += u32::from(ask(&request, Some(life(round))).is_none());
        assert!(matches!(ask(&request, None), Some(Answer::Done { .. })), "round {round}");
        assert_eq!(fs::read_dir(root.join("home")).unwrap().count(), 33);
        assert_eq!(fs::read_to_string(root.join("home/config.xml")).unwrap(), CONFIG);
        assert_eq!(fs::read_to_string(root.join(".hostkit/fs-id")).unwrap(), format!("{FS}\n"));
        assert!(!root.join(".hostkit/moving-in").exists());
        assert_eq!(fs::read_dir(root).unwrap().count(), 2, "round {round}");
    }
    assert!(stopped > 0, "some were killed before they were through");
}
