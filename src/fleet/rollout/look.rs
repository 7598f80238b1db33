//! Reads what is to be seen of a group: as much as the phase needs.

use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::try_join_all;

use super::alarms::{self, AlarmStates};
use super::journal::Journal;
use super::proof::{Beside, Target};
use super::seen::Seen;
use super::{Phase, Way, lock, quiet, record};
use crate::aws::launch_template::{self, Which};
use crate::aws::{Failure, asg, channel, ecs, elb, ssm};
use crate::group::standing::Standing;
use crate::host::Role;

/// So many refreshes and activities are looked at.
const NEWEST: i32 = 20;

/// What those that make a version of a template say of it.
pub(super) fn description(rollout: &str) -> String {
    format!("hostkit rollout {rollout}")
}

/// Looks. None where the group is gone.
pub(super) async fn look(
    config: &SdkConfig,
    journal: &Journal,
    targets: &[String],
) -> Result<Option<Seen>, Failure> {
    let group = &journal.order.group;
    let (crew, refreshes, activities, word) = tokio::try_join!(
        asg::crew(config, group),
        asg::refresh::refreshes(config, group, NEWEST),
        activities(config, journal),
        standing(config, journal),
    )?;
    let Some(crew) = crew else { return Ok(None) };
    let serving = crew.hosts.iter().filter(|host| host.is_in_service());
    let serving: Vec<&str> = serving.map(|host| host.id.as_str()).collect();
    let (made, default, tag, health, beside, alarms, pointed, (recorded, locked)) = tokio::try_join!(
        made(config, journal),
        default(config, journal),
        tag(config, journal),
        health(config, journal, targets, &serving),
        beside(config, journal),
        alarm_states(config, journal),
        pointed(config, journal),
        end(config, journal),
    )?;
    let (target_groups, targets) = health;
    let (standing, said) = word.map_or((None, None), |(standing, said)| (Some(standing), said));
    Ok(Some(Seen {
        crew,
        refreshes,
        activities,
        standing,
        said,
        made,
        default,
        tag,
        target_groups,
        targets,
        beside,
        alarms,
        pointed,
        recorded,
        locked,
    }))
}

async fn activities(config: &SdkConfig, journal: &Journal) -> Result<Vec<asg::Activity>, Failure> {
    if journal.phase != Phase::Refresh {
        return Ok(Vec::new());
    }
    let mut all = asg::activities(config, &journal.order.group, NEWEST).await?;
    // What went wrong before is nothing of this rollout's.
    all.retain(|one| one.started.is_none_or(|at| at >= journal.begun));
    Ok(all)
}

async fn standing(
    config: &SdkConfig,
    journal: &Journal,
) -> Result<Option<(Standing, Option<Duration>)>, Failure> {
    if journal.order.role != Role::Controller {
        return Ok(None);
    }
    quiet::word(config, &journal.order.group).await
}

async fn made(config: &SdkConfig, journal: &Journal) -> Result<Option<i64>, Failure> {
    if journal.phase != Phase::Version || journal.order.to.version.is_some() {
        return Ok(None);
    }
    let words = description(&journal.rollout);
    let found = launch_template::described(config, &journal.order.to.template, &words).await?;
    Ok(found.map(|version| version.number))
}

async fn default(config: &SdkConfig, journal: &Journal) -> Result<Option<i64>, Failure> {
    if (journal.way, journal.phase) != (Way::Forward, Phase::Promote) {
        return Ok(None);
    }
    let template = Which::Id(journal.order.to.template.clone());
    let found = launch_template::version(config, &template, "$Default").await?;
    Ok(found.map(|version| version.number))
}

async fn tag(config: &SdkConfig, journal: &Journal) -> Result<Option<String>, Failure> {
    match &journal.quieted {
        Some(host) if matches!(journal.phase, Phase::Quiet | Phase::Proof | Phase::Promote) => {
            let channel = channel::look(config, host, quiet::TAG).await?;
            Ok(channel.and_then(|channel| channel.word))
        }
        _ => Ok(None),
    }
}

