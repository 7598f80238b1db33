//! Service Quotas: how much an account may run in a region, and how much of that it does run. Asks for
//! no more of it.

mod family;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::types::MetricInfo;
use jiff::{SignedDuration, Timestamp};

pub use self::family::{Market, code};
use super::Failure;
use super::cloudwatch::{Question, Statistic, metrics};

const CALL: &str = "servicequotas:GetServiceQuota";
/// What it says of a quota that the region does not have.
const UNKNOWN: &str = "NoSuchResourceException";

/// Usage is measured every few minutes.
const PERIOD: Duration = Duration::from_mins(5);
const LATELY: SignedDuration = SignedDuration::from_mins(30);

/// A quota of EC2 that counts vCPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// `L-…`
    pub code: String,
    /// What it limits, in AWS's words.
    pub name: String,
    /// So many may run.
    pub limit: u64,
    /// So many ran when it was last measured; none where nobody measured.
    pub used: Option<u64>,
}

/// A quota of EC2, and its use by the metric that it names itself; none where there is no such quota.
pub async fn of_ec2(config: &SdkConfig, code: &str) -> Result<Option<Quota>, Failure> {
    let call = Client::new(config).get_service_quota().service_code("ec2").quota_code(code);
    let answer = match call.send().await.map_err(|error| Failure::new(CALL, &error)) {
        Err(failure) if failure.code() == Some(UNKNOWN) => return Ok(None),
        answer => answer?,
    };
    let Some(quota) = answer.quota() else { return Ok(None) };
    let Some(limit) = quota.value() else { return Ok(None) };
    let used = match quota.usage_metric() {
        Some(metric) => used(config, metric).await?,
        None => None,
    };
    Ok(Some(Quota {
        code: code.to_owned(),
        name: quota.quota_name().unwrap_or(code).to_owned(),
        limit: whole(limit.floor()),
        used: used.map(|used| whole(used.ceil())),
    }))
}

/// The newest number of the metric.
async fn used(config: &SdkConfig, metric: &MetricInfo) -> Result<Option<f64>, Failure> {
    let (Some(namespace), Some(name)) = (metric.metric_namespace(), metric.metric_name()) else {
        return Ok(None);
    };
    let statistic = match metric.metric_statistic_recommendation() {
        Some("Sum") => Statistic::Sum,
        _ => Statistic::Maximum,
    };
    let of = metric.metric_dimensions().into_iter().flatten();
    let mut of: Vec<_> = of.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    of.sort_unstable();
    let until = Timestamp::now();
    let question = Question {
        namespace,
        of: &of,
        metrics: &[(name, statistic)],
        from: until - LATELY,
        until,
        period: PERIOD,
    };
    let points = metrics(config, &question).await?.remove(name).unwrap_or_default();
    Ok(points.last().map(|point| point.value))
}

fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of processors; what is no number is none"
    )]
    {
        number.max(0.0) as u64
    }
}
