//! EC2: what it says of an instance.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;

use super::Failure;

/// The state of an instance (`running`, `shutting-down`, `terminated`, …), or `None` where EC2
/// knows no such instance.
pub async fn instance_state(
    config: &SdkConfig,
    instance_id: &str,
) -> Result<Option<String>, Failure> {
    let answer = Client::new(config).describe_instances().instance_ids(instance_id).send().await;
    let answer = match answer.map_err(|error| Failure::new("ec2:DescribeInstances", &error)) {
        Err(failure) if failure.code() == Some("InvalidInstanceID.NotFound") => return Ok(None),
        other => other?,
    };
    let mut instances =
        answer.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
    let state = instances.find_map(|instance| instance.state()?.name());
    Ok(state.map(|name| name.as_str().to_owned()))
}
