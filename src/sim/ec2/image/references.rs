//! `DescribeImageReferences`: what of the account refers to images.
//!
//! Instances in the states that are asked for, the newest versions of launch templates, and parameters
//! of type `aws:ec2:image`. Image Builder is not there, so that nothing of it refers to anything.

use std::collections::BTreeSet;

use super::super::Call;
use super::super::page::Page;
use super::super::query::Query;
use super::super::refusal::{Answer, Refusal};
use super::super::shape::{set, some};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::xml::leaf;

/// So many images may be asked for at once.
const IMAGES: usize = 10;
/// So many versions of a launch template are looked at unless it is said.
const DEPTH: usize = 10;
const INSTANCE: &str = "ec2:Instance";
const TEMPLATE: &str = "ec2:LaunchTemplate";
const PARAMETER: &str = "ssm:Parameter";
const KINDS: [&str; 5] =
    [INSTANCE, TEMPLATE, PARAMETER, "imagebuilder:ImageRecipe", "imagebuilder:ContainerRecipe"];

/// What is looked at.
#[derive(Debug, Default)]
struct Asked {
    kinds: BTreeSet<&'static str>,
    states: Vec<String>,
    depth: Option<usize>,
}

impl Asked {
    fn of(query: &mut Query) -> Answer<Self> {
        let everything = query.flag("IncludeAllResourceTypes")?.unwrap_or_default();
        let mut asked = Self::default();
        for mut kind in query.structures("ResourceType") {
            if let Some(word) = kind.word("ResourceType", &KINDS)? {
                asked.kinds.insert(word);
            }
            for mut option in kind.structures("ResourceTypeOption") {
                let name = option.word("OptionName", &["state-name", "version-depth"])?;
                let values = option.list("OptionValue");
                option.done()?;
                match name {
                    Some("state-name") => asked.states = values,
                    _ => asked.depth = values.first().and_then(|depth| depth.parse().ok()),
                }
            }
            kind.done()?;
        }
        if everything {
            asked.kinds.extend(KINDS);
        }
        if asked.kinds.is_empty() {
            return Err(Refusal::missing("ResourceTypes or IncludeAllResourceTypes"));
        }
        Ok(asked)
    }
}

/// See the module.
pub fn references(call: &mut Call<'_>, mut query: Query) -> Answer {
    let ids = query.list("ImageId");
    let asked = Asked::of(&mut query)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    if ids.is_empty() || ids.len() > IMAGES {
        return Err(Refusal::value("From 1 to 10 images can be asked for".to_owned()));
    }
    dry_run.end()?;
    let mut found = BTreeSet::new();
    for id in &ids {
        found.extend(of_image(call, &asked, id).into_iter().map(|(kind, arn)| (id, kind, arn)));
    }
    let items = found.iter().map(|(id, kind, arn)| {
        let item = leaf("imageId", id) + &leaf("resourceType", kind) + &leaf("arn", arn);
        (format!("{id} {arn}"), item)
    });
    let (part, next) = page.cut(items);
    Ok(set("imageReferenceSet", part) + &some("nextToken", next.as_deref()))
}

fn of_image(call: &mut Call<'_>, asked: &Asked, id: &str) -> Vec<(&'static str, String)> {
    let region = call.region.clone();
    let arn = |service: &str, what: &str| format!("arn:aws:{service}:{region}:{ACCOUNT_ID}:{what}");
    let mut found = Vec::new();
    if asked.kinds.contains(INSTANCE) {
        let all = call.account.instances().iter();
        let instances = all.filter(|one| one.image == id && one.region() == region);
        let meant = instances.filter(|one| {
            let state = one.state().word();
            asked.states.is_empty() || asked.states.iter().any(|asked| asked == state)
        });
        found.extend(meant.map(|one| (INSTANCE, arn("ec2", &format!("instance/{}", one.id)))));
    }
    let here = call.here();
    if asked.kinds.contains(TEMPLATE) {
        let meant = here.launch_templates.values().filter(|template| {
            let newest = template.versions.values().rev().take(asked.depth.unwrap_or(DEPTH));
            newest.into_iter().any(|version| version.data.image.as_deref() == Some(id))
        });
        let name = |id: &str| arn("ec2", &format!("launch-template/{id}"));
        found.extend(meant.map(|template| (TEMPLATE, name(&template.id))));
    }
    if asked.kinds.contains(PARAMETER) {
        let meant = here.parameters.iter().filter(|(_, stored)| {
            let latest = stored.latest();
            latest.is_some_and(|it| it.data_type == "aws:ec2:image" && it.value == id)
        });
        found.extend(meant.map(|(name, _)| (PARAMETER, arn("ssm", &format!("parameter{name}")))));
    }
    found
}
