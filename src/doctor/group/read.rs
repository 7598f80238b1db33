//! Reads a group and all that its checks look at, as much of it as one may. Changes nothing.

use aws_config::SdkConfig;
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;

use super::{Home, Part, Subject, Targets};
use crate::aws::asg::refresh::{self, Refresh};
use crate::aws::asg::{self, Group, Launches};
use crate::aws::image::Image;
use crate::aws::launch_template::{Data, Version, Which, with_data};
use crate::aws::operator::{fault, region};
use crate::aws::{Failure, backup, clock, efs, elb, image, instances, ssm};
use crate::doctor::{Gap, Look};
use crate::error::Fault;
use crate::group::standing::{self, Standing};
use crate::host::{Efs, Layer, Role, role, section};

/// So many activities are the last days of a group of one host.
const LATE: i32 = 50;
/// So many refreshes are looked at: one that is under way is among the newest.
const NEWEST: i32 = 10;

/// The tag of an image that names its recipe.
const RECIPE_TAG: &str = "hostkit:recipe";

/// Which group, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its name.
    pub group: &'a str,
    /// What its hosts are, where somebody says it.
    pub role: Option<Role>,
}

impl Subject {
    /// What hosts of the group are told by their launch template, where that is text.
    pub fn user_data(&self) -> Option<&str> {
        text(self.template.as_ref().ok()?.as_ref()?)
    }
}

/// What hosts of a group are told by its launch template, where there is such a group and it is text.
pub async fn user_data(config: &SdkConfig, name: &str) -> Result<Option<String>, Failure> {
    let Some(group) = asg::describe(config, name).await? else { return Ok(None) };
    let template = template(config, group.template.as_ref()).await?;
    Ok(template.as_ref().and_then(text).map(str::to_owned))
}

fn text((_, data): &(Version, Data)) -> Option<&str> {
    std::str::from_utf8(data.user_data.as_deref()?).ok()
}

/// Reads all of it at the same time.
///
/// # Errors
/// There is no such group, or it may not be looked at: without it there is nothing to say.
pub async fn read(config: &SdkConfig, asked: &Asked<'_>) -> Result<Subject, Fault> {
    let (now, group) = tokio::join!(clock::now(config), asg::describe(config, asked.group));
    let now = now.map_err(|failure| fault(&failure))?;
    let group = group.map_err(|failure| refused(&failure))?.ok_or_else(|| {
        let place = region(config);
        Fault::usage(format!("there is no Auto Scaling group `{}` in {place}", asked.group)).hint(
            "give its name as `aws autoscaling describe-auto-scaling-groups` has it, and --region",
        )
    })?;
    let name = group.name.as_str();
    let (hooks, refreshes, activities, subnets, targets, template, standing) = tokio::join!(
        asg::posted(config, name),
        refreshes(config, name),
        asg::activities(config, name, LATE),
        subnets(config, &group),
        targets(config, &group),
        template(config, group.template.as_ref()),
        standing(config, name),
    );
    let (template, standing) = (told(template), told(standing));
    let (image, home) =
        tokio::join!(image_of(config, template.as_ref().ok()), home(config, &template, &standing),);
    let image = told(image);
    let part = part(asked, &group, &template, &image, &standing);
    Ok(Subject {
        region: region(config).to_owned(),
        now,
        part,
        hooks: told(hooks),
        refreshes: told(refreshes),
        activities: told(activities),
        subnets: told(subnets),
        targets: told(targets),
        template,
        image,
        standing,
        home: told(home),
        group,
    })
}

fn told<T>(answer: Result<T, Failure>) -> Look<T> {
    answer.map_err(Gap::from)
}

fn refused(failure: &Failure) -> Fault {
    if !failure.is_denied() {
        return fault(failure);
    }
    Fault::aws(failure.to_string()).hint(format!(
        "allow `{}` to whom these credentials belong: `hostkit iam upgrade` prints what is needed",
        failure.wanted()
    ))
}

async fn subnets(config: &SdkConfig, group: &Group) -> Result<Vec<instances::Subnet>, Failure> {
    if group.subnets.is_empty() {
        return Ok(Vec::new());
    }
    instances::subnets(config, &group.subnets).await
}

/// Those that are under way.
async fn refreshes(config: &SdkConfig, group: &str) -> Result<Vec<Refresh>, Failure> {
    let mut all = refresh::refreshes(config, group, NEWEST).await?;
    all.retain(|refresh| refresh.status.is_active());
    Ok(all)
}

