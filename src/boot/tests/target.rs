//! The load balancer in front of a controller.

use super::balancer::ARN;
use super::*;

const FAILED: [&str; 3] =
    ["unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]"];
const INITIAL: [&str; 3] =
    ["initial", "Elb.InitialHealthChecking", "Initial health checks in progress"];

impl World {
    fn says(&self, user_data: &str) {
        self.cloud.lock().unwrap().user_data = Some(user_data.into());
    }

    fn finds(&self, health: &[[&'static str; 3]]) {
        let mut cloud = self.cloud.lock().unwrap();
        cloud.balancer.attached = true;
        cloud.balancer.health = health.to_vec();
    }

    /// When an operation was asked for the first time, among all that was asked.
    fn asked(&self, action: &str) -> Option<usize> {
        self.cloud.lock().unwrap().asked.iter().position(|asked| asked == action)
    }

    /// What a step said.
    fn report_of(&self, step: &str) -> String {
        let steps = self.status().report.steps;
        let step = steps.iter().find(|one| one.step == step).unwrap();
        format!("{step:?}")
    }
}

#[tokio::test]
async fn a_group_registers_its_host_after_the_hook_and_its_health_is_watched() {
    let world = World::new().await;
    world.finds(&[INITIAL, INITIAL, ["healthy", "", ""]]);
    world.boot().await.unwrap();
    let outcomes = world.outcomes();
    assert!(outcomes.contains("target skipped, traffic unchanged"), "{outcomes}");
    assert!(world.asked("DescribeTargetHealth") > world.asked("CompleteLifecycleAction"));
    assert_eq!(world.asked("RegisterTargets"), None);
}

#[tokio::test]
async fn a_host_that_is_never_healthy_serves_and_the_reason_is_told() {
    let mut world = World::new().await;
    world.machine.step_limit = Duration::from_secs(4);
    world.finds(&[INITIAL, FAILED]);
    world.boot().await.unwrap();
    assert_eq!(world.status().state, State::Ready);
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    insta::assert_snapshot!(cause_of(&world, "traffic"));
    assert_eq!(world.cloud.lock().unwrap().balancer.reported, 0, "it serves");
}

/// Why a step failed.
fn cause_of(world: &World, step: &str) -> String {
    let steps = world.status().report.steps;
    let outcome = steps.into_iter().find(|one| one.step == step).unwrap().outcome;
    match outcome {
        Some(crate::event::Outcome::Failed(cause)) => cause,
        other => panic!("{other:?} {}", world.report_of(step)),
    }
}

#[tokio::test]
async fn what_registers_itself_is_healthy_before_its_hook_is_completed() {
    let world = World::new().await;
    world.finds(&[INITIAL, ["healthy", "", ""]]);
    world.says("[alb]\nmode = \"explicit\"\n");
    world.boot().await.unwrap();
    let outcomes = world.outcomes();
    assert!(outcomes.contains("target changed, traffic skipped"), "{outcomes}");
    assert!(world.asked("DescribeTargetHealth") < world.asked("CompleteLifecycleAction"));
    assert_eq!(world.cloud.lock().unwrap().balancer.registered, [INSTANCE]);
}

#[tokio::test]
async fn a_target_that_registered_itself_and_is_never_healthy_is_abandoned() {
    let mut world = World::new().await;
    world.machine.step_limit = Duration::from_secs(4);
    world.finds(&[FAILED]);
    world.says("[alb]\nmode = \"explicit\"\n");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_group_of_addresses_gets_the_address_also_of_a_host_in_no_group() {
    let world = World::new().await;
    world.finds(&[]);
    world.says(&format!("[alb]\nmode = \"explicit\"\ntarget_group = \"{ARN}\"\n"));
    {
        let mut cloud = world.cloud.lock().unwrap();
        (cloud.lifecycle_state, cloud.balancer.target_type) = (None, "ip");
    }
    world.boot().await.unwrap();
    assert_eq!(world.cloud.lock().unwrap().balancer.registered, ["10.0.2.15"]);
}

#[tokio::test]
async fn a_target_group_of_something_else_is_refused() {
    let world = World::new().await;
    world.finds(&[]);
    world.says("[alb]\nmode = \"explicit\"\n");
    world.cloud.lock().unwrap().balancer.target_type = "lambda";
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `target`") && error.contains("are no hosts"), "{error}");
}

#[tokio::test]
async fn a_role_that_may_not_ask_the_load_balancer_is_told_and_serves() {
    let world = World::new().await;
    world.finds(&[]);
    world.cloud.lock().unwrap().denied = Some("DescribeTargetHealth");
    world.boot().await.unwrap();
    let cause = cause_of(&world, "traffic");
    assert!(cause.contains("allow `elasticloadbalancing:DescribeTargetHealth`"), "{cause}");
}

#[tokio::test]
async fn on_its_way_into_a_warm_pool_a_host_is_no_target() {
    let world = World::new().await;
    world.finds(&[FAILED]);
    world.says("[alb]\nmode = \"explicit\"\n");
    world.cloud.lock().unwrap().lifecycle_state = Some("Warmed:Pending:Wait".to_owned());
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("target skipped"), "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    assert!(world.cloud.lock().unwrap().balancer.registered.is_empty());
}
