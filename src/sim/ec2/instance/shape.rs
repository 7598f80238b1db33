//! Instances as answers show them.

use crate::sim::account::{ACCOUNT_ID, PRIVATE_IP, SUBNET, VPC, ZONE};
use crate::sim::ec2::Call;
use crate::sim::ec2::launch::Launch;
use crate::sim::ec2::shape::{self, flag, set, some};
use crate::sim::instance::{Instance, State};
use crate::sim::region::Region;
use crate::sim::xml::{leaf, node};

/// A state: code and word.
pub fn state_of(state: State) -> String {
    leaf("code", state.code()) + &leaf("name", state.word())
}

/// All instances of one reservation, as what launched them shows them.
pub fn reservation(call: &mut Call<'_>, id: &str) -> String {
    let region = call.region.clone();
    let now = call.account.now();
    call.account.region(&region);
    let region = &call.account.regions[&region];
    let members = call.account.instances().iter().filter(|one| reservation_of(one) == id);
    let items = members.map(|one| item(one, one.state_at(now).unwrap_or(one.state()), region));
    leaf("reservationId", id) + &leaf("ownerId", ACCOUNT_ID) + &set("instancesSet", items)
}

/// The reservation of an instance.
pub fn reservation_of(instance: &Instance) -> String {
    let launched = instance.launch.as_ref().map(|launch| launch.reservation.clone());
    launched.unwrap_or_else(|| instance.id.replace("i-", "r-"))
}

/// One instance.
pub fn item(instance: &Instance, state: State, region: &Region) -> String {
    let more = match &instance.launch {
        Some(launch) => launched(instance, launch, state, region),
        None => guest(state),
    };
    leaf("instanceId", &instance.id)
        + &leaf("imageId", &instance.image)
        + &node("instanceState", &state_of(state))
        + &leaf("launchTime", &shape::time(instance.launched))
        + &reason(instance, state)
        + &leaf("rootDeviceType", "ebs")
        + &leaf("virtualizationType", "hvm")
        + &shape::tags(&instance.tags)
        + &node("hibernationOptions", &flag("configured", instance.hibernation))
        + &more
}

/// What differs of an instance that a group launched.
fn guest(state: State) -> String {
    leaf("amiLaunchIndex", "0")
        + &leaf("instanceType", "m5.large")
        + &node("placement", &(leaf("availabilityZone", ZONE) + &leaf("tenancy", "default")))
        + &if state == State::Terminated {
            leaf("privateDnsName", "")
        } else {
            leaf("privateDnsName", &dns(PRIVATE_IP))
                + &leaf("subnetId", SUBNET)
                + &leaf("vpcId", VPC)
                + &leaf("privateIpAddress", PRIVATE_IP)
        }
        + &leaf("architecture", "x86_64")
        + &node(
            "metadataOptions",
            &(leaf("state", "applied")
                + &leaf("httpTokens", "required")
                + &leaf("httpPutResponseHopLimit", "1")
                + &leaf("httpEndpoint", "enabled")
                + &leaf("instanceMetadataTags", "enabled")),
        )
}

fn dns(address: &str) -> String {
    format!("ip-{}.ec2.internal", address.replace('.', "-"))
}

