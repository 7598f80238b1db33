//! Boots of hosts with further file systems.

use super::cloud::Target;
use super::*;

const TWO: &str = "role = \"ecs\"\n[ecs]\ncluster = \"builds\"\n\
    [[mount]]\nid = \"fs-0aaaaaaaaaaaaaaaa\"\npath = \"/srv/cache\"\noptional = true\n\
    [[mount]]\nid = \"fs-0bbbbbbbbbbbbbbbb\"\npath = \"/srv/my-data\"\nread_only = true\n";

impl World {
    async fn with_two() -> Self {
        let world = Self::told(TWO).await;
        world.systemd.lock().unwrap().others.extend([
            ("hostkit-shield.service", "active"),
            ("docker.service", "inactive"),
            ("ecs.service", "inactive"),
        ]);
        world
    }
}

#[tokio::test]
async fn each_is_mounted_with_its_own_options_and_before_docker() {
    let world = World::with_two().await;
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("mounts changed"), "{}", world.outcomes());
    let seen = world.script.lock().unwrap().seen();
    let at = |prefix: &str| seen.iter().position(|call| call.starts_with(prefix)).unwrap();
    let mounts: Vec<_> = seen.iter().filter(|call| call.starts_with("systemd-mount")).collect();
    let [cache, data] = mounts.as_slice() else { panic!("{mounts:?}") };
    assert!(cache.ends_with("127.0.0.1:/ /srv/cache") && !cache.contains(",ro"), "{cache}");
    assert!(data.ends_with("127.0.0.1:/ /srv/my-data") && data.contains(",ro"), "{data}");
    assert!(data.contains("'--property=Before=docker.service ecs.service'"), "{data}");
    assert!(at("systemd-mount") < at("systemctl start --no-block docker"), "{seen:?}");
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("mounts unchanged"), "{}", world.outcomes());
}

#[tokio::test]
async fn one_that_is_optional_may_be_missing_and_another_one_may_not() {
    let world = World::with_two().await;
    world.systemd.lock().unwrap().mount_fails = Some("Job failed");
    let error = world.boot().await.unwrap_err();
    let port = world.machine.nfs_port.to_string();
    insta::assert_snapshot!(error.replace(&port, "PORT"));
    assert!(world.said("the host does without it"));
    assert!(!world.was_run("systemctl start --no-block docker"));

    let world = World::with_two().await;
    world.cloud.lock().unwrap().user_data = Some(
        "[[mount]]\nid = \"fs-0aaaaaaaaaaaaaaaa\"\npath = \"/srv/cache\"\noptional = true\n".into(),
    );
    world.systemd.lock().unwrap().mount_fails = Some("Job failed");
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("mounts degraded"), "{}", world.outcomes());
    assert!(world.status().render().contains("without /srv/cache: optional"));
}

#[tokio::test]
async fn one_that_is_mounted_and_hangs_does_not_hang_the_boot() {
    let world = World::with_two().await;
    world.boot().await.unwrap();
    world.script.lock().unwrap().hang("hostkit inner home");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `mounts`"), "{error}");
    assert!(error.contains("the file system did not answer within 45 s"), "{error}");
}

#[tokio::test]
async fn a_build_agent_and_a_controller_have_them_too() {
    let mount = "[[mount]]\nid = \"fs-0aaaaaaaaaaaaaaaa\"\npath = \"/srv/cache\"\n";
    for role in [
        "role = \"agent\"\n",
        "role = \"controller\"\njenkins.security.mode = \"local\"\nefs.id = \"fs-0123456789abcdef0\"\n",
    ] {
        let world = World::told(&format!("{role}{mount}")).await;
        world.boot().await.unwrap();
        assert!(world.outcomes().contains("mounts changed"), "{}", world.outcomes());
        // The name of the NFS client comes before its first mount.
        assert_eq!(
            fs::read_to_string(world.root.join("sys/fs/nfs/net/nfs_client/identifier")).unwrap(),
            INSTANCE
        );
    }
}

#[tokio::test]
async fn a_file_system_in_another_zone_names_its_own_key() {
    let world = World::with_two().await;
    world.cloud.lock().unwrap().targets = vec![Target::new("fsmt-2", "euw1-az2")];
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("`mount.cross_az = true`"), "{error}");
}
