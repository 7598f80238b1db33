//! Boots that end with a serving Jenkins, also where something was late or in the way.

use super::*;
use crate::host::LeasePolicy;
use crate::lease::order::{self, Order};

#[tokio::test]
async fn a_first_boot_serves_and_tells_the_group() {
    let world = World::new().await;
    world.boot().await.unwrap();
    assert_eq!(
        world.outcomes(),
        "config changed, efs changed, home changed, hook unchanged, hostname changed, identity changed, \
         jenkins changed, keys changed, lease changed, lifecycle changed, login changed, mounts skipped, plugins skipped, \
         ready unchanged, render changed, target skipped, traffic skipped"
    );
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    let status = world.status();
    assert_eq!((status.state, status.instance_id.as_deref()), (State::Ready, Some(INSTANCE)));
    assert!(status.render().starts_with("ready in "), "{}", status.render());

    let read = |path: &str| fs::read_to_string(world.root.join(path)).unwrap();
    assert!(read("etc/ssh/authorized_keys.d/admin").starts_with("ssh-ed25519 AAAA"));
    assert_eq!(read("sys/fs/nfs/net/nfs_client/identifier"), INSTANCE);
    assert_eq!(read("var/lib/jenkins/.hostkit/fs-id"), "fs-0123456789abcdef0\n");
    assert!(world.was_run("hostnamectl --no-ask-password hostname ip-10-0-2-15"));
    assert!(world.was_run("systemctl start --no-block jenkins.service"));
}

#[tokio::test]
async fn a_second_boot_changes_nothing_and_starts_nothing() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.boot().await.unwrap();
    assert_eq!(world.status().report.count("unchanged"), 13, "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    let calls = world.script.lock().unwrap().seen();
    let times = |prefix: &str| calls.iter().filter(|call| call.starts_with(prefix)).count();
    assert_eq!((times("systemctl start"), times("systemd-mount"), times("hostnamectl")), (2, 1, 1));
}

#[tokio::test]
async fn a_host_whose_name_cannot_be_set_serves_nevertheless() {
    let world = World::new().await;
    world.systemd.lock().unwrap().is_nameless = true;
    world.boot().await.unwrap();
    let outcomes = world.outcomes();
    for wanted in ["hostname degraded", "efs changed", "jenkins changed", "lifecycle changed"] {
        assert!(outcomes.contains(wanted), "{outcomes}");
    }
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn a_boot_asks_little() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let asked = world.cloud.lock().unwrap().asked.clone();
    let metadata = asked.iter().filter(|it| it.starts_with("/latest/")).count();
    assert!(metadata <= 10, "{asked:?}");
    assert_eq!(asked.iter().filter(|it| *it == "GetParameters").count(), 1);
}

#[tokio::test]
async fn secrets_are_where_they_belong_and_nowhere_else() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let mut holders = Vec::new();
    let mut folders = vec![world.root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path().to_owned());
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            if text.contains(PASSWORD) || text.contains(PRIVATE_KEY.lines().nth(1).unwrap()) {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
                let path = entry.path().strip_prefix(&world.root).unwrap();
                holders.push(format!("{path} {mode:o}"));
            }
        }
    }
    holders.sort();
    assert_eq!(
        holders,
        ["run/hostkit/secrets/admin_password 400", "run/hostkit/secrets/agent_key 400"]
    );
    let folder = fs::metadata(world.root.join("run/hostkit/secrets")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o700);
}

#[tokio::test]
async fn a_metadata_service_that_is_late_is_waited_for() {
    let world = World::new().await;
    world.cloud.lock().unwrap().token_status = 503;
    let cloud = Arc::clone(&world.cloud);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(250)).await;
        cloud.lock().unwrap().token_status = 200;
    });
    world.boot().await.unwrap();
}

#[tokio::test]
async fn outside_a_group_there_is_nobody_to_tell() {
    let world = World::new().await;
    world.cloud.lock().unwrap().lifecycle_state = None;
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("hook skipped"), "{}", world.outcomes());
    assert!(world.outcomes().contains("lifecycle skipped"), "{}", world.outcomes());
}

