use crate::sim::account::{Account, REGION};
use crate::sim::call::{Call, Caller};
use crate::sim::ec2;
use crate::sim::http::Request;
use crate::sim::parameters::Parameters;
use crate::sim::service::Service;

fn ec2(account: &mut Account, query: &str) -> String {
    let request = Request { query: query.to_owned(), ..Request::default() };
    let call = Call {
        service: Service::Ec2,
        action: String::new(),
        region: REGION.to_owned(),
        caller: Caller::Operator,
        disturbance: None,
        request: &request,
    };
    let now = account.now();
    ec2::answer(account, &call, now).body.to_string()
}

fn ask(account: &mut Account, query: &str) -> String {
    let request = Request { query: query.to_owned(), ..Request::default() };
    super::answer(account, REGION, &request).body.to_string()
}

const CREATE: &str = "Action=CreateAutoScalingGroup&AutoScalingGroupName=ci&MinSize=1&MaxSize=1\
    &LaunchTemplate.LaunchTemplateName=cicd&LaunchTemplate.Version=$Latest\
    &Tags.member.1.Key=a&Tags.member.1.Value=1";

#[test]
fn a_group_says_which_version_it_launches_and_which_its_instances_have() {
    let mut account = Account::new(Parameters::default());
    let images = &account.region(REGION).images;
    let image = images.values().find(|one| one.architecture == "x86_64").expect("there are some");
    let template = format!(
        "Action=CreateLaunchTemplate&LaunchTemplateName=cicd&LaunchTemplateData.ImageId={}\
         &LaunchTemplateData.InstanceType=t3.micro",
        image.id
    );
    assert!(ask(&mut account, CREATE).contains("does not exist"), "there is no template yet");
    ec2(&mut account, &template);
    let made = ask(&mut account, CREATE);
    assert!(made.contains("<CreateAutoScalingGroupResult>"), "{made}");
    assert!(ask(&mut account, CREATE).contains("<Code>AlreadyExists</Code>"));
    let groups = ask(&mut account, "Action=DescribeAutoScalingGroups");
    for part in [
        "<AutoScalingGroupName>ci</AutoScalingGroupName>",
        "<Version>$Latest</Version>",
        "<Version>1</Version>",
        "<Key>a</Key><Value>1</Value>",
        "<LifecycleState>InService</LifecycleState>",
    ] {
        assert!(groups.contains(part), "{part}: {groups}");
    }
    let update = "Action=UpdateAutoScalingGroup&AutoScalingGroupName=ci\
                  &LaunchTemplate.LaunchTemplateName=cicd&LaunchTemplate.Version=1";
    ask(&mut account, update);
    let groups = ask(&mut account, "Action=DescribeAutoScalingGroups");
    assert!(!groups.contains("$Latest"), "{groups}");
    let delete = "Action=DeleteAutoScalingGroup&AutoScalingGroupName=ci";
    assert!(ask(&mut account, delete).contains("<Code>ResourceInUse</Code>"));
    ask(&mut account, &format!("{delete}&ForceDelete=true"));
    let groups = ask(&mut account, "Action=DescribeAutoScalingGroups");
    assert!(groups.contains("<AutoScalingGroups></AutoScalingGroups>"), "{groups}");
}

#[test]
fn groups_come_in_parts() {
    let mut account = Account::new(Parameters::default());
    let template = "Action=CreateLaunchTemplate&LaunchTemplateName=cicd\
                    &LaunchTemplateData.InstanceType=t3.micro";
    ec2(&mut account, template);
    for number in 0..5 {
        let empty = CREATE.replace("MinSize=1", "MinSize=0");
        ask(&mut account, &empty.replace("Name=ci&Min", &format!("Name=ci-{number}&Min")));
    }
    let (mut seen, mut token) = (0, String::new());
    loop {
        let query = format!("Action=DescribeAutoScalingGroups&MaxRecords=2&NextToken={token}");
        let body = ask(&mut account, &query);
        seen += body.matches("<AutoScalingGroupName>").count();
        let Some((_, rest)) = body.split_once("<NextToken>") else { break };
        token = rest.split_once('<').expect("it ends").0.to_owned();
    }
    assert_eq!(seen, 5);
}
