//! Boots of a container host.

use super::*;
use crate::event::{Event, Outcome};

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

    /// Boots, and what the steps said.
    async fn listen(&self) -> (Result<(), String>, Vec<String>) {
        let (events, mut said) = Events::channel();
        let config = self.root.join("etc/hostkit/host.toml");
        let work = boot(self.machine.clone(), config, events);
        let end = tokio::time::timeout(Duration::from_secs(20), work).await.expect("it ends soon");
        let mut lines = Vec::new();
        while let Some(event) = said.recv().await {
            if let Event::Log { step, line } = event {
                lines.push(format!("{step}: {line}"));
            }
        }
        (end.map_err(|error| error::render(&error)), lines)
    }
}

/// Why a step was skipped.
fn skipped(step: &crate::report::StepReport) -> &str {
    match &step.outcome {
        Some(Outcome::Skipped(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_container_host_joins_its_cluster_and_tells_the_group() {
    let world = World::ecs().await;
    world.boot().await.unwrap();
    assert_eq!(
        world.outcomes(),
        "active unchanged, config changed, docker changed, ecs changed, hook unchanged, hostname changed, identity \
         changed, joined unchanged, lifecycle changed, login changed, mounts skipped, pool unchanged, render changed, \
         shield unchanged, state changed"
    );
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    let config = fs::read_to_string(world.root.join(CONFIG)).unwrap();
    assert!(
        config.contains("\nECS_CLUSTER=builds\nAWS_DEFAULT_REGION=eu-west-1\nECS_BACKEND_HOST="),
        "{config}"
    );
    assert!(world.was_run("systemctl start --no-block ecs.service"));
    assert!(world.cloud.lock().unwrap().read.is_empty(), "it needs no parameter");
}

#[tokio::test]
async fn a_second_boot_of_a_container_host_changes_nothing() {
    let world = World::ecs().await;
    world.boot().await.unwrap();
    world.boot().await.unwrap();
    assert_eq!(world.status().report.count("unchanged"), 14, "{}", world.outcomes());
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
    insta::assert_snapshot!(error);
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

const DATA: &str = "var/lib/ecs/data/agent.db";
const MARK: &str = "var/lib/ecs/hostkit-instance";

fn put(world: &World, path: &str, text: &str) {
    let path = world.root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn what_the_agent_of_another_instance_left_is_removed_before_it_starts() {
    for mark in [None, Some("i-0123456789abcdef0\n")] {
        let world = World::ecs().await;
        put(&world, DATA, "somebody else");
        if let Some(mark) = mark {
            put(&world, MARK, mark);
        }
        let (end, told) = world.listen().await;
        end.unwrap();
        assert!(!world.has(DATA) && world.has("var/lib/ecs/data"));
        assert_eq!(fs::read_to_string(world.root.join(MARK)).unwrap(), format!("{INSTANCE}\n"));
        let whose = mark.map_or("nobody knows whom", str::trim);
        let line = format!(
            "state: the ECS state of {whose} in /var/lib/ecs/data was removed: this is {INSTANCE}"
        );
        assert!(told.contains(&line), "{told:?}");
    }
}

#[tokio::test]
async fn after_a_reboot_the_host_is_the_same_container_instance() {
    let world = World::ecs().await;
    world.boot().await.unwrap();
    // What its agent has written since.
    put(&world, DATA, "this host");
    put(&world, "proc/sys/kernel/random/boot_id", "7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f0003\n");
    for unit in ["docker.service", "ecs.service"] {
        world.systemd.lock().unwrap().others.insert(unit, "inactive");
    }
    world.boot().await.unwrap();
    assert!(world.has(DATA));
    assert!(world.outcomes().contains("ecs changed"), "{}", world.outcomes());
    assert!(world.outcomes().contains("state unchanged"), "{}", world.outcomes());
}

#[tokio::test]
async fn the_state_of_an_agent_that_runs_is_never_touched() {
    let world = World::ecs().await;
    for state in ["active", "activating", "deactivating"] {
        world.systemd.lock().unwrap().others.insert("ecs.service", state);
        put(&world, DATA, "whoever that is");
        // One that comes and goes does not get up in this test.
        let _ = world.boot().await;
        assert!(world.has(DATA), "{state}");
        assert!(world.outcomes().contains("state skipped"), "{}", world.outcomes());
    }
}

#[tokio::test]
async fn a_planted_link_does_not_lead_the_removal_elsewhere() {
    let world = World::ecs().await;
    put(&world, "srv/precious/file", "x");
    fs::create_dir_all(world.root.join("var/lib/ecs")).unwrap();
    std::os::unix::fs::symlink(
        world.root.join("srv/precious"),
        world.root.join("var/lib/ecs/data"),
    )
    .unwrap();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `state`"), "{error}");
    assert!(world.has("srv/precious/file"));
}

#[tokio::test]
async fn an_agent_that_never_registers_is_told_with_what_it_complained_of() {
    let mut world = World::ecs().await;
    world.machine.ecs = says(introspection("builds", "null")).await;
    world.machine.step_limit = Duration::from_secs(2);
    put(
        &world,
        "var/log/ecs/ecs-agent.log",
        "level=error time=2026-11-27T01:02:03Z msg=\"Unable to register as a container instance with \
         ECS\" error=\"AccessDeniedException: not authorized\"\nlevel=info msg=\"again\"\n",
    );
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(world.was_run("systemctl stop --no-block ecs.service"));
}

#[tokio::test]
async fn an_agent_that_has_given_up_is_not_waited_for() {
    let mut world = World::ecs().await;
    // It is up for a moment, and ends by itself.
    world.machine.ecs = "127.0.0.1:1".parse().unwrap();
    let ends = async {
        while !world.has("run/hostkit/report.json")
            || !world.status().report.steps.iter().any(|step| step.step == "joined")
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.systemd.lock().unwrap().others.insert("ecs.service", "given up");
    };
    let (end, ()) = tokio::join!(world.boot(), ends);
    insta::assert_snapshot!(end.unwrap_err());
    assert_eq!(world.verdicts(), ["ABANDON"]);

    // Or before it was seen to be up at all.
    let world = World::ecs().await;
    world.systemd.lock().unwrap().others.insert("docker.service", "active");
    world.systemd.lock().unwrap().start_leads_to = "given up";
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("has given up (exit status 5)"), "{error}");
}

#[tokio::test]
async fn a_host_that_ecs_does_not_reach_is_not_put_into_service() {
    let mut world = World::ecs().await;
    world.machine.step_limit = Duration::from_secs(2);
    world.cloud.lock().unwrap().cluster.connected = false;
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_host_that_ecs_has_given_up_is_told_in_its_words() {
    let world = World::ecs().await;
    world.cloud.lock().unwrap().cluster.status = "REGISTRATION_FAILED";
    let error = world.boot().await.unwrap_err();
    assert!(
        error.contains("ECS has this host as REGISTRATION_FAILED: in its own words"),
        "{error}"
    );
}

#[tokio::test]
async fn a_registration_that_takes_its_time_is_waited_for() {
    let world = World::ecs().await;
    world.cloud.lock().unwrap().cluster.unknown = 2;
    world.cloud.lock().unwrap().cluster.status = "REGISTERING";
    let cloud = Arc::clone(&world.cloud);
    let registers = async {
        while cloud.lock().unwrap().cluster.unknown > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        cloud.lock().unwrap().cluster.status = "ACTIVE";
    };
    let (end, ()) = tokio::join!(world.boot(), registers);
    end.unwrap();
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn without_the_right_to_ask_ecs_the_agents_word_is_enough() {
    let world = World::ecs().await;
    world.cloud.lock().unwrap().cluster.denied = Some("DescribeContainerInstances");
    world.boot().await.unwrap();
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    let status = world.status();
    let active = status.report.steps.iter().find(|step| step.step == "active").unwrap();
    insta::assert_snapshot!(skipped(active));
}

#[tokio::test]
async fn a_host_that_drains_serves_nobody_and_is_no_failure() {
    let world = World::ecs().await;
    world.cloud.lock().unwrap().cluster.status = "DRAINING";
    world.boot().await.unwrap();
    let status = world.status();
    let active = status.report.steps.iter().find(|step| step.step == "active").unwrap();
    insta::assert_snapshot!(skipped(active));
}

#[tokio::test]
async fn attributes_that_have_changed_since_the_registration_are_told_to_ecs() {
    let world = World::ecs().await;
    let user_data = "[ecs.attributes]\npool = \"large\"\nrack = \"7\"\n";
    world.cloud.lock().unwrap().user_data = Some(user_data.into());
    world.cloud.lock().unwrap().cluster.attributes.insert("rack".into(), "7".into());
    world.boot().await.unwrap();
    assert!(world.outcomes().starts_with("active changed"), "{}", world.outcomes());
    assert_eq!(world.cloud.lock().unwrap().cluster.attributes["pool"], "large");
    world.boot().await.unwrap();
    assert!(world.outcomes().starts_with("active unchanged"), "{}", world.outcomes());

    world.cloud.lock().unwrap().cluster.attributes.clear();
    world.cloud.lock().unwrap().cluster.denied = Some("PutAttributes");
    world.boot().await.unwrap();
    assert!(world.outcomes().starts_with("active skipped"), "{}", world.outcomes());
    let rendered = world.status().render();
    assert!(rendered.contains("ECS has other attributes (pool, rack)"), "{rendered}");
}

#[tokio::test]
async fn in_a_warm_pool_the_host_is_prepared_and_joins_only_when_it_is_needed() {
    let world = World::ecs().await;
    {
        let mut cloud = world.cloud.lock().unwrap();
        cloud.lifecycle_state = Some("Warmed:Pending:Wait".to_owned());
        cloud.target = Some("Warmed:Running");
    }
    let needed = async {
        while world.verdicts().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(world.machine.pause * 10).await;
        assert!(world.was_run("systemctl start --no-block docker.service"));
        assert!(!world.was_run("systemctl start --no-block ecs.service"));
        assert_eq!(world.status().state, State::Running);
        let config = fs::read_to_string(world.root.join(CONFIG)).unwrap();
        assert!(config.contains("\nECS_WARM_POOLS_CHECK=true\n"), "{config}");
        let mut cloud = world.cloud.lock().unwrap();
        cloud.lifecycle_state = Some("Pending:Wait".to_owned());
        cloud.target = Some("InService");
    };
    let ((end, told), ()) = tokio::join!(world.listen(), needed);
    end.unwrap();
    assert!(world.was_run("systemctl start --no-block ecs.service"));
    assert_eq!(world.verdicts(), ["CONTINUE", "CONTINUE"]);
    let pool: Vec<_> = told.iter().filter(|line| line.starts_with("pool: ")).collect();
    insta::assert_snapshot!(format!("{pool:#?}"));
}

#[tokio::test]
async fn a_start_that_waits_for_another_unit_says_for_which() {
    let world = World::ecs().await;
    world.systemd.lock().unwrap().others.insert("docker.service", "active");
    world.systemd.lock().unwrap().start_leads_to = "queued";
    let asked = async {
        while !world.was_run("systemctl list-jobs") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.systemd.lock().unwrap().others.insert("ecs.service", "active");
    };
    let ((end, told), ()) = tokio::join!(world.listen(), asked);
    end.unwrap();
    let line = "ecs: the start of ecs.service waits for: cloud-final.service".to_owned();
    assert!(told.contains(&line), "{told:?}");
}

#[tokio::test]
async fn a_container_host_asks_little() {
    let world = World::ecs().await;
    world.boot().await.unwrap();
    let asked = world.cloud.lock().unwrap().asked.clone();
    let metadata = asked.iter().filter(|it| it.starts_with("/latest/")).count();
    assert!(metadata <= 10, "{asked:?}");
    assert_eq!(asked.iter().filter(|it| *it == "DescribeContainerInstances").count(), 1);
}
