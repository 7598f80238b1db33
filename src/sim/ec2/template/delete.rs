//! `DeleteLaunchTemplate`, `DeleteLaunchTemplateVersions`.

use super::{Named, known, outline};
use crate::sim::ec2::Call;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{number, set};
use crate::sim::xml::{leaf, node};

/// The versions that one request may name.
const LIMIT: usize = 200;

/// `DeleteLaunchTemplate`: with all its versions.
pub fn delete(call: &mut Call<'_>, mut query: Query) -> Answer {
    let named = Named::of(&mut query)?;
    let dry_run = query.finish()?;
    let id = named.find(call.here())?;
    dry_run.end()?;
    let outline = outline(known(call, &id));
    call.here().launch_templates.remove(&id);
    Ok(node("launchTemplate", &outline))
}

/// `DeleteLaunchTemplateVersions`: each on its own; the default one stays.
pub fn delete_versions(call: &mut Call<'_>, mut query: Query) -> Answer {
    let named = Named::of(&mut query)?;
    let words = query.list("LaunchTemplateVersion");
    let dry_run = query.finish()?;
    if words.is_empty() {
        return Err(Refusal::missing("LaunchTemplateVersion"));
    }
    if words.len() > LIMIT {
        return Err(Refusal::value(format!("At most {LIMIT} versions can be deleted at once")));
    }
    let id = named.find(call.here())?;
    dry_run.end()?;
    let template = known(call, &id);
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for word in &words {
        let version = word.parse::<u64>().ok();
        let item = leaf("launchTemplateId", &id)
            + &leaf("launchTemplateName", &template.name)
            + &number("versionNumber", version);
        let refusal = match version {
            Some(version) if version == template.default => Some((
                "unexpectedError",
                "The default version of a launch template cannot be deleted".to_owned(),
            )),
            Some(version) if template.versions.remove(&version).is_some() => None,
            _ => Some((
                "launchTemplateVersionDoesNotExist",
                format!("Could not find the specified version {word}"),
            )),
        };
        match refusal {
            None => deleted.push(item),
            Some((code, message)) => {
                let error = leaf("code", code) + &leaf("message", &message);
                kept.push(item + &node("responseError", &error));
            }
        }
    }
    Ok(set("successfullyDeletedLaunchTemplateVersionSet", deleted)
        + &set("unsuccessfullyDeletedLaunchTemplateVersionSet", kept))
}
