//! Instances of the guests: what the agent in one asks.

use crate::sim::account::Account;
use crate::sim::account::PRIVATE_IP;
use crate::sim::ec2::desk::put;
use crate::sim::http::Reply;
use crate::sim::instance::State;
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
    let mut code =
        |id: &str| ask(&mut account, &format!("Action=DescribeInstances&InstanceId.1={id}")).body;
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