async fn targets(config: &SdkConfig, group: &Group) -> Result<Vec<Targets>, Failure> {
    if group.target_groups.is_empty() {
        return Ok(Vec::new());
    }
    let all = elb::target_groups(config, &group.target_groups).await?;
    // By address only the host itself knows who it is.
    let all = all.into_iter().map(|it| async move {
        let of = group.in_service().filter(|_| it.kind == elb::Kind::Instance);
        let health = of.map(async |member| {
            elb::health(config, &it.arn, &member.id).await.map(|health| (member.id.clone(), health))
        });
        let health = try_join_all(health).await?;
        Ok(Targets { group: it, health })
    });
    join_all(all).await.into_iter().collect()
}

async fn template(
    config: &SdkConfig,
    launches: Option<&Launches>,
) -> Result<Option<(Version, Data)>, Failure> {
    let Some(launches) = launches else { return Ok(None) };
    let which = if launches.id.is_empty() {
        Which::Name(launches.name.clone())
    } else {
        Which::Id(launches.id.clone())
    };
    let version = if launches.version.is_empty() { "$Default" } else { &launches.version };
    with_data(config, &which, version).await
}

async fn standing(config: &SdkConfig, group: &str) -> Result<Option<Standing>, Failure> {
    let name = standing::parameter(group);
    let found = ssm::parameters(config, &[&name]).await?;
    // What cannot be read is from another hostkit, and tells nothing.
    Ok(found.values.get(&name).and_then(|text| serde_json::from_str(text).ok()))
}

async fn image_of(
    config: &SdkConfig,
    template: Option<&Option<(Version, Data)>>,
) -> Result<Option<Image>, Failure> {
    let id = template.and_then(|it| it.as_ref()?.0.image.as_deref());
    match id.filter(|id| id.starts_with("ami-")) {
        Some(id) => image::describe(config, id).await,
        None => Ok(None),
    }
}

async fn home(
    config: &SdkConfig,
    template: &Look<Option<(Version, Data)>>,
    standing: &Look<Option<Standing>>,
) -> Result<Option<Home>, Failure> {
    let user_data = template.as_ref().ok().and_then(|it| text(it.as_ref()?));
    let layers: Vec<_> =
        user_data.into_iter().map(|text| Layer { origin: "user-data", text }).collect();
    let efs: Efs = section(&layers, "efs");
    let proven = standing.as_ref().ok().and_then(|it| it.as_ref()?.proof.as_ref());
    let Some(id) = proven.and_then(|it| it.file_system.clone()).or(efs.id) else { return Ok(None) };
    let (file_system, targets, backed_up) = tokio::join!(
        efs::file_system(config, &id),
        efs::mount_targets(config, &id),
        efs::is_backed_up(config, &id),
    );
    let file_system = file_system?;
    Ok(Some(Home {
        newest_backup: told(newest_backup(config, &file_system.arn).await),
        zone: file_system.zone,
        state: file_system.state,
        targets: targets?,
        cross_az: efs.cross_az,
        backed_up: told(backed_up),
        file_system: id,
    }))
}

/// When the newest backup was begun that is whole. Without an ARN nobody can be asked.
async fn newest_backup(config: &SdkConfig, arn: &str) -> Result<Option<Timestamp>, Failure> {
    if arn.is_empty() {
        return Ok(None);
    }
    let points = backup::recovery_points(config, arn).await?;
    Ok(points.iter().filter(|point| point.is_whole()).filter_map(|point| point.created).max())
}

/// What the hosts are: what somebody says, else what they are told, else what can be concluded.
fn part(
    asked: &Asked<'_>,
    group: &Group,
    template: &Look<Option<(Version, Data)>>,
    image: &Look<Option<Image>>,
    standing: &Look<Option<Standing>>,
) -> Part {
    let is = |role: Role, told_by: &str| Part { role, told_by: told_by.to_owned() };
    if let Some(role) = asked.role {
        return is(role, "--role");
    }
    let user_data = template.as_ref().ok().and_then(|it| text(it.as_ref()?));
    let said = user_data.and_then(|text| role(&[Layer { origin: "user-data", text }]));
    if let Some(role) = said {
        return is(role, "its user-data");
    }
    if matches!(standing, Ok(Some(_))) {
        return is(Role::Controller, "its guard, which answers in Parameter Store");
    }
    let recipe = image.as_ref().ok().and_then(|it| it.as_ref()?.tag(RECIPE_TAG));
    if let Some(recipe) = recipe {
        let words = [(Role::Controller, "controller"), (Role::Agent, "agent"), (Role::Ecs, "ecs")];
        let found = words.into_iter().find(|(_, word)| recipe.contains(word));
        if let Some((role, _)) = found {
            return is(role, &format!("the recipe of its image, {recipe}"));
        }
    }
    if group.max <= 1 {
        return is(Role::Controller, "its size of one");
    }
    is(Role::Agent, "its size of several")
}
