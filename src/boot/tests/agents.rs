//! The build agents of the pools.

use super::*;
use crate::boot::agents;
use crate::event::Outcome;

const POOLS: &str = "[jenkins.pools.builds]\nasg = \"agents\"\nexecutors = 2\nlabels = [\"linux\"]\n\
                     [jenkins.pools.gpu]\nport = 2222\n";
const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKey pool\n";

/// A controller with two pools, one of a group and one of a tag.
async fn controller() -> World {
    let world = World::told(&format!("{CONTROLLER}{POOLS}")).await;
    {
        let mut cloud = world.cloud.lock().unwrap();
        for pool in ["builds", "gpu"] {
            let name = format!("/hostkit/pools/{pool}/host_key.pub");
            cloud.parameters.insert(name, HOST_KEY.to_owned());
        }
        cloud.groups.insert("agents", vec![("i-0a1", "InService"), ("i-0a2", "Pending:Wait")]);
        cloud.machines.push(("i-0a1", Some("10.0.1.1"), vec![("hostkit:labels", "arm64 ${x}")]));
        cloud.machines.push(("i-0a2", Some("10.0.1.2"), vec![]));
        cloud.machines.push(("i-0b1", Some("10.0.1.3"), vec![("hostkit:pool", "gpu")]));
        cloud.machines.push(("i-0b2", None, vec![("hostkit:pool", "gpu")]));
    }
    world
}

fn fleet(world: &World) -> String {
    fs::read_to_string(world.root.join("run/hostkit/jenkins/casc/20-hostkit-fleet.yaml")).unwrap()
}

fn nodes(world: &World) -> Vec<String> {
    let text = fleet(world);
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("name: "));
    names.map(|name| name.trim_matches('"').to_owned()).collect()
}

async fn refresh(world: &World) -> Result<Outcome, String> {
    let end = agents::refresh(&world.machine, &Events::silent()).await;
    end.map_err(|error| error::render(&error))
}

fn reloads(world: &World) -> usize {
    let asked = &world.web.lock().unwrap().asked;
    asked.iter().filter(|line| line.starts_with("POST /reload-configuration-as-code/?")).count()
}

#[tokio::test]
async fn agents_are_nodes_by_their_group_and_by_their_tag() {
    let world = controller().await;
    world.boot().await.unwrap();
    insta::assert_snapshot!(fleet(&world));
}

#[tokio::test]
async fn the_host_keys_of_the_pools_come_in_the_one_call_of_a_boot() {
    let asked = |world: &World| {
        let asked = world.cloud.lock().unwrap().asked.clone();
        asked.iter().filter(|it| *it == "GetParameters").count()
    };
    let world = controller().await;
    world.boot().await.unwrap();
    assert_eq!(asked(&world), 1);
    // A pool without one waits, and nothing else.
    let world = controller().await;
    world.cloud.lock().unwrap().parameters.remove("/hostkit/pools/gpu/host_key.pub");
    world.boot().await.unwrap();
    assert_eq!((asked(&world), nodes(&world)), (1, vec!["i-0a1".to_owned()]));
    // A role that may not read them has its secrets all the same.
    let world = controller().await;
    let refused = ("AccessDeniedException", "not authorized");
    world.cloud.lock().unwrap().refused.insert("/hostkit/pools/gpu/host_key.pub", refused);
    world.boot().await.unwrap();
    assert!(world.has("run/hostkit/secrets/agent_key"));
    assert!(world.said("the build agents are those of before"), "{:?}", world.lines);
}

#[tokio::test]
async fn an_agent_that_goes_disappears_and_one_that_comes_is_told() {
    let world = controller().await;
    world.boot().await.unwrap();
    assert_eq!(nodes(&world), ["i-0a1", "i-0b1"]);
    assert_eq!(refresh(&world).await, Ok(Outcome::Unchanged));
    assert_eq!(reloads(&world), 0, "Jenkins is left alone where nothing has changed");
    {
        let mut cloud = world.cloud.lock().unwrap();
        cloud.groups.insert("agents", vec![("i-0a2", "InService")]);
        cloud.machines[3].1 = Some("10.0.1.4");
    }
    assert_eq!(refresh(&world).await, Ok(Outcome::Changed));
    assert_eq!(nodes(&world), ["i-0a2", "i-0b1", "i-0b2"]);
    assert_eq!(reloads(&world), 1);
}

#[tokio::test]
async fn an_agent_that_leaves_its_group_keeps_its_builds_and_gets_no_new_ones() {
    let world = controller().await;
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().groups.insert("agents", vec![("i-0a1", "Terminating:Wait")]);
    assert_eq!(refresh(&world).await, Ok(Outcome::Changed));
    assert_eq!(nodes(&world), ["i-0a1", "i-0b1"]);
    let text = fleet(&world);
    assert!(text.contains("labelString: \"hostkit-leaving\"\n        mode: EXCLUSIVE"), "{text}");
}

