//! `StartInstanceRefresh`: every reason for which AWS refuses one, and its beginning.

use std::collections::BTreeSet;

use super::advance::keep;
use super::{Encounter, Preferences, Progress, Refresh, Status, active};
use crate::sim::account::Account;
use crate::sim::autoscaling::{Asked, engine, error, group, named, source, structure, validation};
use crate::sim::group::Group;
use crate::sim::group::member::Seen;
use crate::sim::group::source::Source;
use crate::sim::http::Reply;
use crate::sim::random;
use crate::sim::region::Region;
use crate::sim::xml::leaf;

/// What a request calls the configuration that it wants.
const DESIRED: &str = "DesiredConfiguration";
/// An image that a parameter names.
const ALIAS: &str = "resolve:ssm:";

/// See the module.
pub(in crate::sim) fn start(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let name = named(asked)?;
    let preferences = Preferences::of(asked)?;
    check_strategy(asked)?;
    let group = group(account, region, name)?.clone();
    let there = account.region(region);
    let desired = desired(there, asked)?;
    if active(there, name).is_some() {
        return Err(error(
            400,
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance \
             Refresh.",
        ));
    }
    let Some(source) = desired.as_ref().or(group.launches.as_ref()) else {
        return Err(validation("The Auto Scaling group has no launch template."));
    };
    let version = number(there, source)?;
    if preferences.auto_rollback {
        check_way_back(there, &group, desired.as_ref())?;
    }
    let members = engine::members(account, region, name);
    let targets = targets(&members, &preferences, |one| matches(one, source, version));
    let refresh = Refresh {
        id: random::uuid(),
        group: name.to_owned(),
        status: Status::Pending,
        reason: None,
        started: account.world(),
        ended: None,
        progress: Progress { percent: 0, to_update: as_number(targets.len()) },
        before: members.iter().map(|one| one.id.clone()).collect(),
        targets,
        former: desired.is_some().then(|| group.launches.clone()).flatten(),
        desired,
        preferences,
        checkpoint: 0,
        paused: None,
        baking: None,
        patience: None,
        rollback: None,
        waits: true,
    };
    let id = refresh.id.clone();
    keep(account, region, refresh);
    Ok(leaf("InstanceRefreshId", &id))
}

fn check_strategy(asked: &Asked) -> Result<(), Reply> {
    match asked.get("Strategy").map(String::as_str) {
        None | Some("Rolling") => Ok(()),
        Some("ReplaceRootVolume") => Err(validation(
            "The strategy ReplaceRootVolume is not modelled by the rehearsal account.",
        )),
        Some(other) => Err(validation(&format!(
            "1 validation error detected: Value '{other}' at 'strategy' failed to satisfy \
             constraint: Member must satisfy enum value set: [Rolling, ReplaceRootVolume]"
        ))),
    }
}

/// What the group is to launch, if the request says so.
fn desired(region: &Region, asked: &Asked) -> Result<Option<Source>, Reply> {
    let Some(said) = structure(asked, DESIRED) else { return Ok(None) };
    match source::parse(region, &said)? {
        Some(source) => Ok(Some(source)),
        None => Err(validation(
            "You must specify either a LaunchTemplate or a MixedInstancesPolicy in the \
             DesiredConfiguration.",
        )),
    }
}

/// The version that a source means now.
fn number(region: &Region, source: &Source) -> Result<u64, Reply> {
    let template = region.launch_templates.get(&source.template);
    let number = template.and_then(|template| {
        let number = template.number(&source.version)?;
        template.versions.contains_key(&number).then_some(number)
    });
    number.ok_or_else(|| {
        validation(
            "You must use a valid fully-formed launch template. The launch template of the Auto \
             Scaling group does not exist any more.",
        )
    })
}

/// Whether there would be a way back: without one, AWS does not begin what is to go back by itself.
fn check_way_back(region: &Region, group: &Group, desired: Option<&Source>) -> Result<(), Reply> {
    let refused = |why: &str, hint: &str| {
        Err(validation(&format!(
            "The request isn't valid. The AutoRollback parameter cannot be set to true when {why}. \
             Set AutoRollback to false or {hint} and try again."
        )))
    };
    let Some(desired) = desired else {
        let why = "the DesiredConfiguration parameter is empty";
        return refused(why, "specify a desired configuration");
    };
    if let Some(why) = no_way_back(region, group, desired) {
        return refused(why, "specify a launch template with a numbered version and an AMI ID");
    }
    Ok(())
}

/// Why a group could not go back from what it is to launch to what it launches.
pub(super) fn no_way_back(
    region: &Region,
    group: &Group,
    desired: &Source,
) -> Option<&'static str> {
    let Some(own) = &group.launches else {
        return Some("the Auto Scaling group has no launch template");
    };
    for source in [desired, own] {
        if source.version.starts_with('$') {
            return Some("the launch template's version is $Latest or $Default");
        }
        let found = region.launch_templates.get(&source.template);
        let version = found.and_then(|one| one.versions.get(&one.number(&source.version)?));
        let image = version.and_then(|version| version.data.image.as_deref());
        if image.is_some_and(|image| image.starts_with(ALIAS)) {
            return Some("the launch template uses a Systems Manager parameter for its AMI ID");
        }
    }
    None
}

/// The instances that are to be replaced.
fn targets(
    members: &[Seen],
    preferences: &Preferences,
    matches: impl Fn(&Seen) -> bool,
) -> BTreeSet<String> {
    let spared = |one: &Seen| {
        (one.protected && preferences.protected == Encounter::Ignore)
            || (one.is_standby() && preferences.standby == Encounter::Ignore)
            || (preferences.skip_matching && matches(one))
    };
    let all = members.iter().filter(|one| !one.is_leaving() && !spared(one));
    all.map(|one| one.id.clone()).collect()
}

/// Whether an instance is as it shall be: template, version, image and type.
fn matches(member: &Seen, source: &Source, version: u64) -> bool {
    if source.overrides.is_empty() {
        return member.is_of(source, version);
    }
    source.overrides.iter().any(|one| {
        let kind = one.instance_type.as_ref().is_none_or(|kind| *kind == member.instance_type);
        let image = one.image.as_ref().is_none_or(|image| *image == member.image);
        let own = one.template.as_ref().map(|(template, word)| Source::of(template, word));
        let of = match own {
            // Its own version is not followed further than by its number.
            Some(own) => own.version.parse().is_ok_and(|number| member.is_of(&own, number)),
            None => member.is_of(source, version),
        };
        kind && image && of
    })
}

fn as_number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
