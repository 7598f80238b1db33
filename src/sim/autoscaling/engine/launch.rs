//! Launches an instance of a group, in the same way as `RunInstances`.

use std::time::Duration;

use super::begin;
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::disturbance::{Kind as Disturbed, Scene};
use crate::sim::ec2::instance::run::Order;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::specification::Specification;
use crate::sim::ec2::template::version as number_of;
use crate::sim::ec2::{Call, id};
use crate::sim::group::activity::{Activity, Kind, Status};
use crate::sim::group::decide::Wanted;
use crate::sim::group::member::Member;
use crate::sim::group::source::{Override, Source};
use crate::sim::group::{Group, Trouble};
use crate::sim::service::Service;

/// As who it asks EC2, where faults name callers.
pub const CALLER: &str = "autoscaling";
const ACTION: &str = "RunInstances";
/// When a launch that failed is tried again on AWS, at first and at last.
const AGAIN: Duration = Duration::from_secs(15);
const AT_LAST: Duration = Duration::from_mins(15);

/// Launches an instance of a group, or tells why EC2 does not; the activity says the same. It is
/// of the version that a refresh wants, or else of the group's own.
///
/// # Errors
/// What EC2 says, in a sentence.
pub fn launch(
    account: &mut Account,
    region: &str,
    name: &str,
    wanted: &Wanted,
) -> Result<String, String> {
    let Some(group) = account.region(region).groups.get(name) else {
        return Err("there is no such group".to_owned());
    };
    let group = Group { activities: Vec::new(), ..group.clone() };
    match try_all(account, region, &group, wanted) {
        Ok(id) => {
            let (protected, warm, now) = (group.protects, wanted.warm, account.now());
            let member = Member {
                group: name.to_owned(),
                protected: protected && warm.is_none(),
                warm,
                joined: now,
                in_service: None,
                abandoned: None,
                retains: group.retains,
                ill: None,
            };
            if let Some((instance, _)) = account.instance_mut(&id) {
                instance.join(member);
            }
            if let Some(group) = account.region(region).groups.get_mut(name) {
                group.trouble = Trouble::default();
            }
            let into = if warm.is_some() { " into warm pool" } else { "" };
            let description = format!("Launching a new EC2 instance{into}: {id}");
            begin(account, region, name, Kind::Launch, description, &wanted.cause, &id);
            Ok(id)
        }
        Err(refusal) => {
            let message = format!("{} Launching EC2 instance failed.", refusal.message);
            failed(account, region, name, wanted, &message);
            trouble(account, region, name);
            Err(message)
        }
    }
}

/// A launch came to nothing: the next is tried later, and later each time.
pub(super) fn trouble(account: &mut Account, region: &str, name: &str) {
    let now = account.now();
    let failures = account.region(region).groups.get(name).map_or(0, |it| it.trouble.failures);
    let wait = (AGAIN * 2_u32.saturating_pow(failures)).min(AT_LAST);
    let next = now + account.conditions.takes(wait);
    if let Some(group) = account.region(region).groups.get_mut(name) {
        group.trouble = Trouble { failures: failures + 1, next: Some(next) };
    }
}

fn failed(account: &mut Account, region: &str, name: &str, wanted: &Wanted, message: &str) {
    let now = account.world();
    let Some(group) = account.region(region).groups.get_mut(name) else { return };
    let description = format!("Launching a new EC2 instance.  Status Reason: {message}");
    let own = wanted.cause.of_coming(now);
    let cause = group.asked.as_ref().map_or_else(|| own.clone(), |asked| format!("{asked}  {own}"));
    let mut activity = Activity::begin(Kind::Launch, description, cause, now);
    activity.end(Status::Failed, Some(message.to_owned()), now);
    group.note(activity);
}

