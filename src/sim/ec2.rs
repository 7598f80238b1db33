//! EC2, its own query protocol: what there is to know about instances, and their end.

use std::collections::BTreeMap;
use std::time::Instant;

use super::account::{ACCOUNT_ID, Account, PRIVATE_IP, SUBNET, VPC, ZONE};
use super::call::Call;
use super::http::Reply;
use super::instance::{Ending, Instance, State};
use super::random;
use super::xml::{leaf, node};

/// The version of the protocol.
pub const VERSION: &str = "2016-11-15";

type Asked = BTreeMap<String, String>;

/// Answers one signed request. What is described is as it was at `as_of`.
pub fn answer(account: &mut Account, call: &Call<'_>, as_of: Instant) -> Reply {
    let asked = call.request.parameters();
    let action = asked.get("Action").map_or("", String::as_str);
    let result = match action {
        "DescribeInstances" => describe_instances(account, &asked, as_of),
        "TerminateInstances" => terminate_instances(account, &asked),
        _ => {
            let message = format!("The action {action} is not valid for this web service.");
            return error(400, "InvalidAction", &message);
        }
    };
    result.map_or_else(|refusal| refusal, |inner| reply(action, &inner))
}

/// An error in the shape of this protocol.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let error = leaf("Code", code) + &leaf("Message", message);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{}{}</Response>",
        node("Errors", &node("Error", &error)),
        leaf("RequestID", &random::hex(32))
    );
    Reply::new(status, "text/xml;charset=UTF-8", body)
}

fn describe_instances(
    account: &mut Account,
    asked: &Asked,
    as_of: Instant,
) -> Result<String, Reply> {
    settle(account);
    let visible: Vec<(&Instance, State)> = account
        .instances()
        .iter()
        .filter_map(|instance| Some((instance, instance.state_at(as_of)?)))
        .collect();
    let ids = wanted_ids(asked)?;
    refuse_unknown(&ids, |id| visible.iter().any(|(instance, _)| instance.id == id))?;
    let filters = filters(asked);
    let mut items = String::new();
    for (instance, state) in visible {
        let named = ids.is_empty() || ids.contains(&instance.id);
        if matches(instance, state, &filters)? && named {
            items += &node("item", &reservation(instance, state));
        }
    }
    Ok(node("reservationSet", &items))
}

/// All or none: one id that is wrong spares the others, too.
fn terminate_instances(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    settle(account);
    let ids = wanted_ids(asked)?;
    if ids.is_empty() {
        let message = "The request must contain the parameter InstanceId";
        return Err(error(400, "MissingParameter", message));
    }
    let now = account.now();
    let known = |id: &str| account.instance(id).is_some_and(|one| one.state_at(now).is_some());
    refuse_unknown(&ids, known)?;
    // It would do the operating system's shutdown as far as possible; `Force` changes only what
    // becomes of one that hangs, which is pulled out in any case here.
    let _force = flag(asked, "Force")?;
    let skip = flag(asked, "SkipOsShutdown")?;
    if flag(asked, "DryRun")? {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(error(412, "DryRunOperation", message));
    }
    let mut items = String::new();
    for id in &ids {
        let Some((instance, now)) = account.instance_mut(id) else { continue };
        let previous = instance.state();
        instance.terminate(now, if skip { Ending::SkipOsShutdown } else { Ending::Graceful });
        let change = leaf("instanceId", id)
            + &node("currentState", &state_of(instance.state()))
            + &node("previousState", &state_of(previous));
        items += &node("item", &change);
    }
    Ok(node("instancesSet", &items))
}

/// Hooks that have waited too long take their default result before anybody looks.
fn settle(account: &mut Account) {
    let ids: Vec<String> = account.instances().iter().map(|one| one.id.clone()).collect();
    for id in ids {
        account.lifecycle(&id);
    }
}

/// The ids that are asked for, each well formed.
fn wanted_ids(asked: &Asked) -> Result<Vec<String>, Reply> {
    let mut numbered: Vec<(u32, &String)> = asked
        .iter()
        .filter_map(|(key, id)| Some((key.strip_prefix("InstanceId.")?.parse().ok()?, id)))
        .collect();
    numbered.sort_unstable();
    for (_, id) in &numbered {
        let digits = id.strip_prefix("i-").unwrap_or_default();
        let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !hex || !(digits.len() == 8 || digits.len() == 17) {
            let message = format!("Invalid id: \"{id}\"");
            return Err(error(400, "InvalidInstanceID.Malformed", &message));
        }
    }
    Ok(numbered.into_iter().map(|(_, id)| id.clone()).collect())
}

fn refuse_unknown(ids: &[String], known: impl Fn(&str) -> bool) -> Result<(), Reply> {
    let unknown: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !known(id)).collect();
    let message = match unknown.as_slice() {
        [] => return Ok(()),
        [id] => format!("The instance ID '{id}' does not exist"),
        several => format!("The instance IDs '{}' do not exist", several.join(", ")),
    };
    Err(error(400, "InvalidInstanceID.NotFound", &message))
}

