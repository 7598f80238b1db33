//! `hostkit boot --plan` on an instance and elsewhere.

use super::*;
use crate::boot::plan::Plan;
use crate::host::Role;

/// Without the line whose width differs from run to run.
fn steady(plan: &Plan) -> String {
    let text = plan.render();
    let lines = text.lines().filter(|line| !line.starts_with("aws.endpoint_url"));
    lines.fold(String::new(), |all, line| all + line + "\n")
}

#[tokio::test]
async fn a_plan_tells_what_would_run_with_which_values_and_who_said_them() {
    let world = World::new().await;
    {
        let mut cloud = world.cloud.lock().unwrap();
        cloud.user_data = Some("[jenkins]\nurl = \"https://ci.example.com/\"\n".into());
        cloud.tags = [("hostkit:pool".to_owned(), "linux".to_owned())].into();
    }
    let plan = Plan::of(&world.machine, &world.config()).await;
    assert_eq!((plan.role, plan.problems.len()), (Some(Role::Controller), 0));
    insta::assert_snapshot!(world.plain(&steady(&plan)));
    let json = serde_json::to_value(&plan).unwrap();
    let of = |key: &str| {
        let values = json["values"].as_array().unwrap().iter();
        values.clone().find(|value| value["key"] == key).unwrap_or_else(|| panic!("{key}"))
    };
    assert_eq!(of("jenkins.url")["origin"], "user-data");
    assert_eq!(of("agent.pool")["origin"], "the tag hostkit:pool");
    assert_eq!(of("jenkins.heap")["origin"], serde_json::Value::Null);
    assert!(world.cloud.lock().unwrap().verdicts.is_empty());
    assert!(world.script.lock().unwrap().seen().is_empty() && !world.has("run/hostkit"));
}

#[tokio::test]
async fn a_plan_tells_why_a_boot_would_fail() {
    let world = World::told("role = \"controller\"\n").await;
    world.cloud.lock().unwrap().tags = [("hostkit:role".to_owned(), "ecs".to_owned())].into();
    let plan = Plan::of(&world.machine, &world.config()).await;
    let told: Vec<_> = plan.problems.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "a controller needs the file system of its home",
            "nothing says who may use Jenkins, so it is not started"
        ]
    );
    assert!(plan.decided.iter().any(|line| line.contains("hostkit:role")), "{:?}", plan.decided);
    world.cloud.lock().unwrap().user_data = Some(b"[efs]\nx = 1\n".to_vec());
    let plan = Plan::of(&world.machine, &world.config()).await;
    assert_eq!(plan.role, Some(Role::Controller));
    assert!(plan.problems[0].message.contains("user-data is not right: line 2"), "{plan:?}");
}

#[tokio::test]
async fn where_there_is_no_metadata_service_the_image_alone_is_told() {
    let mut world = World::told("role = \"agent\"\n").await;
    // One that was named, and does not answer.
    world.cloud.lock().unwrap().token_status = 403;
    let plan = Plan::of(&world.machine, &world.config()).await;
    let silent = world.plain(&plan.decided.join("\n"));
    world.machine.imds = None;
    let plan = Plan::of(&world.machine, &world.config()).await;
    let none = steady(&plan).replace(world.root.as_str(), "");
    insta::assert_snapshot!(format!("{silent}\n\n{none}"));
}