/// The first of what the group may launch that there is capacity for.
fn try_all(account: &mut Account, region: &str, group: &Group, wanted: &Wanted) -> Answer {
    let Some(source) = group.source() else {
        return Err(Refusal::new("ValidationError", "The group has no launch template."));
    };
    let usual = [Override::default()];
    let choices = if source.overrides.is_empty() { &usual[..] } else { &source.overrides };
    let mut answer = Err(Refusal::new("ValidationError", "Nothing is to be launched."));
    for choice in choices {
        answer = try_one(account, region, group, (source, choice), wanted);
        match &answer {
            Err(refusal) if refusal.code == "InsufficientInstanceCapacity" => {}
            _ => break,
        }
    }
    answer
}

fn try_one(
    account: &mut Account,
    region: &str,
    group: &Group,
    (source, choice): (&Source, &Override),
    wanted: &Wanted,
) -> Answer {
    disturbed(account, region)?;
    let now = account.now();
    let mut call = Call {
        account,
        region: region.to_owned(),
        action: ACTION.to_owned(),
        fingerprint: String::new(),
        as_of: now,
        caller: format!(
            "arn:aws:sts::{ACCOUNT_ID}:assumed-role/AWSServiceRoleForAutoScaling/AutoScaling"
        ),
        fails: false,
    };
    let own = (source.template.clone(), source.version.clone());
    let (template, word) = choice.template.as_ref().unwrap_or(&own);
    let found = call.here().launch_templates.get(template);
    let found = found.ok_or_else(|| id::Kind::LaunchTemplate.not_found(&[template]))?;
    let number = number_of(found, word)?;
    let mut said = Specification {
        image: choice.image.clone(),
        instance_type: choice.instance_type.clone(),
        ..Specification::default()
    }
    .over(found.versions[&number].data.clone());
    let tags = said.tags.entry(id::Kind::Instance.word().to_owned()).or_default();
    let spread = group.tags.iter().filter(|(_, tag)| tag.propagates);
    tags.extend(spread.map(|(key, tag)| (key.clone(), tag.value.clone())));
    tags.insert("aws:autoscaling:groupName".to_owned(), group.name.clone());
    said.zone = (!wanted.zone.is_empty()).then(|| wanted.zone.clone());
    let subnets = &call.here().subnets;
    let in_zone = |id: &&String| subnets.get(*id).is_some_and(|it| it.zone == wanted.zone);
    let subnet = group.subnets.iter().find(in_zone).cloned();
    let template = (template.clone(), number);
    let order = Order {
        said: &said,
        subnet: subnet.as_deref(),
        private_ip: None,
        count: 1,
        template: Some(&template),
        token: None,
    };
    let plan = order.plan(&mut call)?;
    order.carry_out(&mut call, &plan);
    let launched = call.account.instances().last();
    Ok(launched.map(|instance| instance.id.clone()).unwrap_or_default())
}

/// What goes wrong with launches on purpose: only faults that name `RunInstances`, since others are
/// meant for those who ask EC2 from outside.
fn disturbed(account: &mut Account, region: &str) -> Answer<()> {
    let scene =
        Scene { service: Service::Ec2, action: ACTION, region, caller: CALLER, block: None };
    let mut named =
        account.disturbances.iter_mut().filter(|it| it.action.as_deref() == Some(ACTION));
    let kind = named.find_map(|one| one.disturbs(&scene).then_some(one.kind));
    let (code, message) = match kind {
        Some(Disturbed::Throttled) => ("RequestLimitExceeded", "Request limit exceeded."),
        Some(Disturbed::Denied) => {
            ("UnauthorizedOperation", "You are not authorized to perform this operation.")
        }
        Some(Disturbed::Unavailable) => {
            ("Unavailable", "The service is unavailable. Please try again shortly.")
        }
        Some(Disturbed::InternalError | Disturbed::Fails) => {
            ("InternalError", "An internal error has occurred")
        }
        _ => return Ok(()),
    };
    Err(Refusal::new(code, message))
}
