//! Service Quotas, JSON 1.1: how many vCPUs an account may run of the families that there are here, and
//! how many run.
//!
//! What is limited is told, and nothing is refused for it: whoever wants EC2 to refuse a launch says so
//! by [`super::shortage`].

use serde::Deserialize;
use serde_json::json;

use super::account::{ACCOUNT_ID, Account};
use super::aws_json::{self, Answer};
use super::call::Call;
use super::ec2::instance::types::Type;
use super::http::Reply;
use super::instance::State;

/// What the header of every request begins with.
pub const TARGET: &str = "ServiceQuotasV20190624.";
/// The namespace and the name of the metric of what is used.
pub const USAGE: (&str, &str) = ("AWS/Usage", "ResourceCount");

/// A quota: its code, its name, how CloudWatch calls what it counts, and how many there are where nobody
/// said otherwise.
struct Quota {
    code: &'static str,
    name: &'static str,
    class: &'static str,
    limit: f64,
}

/// Those of the families of [`Type`].
const QUOTAS: [Quota; 2] = [
    Quota {
        code: "L-1216C47A",
        name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        class: "Standard/OnDemand",
        limit: 1152.0,
    },
    Quota {
        code: "L-34B43A08",
        name: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        class: "Standard/Spot",
        limit: 640.0,
    },
];

/// Answers one signed request.
pub fn answer(account: &mut Account, call: &Call<'_>) -> Reply {
    let result = match call.action.as_str() {
        "GetServiceQuota" => get(account, call),
        _ => Err(aws_json::unknown()),
    };
    aws_json::reply(result)
}

/// An error in the shape of this protocol, in which this service writes `Message` large.
pub fn error(kind: &str, message: &str) -> Reply {
    let body = if message.is_empty() {
        json!({ "__type": kind })
    } else {
        json!({ "__type": kind, "Message": message })
    };
    aws_json::written(400, &body)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    service_code: String,
    quota_code: String,
}

fn get(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = serde_json::from_slice(&call.request.body)
        .map_err(|wrong| error("ValidationException", &wrong.to_string()))?;
    let Asked { service_code, quota_code } = asked;
    let found = QUOTAS.iter().find(|one| service_code == "ec2" && one.code == quota_code);
    let quota = found.ok_or_else(|| {
        let message = "The request failed because the specified quota does not exist.";
        error("NoSuchResourceException", message)
    })?;
    let region = &call.region;
    let limit = account.region(region).quotas.get(quota.code).copied().unwrap_or(quota.limit);
    let (namespace, metric) = USAGE;
    Ok(json!({ "Quota": {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": format!("arn:aws:servicequotas:{region}:{ACCOUNT_ID}:ec2/{}", quota.code),
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": limit,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
        "QuotaAppliedAtLevel": "ACCOUNT",
        "UsageMetric": {
            "MetricNamespace": namespace,
            "MetricName": metric,
            "MetricDimensions": {
                "Class": quota.class,
                "Resource": "vCPU",
                "Service": "EC2",
                "Type": "Resource",
            },
            "MetricStatisticRecommendation": "Maximum",
        },
    }}))
}

/// Has CloudWatch know what runs now.
pub fn measure(account: &mut Account, region: &str) {
    let now = account.world();
    let (namespace, metric) = USAGE;
    for quota in &QUOTAS {
        let is_spot = quota.class == "Standard/Spot";
        let runs = account.instances().iter().filter(|one| {
            one.region() == region && matches!(one.state(), State::Running | State::ShuttingDown)
        });
        let of = runs.filter_map(|one| one.launch.as_ref());
        let of = of.filter(|launch| launch.spot.is_some() == is_spot);
        let count: u64 =
            of.filter_map(|launch| Type::of(&launch.instance_type)).map(|kind| kind.vcpus()).sum();
        let about = [
            ("Class", quota.class),
            ("Resource", "vCPU"),
            ("Service", "EC2"),
            ("Type", "Resource"),
        ];
        #[expect(clippy::cast_precision_loss, reason = "a number of processors")]
        let count = count as f64;
        account.region(region).metrics.put(namespace, metric, &about, now, count);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sim::account::REGION;
    use crate::sim::http::Request;
    use crate::sim::service::Service;

    fn ask(account: &mut Account, code: &str) -> Value {
        let body = json!({ "ServiceCode": "ec2", "QuotaCode": code });
        let request = Request { body: body.to_string().into(), ..Request::default() };
        let call = Call::for_tests(Service::ServiceQuotas, "GetServiceQuota", &request);
        serde_json::from_str(&answer(account, &call).body).unwrap()
    }

    #[test]
    fn a_quota_is_what_somebody_said_or_the_usual_number() {
        let account = &mut Account::for_tests();
        assert_eq!(ask(account, "L-1216C47A")["Quota"]["Value"], 1152.0);
        account.region(REGION).quotas.insert("L-1216C47A".to_owned(), 5.0);
        let told = ask(account, "L-1216C47A");
        assert_eq!(told["Quota"]["Value"], 5.0);
        assert_eq!(told["Quota"]["UsageMetric"]["MetricDimensions"]["Class"], "Standard/OnDemand");
        assert_eq!(ask(account, "L-417A185B")["__type"], "NoSuchResourceException");
    }
}
