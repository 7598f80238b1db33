//! Boots of a container host.

use super::*;

const CONFIG: &str = "etc/ecs/ecs.config";

impl World {
    /// A host with the shield, Docker and the ECS agent.
    async fn ecs() -> Self {
        let world = Self::told("role = \"ecs\"\n[ecs]\ncluster = \"builds\"\n").await;
        world.systemd.lock().unwrap().others.extend([
            ("hostkit-shield.service", "active"),
            ("docker.service", "inactive"),
            ("ecs.service", "inactive"),
        ]);
        world
    }
}

#[tokio::test]
async fn a_container_host_joins_its_cluster_and_tells_the_group() {
    let world = World::ecs().await;
    world.boot().await.unwrap();
    assert_eq!(
        world.outcomes(),
        "config changed, docker changed, ecs changed, hook unchanged, identity changed, \
         joined unchanged, lifecycle changed, login changed, mounts skipped, render changed, shield unchanged"
    );
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    let config = fs::read_to_string(world.root.join(CONFIG)).unwrap();
    assert!(config.contains("\nECS_CLUSTER=builds\nAWS_DEFAULT_REGION=eu-west-1\n"), "{config}");
    assert!(world.was_run("systemctl start --no-block ecs.service"));
    assert!(world.cloud.lock().unwrap().read.is_empty(), "it needs no parameter");
}

#[tokio::test]
async fn a_second_boot_of_a_container_host_changes_nothing() {
    let world = World::ecs().await;
    world.boot().await.unwrap();
    world.boot().await.unwrap();
    assert_eq!(world.status().report.count("unchanged"), 10, "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn a_new_configuration_is_not_called_done_while_the_agent_has_the_old_one() {
    let world = World::ecs().await;
    world.boot().await.unwrap();
    fs::write(world.root.join(CONFIG), "ECS_CLUSTER=other\n").unwrap();
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("ecs skipped"), "{}", world.outcomes());
    assert!(world.status().render().contains("systemctl restart ecs"));
}

#[tokio::test]
async fn without_its_agent_a_container_host_is_abandoned_unless_it_may_do_without() {
    let world = World::ecs().await;
    world.systemd.lock().unwrap().others.remove("ecs.service");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts(), ["ABANDON"]);

    world.cloud.lock().unwrap().user_data = Some("[ecs]\nagent = \"optional\"\n".into());
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("ecs skipped"), "{}", world.outcomes());
    assert!(world.outcomes().contains("joined skipped"), "{}", world.outcomes());
}

#[tokio::test]
async fn docker_does_not_start_where_containers_could_take_the_hosts_role() {
    let world = World::ecs().await;
    world.systemd.lock().unwrap().others.remove("hostkit-shield.service");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `shield`"), "{error}");
    assert!(!world.was_run("systemctl start"));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn an_agent_that_does_not_start_is_told_with_its_last_words_and_stopped() {
    let world = World::ecs().await;
    world.systemd.lock().unwrap().others.insert("docker.service", "active");
    world.systemd.lock().unwrap().start_leads_to = "failed";
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("The ECS agent did not start"), "{error}");
    assert!(error.contains("the last words of the unit"), "{error}");
    assert!(world.was_run("systemctl stop --no-block ecs.service"));
    assert!(!world.was_run("systemctl stop --no-block docker.service"));
    assert!(!world.has("run/hostkit/may-start"));
}

#[tokio::test]
async fn a_host_in_another_cluster_is_not_put_into_service() {
    let mut world = World::ecs().await;
    world.machine.ecs = says(registered("default")).await;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("in the cluster default, and not in builds"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_container_host_without_a_cluster_is_refused() {
    let world = World::told("role = \"ecs\"\n").await;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `config`") && error.contains("ecs.cluster"), "{error}");
}

#[tokio::test]
async fn a_host_that_nobody_tells_its_role_is_abandoned() {
    let world = World::told("").await;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("nothing tells this host its role"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}
