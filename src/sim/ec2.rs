//! EC2, its own query protocol: what there is to know about one instance.

use std::collections::BTreeMap;

use super::account::{ACCOUNT_ID, Account, Lifecycle, PRIVATE_IP, SUBNET, VPC, ZONE};
use super::http::{Reply, Request};
use super::random;
use super::xml::{leaf, node};

/// The version of the protocol.
pub const VERSION: &str = "2016-11-15";

type Asked = BTreeMap<String, String>;

/// Answers one signed request.
pub fn answer(account: &mut Account, request: &Request) -> Reply {
    let asked = request.parameters();
    let action = asked.get("Action").map_or("", String::as_str);
    if action != "DescribeInstances" {
        let message = format!("The action {action} is not valid for this web service.");
        return error(400, "InvalidAction", &message);
    }
    describe_instances(account, &asked)
        .map_or_else(|refusal| refusal, |inner| reply(action, &inner))
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

fn describe_instances(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    for (_, id) in asked.iter().filter(|(key, _)| key.starts_with("InstanceId.")) {
        let digits = id.strip_prefix("i-").unwrap_or_default();
        let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !hex || !(digits.len() == 8 || digits.len() == 17) {
            let message = format!("Invalid id: \"{id}\"");
            return Err(error(400, "InvalidInstanceID.Malformed", &message));
        }
        if *id != account.instance.id {
            let message = format!("The instance ID '{id}' does not exist");
            return Err(error(400, "InvalidInstanceID.NotFound", &message));
        }
    }
    let (code, state) = match account.lifecycle() {
        Lifecycle::Waiting { .. } | Lifecycle::InService => ("16", "running"),
        Lifecycle::Terminating => ("32", "shutting-down"),
    };
    let mut matches = true;
    for (name, values) in filters(asked) {
        let value = match name.as_str() {
            "instance-id" => Some(account.instance.id.as_str()),
            "instance-state-name" => Some(state),
            "instance-state-code" => Some(code),
            "availability-zone" => Some(ZONE),
            "private-ip-address" => Some(PRIVATE_IP),
            "vpc-id" => Some(VPC),
            "subnet-id" => Some(SUBNET),
            "image-id" => Some(account.instance.image.as_str()),
            other => {
                let Some(tag) = other.strip_prefix("tag:") else {
                    let message = format!("The filter '{other}' is invalid");
                    return Err(error(400, "InvalidParameterValue", &message));
                };
                account.instance.tags.get(tag).map(String::as_str)
            }
        };
        matches &= value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    }
    let item =
        if matches { node("item", &reservation(account, code, state)) } else { String::new() };
    Ok(node("reservationSet", &item))
}

fn reservation(account: &Account, code: &str, state: &str) -> String {
    let instance = &account.instance;
    let tags: String = instance
        .tags
        .iter()
        .map(|(key, value)| node("item", &(leaf("key", key) + &leaf("value", value))))
        .collect();
    let item = leaf("instanceId", &instance.id)
        + &leaf("imageId", &instance.image)
        + &node("instanceState", &(leaf("code", code) + &leaf("name", state)))
        + &leaf("privateDnsName", &format!("ip-{}.ec2.internal", PRIVATE_IP.replace('.', "-")))
        + &leaf("amiLaunchIndex", "0")
        + &leaf("instanceType", "m5.large")
        + &leaf("launchTime", &instance.started.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string())
        + &node("placement", &(leaf("availabilityZone", ZONE) + &leaf("tenancy", "default")))
        + &leaf("subnetId", SUBNET)
        + &leaf("vpcId", VPC)
        + &leaf("privateIpAddress", PRIVATE_IP)
        + &leaf("architecture", "x86_64")
        + &leaf("rootDeviceType", "ebs")
        + &leaf("virtualizationType", "hvm")
        + &node("tagSet", &tags)
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

    fn ask(account: &mut Account, query: &str) -> Reply {
        let query = query.replace("{id}", &account.instance.id);
        answer(account, &Request { query, ..Request::default() })
    }

    #[test]
    fn describes_the_instance_that_was_asked_for() {
        let mut account = Account::for_tests();
        let reply = ask(&mut account, "Action=DescribeInstances&InstanceId.1={id}");
        assert!(reply.body.contains("<instanceState><code>16</code><name>running</name>"));
        let none = "Action=DescribeInstances&Filter.1.Name=tag:Name&Filter.1.Value.1=other";
        assert!(ask(&mut account, none).body.contains("<reservationSet></reservationSet>"));
    }

    #[test]
    fn an_instance_that_never_was_is_an_error() {
        let mut account = Account::for_tests();
        let mut code = |id: &str| {
            ask(&mut account, &format!("Action=DescribeInstances&InstanceId.1={id}")).body
        };
        assert!(code("i-0123456789abcdef0").contains("InvalidInstanceID.NotFound"));
        assert!(code("i-nonsense").contains("InvalidInstanceID.Malformed"));
    }
}
