//! Instance refreshes that are not over, whoever began them.

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{InstanceRefresh, InstanceRefreshStatus};
use jiff::Timestamp;

use super::Failure;

/// A refresh that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Its id.
    pub id: String,
    /// `InProgress`, `Baking`, `RollbackInProgress`, …
    pub status: String,
    /// When it began.
    pub began: Option<Timestamp>,
    /// How far it is.
    pub percent: i32,
}

/// The refreshes of a group that are not over: one at most, says AWS.
pub async fn under_way(config: &SdkConfig, group: &str) -> Result<Vec<UnderWay>, Failure> {
    let call = Client::new(config).describe_instance_refreshes().auto_scaling_group_name(group);
    // The newest come first.
    let answer = call.max_records(10).send().await;
    let answer =
        answer.map_err(|error| Failure::new("autoscaling:DescribeInstanceRefreshes", &error))?;
    Ok(answer.instance_refreshes().iter().filter_map(read).collect())
}

fn read(refresh: &InstanceRefresh) -> Option<UnderWay> {
    use InstanceRefreshStatus as Status;
    let status = refresh.status()?;
    let over = matches!(
        status,
        Status::Successful
            | Status::Failed
            | Status::Cancelled
            | Status::RollbackFailed
            | Status::RollbackSuccessful
    );
    (!over).then(|| UnderWay {
        id: refresh.instance_refresh_id().unwrap_or_default().to_owned(),
        status: status.as_str().to_owned(),
        began: refresh.start_time().and_then(|it| Timestamp::from_second(it.secs()).ok()),
        percent: refresh.percentage_complete().unwrap_or(0),
    })
}
