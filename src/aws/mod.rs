//! AWS: thin async functions over the SDK's clients, our types out.
//!
//! One file a service, or a part of one. Nothing here decides what a call is for, or starts a program.
//! A person's calls are made as [`operator`] says. On a host credentials come from the instance's metadata service and from nowhere else: a profile or keys in
//! the environment of a host must not make it act as somebody else. Where that service is may be
//! said by the SDK's own variable, `AWS_EC2_METADATA_SERVICE_ENDPOINT`.

pub mod account;
pub mod agents;
pub mod alarm;
pub mod asg;
pub mod backup;
pub mod base_ami;
pub mod channel;
pub mod clock;
pub mod cloudwatch;
pub mod ebs;
pub mod ec2;
pub mod ecs;
pub mod efs;
pub mod efs_change;
pub mod efs_replication;
pub mod elb;
mod failure;
pub mod image;
pub mod imds;
pub mod instance_type;
pub mod instances;
pub mod inventory;
pub mod keypair;
pub mod kms;
pub mod launch_template;
pub mod logs;
pub mod operator;
pub mod patience;
pub mod probe;
pub mod quota;
pub mod remove;
mod role;
pub mod rules;
pub mod security_group;
pub mod snapshot;
pub mod ssm;
pub mod tag;
pub mod trace;

use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::SharedCredentialsProvider;

pub use failure::{Clock, Failure};
use role::Role;

/// A boot waits for its calls, so each is given up in good time and tried again.
const CONNECT: Duration = Duration::from_secs(3);
const ATTEMPT: Duration = Duration::from_secs(10);
const OPERATION: Duration = Duration::from_secs(45);
const ATTEMPTS: u32 = 5;

/// Longer than the provider of credentials ever takes.
const CREDENTIALS: Duration = Duration::from_secs(30);

/// How calls are made: region, credentials of the instance role `role`, deadlines.
pub fn config(
    region: &str,
    endpoint_url: Option<&str>,
    imds: &imds::Imds,
    role: &str,
) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .app_name(AppName::new("hostkit").expect("the name is a constant of plain letters"))
        // One for all clients: else each of them asks the metadata service again.
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS).build())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(Role::new(imds, role)))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts);
    if let Some(url) = endpoint_url {
        builder = builder.endpoint_url(url);
    }
    builder.build()
}

/// The same calls for somebody who waits: each is given up after `patience`, and what is refused for
/// a moment is asked once more in it.
pub fn brisk(config: &SdkConfig, patience: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(patience / 2)
        .operation_attempt_timeout(patience)
        .operation_timeout(patience)
        .build();
    let retry = RetryConfig::standard()
        .with_max_attempts(2)
        .with_initial_backoff(Duration::from_millis(200));
    config.to_builder().retry_config(retry).timeout_config(timeouts).build()
}
