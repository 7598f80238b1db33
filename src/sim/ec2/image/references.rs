//! `DescribeImageReferences`: what of this account names an image.

use std::collections::BTreeSet;

use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{set, some};
use crate::sim::seed::PUBLIC_PARAMETERS;
use crate::sim::xml::leaf;

/// The images that one request may name.
const IMAGES_LIMIT: usize = 10;
/// How many versions of a launch template are looked at, the newest first, unless it is said.
const DEPTH: usize = 10;
const RECIPES: [&str; 2] = ["imagebuilder:ImageRecipe", "imagebuilder:ContainerRecipe"];
const STATES: [&str; 6] =
    ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"];

/// Where it is to be looked.
#[derive(Default)]
struct Wanted {
    /// In instances in these states.
    instances: Option<Vec<String>>,
    /// In so many versions of launch templates.
    templates: Option<usize>,
    /// In parameters.
    parameters: bool,
}

impl Wanted {
    fn of(query: &mut Query) -> Answer<Self> {
        let all = query.flag("IncludeAllResourceTypes")?.unwrap_or_default();
        let mut wanted = Self::default();
        if all {
            wanted.instances = Some(STATES.map(str::to_owned).to_vec());
            (wanted.templates, wanted.parameters) = (Some(DEPTH), true);
        }
        let mut any = all;
        for mut one in query.structures("ResourceType") {
            any = true;
            let word = one.required("ResourceType")?;
            let options = options(&mut one)?;
            one.done()?;
            wanted.add(&word, &options)?;
        }
        if any {
            return Ok(wanted);
        }
        let message = "Either IncludeAllResourceTypes or ResourceTypes must be specified";
        Err(Refusal { message: message.to_owned(), ..Refusal::missing("ResourceTypes") })
    }

    fn add(&mut self, word: &str, options: &[(String, Vec<String>)]) -> Answer<()> {
        let option =
            |name: &str| options.iter().find(|(one, _)| one == name).map(|(_, values)| values);
        let known = match word {
            "ec2:Instance" => {
                let states = option("state-name").cloned();
                let states = states.unwrap_or_else(|| STATES.map(str::to_owned).to_vec());
                if let Some(state) = states.iter().find(|one| !STATES.contains(&one.as_str())) {
                    return Err(Refusal::value(format!("Invalid value '{state}' for state-name")));
                }
                self.instances = Some(states);
                "state-name"
            }
            "ec2:LaunchTemplate" => {
                let depth = option("version-depth").and_then(|values| values.first());
                let depth = depth.map_or(Ok(DEPTH), |depth| depth.parse());
                let depth = depth.ok().filter(|depth| (1..=10_000).contains(depth));
                self.templates = Some(depth.ok_or_else(|| {
                    Refusal::value("Value for version-depth is invalid: 1 to 10000 is expected")
                })?);
                "version-depth"
            }
            "ssm:Parameter" => {
                self.parameters = true;
                ""
            }
            // There is no Image Builder here, and so no recipe.
            other if RECIPES.contains(&other) => "",
            other => {
                return Err(Refusal::value(format!("Invalid value '{other}' for ResourceType")));
            }
        };
        match options.iter().find(|(name, _)| name != known) {
            Some((name, _)) => {
                Err(Refusal::value(format!("The option '{name}' is not valid for {word}")))
            }
            None => Ok(()),
        }
    }
}

fn options(query: &mut Query) -> Answer<Vec<(String, Vec<String>)>> {
    let mut all = Vec::new();
    for mut option in query.structures("ResourceTypeOption") {
        all.push((option.required("OptionName")?, option.list("OptionValue")));
        option.done()?;
    }
    Ok(all)
}

/// See the module.
pub fn references(call: &mut Call<'_>, mut query: Query) -> Answer {
    let ids = query.list("ImageId");
    let wanted = Wanted::of(&mut query)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    if ids.is_empty() {
        return Err(Refusal::missing("ImageId"));
    }
    if ids.len() > IMAGES_LIMIT {
        return Err(Refusal::value(format!("At most {IMAGES_LIMIT} images can be named at once")));
    }
    ids.iter().try_for_each(|id| Kind::Image.check(id))?;
    dry_run.end()?;
    let mut found = BTreeSet::new();
    for (image, kind, arn) in all(call, &wanted) {
        if ids.contains(&image) {
            found.insert((image, kind, arn));
        }
    }
    let items = found.into_iter().map(|(image, kind, arn)| {
        let item = leaf("imageId", &image) + &leaf("resourceType", kind) + &leaf("arn", &arn);
        (format!("{image} {arn}"), item)
    });
    let (part, next) = page.cut(items);
    Ok(set("imageReferenceSet", part) + &some("nextToken", next.as_deref()))
}

/// All that names any image: the image, what kind of thing names it, and which.
fn all(call: &mut Call<'_>, wanted: &Wanted) -> Vec<(String, &'static str, String)> {
    let name = call.region.clone();
    let now = call.account.now();
    let arn = |what: &str| format!("arn:aws:ec2:{name}:{ACCOUNT_ID}:{what}");
    let mut found = Vec::new();
    if let Some(states) = &wanted.instances {
        for instance in call.account.instances().iter().filter(|one| one.region() == name) {
            let state = instance.state_at(now).map(|state| state.word().to_owned());
            if state.is_some_and(|state| states.contains(&state)) {
                let arn = arn(&format!("instance/{}", instance.id));
                found.push((instance.image.clone(), "ec2:Instance", arn));
            }
        }
    }
    let region = call.here();
    for template in region.launch_templates.values() {
        let depth = wanted.templates.unwrap_or_default();
        for version in template.versions.values().rev().take(depth) {
            let arn = arn(&format!("launch-template/{}", template.id));
            let image = version.data.image.clone();
            found.extend(image.map(|image| (image, "ec2:LaunchTemplate", arn)));
        }
    }
    for (parameter, stored) in region.parameters.iter().filter(|_| wanted.parameters) {
        if let Some(version) = stored.latest().filter(|_| !parameter.starts_with(PUBLIC_PARAMETERS))
        {
            let slash = if parameter.starts_with('/') { "" } else { "/" };
            let arn = format!("arn:aws:ssm:{name}:{ACCOUNT_ID}:parameter{slash}{parameter}");
            found.push((version.value.clone(), "ssm:Parameter", arn));
        }
    }
    found
}
