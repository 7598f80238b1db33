//! What a host is told, by whom, and what it makes of it when that is wrong.

use super::*;
use crate::facts::{Facts, Identity};
use crate::host::{self, Role};

const AGENT: &str = "role = \"agent\"\n[agent]\npool = \"image\"\nlabels = [\"image\"]\n";

fn tags(world: &World, tags: &[(&str, &str)]) {
    let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    world.cloud.lock().unwrap().tags = tags.collect();
}

/// The boot got past its configuration. The pools of these tests have no host key, so it may end
/// there.
fn configured(world: &World, end: Result<(), String>) {
    assert!(world.outcomes().contains("config changed"), "{}", world.outcomes());
    if let Err(error) = end {
        assert!(error.contains("/host_key` does not exist"), "{error}");
    }
}

fn effective(world: &World) -> host::HostConfig {
    let text = fs::read_to_string(world.machine.path(host::EFFECTIVE)).unwrap();
    host::effective(&text).unwrap()
}

#[tokio::test]
async fn the_image_the_user_data_and_two_tags_are_merged_and_kept_for_root() {
    let world = World::told(AGENT).await;
    world.cloud.lock().unwrap().user_data =
        Some("[agent]\npool = \"data\"\n[drain]\npatience = 60\n".into());
    tags(&world, &[("hostkit:labels", "arm, big"), ("Name", "x"), ("hostkit:drain", "quiet")]);
    configured(&world, world.boot().await);
    let config = effective(&world);
    assert_eq!(config.role, Some(Role::Agent));
    assert_eq!(config.agent.pool.as_deref(), Some("data"));
    assert_eq!(config.agent.labels, ["arm", "big"]);
    assert_eq!(config.drain.patience, 60);
    let meta = fs::metadata(world.machine.path(host::EFFECTIVE)).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o600);
    let asked = world.cloud.lock().unwrap().asked.clone();
    let of_tags = asked.iter().filter(|it| it.contains("/tags/")).count();
    assert_eq!(of_tags, 2, "the list, and one that may say something here: {asked:?}");
}

#[tokio::test]
async fn who_may_tag_does_not_command() {
    let world = World::told(AGENT).await;
    tags(
        &world,
        &[
            ("hostkit:role", "controller"),
            ("hostkit:lease.policy", "stonith"),
            ("hostkit:endpoint_url", "http://evil.example"),
            ("hostkit:digest", "0123"),
            ("hostkit:pool", "linux"),
        ],
    );
    let (end, lines) = world.boot_and_hear().await;
    configured(&world, end);
    let config = effective(&world);
    assert_eq!((config.role, config.agent.pool.as_deref()), (Some(Role::Agent), Some("linux")));
    assert_eq!(config.lease, host::Lease::default());
    let told: Vec<_> = lines.iter().filter(|line| line.starts_with("config: ")).collect();
    insta::assert_snapshot!(told.iter().map(|line| format!("{line}\n")).collect::<String>());
    let asked = world.cloud.lock().unwrap().asked.clone();
    assert!(!asked.iter().any(|it| it.contains("hostkit:role")), "{asked:?}");
}

#[tokio::test]
async fn a_tag_that_cannot_be_is_told_as_a_tag() {
    let world = World::told(AGENT).await;
    tags(&world, &[("hostkit:pool", "x\"\n[lease]\npolicy = \"stonith")]);
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(world.plain(&error));
}

#[tokio::test]
async fn where_tags_are_not_given_away_it_is_told_and_no_more() {
    let world = World::told(AGENT).await;
    let (end, lines) = world.boot_and_hear().await;
    configured(&world, end);
    assert!(lines.iter().any(|line| line.contains("gives no tags away")), "{lines:?}");
    assert_eq!(effective(&world).agent.pool.as_deref(), Some("image"));
}

#[tokio::test]
async fn a_controller_that_nobody_told_who_may_use_it_starts_no_jenkins() {
    let world = World::told("role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n").await;
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(world.plain(&error));
    assert!(!world.was_run("systemctl start"));
    assert!(!world.has("run/hostkit/may-start") && !world.has("run/hostkit/host.toml"));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let world = World::new().await;
    world.cloud.lock().unwrap().user_data =
        Some("[efs]\niam = true\n[jenkins]\nheap = 95\n[drain]\nmessage = \"\"\n".into());
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(world.plain(&error));
}

#[tokio::test]
async fn a_clock_that_is_off_by_an_hour_is_named() {
    for (hours, told) in [(1, "59 minutes behind"), (-1, "60 minutes ahead of")] {
        let world = World::new().await;
        world.cloud.lock().unwrap().ahead = Some(jiff::SignedDuration::from_hours(hours));
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(told), "{error}");
        assert!(error.contains("timedatectl"), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_ends_midway_is_no_reason_to_fail() {
    let world = World::new().await;
    let zone = "/latest/meta-data/placement/availability-zone-id";
    world.cloud.lock().unwrap().hiccups.insert(zone, vec![401]);
    world.boot().await.unwrap();
    let asked = world.cloud.lock().unwrap().asked.clone();
    assert_eq!(asked.iter().filter(|it| *it == "/latest/api/token").count(), 2, "{asked:?}");
}

#[tokio::test]
async fn what_a_captured_image_brings_of_another_instance_is_not_believed() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let boot_id = Facts::read(&world.root).unwrap().boot_id;
    let kept = Identity::kept(&world.root, &boot_id).unwrap();
    assert_eq!((kept.instance_id.as_str(), kept.region.as_str()), (INSTANCE, "eu-west-1"));
    assert_eq!(kept.partition.dns_suffix, "amazonaws.com");
    // The same disk, started as another machine: nothing that was kept is of this boot.
    let next = "11111111-3f0f-4d0a-9e51-6a3a1d1f0002\n";
    fs::write(world.root.join("proc/sys/kernel/random/boot_id"), next).unwrap();
    let error = Identity::kept(&world.root, next.trim()).unwrap_err().to_string();
    assert!(error.contains("of another boot"), "{error}");
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("identity changed"), "{}", world.outcomes());
    assert!(Identity::kept(&world.root, next.trim()).is_ok());
}

#[tokio::test]
async fn no_more_than_ten_questions_are_asked_and_each_once() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let asked = world.cloud.lock().unwrap().asked.clone();
    let mut metadata: Vec<_> = asked.into_iter().filter(|it| it.starts_with("/latest/")).collect();
    metadata.sort();
    assert!(metadata.len() <= 10, "{metadata:?}");
    insta::assert_snapshot!(metadata.join("\n"));
}
