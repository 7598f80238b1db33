//! `DescribeLaunchTemplates`, `DescribeLaunchTemplateVersions`.

use super::{Named, no_such_name, no_such_version, outline, resolve, version};
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::{Filters, truth};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, flag, number, set, some};
use crate::sim::launch_template::{LaunchTemplate, Version};
use crate::sim::region::Tags;
use crate::sim::xml::{leaf, node};

/// `DescribeLaunchTemplates`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let known = ["create-time", "launch-template-name", "tag-key"];
    let ids = query.list("LaunchTemplateId");
    let names = query.list("LaunchTemplateName");
    let filters = Filters::of(&mut query, &known)?;
    let page = Page::of(&mut query, &(1..=200), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let templates = &call.here().launch_templates;
    Kind::LaunchTemplate.check_all(&ids, |id| templates.contains_key(id))?;
    if names.iter().any(|name| templates.values().all(|template| template.name != *name)) {
        return Err(no_such_name());
    }
    dry_run.end()?;
    let wanted = templates.iter().filter(|(id, template)| {
        let named = ids.is_empty() && names.is_empty();
        (named || ids.contains(id) || names.contains(&template.name))
            && filters.pass(&template.tags, |name| {
                vec![match name {
                    "create-time" => shape::time(template.created),
                    _ => template.name.clone(),
                }]
            })
    });
    let (part, next) = page.cut(wanted.map(|(id, template)| (id.clone(), template)));
    Ok(set("launchTemplates", part.into_iter().map(outline)) + &some("nextToken", next.as_deref()))
}

/// What versions may be filtered by.
const FILTERS: &[&str] = &[
    "create-time",
    "ebs-optimized",
    "http-endpoint",
    "http-tokens",
    "iam-instance-profile",
    "image-id",
    "instance-type",
    "is-default-version",
];

/// What is asked for.
struct Asked {
    named: Option<Named>,
    words: Vec<String>,
    least: Option<u64>,
    most: Option<u64>,
    resolve: bool,
    filters: Filters,
}

impl Asked {
    fn of(query: &mut Query) -> Answer<Self> {
        let asked = Self {
            named: Named::maybe(query)?,
            words: query.list("LaunchTemplateVersion"),
            least: query.number("MinVersion")?,
            most: query.number("MaxVersion")?,
            resolve: query.flag("ResolveAlias")?.unwrap_or_default(),
            filters: Filters::of(query, FILTERS)?,
        };
        let bounded = asked.least.is_some() || asked.most.is_some();
        if bounded && !asked.words.is_empty() {
            return Err(Refusal::combination(
                "Versions cannot be specified together with a minimum or a maximum version",
            ));
        }
        let of_all = asked.words.iter().all(|word| word == "$Latest" || word == "$Default");
        if asked.named.is_none() && (bounded || asked.words.is_empty() || !of_all) {
            return Err(Refusal::missing("LaunchTemplateId"));
        }
        Ok(asked)
    }

    /// The versions of a template that are wanted, the newest first.
    fn numbers(&self, template: &LaunchTemplate) -> Answer<Vec<u64>> {
        if !self.words.is_empty() {
            let found = self.words.iter().map(|word| version(template, word));
            let mut found = found.collect::<Answer<Vec<_>>>()?;
            found.sort_unstable();
            found.dedup();
            found.reverse();
            return Ok(found);
        }
        let (least, most) = (self.least.unwrap_or(1), self.most.unwrap_or(u64::MAX));
        if least > most {
            return Err(no_such_version(template, &least.to_string()));
        }
        Ok(template.versions.range(least..=most).map(|(number, _)| *number).rev().collect())
    }
}

/// `DescribeLaunchTemplateVersions`.
pub fn describe_versions(call: &mut Call<'_>, mut query: Query) -> Answer {
    let asked = Asked::of(&mut query)?;
    let page = Page::of(&mut query, &(1..=200), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let templates: Vec<LaunchTemplate> = match &asked.named {
        None => call.here().launch_templates.values().cloned().collect(),
        Some(named) => {
            let id = named.find(call.here())?;
            vec![super::known(call, &id).clone()]
        }
    };
    dry_run.end()?;
    let mut wanted = Vec::new();
    for template in &templates {
        for number in asked.numbers(template)? {
            let one = &template.versions[&number];
            let default = number == template.default;
            if asked.filters.pass(&Tags::new(), |name| values(one, default, name)) {
                // The newest first, as AWS has them.
                let key = format!("{}/{:020}", template.id, u64::MAX - number);
                wanted.push((key, (template, number)));
            }
        }
    }
    let (part, next) = page.cut(wanted.into_iter());
    let items =
        part.into_iter().map(|(template, number)| shape(call, template, number, asked.resolve));
    let items = items.collect::<Answer<Vec<_>>>()?;
    Ok(set("launchTemplateVersionSet", items) + &some("nextToken", next.as_deref()))
}

/// As answers show a version.
pub fn shape(
    call: &mut Call<'_>,
    template: &LaunchTemplate,
    version: u64,
    resolve: bool,
) -> Answer {
    let one = &template.versions[&version];
    let image = one.data.image.as_deref().filter(|_| resolve);
    let image = image.map(|image| resolve::image(call, image)).transpose()?;
    Ok(leaf("launchTemplateId", &template.id)
        + &leaf("launchTemplateName", &template.name)
        + &number("versionNumber", Some(version))
        + &some("versionDescription", one.description.as_deref())
        + &leaf("createTime", &shape::time(one.created))
        + &leaf("createdBy", &one.by)
        + &flag("defaultVersion", version == template.default)
        + &node("launchTemplateData", &one.data.shape(image.as_deref())))
}

/// What a version has under the name of a filter.
fn values(version: &Version, default: bool, filter: &str) -> Vec<String> {
    let data = &version.data;
    let text = match filter {
        "create-time" => Some(shape::time(version.created)),
        "ebs-optimized" => data.ebs_optimized.map(|flag| truth(flag).to_owned()),
        "http-endpoint" => data.metadata.endpoint.clone(),
        "http-tokens" => data.metadata.tokens.clone(),
        "iam-instance-profile" => data.profile.as_ref().and_then(|profile| profile.arn.clone()),
        "image-id" => data.image.clone(),
        "instance-type" => data.instance_type.clone(),
        _ => Some(truth(default).to_owned()),
    };
    text.into_iter().collect()
}
