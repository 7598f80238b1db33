//! Who uses an image or a snapshot: pure, from a survey.
//!
//! A launch template uses an image by `$Latest`, by `$Default`, and by each version that a group or an
//! instance has; a version that nobody has is no use. A parameter of hostkit's uses every image whose
//! id is in its value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::survey::Survey;
use crate::aws::inventory::{Group, Parameter, TemplateVersion};

/// One use of an image or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// A parameter names it.
    Parameter(String),
    /// A version of a launch template names it.
    Template {
        /// The template's name.
        name: String,
        /// The version.
        version: i64,
        /// Why that version counts: `$Default`, `$Latest`, `group ci`, `instance i-…`.
        because: Vec<String>,
    },
    /// The launch configuration of a group names it.
    Configuration(String),
    /// An instance was launched from it.
    Instance {
        /// `i-…`
        id: String,
        /// `running`, `stopped`, …
        state: String,
    },
    /// An image is made of it.
    Image(String),
    /// AWS itself knows a use: its ARN.
    Elsewhere(String),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "{name}"),
            Self::Template { name, version, because } => {
                write!(f, "launch template {name} v{version} ({})", because.join(", "))
            }
            Self::Configuration(name) => write!(f, "launch configuration {name}"),
            Self::Instance { id, state } => write!(f, "{id} ({state})"),
            Self::Image(id) => write!(f, "{id}"),
            Self::Elsewhere(arn) => write!(f, "{arn}"),
        }
    }
}

/// All uses, by what is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    images: BTreeMap<String, BTreeSet<Use>>,
    snapshots: BTreeMap<String, BTreeSet<Use>>,
}

impl References {
    /// What a survey tells.
    pub fn of(survey: &Survey) -> Self {
        let mut all = Self::default();
        all.add_parameters(&survey.parameters);
        all.add_templates(survey);
        for configuration in &survey.configurations {
            all.image(&configuration.image, Use::Configuration(configuration.name.clone()));
        }
        for instance in &survey.instances {
            let (id, state) = (instance.id.clone(), instance.state.clone());
            if let Some(image) = &instance.image {
                all.image(image, Use::Instance { id, state });
            }
        }
        all
    }

    /// Adds what AWS itself says, as ARNs by image.
    pub fn add_second_opinion(&mut self, arns: &BTreeMap<String, Vec<String>>) {
        for (image, arns) in arns {
            for arn in arns {
                self.image(image, Use::Elsewhere(arn.clone()));
            }
        }
    }

    /// Who uses an image.
    pub fn of_image(&self, id: &str) -> Vec<Use> {
        self.images.get(id).into_iter().flatten().cloned().collect()
    }

    /// Who uses a snapshot, beside images.
    pub fn of_snapshot(&self, id: &str) -> Vec<Use> {
        self.snapshots.get(id).into_iter().flatten().cloned().collect()
    }

    fn image(&mut self, id: &str, by: Use) {
        self.images.entry(id.to_owned()).or_default().insert(by);
    }

    fn add_parameters(&mut self, parameters: &[Parameter]) {
        for parameter in parameters {
            for image in images_in(&parameter.value) {
                self.image(image, Use::Parameter(parameter.name.clone()));
            }
        }
    }

    fn add_templates(&mut self, survey: &Survey) {
        let mut latest: BTreeMap<&str, i64> = BTreeMap::new();
        for version in &survey.templates {
            let number = latest.entry(&version.template).or_insert(version.number);
            *number = version.number.max(*number);
        }
        for version in &survey.templates {
            let is_latest = latest.get(version.template.as_str()) == Some(&version.number);
            let by = Use::Template {
                name: version.name.clone(),
                version: version.number,
                because: reasons(survey, version, is_latest),
            };
            for image in launched(version, &survey.resolved) {
                self.image(image, by.clone());
            }
            for snapshot in &version.snapshots {
                self.snapshots.entry(snapshot.clone()).or_default().insert(by.clone());
            }
        }
    }
}

/// Why a version of a launch template counts.
fn reasons(survey: &Survey, version: &TemplateVersion, is_latest: bool) -> Vec<String> {
    let mut because = Vec::new();
    if version.is_default {
        because.push("$Default".to_owned());
    }
    if is_latest {
        because.push("$Latest".to_owned());
    }
    let uses = |group: &&Group| {
        group.templates.iter().any(|it| {
            let named = [&version.template, &version.name].contains(&&it.template);
            named
                && match it.version.as_str() {
                    "$Latest" => is_latest,
                    "$Default" => version.is_default,
                    number => number.parse() == Ok(version.number),
                }
        })
    };
    let groups = survey.groups.iter().filter(uses);
    because.extend(groups.map(|group| format!("group {}", group.name)));
    let has = Some((version.template.as_str(), version.number));
    let instances = survey.instances.iter().filter(|it| it.template() == has);
    because.extend(instances.map(|instance| format!("instance {}", instance.id)));
    because
}