#[tokio::test]
async fn a_jenkins_that_another_run_started_is_not_stopped() {
    let world = World::new().await;
    world.boot().await.unwrap();
    assert!(world.has("run/hostkit/may-start"));
    world.cloud.lock().unwrap().parameters.clear();
    world.boot().await.unwrap_err();
    assert!(!world.was_run("systemctl stop"));
    assert!(!world.has("run/hostkit/may-start"));
}

#[tokio::test]
async fn nobody_may_start_jenkins_before_this_host_holds_the_home() {
    let world = World::new().await;
    fs::create_dir_all(world.root.join("run/hostkit")).unwrap();
    fs::write(world.root.join("run/hostkit/may-start"), "").unwrap();
    world.systemd.lock().unwrap().lease_leads_to = "failed";
    world.boot().await.unwrap_err();
    assert!(!world.has("run/hostkit/may-start"));
}

#[tokio::test]
async fn the_lease_is_told_who_this_host_is() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let order = Order::read(&world.root).unwrap();
    assert_eq!(order.me.instance_id.as_deref(), Some(INSTANCE));
    assert_eq!(order.me.fs_id, "fs-0123456789abcdef0");
    assert_eq!(order.me.launched.unwrap().to_string(), "2026-11-20T00:00:00Z");
    assert_eq!((order.policy, order.group.as_deref()), (LeasePolicy::Wait, None));
    let mode = fs::metadata(world.root.join(order::PATH)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it says who may be terminated");
}

#[tokio::test]
async fn hiccups_of_the_metadata_service_and_of_aws_are_lived_through() {
    let mut world = World::new().await;
    world.machine.imds_budget = Duration::from_secs(10);
    world.machine.mount_budget = Duration::from_secs(10);
    let role = "/latest/meta-data/iam/security-credentials/";
    world.cloud.lock().unwrap().hiccups.extend([
        // Not attached yet, then a hiccup.
        (role, vec![500, 404, 404]),
        ("/latest/meta-data/iam/security-credentials/role", vec![500, 200, 404]),
        ("DescribeMountTargets", vec![503]),
        ("CompleteLifecycleAction", vec![503]),
    ]);
    world.cloud.lock().unwrap().inactive = 2;
    world.boot().await.unwrap();
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn a_group_that_is_not_ready_to_be_told_is_told_later() {
    let world = World::new().await;
    world.cloud.lock().unwrap().inactive = 3;
    world.cloud.lock().unwrap().parameters.clear();
    world.cloud.lock().unwrap().hiccups.insert("CompleteLifecycleAction", vec![503]);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("was told to abandon this host"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn the_group_is_kept_waiting_while_the_boot_runs() {
    let mut world = World::new().await;
    world.machine.step_limit = Duration::from_secs(2);
    world.web.lock().unwrap().login = 503;
    let error = world.boot().await.unwrap_err();
    // The cause is there although the time ran out.
    assert!(error.contains("does not serve after 1 s: /login answers 503"), "{error}");
    let asked = world.cloud.lock().unwrap().asked.clone();
    assert!(asked.iter().any(|it| it == "RecordLifecycleActionHeartbeat"), "{asked:?}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_unit_that_was_started_too_often_is_started_again() {
    let world = World::new().await;
    world.systemd.lock().unwrap().unit = "failed";
    world.boot().await.unwrap();
    assert!(world.was_run("systemctl reset-failed jenkins.service"));
}

#[tokio::test]
async fn a_serving_controller_does_not_depend_on_what_efs_says_today() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().hiccups.insert("DescribeMountTargets", vec![500; 100]);
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("efs unchanged"), "{}", world.outcomes());
}

#[tokio::test]
async fn a_new_secret_is_not_called_done_while_jenkins_has_the_old_one() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let password = "/devops-tools/jenkins/admin_password".to_owned();
    world.cloud.lock().unwrap().parameters.insert(password, "another horse".to_owned());
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("jenkins skipped"), "{}", world.outcomes());
    assert!(world.status().render().contains("systemctl restart jenkins"));
}

#[tokio::test]
async fn a_login_that_fails_does_not_fail_the_boot() {
    let world = World::new().await;
    fs::write(world.root.join("etc/ssh/authorized_keys.d"), "a file in the way").unwrap();
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("login failed"), "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}