/// What was done to nodes, in order.
fn done(world: &World) -> Vec<String> {
    let asked = &world.web.lock().unwrap().asked;
    let posts = asked.iter().filter_map(|line| line.strip_prefix("POST /computer/"));
    posts.map(|line| line.split(['?', ' ']).next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn an_agent_that_goes_is_taken_offline_and_let_go_when_its_build_has_ended() {
    let world = controller().await;
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().groups.insert("agents", vec![("i-0a1", "Terminating:Wait")]);
    world.web.lock().unwrap().nodes = vec![("i-0a1", false, 9), ("i-0b1", false, 99)];
    assert_eq!(refresh(&world).await, Ok(Outcome::Changed));
    assert_eq!(done(&world), ["i-0a1/changeOfflineCause", "i-0a1/doDisconnect"]);
    let asked = world.web.lock().unwrap().asked.clone();
    let looks = asked
        .iter()
        .filter(|line| {
            line.contains("/computer/api/json?tree=computer[displayName,temporarilyOffline")
        })
        .count();
    assert_eq!(looks, 11, "busy nine times, and idle twice");
    assert_eq!(reloads(&world), 1);
}

#[tokio::test]
async fn an_agent_that_stays_after_all_is_given_back() {
    let world = controller().await;
    world.cloud.lock().unwrap().machines[0].2.push(("hostkit:drain", "quiet"));
    world.boot().await.unwrap();
    world.web.lock().unwrap().nodes = vec![("i-0a1", false, 0), ("i-0b1", false, 0)];
    refresh(&world).await.unwrap();
    world.cloud.lock().unwrap().machines[0].2.pop();
    assert_eq!(refresh(&world).await, Ok(Outcome::Changed));
    let done = done(&world);
    assert_eq!(done[..2], ["i-0a1/changeOfflineCause", "i-0a1/doDisconnect"]);
    assert_eq!(done[2..], ["i-0a1/toggleOffline", "i-0a1/launchSlaveAgent"]);
}

#[tokio::test]
async fn agents_leave_also_where_jenkins_does_not_take_the_rest_and_a_right_that_lacks_is_told() {
    let world = controller().await;
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().groups.insert("agents", vec![("i-0a1", "Terminating:Wait")]);
    world.web.lock().unwrap().nodes = vec![("i-0a1", false, 0)];
    let why = "{\"status\":\"error\",\"message\":\"Failed to reload configuration: no\"}";
    world.web.lock().unwrap().reload = (500, why);
    assert!(refresh(&world).await.is_err());
    assert_eq!(done(&world), ["i-0a1/changeOfflineCause", "i-0a1/doDisconnect"]);
    world.web.lock().unwrap().reload = (200, "");
    world.web.lock().unwrap().nodes[0].1 = false;
    world.web.lock().unwrap().user = 403;
    insta::assert_snapshot!(refresh(&world).await.unwrap_err());
    // Where nobody leaves it is nobody's trouble.
    world.cloud.lock().unwrap().groups.insert("agents", vec![("i-0a1", "InService")]);
    assert_eq!(refresh(&world).await, Ok(Outcome::Changed));
}

#[tokio::test]
async fn where_aws_does_not_answer_the_last_agents_stay() {
    let world = controller().await;
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().denied = Some("DescribeAutoScalingGroups");
    let error = refresh(&world).await.unwrap_err();
    assert!(error.contains("allow `autoscaling:DescribeAutoScalingGroups`"), "{error}");
    assert_eq!((nodes(&world).len(), reloads(&world)), (2, 0));
    // A boot serves without them, and says so. The nodes that Jenkins has in its home stay.
    let world = controller().await;
    world.cloud.lock().unwrap().denied = Some("DescribeAutoScalingGroups");
    world.boot().await.unwrap();
    assert!(!fleet(&world).contains("nodes"), "{}", fleet(&world));
    insta::assert_snapshot!(casc::why_of(&world, "render"));
}

#[tokio::test]
async fn an_agent_without_a_host_key_is_not_trusted() {
    let world = controller().await;
    world.cloud.lock().unwrap().parameters.remove("/hostkit/pools/gpu/host_key.pub");
    world.boot().await.unwrap();
    assert_eq!(nodes(&world), ["i-0a1"]);
}

#[tokio::test]
async fn what_jenkins_does_not_take_is_tried_again() {
    let world = controller().await;
    world.boot().await.unwrap();
    let before = fleet(&world);
    world.cloud.lock().unwrap().groups.insert("agents", vec![]);
    let why = "{\"status\":\"error\",\"message\":\"Failed to reload configuration: no\"}";
    world.web.lock().unwrap().reload = (500, why);
    insta::assert_snapshot!(refresh(&world).await.unwrap_err());
    assert_eq!(fleet(&world), before);
    world.web.lock().unwrap().reload = (200, "");
    assert_eq!(refresh(&world).await, Ok(Outcome::Changed));
    assert_eq!(nodes(&world), ["i-0b1"]);
}

#[tokio::test]
async fn a_host_that_is_no_controller_or_has_no_pools_asks_nobody() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let asked = world.cloud.lock().unwrap().asked.len();
    assert!(matches!(refresh(&world).await, Ok(Outcome::Skipped(_))));
    assert_eq!(world.cloud.lock().unwrap().asked.len(), asked);
}
