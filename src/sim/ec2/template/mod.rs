//! Launch templates.

pub mod create;
pub mod delete;
pub mod describe;
pub mod modify;
pub mod resolve;

use super::Call;
use super::id::Kind;
use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::shape::{self, number};
use crate::sim::launch_template::LaunchTemplate;
use crate::sim::region::Region;
use crate::sim::xml::leaf;

/// How a request names a template.
#[derive(Clone, Debug)]
pub enum Named {
    /// `lt-…`
    Id(String),
    /// Its name.
    Name(String),
}

impl Named {
    /// Takes it from a request that must name one.
    pub fn of(query: &mut Query) -> Answer<Self> {
        Self::maybe(query)?.ok_or_else(|| Refusal::missing("LaunchTemplateId"))
    }

    /// Takes it from a request that may name one.
    pub fn maybe(query: &mut Query) -> Answer<Option<Self>> {
        match (query.text("LaunchTemplateId"), query.text("LaunchTemplateName")) {
            (Some(_), Some(_)) => {
                Err(Refusal::combination("Only one of launch template ID or name may be specified"))
            }
            (Some(id), None) => {
                Kind::LaunchTemplate.check(&id)?;
                Ok(Some(Self::Id(id)))
            }
            (None, Some(name)) => Ok(Some(Self::Name(name))),
            (None, None) => Ok(None),
        }
    }

    /// The id of the template, if there is one.
    pub fn find(&self, region: &Region) -> Answer {
        match self {
            Self::Id(id) if region.launch_templates.contains_key(id) => Ok(id.clone()),
            Self::Id(id) => Err(Kind::LaunchTemplate.not_found(&[id])),
            Self::Name(name) => {
                let mut all = region.launch_templates.values();
                let found = all.find(|template| template.name == *name);
                found.map(|template| template.id.clone()).ok_or_else(no_such_name)
            }
        }
    }
}

fn no_such_name() -> Refusal {
    Refusal::new(
        "InvalidLaunchTemplateName.NotFoundException",
        "At least one of the launch templates specified in the request does not exist.",
    )
}

/// There is no such version.
pub fn no_such_version(template: &LaunchTemplate, version: &str) -> Refusal {
    Refusal::new(
        "InvalidLaunchTemplateId.VersionNotFound",
        format!(
            "Could not find the specified version {version} for the launch template with ID {}.",
            template.id
        ),
    )
}

/// The number of a version that there is.
pub fn version(template: &LaunchTemplate, word: &str) -> Answer<u64> {
    let Some(number) = template.number(word) else {
        return Err(Refusal::new(
            "InvalidLaunchTemplateId.VersionMalformed",
            format!("Value ({word}) for parameter version is invalid."),
        ));
    };
    if template.versions.contains_key(&number) {
        return Ok(number);
    }
    Err(no_such_version(template, word))
}

/// As answers show a template.
fn outline(template: &LaunchTemplate) -> String {
    leaf("launchTemplateId", &template.id)
        + &leaf("launchTemplateName", &template.name)
        + &leaf("createTime", &shape::time(template.created))
        + &leaf("createdBy", &template.by)
        + &number("defaultVersionNumber", Some(template.default))
        + &number("latestVersionNumber", Some(template.latest()))
        + &shape::tags(&template.tags)
}

/// The template with an id that was found before.
fn known<'a>(call: &'a mut Call<'_>, id: &str) -> &'a mut LaunchTemplate {
    call.here().launch_templates.get_mut(id).expect("it was found before")
}

#[cfg(test)]
mod tests;
