//! What a request says that a group is to launch.

use super::{Asked, structure, structures, validation};
use crate::sim::ec2::refusal::Refusal;
use crate::sim::ec2::template::{Named, version};
use crate::sim::group::source::{Override, Source};
use crate::sim::http::Reply;
use crate::sim::region::Region;

/// Reads `LaunchTemplate` or `MixedInstancesPolicy`, of which one may be said. The template, its
/// version and the image must be there.
pub(in crate::sim) fn parse(region: &Region, asked: &Asked) -> Result<Option<Source>, Reply> {
    let plain = structure(asked, "LaunchTemplate");
    let mixed = structure(asked, "MixedInstancesPolicy");
    let source = match (plain, mixed) {
        (Some(_), Some(_)) => {
            let message = "Valid requests must contain either LaunchTemplate, \
                           LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.";
            return Err(validation(message));
        }
        (None, None) => return Ok(None),
        (Some(plain), None) => {
            let (template, version) = template(region, &plain)?;
            Source { template, version, ..Source::default() }
        }
        (None, Some(mixed)) => policy(region, &mixed)?,
    };
    check(region, &source)?;
    Ok(Some(source))
}

fn policy(region: &Region, asked: &Asked) -> Result<Source, Reply> {
    let own = structure(asked, "LaunchTemplate.LaunchTemplateSpecification");
    let own = own.ok_or_else(|| {
        validation("The mixed instances policy must have a launch template specification.")
    })?;
    let (id, version) = template(region, &own)?;
    let mut overrides = Vec::new();
    for one in structures(asked, "LaunchTemplate.Overrides") {
        if one.keys().any(|key| key.starts_with("InstanceRequirements")) {
            let message = "InstanceRequirements are not modelled by the rehearsal account";
            return Err(validation(message));
        }
        let own = structure(&one, "LaunchTemplateSpecification");
        overrides.push(Override {
            instance_type: one.get("InstanceType").cloned(),
            weight: one.get("WeightedCapacity").cloned(),
            template: own.map(|own| template(region, &own)).transpose()?,
            image: one.get("ImageId").cloned(),
        });
    }
    let distribution = structure(asked, "InstancesDistribution").unwrap_or_default();
    Ok(Source { template: id, version, mixed: true, overrides, distribution })
}

/// The id of the template that is named, and the version as it is said.
fn template(region: &Region, asked: &Asked) -> Result<(String, String), Reply> {
    let said = |name: &str| asked.get(name).filter(|text| !text.is_empty()).cloned();
    let named = match (said("LaunchTemplateId"), said("LaunchTemplateName")) {
        (Some(id), None) => Named::Id(id),
        (None, Some(name)) => Named::Name(name),
        _ => {
            let message =
                "Valid requests must contain either launchTemplateId or LaunchTemplateName";
            return Err(validation(message));
        }
    };
    let id = named.find(region).map_err(|_| {
        let message = match &named {
            Named::Id(id) => {
                format!("The specified launch template, with template ID {id}, does not exist.")
            }
            Named::Name(name) => {
                format!("The specified launch template, with template name {name}, does not exist.")
            }
        };
        validation(&format!("You must use a valid fully-formed launch template. {message}"))
    })?;
    Ok((id, said("Version").unwrap_or_else(|| "$Default".to_owned())))
}

/// What is launched must be there now.
fn check(region: &Region, source: &Source) -> Result<(), Reply> {
    let malformed = |refusal: Refusal| {
        let message = refusal.message;
        validation(&format!("You must use a valid fully-formed launch template. {message}"))
    };
    let own = (source.template.clone(), source.version.clone());
    let usual = [Override::default()];
    let choices = if source.overrides.is_empty() { &usual[..] } else { &source.overrides };
    for choice in choices {
        let (id, word) = choice.template.as_ref().unwrap_or(&own);
        let template = &region.launch_templates[id];
        let number = version(template, word).map_err(malformed)?;
        let image = choice.image.as_ref().or(template.versions[&number].data.image.as_ref());
        let Some(image) = image else {
            return Err(malformed(Refusal::missing("ImageId")));
        };
        let alias = image.starts_with("resolve:");
        if !alias && !region.images.contains_key(image) {
            let message = format!("The image id '[{image}]' does not exist");
            return Err(malformed(Refusal::new("InvalidAMIID.NotFound", message)));
        }
    }
    Ok(())
}
