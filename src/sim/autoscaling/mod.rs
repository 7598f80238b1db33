//! EC2 Auto Scaling, query protocol: one group with its instances and hooks, and other groups that
//! can be looked at.

mod groups;
mod hooks;
mod members;

use std::collections::BTreeMap;

use super::account::{Account, GROUP};
use super::elb;
use super::http::{Reply, Request};
use super::random;
use super::xml::{leaf, node};

/// The version of the protocol.
pub const VERSION: &str = "2011-01-01";

type Asked = BTreeMap<String, String>;

/// Answers one signed request, for one region.
pub fn answer(account: &mut Account, request: &Request, region: &str) -> Reply {
    let asked = request.parameters();
    let action = asked.get("Action").map_or("", String::as_str);
    let result = match action {
        "AttachLoadBalancerTargetGroups" => members::attach(account, &asked),
        "DescribeAutoScalingGroups" => groups::describe(account, region, &asked),
        "DescribeLaunchConfigurations" => {
            Ok(groups::describe_configurations(account.region(region), &asked))
        }
        "DescribeAutoScalingInstances" => Ok(members::describe(account, &asked)),
        "DescribeLoadBalancerTargetGroups" => members::target_groups(account, &asked),
        "DetachLoadBalancerTargetGroups" => members::detach(account, &asked),
        "ResumeProcesses" => members::suspend(account, &asked, false),
        "SetInstanceHealth" => members::set_health(account, &asked),
        "SuspendProcesses" => members::suspend(account, &asked, true),
        "TerminateInstanceInAutoScalingGroup" => members::terminate(account, &asked),
        "DeleteLifecycleHook" => hooks::delete(account, &asked),
        "DescribeLifecycleHooks" => hooks::describe(account, &asked),
        "PutLifecycleHook" => hooks::put(account, &asked),
        "RecordLifecycleActionHeartbeat" => hooks::heartbeat(account, &asked),
        "CompleteLifecycleAction" => hooks::complete(account, &asked),
        _ => {
            let message = format!("Could not find operation {action} for version {VERSION}");
            Err(error(400, "InvalidAction", &message))
        }
    };
    // Who came into service, or leaves it, is registered, or is not any more.
    elb::follow_group(account);
    result.map_or_else(|refusal| refusal, |inner| reply(action, &inner))
}

/// An error in the shape of this protocol.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let error = leaf("Type", "Sender") + &leaf("Code", code) + &leaf("Message", message);
    let body = format!(
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/{VERSION}/\">{}{}\
         </ErrorResponse>",
        node("Error", &error),
        leaf("RequestId", &request_id())
    );
    Reply::new(status, "text/xml", body)
}

fn check_group(asked: &Asked) -> Result<(), Reply> {
    let group = required(asked, "AutoScalingGroupName")?;
    if group == GROUP {
        return Ok(());
    }
    Err(validation("AutoScalingGroup name not found - null"))
}

fn no_action(id: &str) -> Reply {
    validation(&format!("No active Lifecycle Action found with instance ID {id}"))
}

fn validation(message: &str) -> Reply {
    error(400, "ValidationError", message)
}

fn required<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, Reply> {
    asked.get(name).filter(|value| !value.is_empty()).map(String::as_str).ok_or_else(|| {
        let at = name[..1].to_lowercase() + &name[1..];
        validation(&format!(
            "1 validation error detected: Value null at '{at}' failed to satisfy constraint: \
             Member must not be null"
        ))
    })
}

/// A number of seconds or instances within bounds.
fn number(asked: &Asked, name: &str, least: u64, most: u64) -> Result<Option<u64>, Reply> {
    let Some(text) = asked.get(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => {
            let message = format!("{name} must be between {least} and {most} inclusive.");
            Err(validation(&message))
        }
    }
}

fn list(asked: &Asked, name: &str) -> Vec<String> {
    let prefix = format!("{name}.member.");
    asked.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, v)| v.clone()).collect()
}

fn reply(action: &str, inner: &str) -> Reply {
    let body = format!(
        "<{action}Response xmlns=\"http://autoscaling.amazonaws.com/doc/{VERSION}/\">{}{}\
         </{action}Response>",
        node(&format!("{action}Result"), inner),
        node("ResponseMetadata", &leaf("RequestId", &request_id()))
    );
    Reply::new(200, "text/xml", body)
}

fn request_id() -> String {
    let hex = random::hex(32);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
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
        let done =
            format!("Action=CompleteLifecycleAction&LifecycleActionResult=CONTINUE&{HOOKED}");
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
        let done =
            format!("Action=CompleteLifecycleAction&LifecycleActionResult=CONTINUE&{HOOKED}");
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
}