/// What differs of an instance that somebody launched.
fn launched(instance: &Instance, launch: &Launch, state: State, region: &Region) -> String {
    let placement = leaf("availabilityZone", &launch.zone) + &leaf("tenancy", "default");
    let spot = launch.spot.as_ref();
    leaf("amiLaunchIndex", &launch.index.to_string())
        + &leaf("instanceType", &launch.instance_type)
        + &node("placement", &placement)
        + &network(instance, launch, state, region)
        + &leaf("architecture", &launch.architecture)
        + &leaf("hypervisor", "xen")
        + &leaf("rootDeviceName", &launch.root_device)
        + &disks(instance, launch, state, region)
        + &some("keyName", launch.key_name.as_deref())
        + &some("clientToken", launch.client_token.as_deref())
        + &some("bootMode", launch.boot_mode.as_deref())
        + &some("tpmSupport", launch.tpm_support.as_deref())
        + &some("instanceLifecycle", spot.map(|_| "spot"))
        + &some("spotInstanceRequestId", spot.map(|(id, _)| id.as_str()))
        + &launch.profile.as_deref().map_or_else(String::new, profile)
        + &flag("ebsOptimized", launch.ebs_optimized)
        + &flag("enaSupport", true)
        + &leaf("platformDetails", "Linux/UNIX")
        + &leaf("usageOperation", "RunInstances")
        + &node(
            "monitoring",
            &leaf("state", if launch.monitoring { "enabled" } else { "disabled" }),
        )
        + &node("metadataOptions", &(leaf("state", "applied") + &launch.metadata.shape()))
}

fn profile(arn: &str) -> String {
    let id = crate::sim::random::derived(arn, 16).to_uppercase();
    node("iamInstanceProfile", &(leaf("arn", arn) + &leaf("id", &format!("AIPA{id}"))))
}

/// The security groups with their names.
pub fn groups(launch: &Launch, region: &Region) -> String {
    let name = |id: &String| region.security_groups.get(id).map_or("", |group| group.name.as_str());
    set(
        "groupSet",
        launch.groups.iter().map(|id| leaf("groupId", id) + &leaf("groupName", name(id))),
    )
}

/// An instance that is terminated has no network any more; one that is stopped has no address in
/// the world.
fn network(instance: &Instance, launch: &Launch, state: State, region: &Region) -> String {
    if state == State::Terminated {
        return leaf("privateDnsName", "") + &leaf("dnsName", "");
    }
    let awake = !matches!(state, State::Stopping | State::Stopped);
    let public = launch.public_ip.as_deref().filter(|_| awake);
    let name = public.map(|ip| format!("ec2-{}.compute.amazonaws.com", ip.replace('.', "-")));
    let association = public.map_or_else(String::new, |ip| {
        let inner = leaf("publicIp", ip)
            + &some("publicDnsName", name.as_deref())
            + &leaf("ipOwnerId", "amazon");
        node("association", &inner)
    });
    let attachment =
        leaf("deviceIndex", "0") + &leaf("status", "attached") + &flag("deleteOnTermination", true);
    let card = leaf("networkInterfaceId", &launch.interface)
        + &leaf("subnetId", &launch.subnet)
        + &leaf("vpcId", &launch.vpc)
        + &leaf("ownerId", ACCOUNT_ID)
        + &leaf("status", "in-use")
        + &leaf("macAddress", &instance.mac)
        + &leaf("privateIpAddress", &launch.private_ip)
        + &leaf("privateDnsName", &dns(&launch.private_ip))
        + &flag("sourceDestCheck", true)
        + &groups(launch, region)
        + &node("attachment", &attachment)
        + &association;
    leaf("privateDnsName", &dns(&launch.private_ip))
        + &leaf("dnsName", name.as_deref().unwrap_or_default())
        + &leaf("privateIpAddress", &launch.private_ip)
        + &some("ipAddress", public)
        + &leaf("subnetId", &launch.subnet)
        + &leaf("vpcId", &launch.vpc)
        + &flag("sourceDestCheck", true)
        + &groups(launch, region)
        + &set("networkInterfaceSet", [card])
}

fn disks(instance: &Instance, launch: &Launch, state: State, region: &Region) -> String {
    let there = launch.volumes.iter().filter_map(|id| region.volumes.get(id));
    let items = there.filter(|_| state != State::Terminated).map(|volume| {
        let ebs = leaf("volumeId", &volume.id)
            + &leaf("status", "attached")
            + &leaf("attachTime", &shape::time(instance.launched))
            + &flag("deleteOnTermination", volume.delete_on_termination);
        leaf("deviceName", &volume.device) + &node("ebs", &ebs)
    });
    set("blockDeviceMapping", items)
}

