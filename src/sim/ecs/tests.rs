//! What can be asked of this service, without a socket.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::sim::call::Caller;
use crate::sim::cluster::{CLUSTER, STOPS};
use crate::sim::http::Request;
use crate::sim::instance::Ending;
use crate::sim::service::Service;

fn ask_as(account: &mut Account, caller: Caller, operation: &str, input: &Value) -> (u16, Value) {
    let request = Request { body: input.to_string().into(), ..Request::default() };
    let call = Call { caller, ..Call::for_tests(Service::Ecs, operation, &request) };
    let reply = answer(account, &call);
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[expect(clippy::needless_pass_by_value, reason = "so that json! can stand where it is used")]
fn ask(account: &mut Account, operation: &str, input: Value) -> Value {
    let (status, output) = ask_as(account, Caller::Operator, operation, &input);
    assert_eq!(status, 200, "{operation}: {output}");
    output
}

#[expect(clippy::needless_pass_by_value, reason = "so that json! can stand where it is used")]
fn refused(account: &mut Account, operation: &str, input: Value) -> String {
    let (status, output) = ask_as(account, Caller::Operator, operation, &input);
    assert_eq!(status, 400, "{operation}: {output}");
    output["__type"].as_str().unwrap().to_owned()
}

fn registration(account: &mut Account) -> Value {
    let id = account.first().id.clone();
    json!({
        "cluster": CLUSTER,
        "instanceIdentityDocument": json!({ "instanceId": id }).to_string(),
        "attributes": [{ "name": "pool", "value": "small" }, { "name": "ecs.capability.x" }],
        "totalResources": [{ "name": "MEMORY", "type": "INTEGER", "integerValue": 3700 }],
        "tags": [{ "key": "team", "value": "build" }],
    })
}

/// The ARN of a host that is registered.
fn registered(account: &mut Account) -> String {
    let asked = registration(account);
    let output = ask(account, "RegisterContainerInstance", asked);
    output["containerInstance"]["containerInstanceArn"].as_str().unwrap().to_owned()
}

fn described(account: &mut Account, arn: &str) -> Value {
    let asked = json!({ "cluster": CLUSTER, "containerInstances": [arn], "include": ["TAGS"] });
    ask(account, "DescribeContainerInstances", asked)["containerInstances"][0].take()
}

#[test]
fn a_host_registers_and_is_connected_as_long_as_its_agent_is_heard_of() {
    let mut account = Account::for_tests();
    let arn = registered(&mut account);
    let host = described(&mut account, &arn);
    assert_eq!((&host["status"], &host["agentConnected"]), (&json!("ACTIVE"), &json!(true)));
    assert_eq!(host["ec2InstanceId"], account.first().id.as_str());
    assert_eq!(host["tags"], json!([{ "key": "team", "value": "build" }]));
    account.skip(Duration::from_mins(1));
    assert_eq!(described(&mut account, &arn)["agentConnected"], false);
    let asked = json!({ "cluster": CLUSTER, "containerInstance": arn });
    ask(&mut account, "DiscoverPollEndpoint", asked);
    assert_eq!(described(&mut account, &arn)["agentConnected"], true);

    let id = account.first().id.clone();
    let list = |filter: &str| json!({ "cluster": CLUSTER, "filter": filter });
    let own = ask(&mut account, "ListContainerInstances", list(&format!("ec2InstanceId == {id}")));
    assert_eq!(own["containerInstanceArns"], json!([arn]));
    let other = ask(&mut account, "ListContainerInstances", list("attribute:pool != small"));
    assert_eq!(other["containerInstanceArns"], json!([]));
    let counted = ask(&mut account, "DescribeClusters", json!({ "clusters": [CLUSTER, "x"] }));
    assert_eq!(counted["clusters"][0]["registeredContainerInstancesCount"], 1);
    assert_eq!(counted["failures"][0]["reason"], "MISSING");
}

#[test]
fn the_same_host_again_stays_the_same_and_no_other_can_be_it() {
    let mut account = Account::for_tests();
    let arn = registered(&mut account);
    let mut again = registration(&mut account);
    again["containerInstanceArn"] = arn.as_str().into();
    again["attributes"] = json!([{ "name": "pool", "value": "large" }]);
    let output = ask(&mut account, "RegisterContainerInstance", again.clone());
    assert_eq!(output["containerInstance"]["containerInstanceArn"], arn.as_str());
    // Attributes are taken at the first registration only.
    let attributes = output["containerInstance"]["attributes"].as_array().unwrap().clone();
    assert!(attributes.contains(&json!({ "name": "pool", "value": "small" })), "{attributes:?}");

    let other = account.launch(crate::sim::timeline::Recorder::silent()).id.clone();
    again["instanceIdentityDocument"] = json!({ "instanceId": other }).to_string().into();
    let expected = "InvalidParameterException";
    assert_eq!(refused(&mut account, "RegisterContainerInstance", again.clone()), expected);
    // Nobody can register somebody else.
    let first = Caller::Instance(account.first().id.clone());
    again["containerInstanceArn"] = Value::Null;
    assert_eq!(ask_as(&mut account, first, "RegisterContainerInstance", &again).0, 400);
}

#[test]
fn a_draining_host_loses_the_tasks_of_services_and_keeps_the_others() {
    let mut account = Account::for_tests();
    let arn = registered(&mut account);
    for group in ["service:web", "family:report"] {
        let task = json!({
            "cluster": CLUSTER, "containerInstances": [arn], "taskDefinition": "x:3",
            "group": group,
        });
        ask(&mut account, "StartTask", task);
    }
    let list = |status: &str| {
        json!({
            "cluster": CLUSTER, "containerInstance": arn, "desiredStatus": status,
        })
    };
    let count = |account: &mut Account, status: &str| {
        ask(account, "ListTasks", list(status))["taskArns"].as_array().unwrap().len()
    };
    assert_eq!(count(&mut account, "RUNNING"), 2);
    let drain = json!({ "cluster": CLUSTER, "containerInstances": [arn], "status": "DRAINING" });
    let drained = ask(&mut account, "UpdateContainerInstancesState", drain.clone());
    assert_eq!(drained["containerInstances"][0]["status"], "DRAINING");
    assert_eq!((count(&mut account, "RUNNING"), count(&mut account, "STOPPED")), (1, 1));
    assert_eq!(described(&mut account, &arn)["runningTasksCount"], 2);
    account.skip(STOPS);
    assert_eq!(described(&mut account, &arn)["runningTasksCount"], 1);

    let left = ask(&mut account, "ListTasks", list("RUNNING"))["taskArns"][0].take();
    let stop = json!({ "cluster": CLUSTER, "task": left });
    ask(&mut account, "StopTask", stop);
    account.skip(STOPS);
    assert_eq!(described(&mut account, &arn)["runningTasksCount"], 0);
    let tasks = json!({ "cluster": CLUSTER, "tasks": [left] });
    let task = ask(&mut account, "DescribeTasks", tasks)["tasks"][0].take();
    assert_eq!((&task["lastStatus"], &task["group"]), (&json!("STOPPED"), &json!("family:x")));

    let start = json!({
        "cluster": CLUSTER, "containerInstances": [arn], "taskDefinition": "x:3",
    });
    assert_eq!(ask(&mut account, "StartTask", start)["failures"][0]["reason"], "INACTIVE");
}

#[test]
fn a_capacity_provider_drains_its_group_unless_it_is_told_not_to() {
    let mut account = Account::for_tests();
    let create = |name: &str, draining: Option<&str>| {
        let arn = "arn:aws:autoscaling:eu-west-1:1:autoScalingGroup:u:autoScalingGroupName/nodes";
        let mut group = json!({ "autoScalingGroupArn": arn });
        if let Some(draining) = draining {
            group["managedDraining"] = draining.into();
        }
        json!({ "name": name, "autoScalingGroupProvider": group })
    };
    ask(&mut account, "CreateCapacityProvider", create("nodes", None));
    ask(&mut account, "CreateCapacityProvider", create("still", Some("DISABLED")));
    let put = json!({
        "cluster": CLUSTER, "capacityProviders": ["nodes", "FARGATE"],
        "defaultCapacityProviderStrategy": [],
    });
    let cluster = ask(&mut account, "PutClusterCapacityProviders", put)["cluster"].take();
    assert_eq!(cluster["capacityProviders"], json!(["nodes", "FARGATE"]));
    let asked = json!({ "capacityProviders": ["nodes", "still", "none"] });
    let told = ask(&mut account, "DescribeCapacityProviders", asked);
    let group = |index: usize| &told["capacityProviders"][index]["autoScalingGroupProvider"];
    assert_eq!(group(0)["managedDraining"], "ENABLED");
    assert_eq!(group(1)["managedDraining"], "DISABLED");
    assert!(group(0)["autoScalingGroupArn"].as_str().unwrap().ends_with("/nodes"));
    assert_eq!(told["failures"][0]["reason"], "MISSING");
}

#[test]
fn a_host_whose_instance_is_gone_leaves_its_cluster() {
    let mut account = Account::for_tests();
    let arn = registered(&mut account);
    let id = account.first().id.clone();
    let (instance, now) = account.instance_mut(&id).unwrap();
    instance.terminate(now, Ending::Graceful);
    instance.switched_off(now);
    assert_eq!(described(&mut account, &arn)["status"], "INACTIVE");
    let listed = ask(&mut account, "ListContainerInstances", json!({ "cluster": CLUSTER }));
    assert_eq!(listed["containerInstanceArns"], json!([]));
}

#[test]
fn refuses_as_aws_does() {
    let mut account = Account::for_tests();
    let arn = registered(&mut account);
    let mut kind = |operation, input| refused(&mut account, operation, input);
    assert_eq!(kind("Nonsense", json!({})), "UnknownOperationException");
    let absent = json!({ "cluster": "none", "containerInstances": ["x"] });
    assert_eq!(kind("DescribeContainerInstances", absent), "ClusterNotFoundException");
    let none = json!({ "cluster": CLUSTER, "containerInstances": [] });
    assert_eq!(kind("DescribeContainerInstances", none), "InvalidParameterException");
    let state = json!({ "cluster": CLUSTER, "containerInstances": [arn], "status": "INACTIVE" });
    assert_eq!(kind("UpdateContainerInstancesState", state), "InvalidParameterException");
    let attribute = |target: &str, name: &str| {
        let one = json!({ "name": name, "targetId": target, "targetType": "container-instance" });
        json!({ "cluster": CLUSTER, "attributes": [one] })
    };
    assert_eq!(kind("PutAttributes", attribute("none", "a")), "TargetNotFoundException");
    assert_eq!(kind("PutAttributes", attribute(&arn, "a b")), "InvalidParameterException");
    let filter = json!({ "cluster": CLUSTER, "filter": "memory > 5" });
    assert_eq!(kind("ListContainerInstances", filter), "InvalidParameterException");
    let busy = "ClusterContainsContainerInstancesException";
    assert_eq!(kind("DeleteCluster", json!({ "cluster": CLUSTER })), busy);
    let many: Vec<_> =
        (0..9).map(|n| json!({ "name": format!("a{n}"), "targetId": arn })).collect();
    ask(&mut account, "PutAttributes", json!({ "cluster": CLUSTER, "attributes": many }));
    let expected = "AttributeLimitExceededException";
    assert_eq!(refused(&mut account, "PutAttributes", attribute(&arn, "one-more")), expected);
}
