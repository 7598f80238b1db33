//! Boots whose file system is late, elsewhere, behind a wall, or gone.

use super::cloud::Target;
use super::*;
use crate::report::StepReport;

/// The cause of the failed step.
fn cause(world: &World) -> String {
    let failed = |step: &StepReport| match &step.outcome {
        Some(crate::event::Outcome::Failed(cause)) => Some(cause.clone()),
        _ => None,
    };
    let status = world.status();
    status.report.steps.iter().find_map(failed).expect("a step failed")
}

/// What must be as it was in every snapshot.
fn plain(world: &World) -> String {
    cause(world).replace(&world.machine.nfs_port.to_string(), "PORT")
}

impl World {
    fn targets(&self, targets: &[Target]) {
        self.cloud.lock().unwrap().targets = targets.to_vec();
    }

    fn knows(&self, name: &str) {
        let Names::Table(table) = &self.machine.names else { panic!("a table") };
        table.lock().unwrap().insert(name.to_owned(), std::net::Ipv4Addr::LOCALHOST);
    }
}

const NAME: &str = "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com.";

#[tokio::test]
async fn dns_that_is_late_is_waited_for_where_efs_cannot_be_asked() {
    let mut world = World::new().await;
    world.machine.mount_budget = Duration::from_secs(10);
    world.cloud.lock().unwrap().efs_denied = true;
    let Names::Table(table) = world.machine.names.clone() else { panic!() };
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(250)).await;
        table.lock().unwrap().insert(NAME.to_owned(), std::net::Ipv4Addr::LOCALHOST);
    });
    world.boot().await.unwrap();
    assert!(world.was_run("systemd-mount"));
}

#[tokio::test]
async fn dns_that_does_not_come_is_told_with_the_name_and_why_efs_was_not_asked() {
    let world = World::new().await;
    world.cloud.lock().unwrap().efs_denied = true;
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn the_name_of_a_one_zone_file_system_is_tried_too() {
    let world = World::new().await;
    world.cloud.lock().unwrap().efs_denied = true;
    world.knows(&format!("eu-west-1a.{NAME}"));
    world.boot().await.unwrap();
}

#[tokio::test]
async fn what_host_toml_remembers_is_taken_when_nobody_answers() {
    let text = "role = \"controller\"\njenkins.security.mode = \"local\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n\
                [efs.addresses]\neuw1-az1 = \"127.0.0.1\"\n";
    let mut world = World::told(text).await;
    world.machine.mount_budget = Duration::from_secs(3);
    world.cloud.lock().unwrap().efs_denied = true;
    world.boot().await.unwrap();
}

#[tokio::test]
async fn a_zone_without_a_target_is_told_with_the_zones_that_have_one() {
    let world = World::new().await;
    world.targets(&[Target::new("fsmt-2", "euw1-az2"), Target::new("fsmt-3", "euw1-az3")]);
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));
    assert!(!world.was_run("systemd-mount"));
}

#[tokio::test]
async fn another_zone_will_do_where_it_may_and_its_price_is_told() {
    let world = World::told(
        "role = \"controller\"\njenkins.security.mode = \"local\"\n[efs]\nid = \"fs-0123456789abcdef0\"\ncross_az = true\n",
    )
    .await;
    world.targets(&[Target::new("fsmt-2", "euw1-az2")]);
    world.boot().await.unwrap();
    assert!(world.said("AWS bills all traffic between zones"));
}

#[tokio::test]
async fn the_one_zone_of_a_file_system_is_used_from_everywhere() {
    let world = World::new().await;
    world.targets(&[Target::new("fsmt-2", "euw1-az2")]);
    world.cloud.lock().unwrap().one_zone = Some("eu-west-1b");
    world.boot().await.unwrap();
    assert!(world.said("AWS bills all traffic between zones"));
}

#[tokio::test]
async fn a_target_that_is_being_made_is_waited_for() {
    let mut world = World::new().await;
    world.targets(&[Target { state: "creating", ..Target::new("fsmt-1", "euw1-az1") }]);
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));

    world.machine.mount_budget = Duration::from_secs(10);
    let cloud = Arc::clone(&world.cloud);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cloud.lock().unwrap().targets = vec![Target::new("fsmt-1", "euw1-az1")];
    });
    world.boot().await.unwrap();
}

#[tokio::test]
async fn packets_that_are_dropped_are_told_with_the_security_groups_of_both_sides() {
    let mut world = World::new().await;
    let (hole, _waiting) = probe::tests::black_hole().await;
    world.machine.nfs_port = hole.port();
    world.machine.probe_patience = Duration::from_millis(300);
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_port_that_refuses_and_a_way_that_is_not_there_are_told_apart() {
    let mut world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.machine.nfs_port = listener.local_addr().unwrap().port();
    drop(listener);
    world.boot().await.unwrap_err();
    insta::assert_snapshot!("refused", plain(&world));

    // The kernel has no way for a connection to many.
    world.targets(&[Target { address: "224.0.0.1", ..Target::new("fsmt-1", "euw1-az1") }]);
    world.boot().await.unwrap_err();
    insta::assert_snapshot!("no_route", plain(&world));
}

#[tokio::test]
async fn a_policy_that_does_not_let_this_host_in_ends_the_boot_at_once() {
    let mut world = World::new().await;
    world.machine.mount_budget = Duration::from_mins(10);
    {
        let mut systemd = world.systemd.lock().unwrap();
        systemd.mount_fails = Some("Job failed");
        systemd.journal = "mount.nfs4: access denied by server while mounting 127.0.0.1:/";
    }
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));
    assert_eq!(world.count_of("systemd-mount"), 1);
}

