use std::time::Duration;

use super::*;
use crate::sim::account::REGION;
use crate::sim::ec2::desk::{Desk, inner};
use crate::sim::group::Steering;
use crate::sim::group::decide::Wanted;
use crate::sim::group::source::Source;
use crate::sim::http::Request;

const SOON: Duration = Duration::from_mins(1);

/// An account with a launch template of two versions, each with an image, as fast as AWS.
fn ready() -> (Desk, String) {
    let mut desk = Desk::new();
    let ((old, _), (new, _)) = (desk.image("old"), desk.image("new"));
    let made = desk.done(&format!(
        "Action=CreateLaunchTemplate&LaunchTemplateName=ci-hosts
         &LaunchTemplateData.ImageId={old}&LaunchTemplateData.InstanceType=t3.micro"
    ));
    let template = inner(&made, "launchTemplateId");
    desk.done(&format!(
        "Action=CreateLaunchTemplateVersion&LaunchTemplateId={template}
         &LaunchTemplateData.ImageId={new}&LaunchTemplateData.InstanceType=t3.micro"
    ));
    (desk, template)
}

fn ask(desk: &mut Desk, form: &str) -> (u16, String) {
    let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let body: String = form.split_whitespace().collect();
    let request = Request { headers: [kind].into(), body: body.into(), ..Request::default() };
    let reply = crate::sim::autoscaling::answer(&mut desk.account, &request, REGION);
    (reply.status, reply.body.to_string())
}

fn done(desk: &mut Desk, form: &str) -> String {
    let (status, body) = ask(desk, form);
    assert_eq!(status, 200, "{form}: {body}");
    body
}

/// A group of one, with what more is said.
fn group(more: &str) -> Desk {
    let (mut desk, template) = ready();
    let form = format!(
        "Action=CreateAutoScalingGroup&AutoScalingGroupName=ci&MinSize=0&MaxSize=2
         &DesiredCapacity=1&AvailabilityZones.member.1=eu-west-1a
         &LaunchTemplate.LaunchTemplateId={template}&LaunchTemplate.Version=1{more}"
    );
    done(&mut desk, &form);
    desk
}

/// The members of the group, now.
fn look(desk: &mut Desk) -> Vec<Seen> {
    settle(&mut desk.account);
    members(&mut desk.account, REGION, "ci")
}

fn places(desk: &mut Desk) -> Vec<Lifecycle> {
    look(desk).iter().map(|one| one.lifecycle).collect()
}

const LAUNCH: &str = "&LifecycleHookSpecificationList.member.1.LifecycleHookName=boot
    &LifecycleHookSpecificationList.member.1.LifecycleTransition=
    autoscaling:EC2_INSTANCE_LAUNCHING
    &LifecycleHookSpecificationList.member.1.HeartbeatTimeout=300";

#[test]
fn a_launch_hook_that_hears_nothing_abandons_and_another_one_comes() {
    let mut desk = group(LAUNCH);
    assert_eq!(places(&mut desk), [Lifecycle::Pending]);
    desk.wait(SOON);
    assert_eq!(places(&mut desk), [Lifecycle::Waiting]);
    let first = look(&mut desk)[0].id.clone();
    desk.wait(Duration::from_secs(299));
    assert_eq!(places(&mut desk), [Lifecycle::Waiting]);
    desk.wait(Duration::from_secs(1));
    assert_eq!(places(&mut desk), [Lifecycle::Terminating, Lifecycle::Pending]);
    desk.wait(SOON);
    let seen = look(&mut desk);
    assert!(seen.len() == 1 && seen[0].id != first, "{seen:?}");
    let told = done(&mut desk, "Action=DescribeScalingActivities&AutoScalingGroupName=ci");
    assert!(told.contains("was abandoned: Heartbeat Timeout"), "{told}");
    assert!(told.contains("<StatusCode>Cancelled</StatusCode>"), "{told}");
}

#[test]
fn of_two_hooks_both_must_answer_and_one_may_go_on_by_itself() {
    let second = LAUNCH.replace("member.1", "member.2").replace("=boot", "=dns")
        + "&LifecycleHookSpecificationList.member.2.DefaultResult=CONTINUE";
    let mut desk = group(&format!("{LAUNCH}{second}"));
    desk.wait(SOON);
    let id = look(&mut desk)[0].id.clone();
    let answer = format!(
        "Action=CompleteLifecycleAction&AutoScalingGroupName=ci&LifecycleHookName=boot
         &InstanceId={id}&LifecycleActionResult=CONTINUE"
    );
    done(&mut desk, &answer);
    assert_eq!(places(&mut desk), [Lifecycle::Waiting]);
    desk.wait(Duration::from_mins(5));
    assert_eq!(places(&mut desk), [Lifecycle::InService]);
    assert_eq!(ask(&mut desk, &answer).0, 400, "nobody waits any more");
}

