//! Instances of our own: launched, looked at, stopped, made an image of, ended.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    AttributeValue, BlockDeviceMapping, EbsBlockDevice, Filter, HttpTokensState,
    IamInstanceProfileSpecification, Instance, InstanceInterruptionBehavior,
    InstanceMarketOptionsRequest, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType, Reservation, ResourceType,
    ShutdownBehavior, SpotInstanceType, SpotMarketOptions, VolumeType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Failure, tag};

const DESCRIBE: &str = "ec2:DescribeInstances";

/// How often one launch is asked for before the next way is tried.
const LAUNCH_ATTEMPTS: u32 = 2;

/// Of an instance that was asked for a moment ago EC2 may not know yet.
const UNKNOWN: &str = "InvalidInstanceID.NotFound";

/// What an instance is launched with.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The same token never launches two.
    pub token: &'a str,
    /// `ami-…`
    pub image: &'a str,
    /// `m7i.large`
    pub instance_type: &'a str,
    /// `subnet-…`
    pub subnet: &'a str,
    /// Whether it gets a public address.
    pub public: bool,
    /// The name of its key pair.
    pub key: &'a str,
    /// Its security groups.
    pub groups: &'a [String],
    /// The name or the ARN of an instance profile.
    pub profile: Option<&'a str>,
    /// What it reads at its first boot, as it is.
    pub user_data: &'a str,
    /// `/dev/xvda`
    pub root_device: &'a str,
    /// The names of the image's other EBS devices.
    pub more_devices: &'a [String],
    /// The size of the root volume in GiB; that of the image if absent.
    pub root_gib: Option<i32>,
    /// Whether it may be taken away for a lower price.
    pub spot: bool,
    /// The tags of the instance, its volumes and its network card.
    pub tags: &'a BTreeMap<String, String>,
}

