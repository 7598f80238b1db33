//! Boots that must not end with a serving Jenkins: the cause is told, and so is the group.

use jiff::Timestamp;

use super::*;
use crate::facts::Facts;
use crate::lease::memory::Phase;

#[tokio::test]
async fn a_missing_parameter_is_named_and_the_instance_abandoned() {
    let world = World::new().await;
    world.cloud.lock().unwrap().parameters.remove("/devops-tools/jenkins/id_rsa");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(
        world.outcomes(),
        "config changed, efs changed, home changed, hook unchanged, hostname changed, identity changed, \
         jenkins blocked, keys failed, lease changed, lifecycle blocked, login changed, mounts skipped, plugins skipped, ready blocked, \
         render blocked, target blocked, traffic blocked"
    );
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.was_run("systemctl start --no-block jenkins"));
    assert!(world.was_run("systemctl stop --no-block hostkit-lease"), "the home is given up");
    assert_eq!(world.status().state, State::Failed);
    assert!(world.status().headline().starts_with("failed at keys: the parameter"));
    // The host is about to go: the cause is on its console and on the home.
    let console = fs::read_to_string(world.root.join("dev/ttyS0")).unwrap();
    assert!(console.contains("`keys` failed") && console.contains("id_rsa"), "{console}");
    let left = world.record("var/lib/jenkins/.hostkit/boots");
    assert_eq!(left.failure().map(|(step, _)| step.step.as_str()), Some("keys"));
}

#[tokio::test]
async fn a_dead_nfs_server_is_told_by_what_was_probed() {
    let mut world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.machine.nfs_port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `efs`") && error.contains("refused"), "{error}");
    assert!(error.contains("hint: nothing listens there"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.was_run("systemd-mount") && !world.was_run("systemctl start"));
    assert!(!world.root.join("var/lib/jenkins/.hostkit").exists(), "nothing below the mount");
}

#[tokio::test]
async fn a_metadata_service_that_refuses_ends_the_boot_at_once() {
    for status in [401, 403] {
        let world = World::new().await;
        world.cloud.lock().unwrap().token_status = status;
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(&format!("HTTP {status}")), "{error}");
        assert!(error.contains("hint: set HttpEndpoint=enabled"), "{error}");
        assert_eq!(world.status().report.count("blocked"), 16);
        assert_eq!(world.verdicts(), [""; 0]);
    }
}

#[tokio::test]
async fn a_home_that_another_host_holds_is_left_alone() {
    let world = World::new().await;
    world.systemd.lock().unwrap().lease_leads_to = "failed";
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.was_run("systemctl start --no-block jenkins"));
    assert!(world.was_run("systemctl stop --no-block hostkit-lease"), "it gives up waiting");
    assert_eq!(starts_of_the_lease(&world), 3);
    assert!(!world.root.join("var/lib/jenkins/home").exists());
}

#[tokio::test]
async fn a_lease_that_ends_for_good_is_not_started_again() {
    for phase in [Phase::GivenUp, Phase::Lost] {
        let world = World::new().await;
        let boot_id = Facts::read(&world.root).unwrap().boot_id;
        let why = "it is not this host's".to_owned();
        let (version, generation, hint, since) = (1, None, None, Timestamp::now());
        let standing = Standing { version, phase, generation, why, hint, since };
        let memory = Memory::new(&world.root, &boot_id);
        {
            let mut systemd = world.systemd.lock().unwrap();
            systemd.lease_leads_to = "failed";
            systemd.lease_tells = Some((memory, standing));
        }
        world.boot().await.unwrap_err();
        assert_eq!(starts_of_the_lease(&world), 1);
    }
}

fn starts_of_the_lease(world: &World) -> usize {
    world.count_of("systemctl start --no-block hostkit-lease")
}

#[tokio::test]
async fn a_role_without_a_permission_is_told_which() {
    let world = World::new().await;
    world.cloud.lock().unwrap().denied = Some("DescribeAutoScalingInstances");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("allow `autoscaling:DescribeAutoScalingInstances`"), "{error}");
}

