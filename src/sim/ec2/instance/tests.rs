use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::sim::conditions::IMAGE;
use crate::sim::ec2::desk::{Desk, inner};
use crate::sim::instance::State;
use crate::sim::shortage::Shortage;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPbKVMyTXXGYlXDlUSHVbJb+FsQ9Wk0Fw1fG+Kd1Kb3P me";
const SOON: Duration = Duration::from_mins(1);

/// A desk with an image, a key pair and a security group, and a request that launches with them.
fn ready() -> (Desk, String) {
    let mut desk = Desk::new();
    let (image, _) = desk.image("base");
    let key: String = form_urlencoded::byte_serialize(STANDARD.encode(KEY).as_bytes()).collect();
    desk.done(&format!("Action=ImportKeyPair&KeyName=builder&PublicKeyMaterial={key}"));
    let group = desk.done("Action=CreateSecurityGroup&GroupName=builder&GroupDescription=x");
    let group = inner(&group, "groupId");
    let data: String =
        form_urlencoded::byte_serialize(STANDARD.encode("#!/bin/sh\n").as_bytes()).collect();
    let run = format!(
        "Action=RunInstances&MinCount=1&MaxCount=1&ImageId={image}&InstanceType=t3.micro\
         &KeyName=builder&SecurityGroupId.1={group}&UserData={data}\
         &InstanceInitiatedShutdownBehavior=terminate&MetadataOptions.HttpTokens=required\
         &BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.VolumeSize=10\
         &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=hostkit:build\
         &TagSpecification.1.Tag.1.Value=1&TagSpecification.2.ResourceType=volume\
         &TagSpecification.2.Tag.1.Key=hostkit:build&TagSpecification.2.Tag.1.Value=1"
    );
    (desk, run)
}

fn state(desk: &mut Desk, id: &str) -> String {
    let body = desk.done(&format!("Action=DescribeInstances&InstanceId.1={id}"));
    inner(&inner(&body, "instanceState"), "name")
}