/// An instance as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `i-…`
    pub id: String,
    /// `pending`, `running`, `stopped`, `terminated`, …
    pub state: String,
    /// Why it is in that state, where EC2 says so.
    pub reason: Option<String>,
    /// Its address in its VPC.
    pub private: Option<String>,
    /// Its address in the world.
    pub public: Option<String>,
    /// The root device's name.
    pub root_device: String,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`
    pub id: String,
    /// The VPC that it is part of.
    pub vpc: String,
    /// Where it is: `eu-west-1a`.
    pub zone: String,
    /// The id of that zone, which is the same in all accounts.
    pub zone_id: String,
    /// Its block of addresses.
    pub cidr: String,
}

/// Asks for one instance. Returns its id.
pub async fn launch(config: &SdkConfig, wanted: &Launch<'_>) -> Result<String, Failure> {
    const CALL: &str = "ec2:RunInstances";
    // That there is no capacity is a status of 500 to EC2, which the SDK would try again for minutes.
    let few = RetryConfig::standard().with_max_attempts(LAUNCH_ATTEMPTS);
    let client = aws_sdk_ec2::config::Builder::from(config).retry_config(few).build();
    let mut call = Client::from_conf(client)
        .run_instances()
        .client_token(wanted.token)
        .image_id(wanted.image)
        .instance_type(InstanceType::from(wanted.instance_type))
        .min_count(1)
        .max_count(1)
        .key_name(wanted.key)
        .user_data(STANDARD.encode(wanted.user_data))
        // A builder that switches itself off is gone, whoever watches it.
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .network_interfaces(network(wanted))
        .metadata_options(metadata())
        .set_block_device_mappings(Some(disks(wanted)));
    for kind in [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface] {
        call = call.tag_specifications(tag::of(kind, wanted.tags));
    }
    if let Some(profile) = wanted.profile {
        let builder = IamInstanceProfileSpecification::builder();
        let named =
            if profile.starts_with("arn:") { builder.arn(profile) } else { builder.name(profile) };
        call = call.iam_instance_profile(named.build());
    }
    if wanted.spot {
        call = call.instance_market_options(spot());
        call = call.tag_specifications(tag::of(ResourceType::SpotInstancesRequest, wanted.tags));
    }
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    let instance = answer.instances().first().and_then(Instance::instance_id);
    instance
        .map(str::to_owned)
        .ok_or_else(|| Failure::Unreadable { call: CALL, cause: "it names no instance".to_owned() })
}

fn network(wanted: &Launch<'_>) -> InstanceNetworkInterfaceSpecification {
    InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(wanted.subnet)
        .associate_public_ip_address(wanted.public)
        .set_groups(Some(wanted.groups.to_vec()))
        .delete_on_termination(true)
        .build()
}

/// Version 2 only, and no further than the instance itself.
fn metadata() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .build()
}

fn disks(wanted: &Launch<'_>) -> Vec<BlockDeviceMapping> {
    let more = wanted.more_devices.iter().map(|device| more(device));
    std::iter::once(root(wanted)).chain(more).collect()
}

/// Another disk of the image: it ends with the instance, whatever the image says.
fn more(device: &str) -> BlockDeviceMapping {
    let volume = EbsBlockDevice::builder().delete_on_termination(true).build();
    BlockDeviceMapping::builder().device_name(device).ebs(volume).build()
}

fn root(wanted: &Launch<'_>) -> BlockDeviceMapping {
    let volume = EbsBlockDevice::builder()
        .volume_type(VolumeType::Gp3)
        .set_volume_size(wanted.root_gib)
        .delete_on_termination(true);
    BlockDeviceMapping::builder().device_name(wanted.root_device).ebs(volume.build()).build()
}

/// One that is taken away ends: there is nothing on it that is worth to be kept.
fn spot() -> InstanceMarketOptionsRequest {
    let options = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate);
    InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(options.build())
        .build()
}

/// What EC2 says of an instance; none as long as it does not know it.
pub async fn see(config: &SdkConfig, id: &str) -> Result<Option<Seen>, Failure> {
    let answer = Client::new(config).describe_instances().instance_ids(id).send().await;
    match answer.map_err(|error| Failure::new(DESCRIBE, &error)) {
        Err(failure) if failure.code() == Some(UNKNOWN) => Ok(None),
        Err(failure) => Err(failure),
        Ok(answer) => Ok(first(answer.reservations())),
    }
}

fn first(reservations: &[Reservation]) -> Option<Seen> {
    let instance = reservations.iter().flat_map(Reservation::instances).next()?;
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    Some(Seen {
        id: instance.instance_id()?.to_owned(),
        state: instance.state()?.name()?.as_str().to_owned(),
        reason: text(instance.state_reason().and_then(|reason| reason.message())),
        private: text(instance.private_ip_address()),
        public: text(instance.public_ip_address()),
        root_device: instance.root_device_name().unwrap_or_default().to_owned(),
    })
}

/// What an instance wrote on its console so far; empty as long as EC2 has nothing.
pub async fn console(config: &SdkConfig, id: &str) -> Result<String, Failure> {
    const CALL: &str = "ec2:GetConsoleOutput";
    let call = |latest: bool| {
        Client::new(config).get_console_output().instance_id(id).set_latest(latest.then_some(true))
    };
    // Only Nitro has it up to the moment; others have what was there soon after the boot.
    let mut answer = call(true).send().await.map_err(|error| Failure::new(CALL, &error));
    if answer.as_ref().is_err_and(|failure| failure.code() == Some("UnsupportedOperation")) {
        answer = call(false).send().await.map_err(|error| Failure::new(CALL, &error));
    }
    let encoded = answer?.output.unwrap_or_default();
    let bytes = STANDARD.decode(encoded.trim()).unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// From now on an instance that switches itself off is only stopped.
pub async fn survive_shutdown(config: &SdkConfig, id: &str) -> Result<(), Failure> {
    let stop = AttributeValue::builder().value(ShutdownBehavior::Stop.as_str()).build();
    let call = Client::new(config).modify_instance_attribute().instance_id(id);
    let answer = call.instance_initiated_shutdown_behavior(stop).send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:ModifyInstanceAttribute", &error))
}

/// Stops an instance. That it is accepted does not mean that it is done.
pub async fn stop(config: &SdkConfig, id: &str) -> Result<(), Failure> {
    let answer = Client::new(config).stop_instances().instance_ids(id).send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:StopInstances", &error))
}

/// Has an image made of an instance, which is not restarted for it: it is stopped, or nothing writes to
/// its disks. Tags on the image and on its snapshots in the one call.
/// Returns its id.
pub async fn create_image(
    config: &SdkConfig,
    id: &str,
    name: &str,
    description: &str,
    root_device: &str,
    tags: &BTreeMap<String, String>,
) -> Result<String, Failure> {
    const CALL: &str = "ec2:CreateImage";
    let volume =
        EbsBlockDevice::builder().volume_type(VolumeType::Gp3).delete_on_termination(true).build();
    let root = BlockDeviceMapping::builder().device_name(root_device).ebs(volume).build();
    let call = Client::new(config)
        .create_image()
        .instance_id(id)
        .name(name)
        .description(description)
        .no_reboot(true)
        .block_device_mappings(root)
        .tag_specifications(tag::of(ResourceType::Image, tags))
        .tag_specifications(tag::of(ResourceType::Snapshot, tags));
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    answer
        .image_id
        .ok_or_else(|| Failure::Unreadable { call: CALL, cause: "the image has no id".to_owned() })
}

/// The block of addresses of a VPC.
pub async fn vpc_cidr(config: &SdkConfig, vpc: &str) -> Result<Option<String>, Failure> {
    let answer = Client::new(config).describe_vpcs().vpc_ids(vpc).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeVpcs", &error))?;
    Ok(answer.vpcs().iter().find_map(|vpc| vpc.cidr_block().map(str::to_owned)))
}

/// The subnets with these ids; with none, those of the default VPC that are the default of their
/// zones.
pub async fn subnets(config: &SdkConfig, ids: &[String]) -> Result<Vec<Subnet>, Failure> {
    const CALL: &str = "ec2:DescribeSubnets";
    let call = Client::new(config).describe_subnets();
    let call = if ids.is_empty() {
        call.filters(Filter::builder().name("default-for-az").values("true").build())
    } else {
        call.set_subnet_ids(Some(ids.to_vec()))
    };
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let mut found: Vec<_> = answer
        .subnets()
        .iter()
        .map(|subnet| Subnet {
            id: text(subnet.subnet_id()),
            vpc: text(subnet.vpc_id()),
            zone: text(subnet.availability_zone()),
            zone_id: text(subnet.availability_zone_id()),
            cidr: text(subnet.cidr_block()),
        })
        .collect();
    // In the order in which they were named.
    found.sort_by_key(|subnet| ids.iter().position(|id| *id == subnet.id));
    Ok(found)
}
