//! Groups that somebody makes: `CreateAutoScalingGroup`, `UpdateAutoScalingGroup`,
//! `DeleteAutoScalingGroup`, `DescribeAutoScalingGroups`.

use std::collections::BTreeMap;

use super::{error, validation};
use crate::sim::account::{ACCOUNT_ID, Account, GROUP, ZONE};
use crate::sim::call::Caller;
use crate::sim::ec2::instance::run::run;
use crate::sim::ec2::query::{self, Query};
use crate::sim::ec2::refusal::Refusal;
use crate::sim::ec2::template::Named;
use crate::sim::ec2::{self, Call};
use crate::sim::http::Reply;
use crate::sim::instance::{Ending, Instance, State};
use crate::sim::launch_template::LaunchTemplate;
use crate::sim::region::Tags;
use crate::sim::scaling_group::{MEMBER_TAG, ScalingGroup};
use crate::sim::xml::{leaf, node};

/// How many groups an answer has, if nobody says how many.
const PAGE: usize = 50;

/// EC2's words for a refusal in this service's own shape.
fn refused(refusal: &Refusal) -> Reply {
    validation(&refusal.message)
}

fn no_such_group() -> Reply {
    validation("AutoScalingGroup name not found - null")
}

/// What a request says of a group.
struct Said {
    name: String,
    template: Option<(Named, String)>,
    least: Option<u64>,
    most: Option<u64>,
    desired: Option<u64>,
    subnets: Option<String>,
    tags: Tags,
}

impl Said {
    fn of(parameters: BTreeMap<String, String>) -> Result<Self, Refusal> {
        let mut query = Query::of(parameters);
        let template = query.structure("LaunchTemplate").map(|mut template| {
            let named = Named::of(&mut template)?;
            let version = template.text("Version").unwrap_or_else(|| "$Default".to_owned());
            template.done()?;
            Ok((named, version))
        });
        let said = Self {
            name: query.required("AutoScalingGroupName")?,
            template: template.transpose()?,
            least: query.number("MinSize")?,
            most: query.number("MaxSize")?,
            desired: query.number("DesiredCapacity")?,
            subnets: query.text("VPCZoneIdentifier"),
            tags: tags(&mut query)?,
        };
        // All zones are the same here, and nobody checks health.
        if let Some(mut zones) = query.structure("AvailabilityZones") {
            zones.list("member");
            zones.done()?;
        }
        for ignored in ["HealthCheckType", "HealthCheckGracePeriod", "DefaultCooldown"] {
            query.text(ignored);
        }
        query.done()?;
        Ok(said)
    }
}

fn tags(query: &mut Query) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    let Some(mut all) = query.structure("Tags") else { return Ok(tags) };
    for mut tag in all.structures("member") {
        tags.insert(tag.required("Key")?, tag.text("Value").unwrap_or_default());
        for ignored in ["ResourceId", "ResourceType", "PropagateAtLaunch"] {
            tag.text(ignored);
        }
        tag.done()?;
    }
    all.done()?;
    Ok(tags)
}

/// Makes a group and launches as many as there are to be.
pub(super) fn create(
    account: &mut Account,
    region: &str,
    parameters: BTreeMap<String, String>,
) -> Result<String, Reply> {
    let said = Said::of(parameters).map_err(|refusal| refused(&refusal))?;
    if account.region(region).scaling_groups.contains_key(&said.name) || said.name == GROUP {
        let message = format!(
            "AutoScalingGroup by this name already exists - A group with the name {} already exists",
            said.name
        );
        return Err(error(400, "AlreadyExists", &message));
    }
    let (Some(least), Some(most), Some((named, version))) = (said.least, said.most, said.template)
    else {
        return Err(validation(
            "Valid requests must contain MinSize, MaxSize and a LaunchTemplate",
        ));
    };
    let template = named.find(account.region(region)).map_err(|refusal| refused(&refusal))?;
    let desired = said.desired.unwrap_or(least);
    if !(least..=most).contains(&desired) {
        return Err(validation(
            "Desired capacity must be between the minimum and the maximum size",
        ));
    }
    let group = ScalingGroup {
        name: said.name,
        template,
        version,
        least,
        most,
        desired,
        subnets: said.subnets.unwrap_or_default(),
        created: account.world(),
        tags: said.tags,
    };
    launch(account, region, &group).map_err(|refusal| refused(&refusal))?;
    account.region(region).scaling_groups.insert(group.name.clone(), group);
    Ok(String::new())
}

