//! The longer answers of the metadata service, and the words that they are made of.

use jiff::Timestamp;
use serde_json::json;

use crate::sim::account::{ACCOUNT_ID, PRIVATE_IP, ROLE, ZONE};
use crate::sim::instance::Instance;
use crate::sim::random;

/// The name of its profile, which is that of its role.
pub(super) fn profile(instance: &Instance) -> Option<&str> {
    match &instance.launch {
        None => Some(ROLE),
        Some(launch) => launch.profile.as_deref()?.rsplit('/').next(),
    }
}

pub(super) fn instance_type(instance: &Instance) -> &str {
    instance.launch.as_ref().map_or("m5.large", |launch| &launch.instance_type)
}

pub(super) fn zone(instance: &Instance) -> &str {
    instance.launch.as_ref().map_or(ZONE, |launch| &launch.zone)
}

pub(super) fn reservation(instance: &Instance) -> String {
    match &instance.launch {
        None => instance.id.replace("i-", "r-"),
        Some(launch) => launch.reservation.clone(),
    }
}

/// Its key pair's public key, with the pair's name as the comment.
pub(super) fn login_key(instance: &Instance) -> String {
    let mut words = instance.public_key.split_whitespace();
    let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    format!("{kind} {key} {}\n", key_name(instance))
}

pub(super) fn key_name(instance: &Instance) -> &str {
    let said = instance.launch.as_ref().and_then(|launch| launch.key_name.as_deref());
    said.unwrap_or(ROLE)
}

pub(super) fn identity_document(instance: &Instance) -> String {
    let launch = instance.launch.as_deref();
    pretty(&json!({
        "accountId": ACCOUNT_ID,
        "architecture": launch.map_or("x86_64", |one| one.architecture.as_str()),
        "availabilityZone": zone(instance),
        "billingProducts": null,
        "devpayProductCodes": null,
        "imageId": instance.image,
        "instanceId": instance.id,
        "instanceType": instance_type(instance),
        "kernelId": null,
        "marketplaceProductCodes": null,
        "pendingTime": seconds(instance.launched),
        "privateIp": launch.map_or(PRIVATE_IP, |one| one.private_ip.as_str()),
        "ramdiskId": null,
        "region": instance.region(),
        "version": "2017-09-30",
    }))
}

pub(super) fn profile_document(instance: &Instance, profile: &str) -> String {
    pretty(&json!({
        "Code": "Success",
        "LastUpdated": seconds(instance.launched),
        "InstanceProfileArn": format!("arn:aws:iam::{ACCOUNT_ID}:instance-profile/{profile}"),
        "InstanceProfileId": format!("AIPA{}", random::derived(&instance.id, 16).to_uppercase()),
    }))
}

pub(super) fn credentials(instance: &Instance) -> String {
    let keys = &instance.credentials;
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(6);
    pretty(&json!({
        "Code": "Success",
        "LastUpdated": seconds(instance.launched),
        "Type": "AWS-HMAC",
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        "Token": keys.session,
        "Expiration": seconds(expires),
    }))
}

pub(super) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("a document of strings")
}