#[tokio::test]
async fn user_data_with_an_unknown_key_is_refused_with_its_line() {
    let world = World::new().await;
    world.cloud.lock().unwrap().user_data = Some("[efs]\nmount = \"/x\"\n".into());
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("user-data") && error.contains("line 2"), "{error}");
    assert!(error.contains("boot failed at `config`"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_never_repeated() {
    const MARKER: &str = "c2VjcmV0";
    let world = World::new().await;
    {
        let mut cloud = world.cloud.lock().unwrap();
        cloud.parameters.insert("/devops-tools/jenkins/admin_password".into(), "a (b".into());
        cloud.truncated = true;
    }
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `keys`"), "{error}");
    assert!(error.contains("cannot be read") && error.contains("endpoint_url"), "{error}");
    let console = fs::read_to_string(world.root.join("dev/ttyS0")).unwrap();
    let left = format!("{:?}", world.record("var/lib/jenkins/.hostkit/boots"));
    let report = format!("{:?}", world.status());
    for said in [error, console, left, report] {
        assert!(!said.contains(MARKER) && !said.contains("a (b"), "{said}");
    }
}

#[tokio::test]
async fn a_mount_that_does_not_appear_is_not_written_to() {
    let world = World::new().await;
    world.systemd.lock().unwrap().mount_appears = false;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("/var/lib/jenkins has no such mount"), "{error}");
    assert!(!world.has("var/lib/jenkins/.hostkit") && !world.has("var/lib/jenkins/home"));
    assert!(!world.was_run("hostkit inner home"));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_host_that_gives_up_stops_the_jenkins_that_it_started() {
    let world = World::new().await;
    world.web.lock().unwrap().version = None;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("is not Jenkins"), "{error}");
    assert!(world.was_run("systemctl stop --no-block jenkins.service"));
    assert!(!world.has("run/hostkit/may-start"), "it does not come back by itself");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn nothing_is_left_on_a_file_system_of_somebody_else() {
    let world = World::new().await;
    let mark = world.root.join("var/lib/jenkins/.hostkit/fs-id");
    fs::create_dir_all(mark.parent().unwrap()).unwrap();
    fs::write(&mark, "fs-0aaaaaaaaaaaaaaaa\n").unwrap();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("is marked as fs-0aaaaaaaaaaaaaaaa"), "{error}");
    assert!(!world.has("var/lib/jenkins/.hostkit/boots"));
}

#[tokio::test]
async fn user_data_that_is_not_text_is_refused_at_once() {
    let mut world = World::new().await;
    world.machine.imds_budget = Duration::from_secs(15);
    world.cloud.lock().unwrap().user_data = Some(vec![0x1f, 0x8b, 8, 0, 0xff, 0xfe]);
    let began = std::time::Instant::now();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("user-data is not text"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn an_instance_without_a_role_is_told_so_by_every_step_that_needs_one() {
    let world = World::new().await;
    let role = "/latest/meta-data/iam/security-credentials/";
    world.cloud.lock().unwrap().hiccups.insert(role, vec![404; 100]);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("has no IAM role") && error.contains("instance profile"), "{error}");
    assert!(world.outcomes().contains("login changed"), "people can still log in");
}

#[tokio::test]
async fn an_open_jenkins_is_not_put_into_service() {
    let world = World::new().await;
    world.web.lock().unwrap().front = 200;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("open to everybody"), "{error}");
    assert!(world.was_run("systemctl stop --no-block jenkins.service"));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_whose_home_is_elsewhere_is_not_put_into_service() {
    let world = World::new().await;
    world.systemd.lock().unwrap().home = "/srv/jenkins";
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("/srv/jenkins is on /dev/root"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_that_does_not_start_is_told_with_its_last_words() {
    for (state, told) in [
        ("failed", "the unit is failed (success)"),
        ("inactive", "an assertion, or a unit that it needs"),
        ("activating", "not up within 1 s: the unit is activating and says loading"),
    ] {
        let mut world = World::new().await;
        world.machine.step_limit = Duration::from_secs(2);
        world.systemd.lock().unwrap().start_leads_to = state;
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(told), "{state}: {error}");
        assert!(error.contains("the last words of the unit"), "{state}: {error}");
        assert_eq!(world.verdicts(), ["ABANDON"]);
    }
}

#[tokio::test]
async fn a_mount_that_fails_is_told_with_what_the_unit_said() {
    let world = World::new().await;
    world.systemd.lock().unwrap().mount_fails = Some("Job failed");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("the last words of the unit"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_child_that_fails_is_told_and_the_group_too() {
    let world = World::new().await;
    world.systemd.lock().unwrap().child_fails = Some("killed");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `home`") && error.contains("killed"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn something_else_that_is_mounted_is_named() {
    let world = World::new().await;
    let other = HOME_MOUNT.replace("nfs4 127.0.0.1:/", "ext4 /dev/sdb");
    fs::write(world.root.join("proc/self/mountinfo"), format!("{ROOT_MOUNT}{other}")).unwrap();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("/var/lib/jenkins has /dev/sdb (ext4) mounted"), "{error}");
    assert!(error.contains("umount /var/lib/jenkins"), "{error}");
}

#[tokio::test]
async fn a_password_that_is_missing_is_named_with_its_own_key() {
    let world = World::new().await;
    world.cloud.lock().unwrap().parameters.remove("/devops-tools/jenkins/admin_password");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("in `jenkins.security.admin_password` of host.toml"), "{error}");
}

#[tokio::test]
async fn a_file_system_that_hangs_is_told_and_so_is_the_group() {
    let world = World::new().await;
    world.script.lock().unwrap().hang("hostkit inner home");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("the file system did not answer within 45 s"), "{error}");
    assert!(error.contains("hint: the mount hangs"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_that_does_not_say_that_it_is_one_or_serves_nothing_is_not_put_into_service() {
    for (web, told) in [
        (Web { version: None, ..Web::default() }, "is not Jenkins"),
        (Web { login: 503, front: 503, version: None, ..Web::default() }, "/login answers 503"),
        (Web { front: 302, ..Web::default() }, "/ answers 302, and not 403"),
        (Web { console: 200, ..Web::default() }, "open to everybody"),
        (Web { version: Some("2.528.1"), ..Web::default() }, "this image has 2.541"),
        (Web { page: "secrets/initialAdminPassword", ..Web::default() }, "shows its setup wizard"),
    ] {
        let mut world = World::new().await;
        world.machine.step_limit = Duration::from_secs(1);
        *world.web.lock().unwrap() = web;
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(told), "{error}");
        assert_eq!(world.verdicts(), ["ABANDON"]);
    }
}

#[tokio::test]
async fn a_jenkins_that_ends_again_and_again_is_told_with_how_often_and_its_last_words() {
    let world = World::new().await;
    {
        let mut systemd = world.systemd.lock().unwrap();
        (systemd.start_leads_to, systemd.result, systemd.restarts) = ("failed", "exit-code", 2);
        systemd.journal = "java.lang.OutOfMemoryError: Java heap space";
    }
    insta::assert_snapshot!(world.boot().await.unwrap_err());
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_that_is_never_ready_is_told_with_what_it_said_last() {
    let mut world = World::new().await;
    world.machine.step_limit = Duration::from_secs(2);
    world.systemd.lock().unwrap().start_leads_to = "activating";
    insta::assert_snapshot!(world.boot().await.unwrap_err());
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn another_version_the_wizard_and_another_program_are_told_apart() {
    for (name, web) in [
        ("another version", Web { version: Some("2.528.1"), ..Web::default() }),
        ("the setup wizard", Web { page: "secrets/initialAdminPassword", ..Web::default() }),
        ("another program", Web { version: None, ..Web::default() }),
        ("open", Web { console: 200, ..Web::default() }),
    ] {
        let world = World::new().await;
        *world.web.lock().unwrap() = web;
        let error = world.boot().await.unwrap_err();
        insta::assert_snapshot!(name, error.replace(&world.machine.jenkins.to_string(), "ADDRESS"));
        assert!(world.was_run("systemctl stop --no-block jenkins.service"), "{name}");
        assert_eq!(world.verdicts(), ["ABANDON"]);
    }
}

#[tokio::test]
async fn a_user_of_hostkits_that_jenkins_does_not_know_degrades_and_does_not_fail() {
    let world = World::new().await;
    world.web.lock().unwrap().user = 401;
    world.boot().await.unwrap();
    insta::assert_snapshot!(casc::why_of(&world, "ready"));
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}