/// The target groups that count, and how each host is in each of them.
async fn health(
    config: &SdkConfig,
    journal: &Journal,
    groups: &[String],
    hosts: &[&str],
) -> Result<(Vec<String>, Vec<Target>), Failure> {
    if !matches!(journal.phase, Phase::Refresh | Phase::Proof) {
        return Ok((Vec::new(), Vec::new()));
    }
    let asked = groups.iter().map(async |group| elb::all_health(config, group).await);
    let told = try_join_all(asked).await?;
    let mut groups = groups.to_vec();
    let mut targets = Vec::new();
    for (group, mut told) in groups.iter().zip(told) {
        targets.extend(hosts.iter().map(|host| {
            let health = told.remove(*host).unwrap_or_else(elb::Health::not_registered);
            Target { group: group.clone(), instance: (*host).to_owned(), health }
        }));
    }
    // A load balancer that has let go of a group meanwhile hinders nobody.
    if targets.iter().any(|target| target.health.is_unused()) {
        groups = asked_by_balancers(config, &groups).await?;
        targets.retain(|target| groups.contains(&target.group));
    }
    Ok((groups, targets))
}

/// What the controller of agents says, and what the cluster of container hosts has.
async fn beside(config: &SdkConfig, journal: &Journal) -> Result<Beside, Failure> {
    let mut beside = Beside::default();
    if journal.phase != Phase::Proof {
        return Ok(beside);
    }
    let crowd = &journal.order.crowd;
    if let Some(controller) = &crowd.controller {
        beside.controller = Some(quiet::standing(config, controller).await?);
    }
    if let Some(cluster) = &crowd.cluster {
        beside.cluster = Some(ecs::containers(config, cluster).await?);
        beside.former.clone_from(&journal.hosts);
    }
    Ok(beside)
}

/// The alarms, from when AWS watches them no more until the new image counts.
async fn alarm_states(config: &SdkConfig, journal: &Journal) -> Result<AlarmStates, Failure> {
    if (journal.way, journal.phase) != (Way::Forward, Phase::Proof) {
        return Ok(AlarmStates::default());
    }
    alarms::states(config, &journal.order.alarms).await
}

/// Those target groups of the group that a load balancer uses, and whose targets are instances.
pub(super) async fn target_groups(config: &SdkConfig, group: &str) -> Result<Vec<String>, Failure> {
    let arns = asg::crew(config, group).await?.map(|crew| crew.target_groups).unwrap_or_default();
    asked_by_balancers(config, &arns).await
}

async fn asked_by_balancers(config: &SdkConfig, arns: &[String]) -> Result<Vec<String>, Failure> {
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    let all = elb::target_groups(config, arns).await?;
    let counts = |group: &elb::TargetGroup| group.used && group.kind == elb::Kind::Instance;
    Ok(all.into_iter().filter(counts).map(|group| group.arn).collect())
}

async fn pointed(config: &SdkConfig, journal: &Journal) -> Result<bool, Failure> {
    if (journal.way, journal.phase) != (Way::Forward, Phase::Promote) {
        return Ok(false);
    }
    record::is_pointed(config, &journal.order).await
}

async fn end(config: &SdkConfig, journal: &Journal) -> Result<(bool, bool), Failure> {
    if journal.phase != Phase::Recorded {
        return Ok((false, false));
    }
    let group = &journal.order.group;
    let name = lock::parameter(group);
    let (newest, lock) =
        tokio::try_join!(record::newest(config, group), ssm::parameter(config, &name))?;
    let recorded = newest.is_some_and(|record| record.rollout == journal.rollout);
    let ours = |text: &str| {
        serde_json::from_str::<lock::Lock>(text).is_ok_and(|it| it.rollout == journal.rollout)
    };
    Ok((recorded, lock.is_some_and(|lock| ours(&lock.value))))
}
