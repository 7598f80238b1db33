//! A group as it should be, for tests.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Home, Part, Subject, Targets};
use crate::aws::asg::{
    Activity, Group, Hook, Kind, Launches, Member, Posted, Transition, Verdict as Word,
};
use crate::aws::efs::{MountTarget, TargetState};
use crate::aws::elb::{self, Health, TargetGroup};
use crate::aws::instances::Subnet;
use crate::aws::launch_template::{Data, Version};
use crate::group::standing::{Standing, State};
use crate::host::Role;

/// A group as it should be: one controller, on its home, in two zones.
#[expect(clippy::too_many_lines, reason = "all that there is to know of a group, in one piece")]
pub(crate) fn sound() -> Subject {
    let now: Timestamp = "2026-11-27T03:00:00Z".parse().unwrap();
    let launches =
        Launches { id: "lt-0123456789abcdef0".into(), name: "ci".into(), version: "4".into() };
    let member = Member {
        id: "i-0aaaaaaaaaaaaaaaa".into(),
        state: "InService".into(),
        healthy: true,
        template: Some(launches.clone()),
        instance_type: "m5.large".into(),
        zone: "eu-west-1a".into(),
        zone_id: "euw1-az1".into(),
        ..Member::default()
    };
    let hook = |name: &str, transition, otherwise| Posted {
        hook: Hook {
            group: "ci-controller".into(),
            name: name.into(),
            transition,
            timeout: Duration::from_mins(5),
            at_most: Duration::from_hours(8),
        },
        otherwise,
    };
    let subnet = |letter: &str, number: u8| Subnet {
        id: format!("subnet-{letter}"),
        vpc: "vpc-1".into(),
        zone: format!("eu-west-1{letter}"),
        zone_id: format!("euw1-az{number}"),
        cidr: format!("10.0.{number}.0/24"),
    };
    let target = |number: u8| MountTarget {
        id: format!("fsmt-{number}"),
        address: [10, 0, number, 9].into(),
        zone_id: format!("euw1-az{number}"),
        state: TargetState::Available,
    };
    let version = Version {
        template: launches.id.clone(),
        number: 4,
        image: Some("ami-00000000000000001".into()),
        description: String::new(),
        is_default: true,
    };
    let healthy =
        Health { state: "healthy".into(), reason: String::new(), description: String::new() };
    Subject {
        region: "eu-west-1".into(),
        now,
        part: Part { role: Role::Controller, told_by: "--role".into() },
        group: Group {
            name: "ci-controller".into(),
            target_groups: vec!["arn:tg".into()],
            health_checks: vec!["EC2".into(), "ELB".into()],
            suspended: vec!["AZRebalance".into()],
            desired: 1,
            min: 1,
            max: 1,
            grace: Duration::from_mins(5),
            zones: vec!["eu-west-1a".into(), "eu-west-1b".into()],
            subnets: vec!["subnet-a".into(), "subnet-b".into()],
            template: Some(launches),
            members: vec![member],
            maintenance: Some((0, 100)),
            ..Group::default()
        },
        hooks: Ok(vec![
            hook("up", Transition::Launching, Word::Abandon),
            hook("down", Transition::Terminating, Word::Continue),
        ]),
        refreshes: Ok(Vec::new()),
        activities: Ok(vec![activity(now, Kind::Launch, 140, true)]),
        subnets: Ok(vec![subnet("a", 1), subnet("b", 2)]),
        targets: Ok(vec![Targets {
            group: TargetGroup {
                arn: "arn:tg".into(),
                name: "ci".into(),
                kind: elb::Kind::Instance,
                check: "HTTP 8080/login".into(),
                used: true,
                balancers: vec!["arn:lb".into()],
            },
            health: vec![("i-0aaaaaaaaaaaaaaaa".into(), healthy)],
        }]),
        template: Ok(Some((version, Data::default()))),
        image: Ok(None),
        standing: Ok(Some(Standing {
            version: 1,
            instance: "i-0aaaaaaaaaaaaaaaa".into(),
            state: State::Serving,
            builds: Some(0),
            since: now,
            why: None,
            cannot: None,
            again: None,
            proof: None,
        })),
        home: Ok(Some(Home {
            file_system: "fs-1".into(),
            state: "available".into(),
            zone: None,
            targets: vec![target(1), target(2)],
            cross_az: false,
            backed_up: Ok(true),
            newest_backup: Ok(Some(now - SignedDuration::from_hours(9))),
        })),
    }
}

pub(crate) fn activity(now: Timestamp, kind: Kind, seconds: i64, done: bool) -> Activity {
    let verb = if kind == Kind::Launch { "Launching a new" } else { "Terminating" };
    Activity {
        id: "1".into(),
        description: format!("{verb} EC2 instance: i-0aaaaaaaaaaaaaaaa"),
        started: Some(now - SignedDuration::from_secs(seconds + 60)),
        ended: Some(now - SignedDuration::from_mins(1)),
        status: if done { "Successful" } else { "Failed" }.into(),
        message: Some("We currently do not have sufficient m5.large capacity".into()),
    }
}