#[test]
fn an_instance_has_what_was_said_and_lives_by_time() {
    let (mut desk, run) = ready();
    let body = desk.done(&format!("{run}&ClientToken=t"));
    let id = inner(&body, "instanceId");
    assert_eq!(inner(&desk.done(&format!("{run}&ClientToken=t")), "instanceId"), id);
    let other = run.replace("t3.micro", "t3.small") + "&ClientToken=t";
    assert_eq!(desk.code(&other), "IdempotentParameterMismatch");
    for part in [
        "<instanceType>t3.micro</instanceType>",
        "<keyName>builder</keyName>",
        "<httpTokens>required</httpTokens>",
        "<key>hostkit:build</key>",
        "<clientToken>t</clientToken>",
        "<deviceName>/dev/xvda</deviceName>",
        "<name>pending</name>",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    desk.wait(SOON);
    assert_eq!(state(&mut desk, &id), "running");
    let (instance, _) = desk.account.instance_mut(&id).expect("it is there");
    assert_eq!((instance.user_data.as_str(), instance.public_key.as_str()), ("#!/bin/sh\n", KEY));
    let volumes =
        desk.done("Action=DescribeVolumes&Filter.1.Name=tag:hostkit:build&Filter.1.Value.1=1");
    assert_eq!(
        (inner(&volumes, "size"), inner(&volumes, "status")),
        ("10".into(), "in-use".into())
    );
    let status = desk.done("Action=DescribeInstanceStatus");
    assert!(status.contains("<status>initializing</status>"), "{status}");
    desk.wait(SOON * 2);
    assert!(desk.done("Action=DescribeInstanceStatus").contains("<status>ok</status>"));

    desk.done(&format!("Action=StopInstances&InstanceId.1={id}"));
    assert_eq!(state(&mut desk, &id), "stopping");
    desk.wait(SOON);
    assert_eq!(state(&mut desk, &id), "stopped");
    desk.done(&format!("Action=StartInstances&InstanceId.1={id}"));
    assert_eq!(state(&mut desk, &id), "pending");
    desk.done(&format!("Action=TerminateInstances&InstanceId.1={id}"));
    desk.wait(SOON);
    assert_eq!(state(&mut desk, &id), "terminated");
    assert!(!desk.done("Action=DescribeVolumes").contains("<volumeId>"), "its disk went with it");
}

#[test]
fn one_that_switches_itself_off_ends_as_it_was_said() {
    let (mut desk, run) = ready();
    let id = inner(&desk.done(&run), "instanceId");
    desk.wait(SOON);
    assert_eq!(state(&mut desk, &id), "running");
    let (instance, now) = desk.account.instance_mut(&id).expect("it is there");
    instance.switched_off(now);
    assert_eq!(instance.state(), State::Terminated);
    let id = inner(&desk.done(&run), "instanceId");
    desk.done(&format!(
        "Action=ModifyInstanceAttribute&InstanceId={id}\
         &InstanceInitiatedShutdownBehavior.Value=stop"
    ));
    let (instance, now) = desk.account.instance_mut(&id).expect("it is there");
    instance.switched_off(now);
    assert_eq!(instance.state(), State::Stopped);
}

#[test]
fn refuses_what_cannot_be_launched() {
    let (mut desk, run) = ready();
    let mut code = |query: &str| desk.code(query);
    let with = |from: &str, to: &str| run.replace(from, to);
    assert_eq!(code(&with("t3.micro", "t4g.micro")), "InvalidParameterValue");
    assert_eq!(code(&with("t3.micro", "t9.micro")), "InvalidParameterValue");
    assert_eq!(code(&with("KeyName=builder", "KeyName=x")), "InvalidKeyPair.NotFound");
    let nowhere = format!("{run}&SubnetId=subnet-0123456789abcdef0");
    assert_eq!(code(&nowhere), "InvalidSubnetID.NotFound");
    let small = with("VolumeSize=10", "VolumeSize=1");
    assert_eq!(code(&small), "InvalidBlockDeviceMapping");
    let long = STANDARD.encode(vec![b'x'; 16_385]);
    let long: String = form_urlencoded::byte_serialize(long.as_bytes()).collect();
    let (start, _) = run.split_once("&UserData=").expect("there is user-data");
    assert_eq!(code(&format!("{start}&UserData={long}")), "InvalidParameterValue");
    assert_eq!(code(&format!("{start}&UserData=***")), "InvalidParameterValue");
    assert_eq!(code(&format!("{start}&MinCount=2")), "InvalidParameterValue");
    assert_eq!(code(&format!("{run}&DryRun=true")), "DryRunOperation");
    let group = "sg-0123456789abcdef0";
    assert_eq!(code(&format!("{run}&SecurityGroupId.2={group}")), "InvalidGroup.NotFound");
    let card = format!("{run}&NetworkInterface.1.DeviceIndex=0");
    assert_eq!(code(&card), "InvalidParameterCombination");
    assert!(desk.account.instances().is_empty());
}

#[test]
fn capacity_may_be_short_for_a_type_or_a_subnet() {
    let (mut desk, run) = ready();
    desk.account
        .shortages
        .push(Shortage { instance_type: Some("t3.micro".to_owned()), ..Shortage::default() });
    let (status, body) = desk.ask(&run);
    assert_eq!(status, 500);
    assert!(body.contains("<Code>InsufficientInstanceCapacity</Code>"), "{body}");
    desk.done(&run.replace("t3.micro", "t3.small"));
}

#[test]
fn a_template_says_what_the_launch_leaves_open() {
    let (mut desk, run) = ready();
    let data = run
        .replace("Action=RunInstances&MinCount=1&MaxCount=1&", "")
        .split('&')
        .map(|pair| format!("&LaunchTemplateData.{pair}"))
        .collect::<String>();
    let template = format!("Action=CreateLaunchTemplate&LaunchTemplateName=builder{data}");
    let id = inner(&desk.done(&template), "launchTemplateId");
    let body = desk.done(&format!(
        "Action=RunInstances&MinCount=2&MaxCount=2&LaunchTemplate.LaunchTemplateId={id}\
         &LaunchTemplate.Version=$Latest&InstanceType=m5.large"
    ));
    assert_eq!(body.matches("<instanceType>m5.large</instanceType>").count(), 2);
    assert!(body.contains("<key>aws:ec2launchtemplate:version</key><value>1</value>"), "{body}");
    let described = desk.done("Action=DescribeInstances");
    assert_eq!(described.matches("<reservationId>").count(), 1, "they stand together");
    let version = "Action=RunInstances&MinCount=1&MaxCount=1&LaunchTemplate.LaunchTemplateName=\
                   builder&LaunchTemplate.Version=7";
    assert_eq!(desk.code(version), "InvalidLaunchTemplateId.VersionNotFound");
}

#[test]
fn an_image_of_an_instance_waits_for_its_snapshots() {
    let (mut desk, run) = ready();
    let id = inner(&desk.done(&run), "instanceId");
    let create = format!(
        "Action=CreateImage&InstanceId={id}&Name=made&Description=ours\
         &BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.VolumeType=gp3\
         &TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=a\
         &TagSpecification.1.Tag.1.Value=1&TagSpecification.2.ResourceType=snapshot\
         &TagSpecification.2.Tag.1.Key=b&TagSpecification.2.Tag.1.Value=2"
    );
    assert_eq!(desk.code(&create), "IncorrectInstanceState");
    desk.wait(SOON);
    desk.account.machines = true;
    let stop = format!("Action=StopInstances&InstanceId.1={id}");
    state(&mut desk, &id);
    let (instance, now) = desk.account.instance_mut(&id).expect("it is there");
    instance.switched_on(now);
    desk.done(&stop);
    let (instance, now) = desk.account.instance_mut(&id).expect("it is there");
    instance.switched_off(now);
    let image = inner(&desk.done(&create), "imageId");
    let describe = format!("Action=DescribeImages&ImageId.1={image}");
    desk.wait(IMAGE);
    let body = desk.done(&describe);
    assert_eq!(inner(&body, "imageState"), "pending", "nobody has filled its snapshot");
    assert_eq!(inner(&body, "sourceInstanceId"), id);
    let instance = desk.account.instance(&id).expect("it is there").clone();
    let due = desk.account.due(Duration::ZERO);
    let filled: Vec<String> = crate::sim::ec2::launch::to_be_filled(desk.region(), &instance)
        .map(|(snapshot, volume)| {
            assert_eq!((volume.device.as_str(), volume.gib), ("/dev/xvda", 10));
            snapshot.state = crate::sim::snapshot::State::Pending(Some(due));
            snapshot.tags["b"].clone()
        })
        .collect();
    assert_eq!(filled, ["2"]);
    assert_eq!(inner(&desk.done(&describe), "imageState"), "available");
    assert_eq!(desk.code(&create), "InvalidAMIName.Duplicate");
}

#[test]
fn a_spot_instance_for_one_time_cannot_be_stopped() {
    let (mut desk, run) = ready();
    let spot = "&InstanceMarketOptions.MarketType=spot\
                &InstanceMarketOptions.SpotOptions.SpotInstanceType=one-time";
    let body = desk.done(&format!("{run}{spot}"));
    assert_eq!(inner(&body, "instanceLifecycle"), "spot");
    let id = inner(&body, "instanceId");
    desk.wait(SOON);
    assert_eq!(state(&mut desk, &id), "running");
    let stop = format!("Action=StopInstances&InstanceId.1={id}");
    assert_eq!(desk.code(&stop), "UnsupportedOperation");
}

#[test]
fn a_security_group_stays_while_something_is_in_it() {
    let (mut desk, run) = ready();
    let body = desk.done(&run);
    let group = inner(&body, "groupId");
    let delete = format!("Action=DeleteSecurityGroup&GroupId={group}");
    assert_eq!(desk.code(&delete), "DependencyViolation");
    let allow = format!(
        "Action=AuthorizeSecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp\
         &IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22\
         &IpPermissions.1.IpRanges.1.CidrIp=192.0.2.1/32&IpPermissions.1.IpRanges.1.Description=me"
    );
    desk.done(&allow);
    assert_eq!(desk.code(&allow), "InvalidPermission.Duplicate");
    let described = desk.done(&format!("Action=DescribeSecurityGroups&GroupId.1={group}"));
    assert!(described.contains("<cidrIp>192.0.2.1/32</cidrIp>"), "{described}");
    let revoke = allow.replace("Authorize", "Revoke");
    desk.done(&revoke);
    assert_eq!(desk.code(&revoke), "InvalidPermission.NotFound");
    let id = inner(&body, "instanceId");
    desk.done(&format!("Action=TerminateInstances&InstanceId.1={id}"));
    desk.wait(SOON);
    desk.done("Action=DescribeInstances");
    desk.done(&delete);
    assert_eq!(desk.code(&delete), "InvalidGroup.NotFound");
}
