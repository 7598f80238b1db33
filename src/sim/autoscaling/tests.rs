use super::*;
use crate::sim::account::HOOK;
use crate::sim::instance::{Ending, Lifecycle, State};
use crate::sim::timeline::Recorder;

fn ask(account: &mut Account, form: &str) -> Reply {
    let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let body = form.replace("{id}", &account.first().id).into();
    let request = Request { headers: [kind].into(), body, ..Request::default() };
    answer(account, &request, crate::sim::account::REGION)
}

const HOOKED: &str = "AutoScalingGroupName=hostkit-vm&LifecycleHookName=launch&InstanceId={id}";

#[test]
fn the_hook_holds_the_instance_until_it_is_completed() {
    let mut account = Account::for_tests();
    let describe = "Action=DescribeAutoScalingInstances&InstanceIds.member.1={id}";
    let state = |account: &mut Account| ask(account, describe).body;
    assert!(state(&mut account).contains("<LifecycleState>Pending:Wait</LifecycleState>"));

    let beat = format!("Action=RecordLifecycleActionHeartbeat&{HOOKED}");
    assert_eq!(ask(&mut account, &beat).status, 200);
    let done = format!("Action=CompleteLifecycleAction&LifecycleActionResult=CONTINUE&{HOOKED}");
    assert_eq!(ask(&mut account, &done).status, 200);
    assert!(state(&mut account).contains("<LifecycleState>InService</LifecycleState>"));

    let again = ask(&mut account, &done);
    assert_eq!(again.status, 400);
    assert!(again.body.contains("No active Lifecycle Action found with instance ID i-"));
}

#[test]
fn the_group_has_all_instances_but_those_that_are_gone() {
    let mut account = Account::for_tests();
    let first = account.first().id.clone();
    let second = account.launch(Recorder::silent()).id.clone();
    let all = "Action=DescribeAutoScalingInstances";
    let listed = ask(&mut account, all).body;
    assert!(listed.contains(&first) && listed.contains(&second), "{listed}");

    let (instance, now) = account.instance_mut(&first).expect("it is there");
    instance.terminate(now, Ending::Graceful);
    let listed = ask(&mut account, all).body;
    assert!(listed.contains("<LifecycleState>Terminating</LifecycleState>"), "{listed}");
    let (instance, now) = account.instance_mut(&first).expect("it is there");
    instance.switched_off(now);
    let listed = ask(&mut account, all).body;
    assert!(!listed.contains(&first) && listed.contains(&second), "{listed}");
}

#[test]
fn an_instance_of_no_group_is_left_out() {
    let reply = ask(
        &mut Account::for_tests(),
        "Action=DescribeAutoScalingInstances&InstanceIds.member.1=i-0",
    );
    assert!(reply.body.contains("<AutoScalingInstances></AutoScalingInstances>"));
}

#[test]
fn refuses_as_aws_does() {
    let mut account = Account::for_tests();
    let mut refused = |form: &str, code: &str| {
        let reply = ask(&mut account, form);
        assert_eq!(reply.status, 400, "{form}");
        assert!(reply.body.contains(&format!("<Code>{code}</Code>")), "{}", reply.body);
    };
    refused("Action=Nonsense", "InvalidAction");
    refused("Action=DescribeLifecycleHooks", "ValidationError");
    refused("Action=DescribeLifecycleHooks&AutoScalingGroupName=other", "ValidationError");
    refused(
        &format!("Action=CompleteLifecycleAction&LifecycleActionResult=MAYBE&{HOOKED}"),
        "ValidationError",
    );
    let id = account.first().id.clone();
    assert_eq!(account.lifecycle(&id).map(Lifecycle::word), Some("Pending:Wait"));
}

#[test]
fn an_unhealthy_instance_is_let_go_and_its_terminate_hook_waits() {
    let mut account = Account::for_tests();
    let named = "AutoScalingGroupName=hostkit-vm";
    let put = format!(
        "Action=PutLifecycleHook&{named}&LifecycleHookName=drain&HeartbeatTimeout=60\
         &LifecycleTransition=autoscaling:EC2_INSTANCE_TERMINATING"
    );
    assert_eq!(ask(&mut account, &put).status, 200);
    let listed = ask(&mut account, &format!("Action=DescribeLifecycleHooks&{named}")).body;
    assert!(listed.contains("<LifecycleHookName>drain<") && listed.contains(HOOK), "{listed}");
    assert!(listed.contains("<GlobalTimeout>6000</GlobalTimeout>"), "{listed}");
    let done = format!("Action=CompleteLifecycleAction&LifecycleActionResult=CONTINUE&{HOOKED}");
    ask(&mut account, &done);

    let suspend =
        format!("Action=SuspendProcesses&{named}&ScalingProcesses.member.1=ReplaceUnhealthy");
    assert_eq!(ask(&mut account, &suspend).status, 200);
    let sick = "Action=SetInstanceHealth&InstanceId={id}&HealthStatus=Unhealthy\
                &ShouldRespectGracePeriod=false";
    assert_eq!(ask(&mut account, sick).status, 200);
    let all = "Action=DescribeAutoScalingInstances";
    let listed = ask(&mut account, all).body;
    assert!(listed.contains("<HealthStatus>UNHEALTHY<") && listed.contains("InService"));
    let group = ask(&mut account, "Action=DescribeAutoScalingGroups").body;
    assert!(group.contains("<ProcessName>ReplaceUnhealthy<"), "{group}");

    ask(&mut account, &suspend.replace("Suspend", "Resume"));
    ask(&mut account, sick);
    let listed = ask(&mut account, all).body;
    assert!(listed.contains("Terminating:Wait"), "{listed}");
    assert_eq!(account.first().state(), State::Running);
    let drained = done.replace("LifecycleHookName=launch", "LifecycleHookName=drain");
    assert_eq!(ask(&mut account, &drained).status, 200);
    assert!(ask(&mut account, all).body.contains("Terminating:Proceed"));
    assert_eq!(account.first().state(), State::ShuttingDown);
    assert_eq!(ask(&mut account, &sick.replace("Unhealthy", "Ill")).status, 400);
    assert_eq!(ask(&mut account, &sick.replace("{id}", "i-0")).status, 400);
}
