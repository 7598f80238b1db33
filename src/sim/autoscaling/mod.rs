//! EC2 Auto Scaling, query protocol: one group with its instances and one launch hook, and other
//! groups that can be looked at.

mod groups;

use std::collections::BTreeMap;

use super::account::{Account, GROUP, HOOK, ZONE, ZONE_ID};
use super::http::{Reply, Request};
use super::instance::{GLOBAL_TIMEOUTS, Instance, State};
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
        "DescribeAutoScalingGroups" => groups::describe(account.region(region), &asked),
        "DescribeLaunchConfigurations" => {
            Ok(groups::describe_configurations(account.region(region), &asked))
        }
        "DescribeAutoScalingInstances" => Ok(describe_instances(account, &asked)),
        "DescribeLifecycleHooks" => describe_hooks(account, &asked),
        "RecordLifecycleActionHeartbeat" => heartbeat(account, &asked),
        "CompleteLifecycleAction" => complete(account, &asked),
        _ => {
            let message = format!("Could not find operation {action} for version {VERSION}");
            Err(error(400, "InvalidAction", &message))
        }
    };
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

fn describe_instances(account: &mut Account, asked: &Asked) -> String {
    let ids = list(asked, "InstanceIds");
    // An id that no group knows is left out, without an error; and one that is gone has left it.
    let wanted = |one: &&Instance| {
        let member = one.launch.is_none() && one.state() != State::Terminated;
        member && (ids.is_empty() || ids.contains(&one.id))
    };
    let all = account.instances();
    let found: Vec<(String, String)> =
        all.iter().filter(wanted).map(|one| (one.id.clone(), one.image.clone())).collect();
    let members = found.iter().map(|(id, image)| {
        let state = account.lifecycle(id).map_or("Terminating", |lifecycle| lifecycle.word());
        node("member", &member(id, image, state))
    });
    node("AutoScalingInstances", &members.collect::<String>())
}

fn member(id: &str, image: &str, lifecycle: &str) -> String {
    let template = leaf("LaunchTemplateId", "lt-0f00d000000000001")
        + &leaf("LaunchTemplateName", GROUP)
        + &leaf("Version", "1");
    leaf("InstanceId", id)
        + &leaf("InstanceType", "m5.large")
        + &leaf("AutoScalingGroupName", GROUP)
        + &leaf("AvailabilityZone", ZONE)
        + &leaf("AvailabilityZoneId", ZONE_ID)
        + &leaf("LifecycleState", lifecycle)
        + &leaf("HealthStatus", "HEALTHY")
        + &node("LaunchTemplate", &template)
        + &leaf("ImageId", image)
        + &leaf("ProtectedFromScaleIn", "false")
}

fn describe_hooks(account: &Account, asked: &Asked) -> Result<String, Reply> {
    check_group(asked)?;
    let names = list(asked, "LifecycleHookNames");
    if let Some(name) = names.iter().find(|name| *name != HOOK) {
        return Err(validation(&format!("Lifecycle hook {name} not found")));
    }
    let seconds = account.hook_timeout.as_secs();
    let hook = leaf("LifecycleHookName", HOOK)
        + &leaf("AutoScalingGroupName", GROUP)
        + &leaf("LifecycleTransition", "autoscaling:EC2_INSTANCE_LAUNCHING")
        + &leaf("HeartbeatTimeout", &seconds.to_string())
        + &leaf("GlobalTimeout", &(seconds * u64::from(GLOBAL_TIMEOUTS)).to_string())
        + &leaf("DefaultResult", "ABANDON");
    Ok(node("LifecycleHooks", &node("member", &hook)))
}

fn heartbeat(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    let id = hooked(asked)?;
    let waited = account.instance_mut(id).is_some_and(|(instance, now)| instance.heartbeat(now));
    if waited { Ok(String::new()) } else { Err(no_action(id)) }
}

fn complete(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    let id = hooked(asked)?;
    let go_on = match required(asked, "LifecycleActionResult")? {
        "CONTINUE" => true,
        "ABANDON" => false,
        other => {
            let message = format!("LifecycleActionResult is CONTINUE or ABANDON, not {other}");
            return Err(validation(&message));
        }
    };
    let found = account.instance_mut(id);
    let waited = found.is_some_and(|(instance, now)| instance.complete(now, go_on));
    if waited { Ok(String::new()) } else { Err(no_action(id)) }
}

fn check_group(asked: &Asked) -> Result<(), Reply> {
    let group = required(asked, "AutoScalingGroupName")?;
    if group == GROUP {
        return Ok(());
    }
    Err(validation("AutoScalingGroup name not found - null"))
}

/// The instance whose hook is meant.
fn hooked(asked: &Asked) -> Result<&str, Reply> {
    check_group(asked)?;
    let hook = required(asked, "LifecycleHookName")?;
    // The token goes to notification targets, and there are none here: the instance's id it is.
    match asked.get("InstanceId") {
        Some(id) if hook == HOOK => Ok(id),
        Some(id) => Err(no_action(id)),
        None => Err(validation("Either LifecycleActionToken or InstanceId must be specified")),
    }
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
    use crate::sim::instance::{Ending, Lifecycle};
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
}
