//! One step alone, by hand.

use super::*;
use crate::boot::only::only;

const KEY: &str = "/devops-tools/jenkins/id_rsa";

impl World {
    async fn only(&self, step: &str) -> Result<(), String> {
        let work = only(self.machine.clone(), self.config(), Events::silent(), step);
        let end = tokio::time::timeout(Duration::from_secs(20), work).await.expect("it ends soon");
        end.map_err(|error| error::render(&error))
    }
}

#[tokio::test]
async fn a_step_that_failed_is_done_again_and_the_next_one_may_follow() {
    let world = World::new().await;
    world.cloud.lock().unwrap().parameters.remove(KEY);
    world.boot().await.unwrap_err();
    let refused = world.only("render").await.unwrap_err();
    let failed = world.only("keys").await.unwrap_err();
    insta::assert_snapshot!(format!("{refused}\n{failed}"));
    world.cloud.lock().unwrap().parameters.insert(KEY.to_owned(), PRIVATE_KEY.to_owned());
    world.only("keys").await.unwrap();
    assert!(world.outcomes().contains("keys changed"), "{}", world.outcomes());
    assert_eq!(world.status().state, State::Failed, "the rest was not done");
    world.only("render").await.unwrap();
    assert!(world.outcomes().contains("render changed"), "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["ABANDON"], "of the boot; a step alone tells nobody");
}

/// By hand, too, where the step that names the host is not done.
#[tokio::test]
async fn nothing_is_mounted_before_the_host_has_its_name() {
    let world = World::new().await;
    {
        let mut systemd = world.systemd.lock().unwrap();
        systemd.mount_fails = Some("Job failed");
        systemd.journal = "mount.nfs4: access denied by server while mounting 127.0.0.1:/";
    }
    world.boot().await.unwrap_err();
    world.systemd.lock().unwrap().mount_fails = None;
    fs::write(world.root.join("proc/sys/kernel/hostname"), "localhost\n").unwrap();
    let before = world.script.lock().unwrap().seen().len();
    world.only("efs").await.unwrap();
    let calls = world.script.lock().unwrap().seen().split_off(before);
    let at = |program: &str| calls.iter().position(|call| call.starts_with(program));
    assert!(at("hostnamectl").is_some() && at("hostnamectl") < at("systemd-mount"), "{calls:?}");
}

#[tokio::test]
async fn without_a_boot_nothing_is_believed_to_be_done() {
    let world = World::new().await;
    let error = world.only("jenkins").await.unwrap_err();
    assert!(error.contains("`home` (not done)"), "{error}");
    assert!(!world.was_run("systemctl start"), "a Jenkins on a home that nobody has claimed");
    world.only("config").await.unwrap();
    assert!(world.has("run/hostkit/host.toml") && !world.has("run/hostkit/report.json"));
    let error = world.only("brew").await.unwrap_err();
    assert!(error.contains("there are: identity, hostname, config"), "{error}");
}

#[tokio::test]
async fn a_served_host_changes_nothing_and_stays_ready() {
    let world = World::new().await;
    world.boot().await.unwrap();
    for step in ["identity", "keys", "efs", "home", "ready", "lifecycle"] {
        world.only(step).await.unwrap();
        assert!(world.has("run/hostkit/may-start"), "{step}");
    }
    assert_eq!(world.status().state, State::Ready);
    assert!(world.outcomes().contains("efs unchanged"), "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}
