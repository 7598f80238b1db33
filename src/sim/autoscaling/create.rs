//! `CreateAutoScalingGroup`.

use super::{Asked, balancing, error, hooks, is_guests, named, settings, tags, validation};
use crate::sim::account::Account;
use crate::sim::group::Group;
use crate::sim::group::cause::at;
use crate::sim::http::Reply;
use crate::sim::random;

/// Makes a group. It launches at once.
pub(super) fn create(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?.to_owned();
    let there = account.region(region).groups.contains_key(&name);
    if there || is_guests(region, &name) {
        let message = format!(
            "AutoScalingGroup by this name already exists - A group with the name {name} already \
             exists"
        );
        return Err(error(400, "AlreadyExists", &message));
    }
    if name.contains(':') {
        return Err(validation("The name of an Auto Scaling group cannot contain a colon"));
    }
    for needed in ["MinSize", "MaxSize"] {
        super::required(asked, needed)?;
    }
    let now = account.world();
    let mut group = Group {
        name: name.clone(),
        id: random::uuid(),
        created: now,
        cooldown: 300,
        termination: vec!["Default".to_owned()],
        ..Group::default()
    };
    settings::apply(&mut group, account.region(region), asked)?;
    if group.launches.is_none() && group.configuration.is_none() {
        return Err(validation(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, \
             InstanceId or MixedInstancesPolicy parameter.",
        ));
    }
    if group.zones.is_empty() {
        return Err(validation("At least one Availability Zone or VPC Subnet is required."));
    }
    group.habits.hooks = hooks::listed(asked)?;
    group.habits.target_groups = balancing::listed(account.region(region), asked)?;
    group.tags = tags::listed(asked, &name)?;
    group.asked = (group.desired > 0).then(|| {
        format!(
            "{} a user request created an AutoScalingGroup changing the desired capacity from 0 to \
             {}.",
            at(now),
            group.desired
        )
    });
    account.region(region).groups.insert(name, group);
    Ok(String::new())
}
