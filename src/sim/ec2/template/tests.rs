use crate::sim::ec2::desk::{Desk, inner};

const CREATE: &str = "Action=CreateLaunchTemplate&LaunchTemplateName=controller\
    &LaunchTemplateData.ImageId=ami-0123456789abcdef0\
    &LaunchTemplateData.InstanceType=m5.large\
    &LaunchTemplateData.MetadataOptions.HttpTokens=required\
    &LaunchTemplateData.IamInstanceProfile.Name=role\
    &LaunchTemplateData.SecurityGroupId.1=sg-0123456789abcdef0\
    &LaunchTemplateData.BlockDeviceMapping.1.DeviceName=/dev/xvda\
    &LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize=20\
    &LaunchTemplateData.BlockDeviceMapping.1.Ebs.SnapshotId=snap-0123456789abcdef0\
    &LaunchTemplateData.TagSpecification.1.ResourceType=instance\
    &LaunchTemplateData.TagSpecification.1.Tag.1.Key=a\
    &LaunchTemplateData.TagSpecification.1.Tag.1.Value=1";

const VERSION: &str = "Action=CreateLaunchTemplateVersion&LaunchTemplateName=controller\
    &SourceVersion=$Latest&LaunchTemplateData.ImageId=ami-0123456789abcdef1";

#[test]
fn a_version_has_from_its_source_what_it_does_not_say() {
    let mut desk = Desk::new();
    let template = desk.done(CREATE);
    assert_eq!(inner(&template, "latestVersionNumber"), "1");
    let version = desk.done(&format!("{VERSION}&ClientToken=t&VersionDescription=second"));
    assert!(!version.contains("snap-"), "snapshots are not inherited: {version}");
    for part in [
        "<versionNumber>2</versionNumber>",
        "<versionDescription>second</versionDescription>",
        "<defaultVersion>false</defaultVersion>",
        "<imageId>ami-0123456789abcdef1</imageId>",
        "<instanceType>m5.large</instanceType>",
        "<httpTokens>required</httpTokens>",
        "<name>role</name>",
        "<volumeSize>20</volumeSize>",
        "<item>sg-0123456789abcdef0</item>",
        "<key>a</key><value>1</value>",
    ] {
        assert!(version.contains(part), "{part}: {version}");
    }
    let again = desk.done(&format!("{VERSION}&ClientToken=t&VersionDescription=second"));
    assert_eq!(inner(&again, "versionNumber"), "2", "the same token makes it once");
    let other = desk.code(&format!("{VERSION}&ClientToken=t&VersionDescription=third"));
    assert_eq!(other, "IdempotentParameterMismatch");
    let tagged = desk.done(&format!(
        "{VERSION}&LaunchTemplateData.TagSpecification.1.ResourceType=instance\
         &LaunchTemplateData.TagSpecification.1.Tag.1.Key=b\
         &LaunchTemplateData.TagSpecification.1.Tag.1.Value=2"
    ));
    assert!(tagged.contains("<key>b</key>"), "{tagged}");
    let bare = VERSION.replace("&SourceVersion=$Latest", "");
    assert!(!desk.done(&bare).contains("instanceType"), "nothing is inherited unasked");
}

