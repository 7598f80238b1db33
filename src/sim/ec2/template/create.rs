//! `CreateLaunchTemplate`, `CreateLaunchTemplateVersion`.

use std::collections::BTreeMap;

use super::{Named, describe, known, outline, version};
use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::once::Once;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::specification::Specification;
use crate::sim::ec2::tags::Specified;
use crate::sim::launch_template::{LaunchTemplate, Version};
use crate::sim::xml::node;

const DESCRIPTION_LIMIT: usize = 255;
/// The versions that a template may have.
const VERSIONS_LIMIT: usize = 10_000;

/// `CreateLaunchTemplate`.
pub fn create(call: &mut Call<'_>, mut query: Query) -> Answer {
    let name = query.required("LaunchTemplateName")?;
    let description = query.short("VersionDescription", DESCRIPTION_LIMIT)?;
    let data = data(&mut query)?;
    let tags = Specified::of(&mut query, &[Kind::LaunchTemplate])?;
    let once = Once::of(&mut query, call)?;
    let dry_run = query.finish()?;
    if let Some(id) = once.made(call)? {
        return Ok(node("launchTemplate", &outline(known(call, &id))));
    }
    check_name(call, &name)?;
    dry_run.end()?;
    let (created, by) = (call.account.world(), call.caller.clone());
    let first = Version { description, created, by: by.clone(), data };
    let template = LaunchTemplate {
        id: Kind::LaunchTemplate.fresh(),
        name,
        created,
        by,
        versions: BTreeMap::from([(1, first)]),
        default: 1,
        newest: 1,
        tags: tags.for_kind(Kind::LaunchTemplate),
    };
    let answer = node("launchTemplate", &outline(&template));
    once.remember(call, &template.id);
    call.here().launch_templates.insert(template.id.clone(), template);
    Ok(answer)
}

fn check_name(call: &mut Call<'_>, name: &str) -> Answer<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"().-/_".contains(&byte);
    if !(3..=128).contains(&name.len()) || !name.bytes().all(fits) {
        return Err(Refusal::new(
            "InvalidLaunchTemplateName.MalformedException",
            "A launch template name must be between 3 and 128 characters, and may contain letters, \
             numbers, and the following characters: - ( ) . / _",
        ));
    }
    if call.here().launch_templates.values().any(|template| template.name == name) {
        return Err(Refusal::new(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    Ok(())
}

fn data(query: &mut Query) -> Answer<Specification> {
    let mut data = query
        .structure("LaunchTemplateData")
        .ok_or_else(|| Refusal::missing("LaunchTemplateData"))?;
    let specification = Specification::of(&mut data)?;
    data.done()?;
    Ok(specification)
}

/// `CreateLaunchTemplateVersion`: what is said, and the rest from the version that it is made of,
/// if one is named.
pub fn create_version(call: &mut Call<'_>, mut query: Query) -> Answer {
    let named = Named::of(&mut query)?;
    let source = query.text("SourceVersion").filter(|word| !word.is_empty());
    let description = query.short("VersionDescription", DESCRIPTION_LIMIT)?;
    let data = data(&mut query)?;
    let resolve = query.flag("ResolveAlias")?.unwrap_or_default();
    let once = Once::of(&mut query, call)?;
    let dry_run = query.finish()?;
    let id = named.find(call.here())?;
    if let Some(number) = once.made(call)? {
        let number = number.parse().unwrap_or_default();
        return answer(call, &id, number, resolve);
    }
    let template = known(call, &id);
    let data = match source {
        None => data,
        Some(word) => {
            let number = version(template, &word)?;
            data.over(base(&template.versions[&number].data))
        }
    };
    if template.versions.len() >= VERSIONS_LIMIT {
        let message = format!("There can be {VERSIONS_LIMIT} versions of a launch template");
        return Err(Refusal::new("VersionLimitExceeded", message));
    }
    dry_run.end()?;
    let (created, by) = (call.account.world(), call.caller.clone());
    let template = known(call, &id);
    template.newest += 1;
    let number = template.newest;
    template.versions.insert(number, Version { description, created, by, data });
    once.remember(call, &number.to_string());
    answer(call, &id, number, resolve)
}

/// What a version has for others that are made of it: all but the snapshots of its disks, which AWS
/// leaves out unless they are said again.
fn base(data: &Specification) -> Specification {
    let mut data = data.clone();
    for volume in data.disks.iter_mut().filter_map(|disk| disk.ebs.as_mut()) {
        volume.snapshot = None;
    }
    data
}

fn answer(call: &mut Call<'_>, id: &str, number: u64, resolve: bool) -> Answer {
    let template = known(call, id).clone();
    let shape = describe::shape(call, &template, number, resolve)?;
    Ok(node("launchTemplateVersion", &shape))
}
