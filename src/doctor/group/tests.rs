use std::time::Duration;

use super::sample::{activity, sound};
use super::*;
use crate::aws::asg::refresh::{Refresh, Status};
use crate::aws::asg::{Kind, Launches, Member, Verdict as Word, WarmPool};
use crate::aws::elb::Health;
use crate::doctor::{Gap, render, worst};

/// What is wrong after a change of a sound group.
fn wrong(change: impl FnOnce(&mut Subject)) -> String {
    let mut subject = sound();
    change(&mut subject);
    let mut findings = check(&subject);
    findings.retain(|finding| finding.verdict != Verdict::Pass);
    render(&findings)
}

fn member(subject: &mut Subject) -> &mut Member {
    subject.group.members.first_mut().unwrap()
}

#[test]
fn a_group_as_it_should_be_passes_everything() {
    let findings = check(&sound());
    assert_eq!(worst(&findings), Verdict::Pass, "{}", render(&findings));
    insta::assert_snapshot!(render(&findings));
}

type Change = fn(&mut Subject);

/// What is wrong, and how it gets so.
const CASES: [(&str, Change); 39] = [
    ("two at most", |it| it.group.max = 2),
    ("none wanted", |it| (it.group.desired, it.group.min) = (0, 0)),
    ("by the latest version", |it| {
        it.group.template.as_mut().unwrap().version = "$Latest".into();
    }),
    ("by no version", |it| it.group.template.as_mut().unwrap().version.clear()),
    ("a launch configuration", |it| {
        it.group.template = None;
        it.group.configuration = Some("old".into());
    }),
    ("mixed, with a template of its own", |it| {
        it.group.mixed = true;
        it.group.overrides = vec![crate::aws::asg::Override {
            instance_type: Some("m6i.large".into()),
            template: Some(Launches { id: "lt-9".into(), ..Launches::default() }),
            image: None,
        }];
    }),
    ("something else runs", |it| {
        member(it).template.as_mut().unwrap().version = "3".into();
    }),
    ("being deleted", |it| it.group.status = Some("Delete in progress".into())),
    ("launches suspended", |it| it.group.suspended.push("Launch".into())),
    ("care suspended", |it| {
        it.group.suspended.extend(["HealthCheck".into(), "ReplaceUnhealthy".into()]);
    }),
    ("a refresh runs", |it| {
        it.refreshes = Ok(vec![Refresh {
            id: "08b91cf7".into(),
            status: Status::InProgress,
            reason: None,
            rollback: None,
            started: Some(it.now),
            ended: None,
            percent: Some(40),
            template: None,
            version: None,
        }]);
    }),
    ("launch before terminate", |it| it.group.maintenance = Some((100, 200))),
    ("never let go", |it| it.group.maintenance = Some((100, 100))),
    ("no policy", |it| it.group.maintenance = None),
    ("zones are balanced", |it| it.group.suspended.clear()),
    ("capacity is rebalanced", |it| it.group.rebalances_capacity = true),
    ("a warm pool", |it| {
        it.group.warm_pool = Some(WarmPool { min: 1, state: "Stopped".into(), size: 1 });
    }),
    ("retained", |it| it.group.retention = Some("retain".into())),
    ("a life that ends", |it| it.group.max_lifetime = Some(Duration::from_hours(24 * 30))),
    ("no hooks", |it| it.hooks = Ok(Vec::new())),
    ("a launch that goes on", |it| {
        it.hooks.as_mut().unwrap()[0].otherwise = Word::Continue;
    }),
    ("boots that take longer", |it| {
        it.activities = Ok(vec![activity(it.now, Kind::Launch, 40_000, true)]);
    }),
    ("a hook without breath", |it| {
        it.hooks.as_mut().unwrap()[1].hook.timeout = Duration::from_secs(30);
    }),
    ("drains that take longer", |it| {
        it.hooks.as_mut().unwrap()[1].hook.at_most = Duration::from_mins(10);
        it.activities = Ok(vec![activity(it.now, Kind::Terminate, 700, true)]);
    }),
    ("two terminate hooks", |it| {
        let mut other = it.hooks.as_ref().unwrap()[1].clone();
        other.hook.name = "ship-logs".into();
        it.hooks.as_mut().unwrap().push(other);
    }),
    ("standby", |it| member(it).state = "Standby".into()),
    ("protected", |it| member(it).protected = true),
    ("a new one that is protected", |it| it.group.protects_new = true),
    ("on its way", |it| member(it).state = "Pending:Wait".into()),
    ("unhealthy", |it| member(it).healthy = false),
    ("nobody there", |it| it.group.members.clear()),
    ("no load balancer heeded", |it| it.group.health_checks = vec!["EC2".into()]),
    ("a short grace period, and no hook", |it| {
        it.group.grace = Duration::from_mins(2);
        it.hooks.as_mut().unwrap().remove(0);
    }),
    ("not healthy", |it| {
        it.targets.as_mut().unwrap()[0].health[0].1 = Health {
            state: "unhealthy".into(),
            reason: "Target.Timeout".into(),
            description: "Request timed out".into(),
        };
    }),
    ("a launch failed", |it| {
        it.activities = Ok(vec![activity(it.now, Kind::Launch, 10, false)]);
    }),
    ("an old backup", |it| {
        let old = it.now - jiff::SignedDuration::from_hours(100);
        it.home.as_mut().unwrap().as_mut().unwrap().newest_backup = Ok(Some(old));
    }),
    ("no backup yet", |it| {
        it.home.as_mut().unwrap().as_mut().unwrap().newest_backup = Ok(None);
    }),
    ("no backups", |it| {
        it.home.as_mut().unwrap().as_mut().unwrap().backed_up = Ok(false);
    }),
    ("a zone without a mount target", |it| {
        it.home.as_mut().unwrap().as_mut().unwrap().targets.pop();
    }),
];

