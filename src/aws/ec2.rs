//! EC2: what it says of an instance, and its end.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, Reservation};
use jiff::Timestamp;

use super::Failure;

const DESCRIBE: &str = "ec2:DescribeInstances";

/// The tag that Auto Scaling puts on the instances of a group.
const GROUP: &str = "aws:autoscaling:groupName";

/// An instance as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `running`, `shutting-down`, `terminated`, …
    pub state: String,
    /// Whether it may keep its memory while it is stopped; none where EC2 does not say.
    pub hibernates: Option<bool>,
    /// When it was last started.
    pub launched: Option<Timestamp>,
    /// Its Auto Scaling Group, from the tag that nobody but AWS can set.
    pub group: Option<String>,
}

/// An instance; `None` only where EC2 says itself that it knows no such one.
pub async fn describe(config: &SdkConfig, instance_id: &str) -> Result<Option<Instance>, Failure> {
    let answer = Client::new(config).describe_instances().instance_ids(instance_id).send().await;
    let answer = match answer.map_err(|error| Failure::new(DESCRIBE, &error)) {
        Err(failure) if failure.code() == Some("InvalidInstanceID.NotFound") => return Ok(None),
        other => other?,
    };
    let mut instances = answer.reservations().iter().flat_map(Reservation::instances);
    let instance = instances.find(|instance| instance.instance_id() == Some(instance_id));
    instance.and_then(read).map(Some).ok_or_else(|| Failure::Unreadable {
        call: DESCRIBE,
        cause: format!("it has no state of {instance_id}"),
    })
}

fn read(instance: &types::Instance) -> Option<Instance> {
    let tag = instance.tags().iter().find(|tag| tag.key() == Some(GROUP));
    let launched = instance.launch_time().and_then(|time| Timestamp::from_second(time.secs()).ok());
    Some(Instance {
        state: instance.state()?.name()?.as_str().to_owned(),
        hibernates: instance.hibernation_options().and_then(types::HibernationOptions::configured),
        launched,
        group: tag.and_then(|tag| tag.value()).map(str::to_owned),
    })
}

/// Ends an instance for ever, without waiting for its operating system. That it is accepted does not
/// mean that it is done.
pub async fn terminate(config: &SdkConfig, instance_id: &str) -> Result<(), Failure> {
    let call = Client::new(config).terminate_instances().instance_ids(instance_id);
    let answer = call.skip_os_shutdown(true).send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:TerminateInstances", &error))
}
