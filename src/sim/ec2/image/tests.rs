use crate::sim::conditions::IMAGE;
use crate::sim::ec2::desk::{Desk, inner, register};

#[test]
fn an_image_is_pending_and_then_available_with_all_that_was_said() {
    let mut desk = Desk::new();
    let snapshot = desk.snapshot();
    let asked = register("controller-1", &snapshot)
        + "&BootMode=uefi&TpmSupport=v2.0&ImdsSupport=v2.0&Description=ours\
           &UefiData=QUJD&BlockDeviceMapping.1.Ebs.VolumeSize=8\
           &BlockDeviceMapping.1.Ebs.Iops=4000&BlockDeviceMapping.1.Ebs.Throughput=250\
           &TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=hostkit:build\
           &TagSpecification.1.Tag.1.Value=1";
    let id = inner(&desk.done(&asked), "imageId");
    let describe = format!("Action=DescribeImages&ImageId.1={id}");
    assert_eq!(inner(&desk.done(&describe), "imageState"), "pending");
    desk.wait(IMAGE);
    let image = inner(&desk.done(&describe), "imagesSet");
    for part in [
        "<imageState>available</imageState>",
        "<name>controller-1</name>",
        "<description>ours</description>",
        "<bootMode>uefi</bootMode><tpmSupport>v2.0</tpmSupport><imdsSupport>v2.0</imdsSupport>",
        "<architecture>x86_64</architecture>",
        "<volumeSize>8</volumeSize><volumeType>gp3</volumeType><iops>4000</iops>",
        "<key>hostkit:build</key><value>1</value>",
        "<isPublic>false</isPublic>",
    ] {
        assert!(image.contains(part), "{part}: {image}");
    }
}

#[test]
fn a_name_is_had_once_and_well_formed() {
    let mut desk = Desk::new();
    let (id, snapshot) = desk.image("controller");
    let (code, message) = desk.refused(&register("controller", &snapshot));
    assert_eq!(code, "InvalidAMIName.Duplicate");
    assert_eq!(message, format!("AMI name controller is already in use by AMI {id}"));
    for name in ["ab", "a:b:c", &"x".repeat(129)] {
        assert_eq!(desk.code(&register(name, &snapshot)), "InvalidAMIName.Malformed", "{name}");
    }
    desk.done(&format!("Action=DeregisterImage&ImageId={id}"));
    desk.done(&register("controller", &snapshot));
}

#[test]
fn refuses_what_cannot_be_an_image() {
    let mut desk = Desk::new();
    let snapshot = desk.snapshot();
    let unfinished = desk.snapshot();
    let state = crate::sim::snapshot::State::Pending(None);
    desk.region().snapshots.get_mut(&unfinished).unwrap().state = state;
    let good = register("image", &snapshot);
    let mut code = |query: &str| desk.code(query);
    assert_eq!(code(&register("image", "snap-0123456789abcdef0")), "InvalidSnapshot.NotFound");
    assert_eq!(code(&register("image", "snap-x")), "InvalidParameterValue");
    assert_eq!(code(&register("image", &unfinished)), "IncorrectState");
    let combination = "InvalidParameterCombination";
    assert_eq!(code(&format!("{good}&BootMode=uefi-preferred&TpmSupport=v2.0")), combination);
    assert_eq!(code(&good.replace("hvm", "paravirtual")), combination);
    let arm = good.replace("x86_64", "arm64") + "&BootMode=legacy-bios";
    assert_eq!(code(&arm), combination);
    let mapping = "InvalidBlockDeviceMapping";
    assert_eq!(
        code(&good.replace("RootDeviceName=/dev/xvda", "RootDeviceName=/dev/sda1")),
        mapping
    );
    assert_eq!(code(&format!("{good}&BlockDeviceMapping.1.Ebs.VolumeSize=2")), mapping);
    assert_eq!(code(&format!("{good}&BlockDeviceMapping.1.Ebs.Encrypted=true")), mapping);
    assert_eq!(code(&format!("{good}&Colour=red")), "UnknownParameter");
    let tag = "&TagSpecification.1.ResourceType=snapshot&TagSpecification.1.Tag.1.Key=a";
    assert_eq!(code(&format!("{good}{tag}")), "InvalidParameterValue");
    assert_eq!(code(&format!("{good}&DryRun=true")), "DryRunOperation");
    desk.done(&good);
}