#[tokio::test]
async fn a_connection_that_is_reset_is_tried_again() {
    let mut world = World::new().await;
    world.machine.mount_budget = Duration::from_secs(10);
    {
        let mut systemd = world.systemd.lock().unwrap();
        systemd.mount_fails = Some("Job failed");
        systemd.journal = "mount.nfs4: Connection reset by peer";
    }
    succeeds_after_one(&world, "systemd-mount");
    world.boot().await.unwrap();
    assert!(world.count_of("systemd-mount") > 1);
}

/// Lets mounts succeed once `program` has failed.
fn succeeds_after_one(world: &World, program: &'static str) {
    let (systemd, script) = (Arc::clone(&world.systemd), Arc::clone(&world.script));
    tokio::spawn(async move {
        while !script.lock().unwrap().seen().iter().any(|call| call.starts_with(program)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        systemd.lock().unwrap().mount_fails = None;
    });
}

#[tokio::test]
async fn a_mount_that_has_gone_stale_is_made_again_once() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.systemd.lock().unwrap().stale = 1;
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("efs changed"), "{}", world.outcomes());
    assert!(world.was_run("systemd-run --no-ask-password --quiet --wait --collect umount --lazy"));
    assert_eq!(world.count_of("systemd-mount"), 2);

    // Also where it is the boot that has just mounted it: the server is not the one it was.
    world.systemd.lock().unwrap().stale = 100;
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));
}

const ENCRYPTED: &str = "role = \"controller\"\njenkins.security.mode = \"local\"\n[efs]\nid = \"fs-0123456789abcdef0\"\ntls = true\n\
                         iam = true\naccess_point = \"fsap-0123456789abcdef0\"\n";

#[tokio::test]
async fn encryption_without_amazon_efs_utils_is_refused_before_anything_is_asked() {
    let world = World::told(ENCRYPTED).await;
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));
    assert!(!world.cloud.lock().unwrap().asked.contains(&"DescribeMountTargets".to_owned()));
}

#[tokio::test]
async fn encryption_is_left_to_amazon_efs_utils() {
    let world = World::told(ENCRYPTED).await;
    fs::create_dir_all(world.root.join("usr/sbin")).unwrap();
    fs::write(world.root.join("usr/sbin/mount.efs"), "").unwrap();
    world.boot().await.unwrap();
    let seen = world.script.lock().unwrap().seen();
    let call = seen.iter().find(|call| call.starts_with("busctl")).unwrap();
    insta::assert_snapshot!(call);
    // A second boot knows its own mount, although it comes from this host's own address.
    world.targets(&[Target { address: "10.0.2.100", ..Target::new("fsmt-1", "euw1-az1") }]);
    fs::remove_file(world.root.join("var/lib/jenkins/.hostkit/fs-id")).unwrap();
    fs::remove_dir_all(world.root.join("var/lib/jenkins/home")).unwrap();
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("efs unchanged"), "{}", world.outcomes());
}

#[tokio::test]
async fn a_new_access_point_may_be_denied_for_a_while() {
    let mut world = World::told(ENCRYPTED).await;
    fs::create_dir_all(world.root.join("sbin")).unwrap();
    fs::write(world.root.join("sbin/mount.efs"), "").unwrap();
    world.machine.mount_budget = Duration::from_secs(10);
    {
        let mut systemd = world.systemd.lock().unwrap();
        systemd.mount_fails = Some("Job failed");
        systemd.journal = "b'mount.nfs4: access denied by server while mounting 127.0.0.1:/'";
    }
    succeeds_after_one(&world, "busctl");
    world.boot().await.unwrap();
    assert!(world.count_of("busctl") > 1);
}

#[tokio::test]
async fn the_kernel_reads_ahead_as_far_as_it_is_told() {
    let world = World::told(
        "role = \"controller\"\njenkins.security.mode = \"local\"\n[efs]\nid = \"fs-0123456789abcdef0\"\nread_ahead = 1024\n",
    )
    .await;
    let knob = world.root.join("sys/class/bdi/0:26/read_ahead_kb");
    fs::create_dir_all(knob.parent().unwrap()).unwrap();
    fs::write(&knob, "128\n").unwrap();
    world.boot().await.unwrap();
    assert_eq!(fs::read_to_string(knob).unwrap().trim_end_matches('\n').trim_start(), "1024");
}

#[tokio::test]
async fn a_home_that_died_after_its_mount_does_not_hang_the_boot() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.script.lock().unwrap().hang("hostkit inner home");
    world.boot().await.unwrap_err();
    insta::assert_snapshot!(plain(&world));
    assert_eq!(world.count_of("systemd-mount"), 1, "nothing is mounted over it");
}