fn flag(asked: &Asked, name: &str) -> Result<bool, Reply> {
    match asked.get(name).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let message = format!("Invalid value '{other}' for {name}");
            Err(error(400, "InvalidParameterValue", &message))
        }
    }
}

fn matches(
    instance: &Instance,
    state: State,
    filters: &[(String, Vec<String>)],
) -> Result<bool, Reply> {
    let connected = state != State::Terminated;
    let mut matches = true;
    for (name, values) in filters {
        let value = match name.as_str() {
            "instance-id" => Some(instance.id.as_str()),
            "instance-state-name" => Some(state.word()),
            "instance-state-code" => Some(state.code()),
            "availability-zone" => Some(ZONE),
            "private-ip-address" => connected.then_some(PRIVATE_IP),
            "vpc-id" => connected.then_some(VPC),
            "subnet-id" => connected.then_some(SUBNET),
            "image-id" => Some(instance.image.as_str()),
            "hibernation-options.configured" => {
                Some(if instance.hibernation { "true" } else { "false" })
            }
            other => {
                let Some(tag) = other.strip_prefix("tag:") else {
                    let message = format!("The filter '{other}' is invalid");
                    return Err(error(400, "InvalidParameterValue", &message));
                };
                instance.tags.get(tag).map(String::as_str)
            }
        };
        matches &= value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    }
    Ok(matches)
}

fn state_of(state: State) -> String {
    leaf("code", state.code()) + &leaf("name", state.word())
}

fn reservation(instance: &Instance, state: State) -> String {
    let tags: String = instance
        .tags
        .iter()
        .map(|(key, value)| node("item", &(leaf("key", key) + &leaf("value", value))))
        .collect();
    let launched = instance.launched.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let item = leaf("instanceId", &instance.id)
        + &leaf("imageId", &instance.image)
        + &node("instanceState", &state_of(state))
        + &leaf("amiLaunchIndex", "0")
        + &leaf("instanceType", "m5.large")
        + &leaf("launchTime", &launched)
        + &node("placement", &(leaf("availabilityZone", ZONE) + &leaf("tenancy", "default")))
        + &network(state)
        + &reason(instance, state)
        + &leaf("architecture", "x86_64")
        + &leaf("rootDeviceType", "ebs")
        + &leaf("virtualizationType", "hvm")
        + &node("tagSet", &tags)
        + &node(
            "hibernationOptions",
            &leaf("configured", if instance.hibernation { "true" } else { "false" }),
        )
        + &node(
            "metadataOptions",
            &(leaf("state", "applied")
                + &leaf("httpTokens", "required")
                + &leaf("httpPutResponseHopLimit", "1")
                + &leaf("httpEndpoint", "enabled")
                + &leaf("instanceMetadataTags", "enabled")),
        );
    leaf("reservationId", &instance.id.replace("i-", "r-"))
        + &leaf("ownerId", ACCOUNT_ID)
        + &node("instancesSet", &node("item", &item))
}

/// An instance that is terminated has no network any more.
fn network(state: State) -> String {
    if state == State::Terminated {
        return leaf("privateDnsName", "");
    }
    leaf("privateDnsName", &format!("ip-{}.ec2.internal", PRIVATE_IP.replace('.', "-")))
        + &leaf("subnetId", SUBNET)
        + &leaf("vpcId", VPC)
        + &leaf("privateIpAddress", PRIVATE_IP)
}

fn reason(instance: &Instance, state: State) -> String {
    match (instance.reason, state) {
        (None, _) | (_, State::Pending | State::Running) => String::new(),
        (Some((code, message)), _) => {
            node("stateReason", &(leaf("code", code) + &leaf("message", message)))
        }
    }
}

/// `Filter.N.Name` and `Filter.N.Value.M`.
fn filters(asked: &Asked) -> Vec<(String, Vec<String>)> {
    let named = asked.iter().filter_map(|(key, name)| {
        Some((key.strip_prefix("Filter.")?.strip_suffix(".Name")?, name))
    });
    named
        .map(|(number, name)| {
            let prefix = format!("Filter.{number}.Value.");
            let values = asked.iter().filter(|(key, _)| key.starts_with(&prefix));
            (name.clone(), values.map(|(_, value)| value.clone()).collect())
        })
        .collect()
}

