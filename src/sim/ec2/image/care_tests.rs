use std::time::Duration;

use crate::sim::conditions::COPY;
use crate::sim::ec2::desk::{Desk, inner};

const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_copy_has_snapshots_of_its_own_and_is_made_once_a_token() {
    let mut desk = Desk::new();
    let (image, snapshot) = desk.image("controller");
    desk.region().images.get_mut(&image).unwrap().tags.insert("a".into(), "1".into());
    let copy = format!(
        "Action=CopyImage&Name=controller&SourceRegion=eu-west-1&SourceImageId={image}\
         &ClientToken=t&CopyImageTags=true&Encrypted=true&TagSpecification.1.ResourceType=snapshot\
         &TagSpecification.1.Tag.1.Key=b&TagSpecification.1.Tag.1.Value=2"
    );
    let (_, made) = desk.ask_in("us-west-2", &copy);
    let id = inner(&made, "imageId");
    let (_, again) = desk.ask_in("us-west-2", &copy);
    assert_eq!(inner(&again, "imageId"), id);
    let (_, other) = desk.ask_in("us-west-2", &copy.replace("Name=controller", "Name=other"));
    assert!(other.contains("<Code>IdempotentParameterMismatch</Code>"), "{other}");
    let (_, clash) = desk.ask_in("us-west-2", &copy.replace("ClientToken=t", "ClientToken=u"));
    assert!(clash.contains("<Code>InvalidAMIName.Duplicate</Code>"), "{clash}");

    let describe = format!("Action=DescribeImages&ImageId.1={id}");
    let (_, body) = desk.ask_in("us-west-2", &describe);
    assert_eq!(inner(&body, "imageState"), "pending");
    desk.wait(COPY);
    let (_, body) = desk.ask_in("us-west-2", &describe);
    assert_eq!(inner(&body, "imageState"), "available");
    assert_eq!(inner(&body, "sourceImageId"), image);
    assert!(body.contains("<key>a</key>") && body.contains("<encrypted>true</encrypted>"));
    let own = inner(&body, "snapshotId");
    assert_ne!(own, snapshot);
    let copied = &desk.account.region("us-west-2").snapshots[&own];
    assert!(copied.kms_key.as_ref().unwrap().starts_with("arn:aws:kms:us-west-2:"));
    assert_eq!(copied.tags["b"], "2");
    let (_, ancestry) = desk.ask_in("us-west-2", &format!("Action=GetImageAncestry&ImageId={id}"));
    assert_eq!(ancestry.matches("<item>").count(), 2, "{ancestry}");
}

#[test]
fn what_is_not_whole_or_has_a_key_of_another_region_is_not_copied() {
    let mut desk = Desk::new();
    let snapshot = desk.snapshot();
    let made = desk.done(&crate::sim::ec2::desk::register("pending", &snapshot));
    let image = inner(&made, "imageId");
    let copy = format!("Action=CopyImage&Name=copy&SourceRegion=eu-west-1&SourceImageId={image}");
    assert_eq!(desk.code(&copy), "InvalidAMIID.Unavailable");
    desk.wait(COPY);
    let far = format!("{copy}&Encrypted=true&KmsKeyId=arn:aws:kms:us-east-1:123456789012:key/1");
    assert_eq!(desk.code(&far), "InvalidParameterValue");
    assert_eq!(desk.code(&format!("{copy}&KmsKeyId=k")), "InvalidParameterCombination");
    desk.done(&copy);
}