#[test]
fn versions_are_named_by_number_and_by_word() {
    let mut desk = Desk::new();
    desk.done(CREATE);
    (0..6).for_each(|_| drop(desk.done(VERSION)));
    let describe = "Action=DescribeLaunchTemplateVersions&LaunchTemplateName=controller";
    let latest = desk.done(&format!("{describe}&LaunchTemplateVersion.1=$Latest"));
    assert_eq!(inner(&latest, "versionNumber"), "7");
    let modify = "Action=ModifyLaunchTemplate&LaunchTemplateName=controller&SetDefaultVersion=";
    assert_eq!(inner(&desk.done(&format!("{modify}3")), "defaultVersionNumber"), "3");
    let default = desk.done(&format!("{describe}&LaunchTemplateVersion.1=$Default"));
    assert_eq!(inner(&default, "versionNumber"), "3");
    let not_found = "InvalidLaunchTemplateId.VersionNotFound";
    assert_eq!(desk.code(&format!("{modify}9")), not_found);
    assert_eq!(desk.code(&format!("{describe}&LaunchTemplateVersion.1=9")), not_found);
    let some = desk.done(&format!("{describe}&MinVersion=2&MaxVersion=4"));
    assert_eq!(some.matches("<versionNumber>").count(), 3);
    assert_eq!(inner(&some, "versionNumber"), "4", "the newest comes first");
    let both = format!("{describe}&MinVersion=2&LaunchTemplateVersion.1=3");
    assert_eq!(desk.code(&both), "InvalidParameterCombination");
    let first = desk.done(&format!("{describe}&MaxResults=5"));
    assert_eq!(first.matches("<versionNumber>").count(), 5);
    let token = inner(&first, "nextToken");
    let second = desk.done(&format!("{describe}&MaxResults=5&NextToken={token}"));
    assert_eq!(second.matches("<versionNumber>").count(), 2);
    let all = desk.done("Action=DescribeLaunchTemplateVersions&LaunchTemplateVersion.1=$Latest");
    assert_eq!(all.matches("<versionNumber>").count(), 1);
    let every = "Action=DescribeLaunchTemplateVersions";
    assert_eq!(desk.code(every), "MissingParameter");
}

#[test]
fn the_default_version_stays_and_a_number_is_not_used_again() {
    let mut desk = Desk::new();
    desk.done(CREATE);
    desk.done(VERSION);
    let delete = "Action=DeleteLaunchTemplateVersions&LaunchTemplateName=controller\
                  &LaunchTemplateVersion.1=1&LaunchTemplateVersion.2=2&LaunchTemplateVersion.3=7";
    let body = desk.done(delete);
    let deleted = inner(&body, "successfullyDeletedLaunchTemplateVersionSet");
    assert_eq!(inner(&deleted, "versionNumber"), "2");
    assert!(body.contains("<code>launchTemplateVersionDoesNotExist</code>"), "{body}");
    assert!(body.contains("<code>unexpectedError</code>"), "{body}");
    assert_eq!(inner(&desk.done(VERSION), "versionNumber"), "3");
    desk.done("Action=DeleteLaunchTemplate&LaunchTemplateName=controller");
    let gone = "Action=DescribeLaunchTemplates&LaunchTemplateName.1=controller";
    assert_eq!(desk.code(gone), "InvalidLaunchTemplateName.NotFoundException");
}

#[test]
fn refuses_names_and_data_that_cannot_be() {
    let mut desk = Desk::new();
    desk.done(CREATE);
    let name = "InvalidLaunchTemplateName.";
    assert_eq!(desk.code(CREATE), format!("{name}AlreadyExistsException"));
    let odd = CREATE.replace("Name=controller", "Name=a:b:c");
    assert_eq!(desk.code(&odd), format!("{name}MalformedException"));
    let other = CREATE.replace("Name=controller", "Name=other");
    let unknown = format!("{other}&LaunchTemplateData.Colour=red");
    assert_eq!(desk.code(&unknown), "UnknownParameter");
    let market = "&LaunchTemplateData.InstanceMarketOptions.MarketType=spot\
        &LaunchTemplateData.InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior=stop";
    assert_eq!(desk.code(&format!("{other}{market}")), "InvalidParameterCombination");
    assert_eq!(
        desk.code("Action=CreateLaunchTemplate&LaunchTemplateName=other"),
        "MissingParameter"
    );
}

#[test]
fn an_alias_is_resolved_where_that_is_asked_for() {
    let mut desk = Desk::new();
    let image = "ami-0123456789abcdef9";
    desk.parameter("/hostkit/latest", image);
    let alias = CREATE.replace("ami-0123456789abcdef0", "resolve:ssm:/hostkit/latest");
    desk.done(&alias);
    let describe = "Action=DescribeLaunchTemplateVersions&LaunchTemplateName=controller";
    let plain = desk.done(describe);
    assert_eq!(inner(&plain, "imageId"), "resolve:ssm:/hostkit/latest");
    assert_eq!(inner(&desk.done(&format!("{describe}&ResolveAlias=true")), "imageId"), image);
}