#[test]
fn an_image_that_could_not_be_made_says_why() {
    let mut desk = Desk::new();
    let snapshot = desk.snapshot();
    let id = inner(&desk.done(&register("image", &snapshot)), "imageId");
    desk.region().images.get_mut(&id).unwrap().fails = Some("Snapshot failed".to_owned());
    desk.wait(IMAGE);
    let body = desk.done(&format!("Action=DescribeImages&ImageId.1={id}"));
    assert_eq!(inner(&body, "imageState"), "failed");
    assert!(inner(&body, "stateReason").contains("<message>Snapshot failed</message>"), "{body}");
}

#[test]
fn an_image_goes_with_its_snapshots_unless_another_has_them() {
    let mut desk = Desk::new();
    let (first, snapshot) = desk.image("first");
    let second = inner(&desk.done(&register("second", &snapshot)), "imageId");
    let (code, message) = desk.refused(&format!("Action=DeleteSnapshot&SnapshotId={snapshot}"));
    assert_eq!(code, "InvalidSnapshot.InUse");
    assert!(message.contains("is currently in use by ami-"), "{message}");
    let away =
        |id: &str| format!("Action=DeregisterImage&ImageId={id}&DeleteAssociatedSnapshots=true");
    assert_eq!(inner(&desk.done(&away(&first)), "returnCode"), "skipped");
    assert_eq!(inner(&desk.done(&away(&second)), "returnCode"), "success");
    assert_eq!(desk.code(&away(&second)), "InvalidAMIID.NotFound");
    assert!(desk.region().snapshots.is_empty());
}

#[test]
fn ten_thousand_images_come_in_parts() {
    let mut desk = Desk::new();
    let (id, _) = desk.image("first");
    let region = desk.region();
    let first = region.images[&id].clone();
    for number in 0..10_000 {
        let id = format!("ami-1{number:016x}");
        let name = format!("controller-{number}");
        region.images.insert(id.clone(), crate::sim::image::Image { id, name, ..first.clone() });
    }
    let (mut count, mut token) = (0, String::new());
    loop {
        let body = desk.done(&format!(
            "Action=DescribeImages&Owner.1=self&MaxResults=1000&NextToken={token}\
             &Filter.1.Name=name&Filter.1.Value.1=controller-*"
        ));
        count += body.matches("<imageId>").count();
        if !body.contains("<nextToken>") {
            break;
        }
        token = inner(&body, "nextToken");
    }
    assert_eq!(count, 10_000);
}

#[test]
fn tags_are_given_and_taken_all_or_none() {
    let mut desk = Desk::new();
    let (image, snapshot) = desk.image("image");
    let unknown = "ami-0123456789abcdef0";
    let tag = |id: &str| {
        format!(
            "Action=CreateTags&ResourceId.1={snapshot}&ResourceId.2={id}&Tag.1.Key=a&Tag.1.Value=1"
        )
    };
    assert_eq!(desk.code(&tag(unknown)), "InvalidAMIID.NotFound");
    assert!(desk.region().snapshots[&snapshot].tags.is_empty());
    desk.done(&tag(&image));
    let body = desk.done("Action=DescribeTags&Filter.1.Name=key&Filter.1.Value.1=a");
    assert_eq!(body.matches("<key>a</key>").count(), 2, "{body}");
    let other = format!("Action=DeleteTags&ResourceId.1={image}&Tag.1.Key=a&Tag.1.Value=2");
    desk.done(&other);
    assert_eq!(desk.region().images[&image].tags.len(), 1, "it has another value");
    desk.done(&format!("Action=DeleteTags&ResourceId.1={image}&Tag.1.Key=a"));
    assert!(desk.region().images[&image].tags.is_empty());
    let reserved = tag(&image).replace("Key=a", "Key=aws:a");
    assert_eq!(desk.code(&reserved), "InvalidParameterValue");
    let mut many = format!("Action=CreateTags&ResourceId.1={image}");
    for number in 1..=51 {
        many += &format!("&Tag.{number}.Key=k{number}&Tag.{number}.Value=");
    }
    assert_eq!(desk.code(&many), "TagLimitExceeded");
}