fn reason(instance: &Instance, state: State) -> String {
    match (instance.reason, state) {
        (None, _) | (_, State::Pending | State::Running) => String::new(),
        (Some((code, message)), _) => {
            node("stateReason", &(leaf("code", code) + &leaf("message", message)))
        }
    }
}

/// What an instance has under the name of a filter.
pub fn values(instance: &Instance, state: State, region: &Region, filter: &str) -> Vec<String> {
    let text = match filter {
        "instance-id" => Some(instance.id.clone()),
        "instance-state-name" => Some(state.word().to_owned()),
        "instance-state-code" => Some(state.code().to_owned()),
        "image-id" => Some(instance.image.clone()),
        "hibernation-options.configured" => Some(instance.hibernation.to_string()),
        "launch-time" => Some(shape::time(instance.launched)),
        "owner-id" => Some(ACCOUNT_ID.to_owned()),
        "reservation-id" => Some(reservation_of(instance)),
        "root-device-type" => Some("ebs".to_owned()),
        "state-reason-code" => instance.reason.map(|(code, _)| code.to_owned()),
        "virtualization-type" => Some("hvm".to_owned()),
        _ => match &instance.launch {
            Some(launch) => return launched_values(launch, state, region, filter),
            None => guest_value(state, filter).map(str::to_owned),
        },
    };
    text.into_iter().collect()
}

fn guest_value(state: State, filter: &str) -> Option<&'static str> {
    let connected = state != State::Terminated;
    match filter {
        "availability-zone" => Some(ZONE),
        "architecture" => Some("x86_64"),
        "instance-type" => Some("m5.large"),
        "private-ip-address" => connected.then_some(PRIVATE_IP),
        "vpc-id" => connected.then_some(VPC),
        "subnet-id" => connected.then_some(SUBNET),
        _ => None,
    }
}

fn launched_values(launch: &Launch, state: State, region: &Region, filter: &str) -> Vec<String> {
    let connected = state != State::Terminated;
    let volumes = launch.volumes.iter().filter_map(|id| region.volumes.get(id));
    match filter {
        "block-device-mapping.device-name" => {
            return volumes.map(|volume| volume.device.clone()).collect();
        }
        "block-device-mapping.volume-id" => return launch.volumes.clone(),
        "instance.group-id" | "network-interface.group-id" if connected => {
            return launch.groups.clone();
        }
        "instance.group-name" if connected => {
            let groups = launch.groups.iter().filter_map(|id| region.security_groups.get(id));
            return groups.map(|group| group.name.clone()).collect();
        }
        _ => {}
    }
    let text = match filter {
        "architecture" => Some(launch.architecture.clone()),
        "availability-zone" => Some(launch.zone.clone()),
        "client-token" => launch.client_token.clone(),
        "iam-instance-profile.arn" => launch.profile.clone(),
        "instance-lifecycle" => launch.spot.as_ref().map(|_| "spot".to_owned()),
        "instance-type" => Some(launch.instance_type.clone()),
        "ip-address" => launch.public_ip.clone().filter(|_| connected),
        "key-name" => launch.key_name.clone(),
        "launch-index" => Some(launch.index.to_string()),
        "metadata-options.http-tokens" => launch.metadata.tokens.clone(),
        "private-dns-name" => connected.then(|| dns(&launch.private_ip)),
        "private-ip-address" => connected.then(|| launch.private_ip.clone()),
        "root-device-name" => Some(launch.root_device.clone()),
        "spot-instance-request-id" => launch.spot.as_ref().map(|(id, _)| id.clone()),
        "subnet-id" => connected.then(|| launch.subnet.clone()),
        "vpc-id" => connected.then(|| launch.vpc.clone()),
        _ => None,
    };
    text.into_iter().collect()
}
