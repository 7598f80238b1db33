//! What an account has in one region: everything that images, and references to them, are known by.
//!
//! Reads only. A call that is refused fails the survey: who does not see a reference must not take
//! an image for unused.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::references::parameter_of;
use super::refused;
use crate::aws::inventory::{
    self, Group, Image, Instance, KeyPair, LaunchConfiguration, Parameter, SecurityGroup, Snapshot,
    TemplateVersion,
};
use crate::aws::operator::region;
use crate::aws::{Failure, clock};
use crate::error::Fault;
use crate::image::ami::name::RECIPE_TAG;
use crate::teardown::BUILD_TAG;

/// All of hostkit's parameters are below this.
const PARAMETERS: &str = "/hostkit";
/// The ends of names of parameters whose earlier versions count, too: a rollback goes back to one.
const RECORD: &str = "/history";

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The region.
    pub region: String,
    /// When it was made, by AWS's clock.
    pub now: Timestamp,
    /// All images that the account owns, also those that hostkit did not make.
    pub images: Vec<Image>,
    /// All snapshots that carry the id of a build.
    pub snapshots: Vec<Snapshot>,
    /// All instances, but terminated ones.
    pub instances: Vec<Instance>,
    /// Of each launch template `$Latest` and `$Default`, and what groups and instances use.
    pub templates: Vec<TemplateVersion>,
    /// All Auto Scaling Groups.
    pub groups: Vec<Group>,
    /// The launch configurations of those groups that still have one.
    pub configurations: Vec<LaunchConfiguration>,
    /// hostkit's parameters, those that record a history in all their versions.
    pub parameters: Vec<Parameter>,
    /// What the parameters are that launch templates name an image by.
    pub resolved: Vec<Parameter>,
}

/// What else a build may have made.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// Key pairs that carry the id of a build.
    pub key_pairs: Vec<KeyPair>,
    /// Security groups that carry the id of a build.
    pub security_groups: Vec<SecurityGroup>,
}

impl Survey {
    /// Whether hostkit has ever made anything here that is left.
    pub fn is_foreign(&self) -> bool {
        let ours = |image: &Image| image.tags.contains_key(RECIPE_TAG);
        self.snapshots.is_empty() && !self.images.iter().any(ours)
    }

    /// How the region's lack of hostkit's things is told.
    pub fn foreign(&self) -> String {
        let region = &self.region;
        format!("nothing in {region} carries hostkit's tags: is that the region of your images?")
    }
}

/// Surveys a region. `role` is the policy that allows it, for who is refused.
pub async fn survey(config: &SdkConfig, role: &str) -> Result<Survey, Fault> {
    look(config).await.map_err(|failure| refused(&failure, role))
}

/// What else a build may have made.
pub async fn leftovers(config: &SdkConfig, role: &str) -> Result<Leftovers, Fault> {
    let both = tokio::try_join!(
        inventory::key_pairs(config, BUILD_TAG),
        inventory::security_groups(config, BUILD_TAG),
    );
    let (key_pairs, security_groups) = both.map_err(|failure| refused(&failure, role))?;
    Ok(Leftovers { key_pairs, security_groups })
}

async fn look(config: &SdkConfig) -> Result<Survey, Failure> {
    // The first call tells wrong credentials, and the time from before anything was seen.
    let now = clock::now(config).await?;
    let (images, snapshots, instances, groups, current, parameters) = tokio::try_join!(
        inventory::images(config),
        inventory::snapshots(config, BUILD_TAG),
        inventory::instances(config),
        inventory::groups(config),
        inventory::current_versions(config),
        parameters(config),
    )?;
    let older = older_versions(&current, &groups, &instances);
    let older = older.iter().map(|(template, numbers)| {
        let numbers: Vec<_> = numbers.iter().copied().collect();
        async move { inventory::versions(config, template, &numbers).await }
    });
    let (older, configurations) =
        tokio::try_join!(try_join_all(older), configurations(config, &groups))?;
    let templates: Vec<_> = current.into_iter().chain(older.into_iter().flatten()).collect();
    let resolved = resolve(config, &templates).await?;
    let region = region(config).to_owned();
    Ok(Survey {
        region,
        now,
        images,
        snapshots,
        instances,
        templates,
        groups,
        configurations,
        parameters,
        resolved,
    })
}

async fn parameters(config: &SdkConfig) -> Result<Vec<Parameter>, Failure> {
    let all = inventory::below(config, PARAMETERS).await?;
    let (records, mut parameters): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|parameter| parameter.name.ends_with(RECORD));
    for record in records {
        // The newest version is one of them.
        parameters.extend(inventory::history(config, &record.name).await?);
    }
    Ok(parameters)
}

/// The versions that groups and instances use by their numbers and that are neither `$Latest` nor
/// `$Default`, by the template's id.
fn older_versions(
    current: &[TemplateVersion],
    groups: &[Group],
    instances: &[Instance],
) -> BTreeMap<String, BTreeSet<i64>> {
    let ids: BTreeMap<_, _> =
        current.iter().map(|it| (it.name.as_str(), it.template.as_str())).collect();
    let of_groups = groups.iter().flat_map(|group| &group.templates).filter_map(|it| {
        let template = ids.get(it.template.as_str()).copied().unwrap_or(&it.template);
        Some((template, it.version.parse().ok()?))
    });
    let of_instances = instances.iter().filter_map(Instance::template);
    let known = |template: &str, number: i64| {
        current.iter().any(|it| it.template == template && it.number == number)
    };
    // A template that is gone has no version that could be asked for.
    let exists = |template: &str| current.iter().any(|it| it.template == template);
    let mut older: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for (template, number) in of_groups.chain(of_instances) {
        if exists(template) && !known(template, number) {
            older.entry(template.to_owned()).or_default().insert(number);
        }
    }
    older
}

async fn configurations(
    config: &SdkConfig,
    groups: &[Group],
) -> Result<Vec<LaunchConfiguration>, Failure> {
    let names: BTreeSet<_> = groups.iter().flat_map(|group| &group.configurations).collect();
    let names: Vec<_> = names.into_iter().cloned().collect();
    inventory::launch_configurations(config, &names).await
}

async fn resolve(
    config: &SdkConfig,
    templates: &[TemplateVersion],
) -> Result<Vec<Parameter>, Failure> {
    let names: BTreeSet<_> =
        templates.iter().filter_map(|it| parameter_of(it.image.as_deref()?)).collect();
    let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    inventory::values(config, &names).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::inventory::TemplateUse;

    #[test]
    fn versions_that_are_used_by_number_are_asked_for_and_no_others() {
        let version = |number| TemplateVersion {
            template: "lt-1".into(),
            name: "ci".into(),
            number,
            ..TemplateVersion::default()
        };
        let uses = |template: &str, version: &str| Group {
            templates: [TemplateUse { template: template.into(), version: version.into() }].into(),
            ..Group::default()
        };
        let tags = [("aws:ec2launchtemplate:id", "lt-1"), ("aws:ec2launchtemplate:version", "4")];
        let instance = Instance {
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Instance::default()
        };
        let groups = [uses("ci", "3"), uses("lt-1", "9"), uses("ci", "$Latest"), uses("lt-9", "1")];
        let older = older_versions(&[version(9), version(1)], &groups, &[instance]);
        assert_eq!(older, [("lt-1".to_owned(), [3, 4].into())].into());
    }
}
