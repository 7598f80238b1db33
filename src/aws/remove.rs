//! The end of things on AWS, one call each. That something is not there is no failure: who undoes may
//! come twice, or come after AWS itself.
//!
//! Nothing here asks whether something may go: that is decided by who calls.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InstanceStateName, Reservation};
use tokio::time::Instant;

use super::Failure;

/// How long a network card may use a group after its instance has ended.
const DETACHMENT: Duration = Duration::from_mins(1);
/// How often is asked whether an instance is gone.
const PAUSE: Duration = Duration::from_secs(3);
/// So many instances are named in one filter: AWS's own limit for the values of one.
const FILTER_VALUES: usize = 200;

/// What was found by who came to remove something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was there, and is removed, or on its way.
    Done,
    /// AWS knows no such thing: it was removed before, or never came to be. For a minute after it was
    /// made AWS may say so of something that exists.
    Absent,
}

/// Deregisters an image. Its snapshots stay.
pub async fn deregister_image(config: &SdkConfig, image_id: &str) -> Result<Removal, Failure> {
    let answer = Client::new(config).deregister_image().image_id(image_id).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DeregisterImage", &error));
    // `Unavailable` is what AWS says of one that was deregistered a moment ago.
    or_absent(answer, &["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"])
}

/// Deletes a snapshot, also one that is still being written.
pub async fn delete_snapshot(config: &SdkConfig, snapshot_id: &str) -> Result<Removal, Failure> {
    let answer = Client::new(config).delete_snapshot().snapshot_id(snapshot_id).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DeleteSnapshot", &error));
    or_absent(answer, &["InvalidSnapshot.NotFound"])
}

/// Begins to terminate an instance, without waiting for its operating system.
pub async fn terminate(config: &SdkConfig, instance_id: &str) -> Result<Removal, Failure> {
    let answer = super::ec2::terminate(config, instance_id).await;
    or_absent(answer, &["InvalidInstanceID.NotFound"])
}

/// Waits until none of these instances is there any more, or until `patience` is at its end. Those
/// that are there then are returned, with their states.
pub async fn terminated(
    config: &SdkConfig,
    instance_ids: &[String],
    patience: Duration,
) -> Result<BTreeMap<String, String>, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        let mut there = BTreeMap::new();
        for ids in instance_ids.chunks(FILTER_VALUES) {
            there.extend(states(config, ids).await?);
        }
        if there.is_empty() || Instant::now() + PAUSE > deadline {
            return Ok(there);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The states of those instances that are not terminated. By a filter: by their ids, one that AWS
/// has forgotten would fail the call for all.
async fn states(config: &SdkConfig, ids: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let filter = Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
    let call = Client::new(config).describe_instances().filters(filter);
    let mut pages = call.into_paginator().send();
    let mut states = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeInstances", &error))?;
        let instances = page.reservations().iter().flat_map(Reservation::instances);
        states.extend(instances.filter_map(|instance| {
            let state = instance.state()?.name()?;
            let there = *state != InstanceStateName::Terminated;
            there.then_some((instance.instance_id()?.to_owned(), state.as_str().to_owned()))
        }));
    }
    Ok(states)
}

/// Deletes a key pair, by its name or by its id (`key-…`).
pub async fn delete_key_pair(config: &SdkConfig, key: &str) -> Result<Removal, Failure> {
    let call = Client::new(config).delete_key_pair();
    let is_id = key
        .strip_prefix("key-")
        .is_some_and(|rest| rest.len() >= 8 && rest.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let call = if is_id { call.key_pair_id(key) } else { call.key_name(key) };
    let answer = call.send().await;
    // By name, AWS says of one that is not there that it has deleted it.
    let answer = answer.map_err(|error| Failure::new("ec2:DeleteKeyPair", &error));
    or_absent(answer, &["InvalidKeyPair.NotFound", "InvalidKeyPairId.NotFound"])
}

/// Deletes a security group, by its id. One that a network card still uses is refused
/// (`DependencyViolation`): an instance has to be gone first.
pub async fn delete_security_group(config: &SdkConfig, group: &str) -> Result<Removal, Failure> {
    let answer = Client::new(config).delete_security_group().group_id(group).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DeleteSecurityGroup", &error));
    or_absent(answer, &["InvalidGroup.NotFound", "InvalidGroupId.NotFound"])
}

/// Deletes a security group whose last instance has just ended: its network card may still use it for
/// a moment.
pub async fn delete_free_group(config: &SdkConfig, group: &str) -> Result<Removal, Failure> {
    let deadline = Instant::now() + DETACHMENT;
    loop {
        match delete_security_group(config, group).await {
            Err(failure)
                if failure.code() == Some("DependencyViolation") && Instant::now() < deadline => {}
            other => return other,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn or_absent<T>(answer: Result<T, Failure>, absent: &[&str]) -> Result<Removal, Failure> {
    match answer {
        Ok(_) => Ok(Removal::Done),
        Err(failure) if failure.code().is_some_and(|code| absent.contains(&code)) => {
            Ok(Removal::Absent)
        }
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Result<(), Failure> {
        Err(Failure::Refused {
            call: "ec2:DeleteSnapshot",
            status: 400,
            code: code.to_owned(),
            message: String::new(),
            ahead: None,
        })
    }

    #[test]
    fn what_is_not_there_is_no_failure_and_what_is_in_use_is_one() {
        let absent = &["InvalidSnapshot.NotFound"];
        assert_eq!(or_absent(Ok(()), absent).unwrap(), Removal::Done);
        let gone = or_absent(refused("InvalidSnapshot.NotFound"), absent).unwrap();
        assert_eq!(gone, Removal::Absent);
        assert!(or_absent(refused("InvalidSnapshot.InUse"), absent).is_err());
    }
}