/// The images that a version of a launch template launches.
fn launched<'a>(version: &'a TemplateVersion, resolved: &'a [Parameter]) -> Vec<&'a str> {
    let Some(image) = version.image.as_deref() else { return Vec::new() };
    match parameter_of(image) {
        None => vec![image],
        Some(asked) => {
            let named = resolved.iter().filter(|it| it.is_called(asked));
            named.flat_map(|it| images_in(&it.value)).collect()
        }
    }
}

/// The parameter that an image is named by in a launch template: `resolve:ssm:NAME`.
pub(super) fn parameter_of(image: &str) -> Option<&str> {
    image.strip_prefix("resolve:ssm:")
}

/// The ids of images in a text.
fn images_in(text: &str) -> Vec<&str> {
    let starts = text.match_indices("ami-").map(|(at, _)| at);
    let ids = starts.filter_map(|at| {
        let digits = text[at + 4..].bytes().take_while(u8::is_ascii_hexdigit).count();
        (digits >= 8).then(|| &text[at..at + 4 + digits])
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::inventory::{Instance, LaunchConfiguration, TemplateUse};

    const IDS: [&str; 6] = [
        "ami-00000000000000001",
        "ami-00000000000000002",
        "ami-00000000000000003",
        "ami-00000000000000004",
        "ami-00000000000000005",
        "ami-00000000000000006",
    ];

    fn version(number: i64, image: &str) -> TemplateVersion {
        TemplateVersion {
            template: "lt-1".into(),
            name: "ci".into(),
            number,
            is_default: number == 2,
            image: Some(image.into()),
            snapshots: vec![format!("snap-{number}")],
        }
    }

    #[test]
    fn every_use_is_found_and_has_words() {
        let parameter = |name: &str, value: &str| Parameter {
            name: name.into(),
            value: value.into(),
            ..Parameter::default()
        };
        let survey = Survey {
            templates: vec![
                version(1, IDS[0]),
                version(2, "resolve:ssm:/mine:3"),
                version(7, IDS[2]),
            ],
            resolved: vec![parameter("/mine:3", IDS[1])],
            groups: vec![Group {
                name: "blue".into(),
                templates: [TemplateUse { template: "ci".into(), version: "1".into() }].into(),
                configurations: ["old".to_owned()].into(),
            }],
            configurations: vec![LaunchConfiguration { name: "old".into(), image: IDS[3].into() }],
            instances: vec![Instance {
                id: "i-1".into(),
                state: "stopped".into(),
                image: Some(IDS[4].into()),
                ..Instance::default()
            }],
            parameters: vec![parameter(
                "/hostkit/asg/blue/previous",
                &format!("{{\"i\":\"{}\"}}", IDS[5]),
            )],
            ..Survey::default()
        };
        let mut references = References::of(&survey);
        references.add_second_opinion(&[(IDS[5].to_owned(), vec!["arn:x".to_owned()])].into());
        let words: Vec<_> = IDS
            .iter()
            .map(|id| references.of_image(id).iter().map(ToString::to_string).collect::<Vec<_>>())
            .collect();
        insta::assert_snapshot!(words.iter().map(|it| it.join("; ")).collect::<Vec<_>>().join("\n"), @r"
        launch template ci v1 (group blue)
        launch template ci v2 ($Default)
        launch template ci v7 ($Latest)
        launch configuration old
        i-1 (stopped)
        /hostkit/asg/blue/previous; arn:x
        ");
        assert_eq!(references.of_snapshot("snap-7").len(), 1);
        assert!(references.of_snapshot("snap-3").is_empty());
    }

    #[test]
    fn ids_are_found_in_any_text_and_only_whole_ones() {
        let text = "ami-12345678,{\"a\":\"ami-0123456789abcdef0\"} ami- ami-12 my-ami-12345678x";
        assert_eq!(images_in(text), ["ami-12345678", "ami-0123456789abcdef0", "ami-12345678"]);
        assert!(images_in("").is_empty());
    }
}