/// All ids are in one list, so that a check that is never exercised is seen.
#[test]
fn whatever_is_wrong_is_said_with_what_shows_it_and_what_mends_it() {
    let texts: Vec<_> =
        CASES.iter().map(|(name, change)| format!("# {name}\n{}", wrong(change))).collect();
    for (text, (name, _)) in texts.iter().zip(&CASES) {
        assert!(text.lines().count() > 1, "{name} is not seen");
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn what_may_not_be_read_is_told_with_the_action_that_it_needs() {
    let denied = |needs: &str| Gap {
        needs: needs.to_owned(),
        denied: true,
        why: format!("{needs} was refused: AccessDenied"),
    };
    let text = wrong(|it| {
        it.hooks = Err(denied("autoscaling:DescribeLifecycleHooks"));
        it.refreshes = Err(denied("autoscaling:DescribeInstanceRefreshes"));
        it.activities = Err(denied("autoscaling:DescribeScalingActivities"));
        it.targets = Err(denied("elasticloadbalancing:DescribeTargetHealth"));
        it.subnets = Err(denied("ec2:DescribeSubnets"));
        it.standing = Err(denied("ssm:GetParameters"));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn hosts_beside_each_other_may_be_many_and_are_not_asked_for_a_home() {
    let mut subject = sound();
    subject.part.role = Role::Agent;
    (subject.group.max, subject.group.desired) = (9, 4);
    subject.group.maintenance = None;
    subject.standing = Ok(None);
    subject.home = Ok(None);
    let findings = check(&subject);
    assert_eq!(worst(&findings), Verdict::Pass, "{}", render(&findings));
    subject.hooks = Ok(Vec::new());
    assert_eq!(worst(&check(&subject)), Verdict::Fail, "builds would die");
    let mut managed = sound().hooks.unwrap().remove(1);
    managed.hook.name = crate::aws::ecs::MANAGED_HOOK.to_owned();
    (subject.part.role, subject.hooks) = (Role::Ecs, Ok(vec![managed]));
    let findings = check(&subject);
    assert!(worst(&findings) < Verdict::Fail, "ECS drains: {}", render(&findings));
}