#[test]
fn an_image_is_shared_with_accounts_and_organisations() {
    let mut desk = Desk::new();
    let (image, _) = desk.image("controller");
    let organisation = "arn:aws:organizations::111122223333:organization/o-abc";
    let unit = "arn:aws:organizations::111122223333:ou/o-abc/ou-1";
    desk.done(&format!(
        "Action=ModifyImageAttribute&ImageId={image}&LaunchPermission.Add.1.UserId=111122223333\
         &LaunchPermission.Add.2.OrganizationArn={organisation}\
         &LaunchPermission.Add.3.OrganizationalUnitArn={unit}&LaunchPermission.Add.4.Group=all"
    ));
    let ask = format!("Action=DescribeImageAttribute&ImageId={image}&Attribute=launchPermission");
    let body = desk.done(&ask);
    assert_eq!(body.matches("<item>").count(), 4, "{body}");
    let public = desk.done("Action=DescribeImages&ExecutableBy.1=all&Owner.1=self");
    assert!(public.contains(&image) && public.contains("<isPublic>true</isPublic>"));
    let bad =
        format!("Action=ModifyImageAttribute&ImageId={image}&LaunchPermission.Add.1.UserId=12");
    assert_eq!(desk.code(&bad), "InvalidAMIAttributeItemValue");
    desk.done(&format!(
        "Action=ModifyImageAttribute&ImageId={image}&OperationType=remove&UserGroup.1=all"
    ));
    assert_eq!(desk.done(&ask).matches("<item>").count(), 3);
    desk.done(&format!("Action=DisableImage&ImageId={image}"));
    assert!(!desk.done(&ask).contains("<item>"), "a disabled image is nobody else's");
    assert!(!desk.done("Action=DescribeImages&Owner.1=self").contains(&image));
    let disabled = desk.done("Action=DescribeImages&Owner.1=self&IncludeDisabled=true");
    assert!(disabled.contains("<imageState>disabled</imageState>"), "{disabled}");
    desk.done(&format!("Action=EnableImage&ImageId={image}"));
    desk.done(&format!("Action=ModifyImageAttribute&ImageId={image}&Description.Value=ours"));
    let text = desk.done(&ask.replace("launchPermission", "description"));
    assert!(text.contains("<description><value>ours</value></description>"), "{text}");
}

#[test]
fn a_deprecation_is_in_the_future_and_to_the_minute() {
    let mut desk = Desk::new();
    let (image, _) = desk.image("controller");
    let deprecate = |at: jiff::Timestamp| {
        format!("Action=EnableImageDeprecation&ImageId={image}&DeprecateAt={at}")
    };
    let now = desk.account.world();
    assert_eq!(desk.code(&deprecate(now - DAY)), "InvalidParameterValue");
    assert_eq!(desk.code(&deprecate(now + DAY * 4000)), "InvalidParameterValue");
    desk.done(&deprecate(now + DAY));
    let body = desk.done(&format!("Action=DescribeImages&ImageId.1={image}"));
    assert!(inner(&body, "deprecationTime").ends_with(":00.000Z"), "{body}");
    desk.done(&format!("Action=DisableImageDeprecation&ImageId={image}"));
    let body = desk.done(&format!("Action=DescribeImages&ImageId.1={image}"));
    assert!(!body.contains("deprecationTime"), "{body}");
}

#[test]
fn a_protected_image_stays_also_while_its_protection_cools_down() {
    let mut desk = Desk::new();
    let (image, _) = desk.image("controller");
    let away = format!("Action=DeregisterImage&ImageId={image}");
    desk.done(&format!(
        "Action=EnableImageDeregistrationProtection&ImageId={image}&WithCooldown=true"
    ));
    assert_eq!(desk.code(&away), "OperationNotPermitted");
    desk.done(&format!("Action=DisableImageDeregistrationProtection&ImageId={image}"));
    assert_eq!(desk.code(&away), "OperationNotPermitted");
    desk.wait(DAY);
    desk.done(&away);
}

#[test]
fn a_snapshot_is_copied_and_shared() {
    let mut desk = Desk::new();
    let snapshot = desk.snapshot();
    let copy = format!(
        "Action=CopySnapshot&SourceRegion=eu-west-1&SourceSnapshotId={snapshot}&Description=x"
    );
    let id = inner(&desk.done(&copy), "snapshotId");
    let describe = format!("Action=DescribeSnapshots&SnapshotId.1={id}");
    assert_eq!(inner(&desk.done(&describe), "status"), "pending");
    desk.wait(COPY);
    let body = desk.done(&describe);
    assert_eq!(
        (inner(&body, "status"), inner(&body, "progress")),
        ("completed".into(), "100%".into())
    );
    let share = format!(
        "Action=ModifySnapshotAttribute&SnapshotId={id}&CreateVolumePermission.Add.1.UserId="
    );
    assert_eq!(desk.code(&format!("{share}me")), "InvalidParameterValue");
    desk.done(&format!("{share}111122223333"));
    let body = desk.done(&format!(
        "Action=DescribeSnapshotAttribute&SnapshotId={id}&Attribute=createVolumePermission"
    ));
    assert_eq!(inner(&body, "userId"), "111122223333");
    let restorable = "Action=DescribeSnapshots&RestorableBy.1=111122223333";
    assert_eq!(desk.done(restorable).matches("<snapshotId>").count(), 1);
}