fn reply(action: &str, inner: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response \
         xmlns=\"http://ec2.amazonaws.com/doc/{VERSION}/\">{}{inner}</{action}Response>",
        leaf("requestId", &random::hex(32))
    );
    Reply::new(200, "text/xml;charset=UTF-8", body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::account::REGION;
    use crate::sim::call::Caller;
    use crate::sim::http::Request;
    use crate::sim::service::Service;
    use crate::sim::timeline::Recorder;

    fn ask(account: &mut Account, query: &str) -> Reply {
        let query = query.replace("{id}", &account.first().id);
        let now = account.now();
        let request = Request { query, ..Request::default() };
        let call = Call {
            service: Service::Ec2,
            action: String::new(),
            region: REGION.to_owned(),
            caller: Caller::Operator,
            request: &request,
        };
        answer(account, &call, now)
    }

    fn switched_off(account: &mut Account) {
        let now = account.now();
        account.first().switched_off(now);
    }

    const DESCRIBE: &str = "Action=DescribeInstances&InstanceId.1={id}";

    #[test]
    fn describes_the_instance_that_was_asked_for() {
        let mut account = Account::for_tests();
        let reply = ask(&mut account, DESCRIBE);
        assert!(reply.body.contains("<instanceState><code>16</code><name>running</name>"));
        assert!(reply.body.contains("<configured>false</configured>"));
        let none = "Action=DescribeInstances&Filter.1.Name=tag:Name&Filter.1.Value.1=other";
        assert!(ask(&mut account, none).body.contains("<reservationSet></reservationSet>"));
    }

    #[test]
    fn describes_all_instances_and_those_that_a_filter_lets_through() {
        let mut account = Account::for_tests();
        let first = account.first().id.clone();
        let second = account.launch(Recorder::silent()).id.clone();
        let both = ask(&mut account, "Action=DescribeInstances").body;
        assert!(both.contains(&first) && both.contains(&second), "{both}");
        let two = format!("{DESCRIBE}&InstanceId.2={second}");
        assert_eq!(ask(&mut account, &two).body.matches("<instanceId>").count(), 2);
        let pending = "Action=DescribeInstances&Filter.1.Name=instance-state-name\
                       &Filter.1.Value.1=pending&Filter.1.Value.2=stopped";
        let pending = ask(&mut account, pending).body;
        assert!(!pending.contains(&first) && pending.contains(&second), "{pending}");
    }

    #[test]
    fn an_instance_that_never_was_is_an_error() {
        let mut account = Account::for_tests();
        let mut code = |id: &str| {
            ask(&mut account, &format!("Action=DescribeInstances&InstanceId.1={id}")).body
        };
        assert!(code("i-0123456789abcdef0").contains("InvalidInstanceID.NotFound"));
        assert!(code("i-nonsense").contains("InvalidInstanceID.Malformed"));
        let two = "Action=DescribeInstances&InstanceId.1=i-0123456789abcdef0\
                   &InstanceId.2=i-0123456789abcdef1";
        let two = ask(&mut account, two).body;
        let both = "The instance IDs &apos;i-0123456789abcdef0, i-0123456789abcdef1&apos; do not";
        assert!(two.contains(&both.replace("&apos;", "'")), "{two}");
    }

    #[test]
    fn it_is_terminated_only_once_its_machine_is_gone_and_seen_for_an_hour() {
        let mut account = Account::for_tests();
        let reply = ask(&mut account, "Action=TerminateInstances&InstanceId.1={id}&Force=true");
        assert_eq!(reply.status, 200, "{reply:?}");
        let states = "<currentState><code>32</code><name>shutting-down</name></currentState>\
                      <previousState><code>16</code><name>running</name></previousState>";
        assert!(reply.body.contains(states), "{}", reply.body);
        assert!(ask(&mut account, DESCRIBE).body.contains("<name>shutting-down</name>"));
        switched_off(&mut account);
        let gone = ask(&mut account, DESCRIBE).body;
        assert!(gone.contains("<code>48</code><name>terminated</name>"), "{gone}");
        assert!(gone.contains("Client.UserInitiatedShutdown"), "{gone}");
        assert!(!gone.contains(PRIVATE_IP), "{gone}");
        account.skip(crate::sim::instance::TERMINATED_VISIBLE);
        account.skip(std::time::Duration::from_secs(1));
        assert!(ask(&mut account, DESCRIBE).body.contains("InvalidInstanceID.NotFound"));
    }

    #[test]
    fn a_dry_run_and_a_wrong_id_terminate_nobody() {
        let mut account = Account::for_tests();
        let mut refused = |query: &str, status: u16, code: &str| {
            let reply = ask(&mut account, &format!("Action=TerminateInstances{query}"));
            assert_eq!(reply.status, status, "{reply:?}");
            assert!(reply.body.contains(&format!("<Code>{code}</Code>")), "{}", reply.body);
        };
        refused("&InstanceId.1={id}&DryRun=true", 412, "DryRunOperation");
        let two = "&InstanceId.1={id}&InstanceId.2=i-0123456789abcdef0";
        refused(two, 400, "InvalidInstanceID.NotFound");
        refused("", 400, "MissingParameter");
        refused("&InstanceId.1={id}&Force=maybe", 400, "InvalidParameterValue");
        assert_eq!(account.first().state(), State::Running);
    }
}