#[test]
fn a_group_keeps_an_instance_whose_terminate_hook_was_abandoned_if_it_is_told_to() {
    let hook = LAUNCH.replace("LAUNCHING", "TERMINATING");
    let retain = "&InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon=retain";
    let mut desk = group(&format!("{hook}{retain}"));
    desk.wait(SOON);
    let id = look(&mut desk)[0].id.clone();
    let go = format!(
        "Action=TerminateInstanceInAutoScalingGroup&InstanceId={id}
         &ShouldDecrementDesiredCapacity=true"
    );
    done(&mut desk, &go);
    assert_eq!(places(&mut desk), [Lifecycle::Draining]);
    desk.wait(Duration::from_mins(5));
    assert_eq!(places(&mut desk), [Lifecycle::Retained]);
    let told = done(&mut desk, "Action=DescribeAutoScalingInstances");
    assert!(told.contains("<LifecycleState>Terminating:Retained<"), "{told}");
    done(&mut desk, &go.replace("Capacity=true", "Capacity=false"));
    assert_eq!(places(&mut desk), [Lifecycle::Terminating]);
    desk.wait(SOON);
    assert!(places(&mut desk).is_empty());
}

#[test]
fn a_refresh_has_members_replaced_by_another_version() {
    let mut desk = group("");
    desk.wait(SOON);
    let old = look(&mut desk).remove(0);
    let template = old.template.clone().unwrap().0;
    let source = Some(Source::of(&template, "2"));
    let there = desk.region().groups.get_mut("ci").unwrap();
    there.steering = Some(Steering { id: "r".to_owned(), source, surge: 0 });
    let account = &mut desk.account;
    assert!(release(account, REGION, "ci", &old.id, &Cause::Refresh).is_some());
    assert!(release(account, REGION, "ci", &old.id, &Cause::Refresh).is_none(), "it goes already");
    settle(account);
    desk.wait(SOON);
    let seen = look(&mut desk);
    assert!(seen.len() == 1 && seen[0].is_healthy(), "{seen:?}");
    assert!(seen[0].is_of(&Source::of(&template, "x"), 2) && seen[0].image != old.image);
    let wanted = Wanted { zone: "eu-west-1a".to_owned(), cause: Cause::Refresh, warm: None };
    let more = launch::launch(&mut desk.account, REGION, "ci", &wanted).unwrap();
    assert!(see(&mut desk.account, &more).is_some_and(|one| one.counts()));
    let told = done(&mut desk, "Action=DescribeScalingActivities&AutoScalingGroupName=ci");
    assert!(told.contains("in response to an instance refresh."), "{told}");
}

#[test]
fn a_group_that_is_kept_forgets_its_instances_and_launches_others() {
    let mut desk = group(LAUNCH);
    desk.wait(SOON);
    look(&mut desk);
    let kept = serde_json::to_vec(&desk.account.regions).unwrap();
    let mut again = Desk::new();
    again.account.regions = serde_json::from_slice(&kept).unwrap();
    assert_eq!(places(&mut again), [Lifecycle::Pending]);
    let there = &again.region().groups["ci"];
    assert_eq!((there.desired, there.habits.hooks.len()), (1, 1));
    let over = there.activities.iter().filter(|one| one.status.is_over()).count();
    assert_eq!((there.activities.len(), over), (2, 1), "what was begun came to nothing");
}

#[test]
fn a_member_is_told_where_it_is_to_be() {
    let mut desk = group("");
    desk.wait(SOON);
    let id = look(&mut desk)[0].id.clone();
    let target = |desk: &mut Desk| {
        let (instance, now) = desk.account.instance_mut(&id).unwrap();
        instance.target_lifecycle(now)
    };
    assert_eq!(target(&mut desk), "InService");
    let names = format!("AutoScalingGroupName=ci&InstanceIds.member.1={id}");
    let enter = format!("Action=EnterStandby&{names}&ShouldDecrementDesiredCapacity=true");
    done(&mut desk, &enter);
    assert_eq!(target(&mut desk), "Standby");
    done(&mut desk, &format!("Action=ExitStandby&{names}"));
    done(&mut desk, "Action=DeleteAutoScalingGroup&AutoScalingGroupName=ci&ForceDelete=true");
    assert_eq!(target(&mut desk), "Terminated");
    assert_eq!(ask(&mut desk, &enter).0, 400);
}