/// Launches what a fresh group is to have, and tags it as its own.
fn launch(account: &mut Account, region: &str, group: &ScalingGroup) -> Result<(), Refusal> {
    if group.desired == 0 {
        return Ok(());
    }
    let mut parameters = BTreeMap::from([
        ("MinCount".to_owned(), group.desired.to_string()),
        ("MaxCount".to_owned(), group.desired.to_string()),
        ("LaunchTemplate.LaunchTemplateId".to_owned(), group.template.clone()),
        ("LaunchTemplate.Version".to_owned(), group.version.clone()),
    ]);
    if let Some(subnet) = group.subnets.split(',').next().filter(|subnet| !subnet.is_empty()) {
        parameters.insert("SubnetId".to_owned(), subnet.trim().to_owned());
    }
    let before = account.instances().len();
    let as_of = account.now();
    let mut call = Call {
        region: region.to_owned(),
        action: "RunInstances".to_owned(),
        fingerprint: query::fingerprint(&parameters),
        as_of,
        caller: Caller::Operator.arn(),
        fails: false,
        account,
    };
    run(&mut call, Query::of(parameters))?;
    let ids: Vec<String> =
        account.instances()[before..].iter().map(|instance| instance.id.clone()).collect();
    for id in ids {
        if let Some((instance, _)) = account.instance_mut(&id) {
            instance.tags.insert(MEMBER_TAG.to_owned(), group.name.clone());
        }
    }
    Ok(())
}

/// What a group is to launch from now on, and how many. It launches nothing for that.
pub(super) fn update(
    account: &mut Account,
    region: &str,
    parameters: BTreeMap<String, String>,
) -> Result<String, Reply> {
    let said = Said::of(parameters).map_err(|refusal| refused(&refusal))?;
    let region = account.region(region);
    let template = said.template.map(|(named, version)| Ok((named.find(region)?, version)));
    let template = template.transpose().map_err(|refusal: Refusal| refused(&refusal))?;
    let group = region.scaling_groups.get_mut(&said.name).ok_or_else(no_such_group)?;
    if let Some((template, version)) = template {
        (group.template, group.version) = (template, version);
    }
    group.least = said.least.unwrap_or(group.least);
    group.most = said.most.unwrap_or(group.most);
    group.desired = said.desired.unwrap_or(group.desired);
    group.subnets = said.subnets.unwrap_or_else(|| group.subnets.clone());
    Ok(String::new())
}

/// Takes a group away; with its instances only if that is forced.
pub(super) fn delete(
    account: &mut Account,
    region: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<String, Reply> {
    let name = super::required(parameters, "AutoScalingGroupName")?;
    let force = parameters.get("ForceDelete").is_some_and(|word| word == "true");
    if !account.region(region).scaling_groups.contains_key(name) {
        return Err(no_such_group());
    }
    let members = account.instances().iter().filter(|one| is_member(one, region, name));
    let members: Vec<String> = members.map(|one| one.id.clone()).collect();
    if !members.is_empty() && !force {
        let message = "You cannot delete an AutoScalingGroup while there are instances or pending \
                       Spot instance request(s) still in the group.";
        return Err(error(400, "ResourceInUse", message));
    }
    for id in members {
        if let Some((instance, now)) = account.instance_mut(&id) {
            instance.terminate(now, Ending::Graceful);
        }
    }
    account.region(region).scaling_groups.remove(name);
    Ok(String::new())
}

fn is_member(instance: &Instance, region: &str, name: &str) -> bool {
    instance.launch.is_some()
        && instance.region() == region
        && instance.state() != State::Terminated
        && instance.tags.get(MEMBER_TAG).is_some_and(|group| group == name)
}

/// All groups, also that of the guests, if there are any.
pub(super) fn describe(
    account: &mut Account,
    region: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<String, Reply> {
    let names = super::list(parameters, "AutoScalingGroupNames");
    let most = match parameters.get("MaxRecords").map(|text| text.parse::<usize>()) {
        None => PAGE,
        Some(Ok(most)) if (1..=100).contains(&most) => most,
        Some(_) => return Err(validation("MaxRecords must be between 1 and 100")),
    };
    let after = parameters.get("NextToken").filter(|token| !token.is_empty());
    ec2::settle(account, region);
    account.region(region);
    let here = &account.regions[region];
    let mut groups: Vec<(&str, String)> = here
        .scaling_groups
        .values()
        .map(|group| {
            let template = here.launch_templates.get(&group.template);
            (group.name.as_str(), shape(account, region, group, template))
        })
        .collect();
    let guests = account.instances().iter().filter(|one| one.launch.is_none());
    let guests: Vec<&Instance> =
        guests.filter(|one| one.region() == region && one.state() != State::Terminated).collect();
    if !guests.is_empty() {
        groups.push((GROUP, guest_group(&guests)));
        groups.sort_unstable();
    }
    let mut wanted = groups
        .into_iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|one| one == name))
        .filter(|(name, _)| after.is_none_or(|after| *name > after.as_str()))
        .peekable();
    let mut members = String::new();
    let mut last = "";
    for (name, shape) in wanted.by_ref().take(most) {
        members += &node("member", &shape);
        last = name;
    }
    let next = wanted.peek().map_or_else(String::new, |_| leaf("NextToken", last));
    Ok(node("AutoScalingGroups", &members) + &next)
}

