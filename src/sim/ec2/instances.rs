//! What there is to know about instances, and their end.

use super::Call;
use super::filter::{Filters, truth};
use super::id::Kind;
use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::shape::{self, flag, set};
use crate::sim::account::{ACCOUNT_ID, PRIVATE_IP, SUBNET, VPC, ZONE};
use crate::sim::instance::{Ending, Instance, State};
use crate::sim::xml::{leaf, node};

/// What an answer may be filtered by.
const FILTERS: &[&str] = &[
    "availability-zone",
    "hibernation-options.configured",
    "image-id",
    "instance-id",
    "instance-state-code",
    "instance-state-name",
    "private-ip-address",
    "subnet-id",
    "tag-key",
    "vpc-id",
];

/// `DescribeInstances`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let ids = query.list("InstanceId");
    let filters = Filters::of(&mut query, FILTERS)?;
    let dry_run = query.finish()?;
    let as_of = call.as_of;
    let visible = |instance: &Instance| instance.state_at(as_of);
    let known = |id: &str| call.account.instance(id).is_some_and(|one| visible(one).is_some());
    Kind::Instance.check_all(&ids, known)?;
    dry_run.end()?;
    let all = call.account.instances().iter();
    let wanted = all
        .filter(|instance| ids.is_empty() || ids.contains(&instance.id))
        .filter_map(|instance| Some((instance, visible(instance)?)))
        .filter(|(one, state)| filters.pass(&one.tags, |name| values(one, *state, name)));
    Ok(set("reservationSet", wanted.map(|(instance, state)| reservation(instance, state))))
}

/// `TerminateInstances`. All or none: one id that is wrong spares the others, too.
pub fn terminate(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let ids = query.list("InstanceId");
    // It would do the operating system's shutdown as far as possible; `Force` changes only what
    // becomes of one that hangs, which is pulled out in any case here.
    let _force = query.flag("Force")?;
    let skip = query.flag("SkipOsShutdown")?.unwrap_or_default();
    let dry_run = query.finish()?;
    if ids.is_empty() {
        return Err(Refusal::missing("InstanceId"));
    }
    let now = call.account.now();
    let account = &mut *call.account;
    let known = |id: &str| account.instance(id).is_some_and(|one| one.state_at(now).is_some());
    Kind::Instance.check_all(&ids, known)?;
    dry_run.end()?;
    let mut items = Vec::new();
    for id in &ids {
        let Some((instance, now)) = account.instance_mut(id) else { continue };
        let previous = instance.state();
        instance.terminate(now, if skip { Ending::SkipOsShutdown } else { Ending::Graceful });
        let change = leaf("instanceId", id)
            + &node("currentState", &state_of(instance.state()))
            + &node("previousState", &state_of(previous));
        items.push(change);
    }
    Ok(set("instancesSet", items))
}

/// Hooks that have waited too long take their default result before anybody looks.
fn settle(call: &mut Call<'_>) {
    let ids: Vec<String> = call.account.instances().iter().map(|one| one.id.clone()).collect();
    for id in ids {
        call.account.lifecycle(&id);
    }
}

/// What an instance has under the name of a filter.
fn values(instance: &Instance, state: State, filter: &str) -> Vec<String> {
    let connected = state != State::Terminated;
    let text = match filter {
        "instance-id" => Some(instance.id.as_str()),
        "instance-state-name" => Some(state.word()),
        "instance-state-code" => Some(state.code()),
        "availability-zone" => Some(ZONE),
        "private-ip-address" => connected.then_some(PRIVATE_IP),
        "vpc-id" => connected.then_some(VPC),
        "subnet-id" => connected.then_some(SUBNET),
        "image-id" => Some(instance.image.as_str()),
        "hibernation-options.configured" => Some(truth(instance.hibernation)),
        _ => None,
    };
    text.map(str::to_owned).into_iter().collect()
}

fn state_of(state: State) -> String {
    leaf("code", state.code()) + &leaf("name", state.word())
}

fn reservation(instance: &Instance, state: State) -> String {
    let item = leaf("instanceId", &instance.id)
        + &leaf("imageId", &instance.image)
        + &node("instanceState", &state_of(state))
        + &leaf("amiLaunchIndex", "0")
        + &leaf("instanceType", "m5.large")
        + &leaf("launchTime", &shape::time(instance.launched))
        + &node("placement", &(leaf("availabilityZone", ZONE) + &leaf("tenancy", "default")))
        + &network(state)
        + &reason(instance, state)
        + &leaf("architecture", "x86_64")
        + &leaf("rootDeviceType", "ebs")
        + &leaf("virtualizationType", "hvm")
        + &shape::tags(&instance.tags)
        + &node("hibernationOptions", &flag("configured", instance.hibernation))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::account::Account;
    use crate::sim::ec2::desk::put;
    use crate::sim::http::Reply;
    use crate::sim::timeline::Recorder;

    fn ask(account: &mut Account, query: &str) -> Reply {
        let query = query.replace("{id}", &account.first().id);
        put(account, crate::sim::account::REGION, query)
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