fn shape(
    account: &Account,
    region: &str,
    group: &ScalingGroup,
    template: Option<&LaunchTemplate>,
) -> String {
    let name = template.map_or("", |template| template.name.as_str());
    let launches = |version: &str| {
        let inner = leaf("LaunchTemplateId", &group.template)
            + &leaf("LaunchTemplateName", name)
            + &leaf("Version", version);
        node("LaunchTemplate", &inner)
    };
    let members = account.instances().iter().filter(|one| is_member(one, region, &group.name));
    let members = members.map(|one| {
        let launch = one.launch.as_deref();
        let version = launch.and_then(|launch| launch.template.as_ref()).map(|(_, number)| number);
        let zone = launch.map_or("", |launch| launch.zone.as_str());
        node(
            "member",
            &(member(one, zone, "InService")
                + &version.map_or_else(String::new, |number| launches(&number.to_string()))),
        )
    });
    let members: String = members.collect();
    let tags: String = group
        .tags
        .iter()
        .map(|(key, value)| {
            let tag = leaf("ResourceId", &group.name)
                + &leaf("ResourceType", "auto-scaling-group")
                + &leaf("Key", key)
                + &leaf("Value", value)
                + &leaf("PropagateAtLaunch", "false");
            node("member", &tag)
        })
        .collect();
    outline(&group.name, region, [group.least, group.most, group.desired])
        + &leaf("CreatedTime", &ec2::shape::time(group.created))
        + &leaf("VPCZoneIdentifier", &group.subnets)
        + &launches(&group.version)
        + &node("Instances", &members)
        + &node("Tags", &tags)
}

fn outline(name: &str, region: &str, [least, most, desired]: [u64; 3]) -> String {
    let arn = format!(
        "arn:aws:autoscaling:{region}:{ACCOUNT_ID}:autoScalingGroup:{}:autoScalingGroupName/{name}",
        crate::sim::random::derived(name, 32)
    );
    leaf("AutoScalingGroupName", name)
        + &leaf("AutoScalingGroupARN", &arn)
        + &leaf("MinSize", &least.to_string())
        + &leaf("MaxSize", &most.to_string())
        + &leaf("DesiredCapacity", &desired.to_string())
        + &leaf("DefaultCooldown", "300")
        + &leaf("HealthCheckType", "EC2")
        + &node("AvailabilityZones", &leaf("member", &format!("{region}a")))
}

fn member(instance: &Instance, zone: &str, lifecycle: &str) -> String {
    leaf("InstanceId", &instance.id)
        + &leaf("AvailabilityZone", zone)
        + &leaf("LifecycleState", lifecycle)
        + &leaf("HealthStatus", "Healthy")
        + &leaf("ImageId", &instance.image)
        + &leaf("ProtectedFromScaleIn", "false")
}

/// The group that launches the guests.
fn guest_group(guests: &[&Instance]) -> String {
    let members: String =
        guests.iter().map(|one| node("member", &member(one, ZONE, "InService"))).collect();
    let count = u64::try_from(guests.len()).unwrap_or(u64::MAX);
    let created = guests.iter().map(|one| one.launched).min().unwrap_or_default();
    outline(GROUP, crate::sim::account::REGION, [1, count, count])
        + &leaf("CreatedTime", &ec2::shape::time(created))
        + &node("Instances", &members)
}
