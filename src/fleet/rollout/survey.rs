//! Everything that an upgrade must know before it begins, read at the same time. What may not be read
//! is a gap, and no error: all of them are told at once. Changes nothing.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use camino::Utf8Path;
use futures::future::join_all;
use serde::Deserialize;

use super::lock::{self, Lock};
use super::quiet::TAG;
use super::record::{self, Record};
use super::relations::Relations;
use super::room::{self, Room};
use super::unfinished::Unfinished;
use super::{Ask, Side, alarms, journal};
use crate::aws::alarm::Alarm;
use crate::aws::channel::{self, Channel};
use crate::aws::image::{self, Image};
use crate::aws::instance_type::{self, Type};
use crate::aws::launch_template::{self, Data, Version, Which};
use crate::aws::operator::{Identity, fault, identity};
use crate::aws::{Failure, probe, ssm};
use crate::doctor::group::{Asked, Subject, read};
use crate::doctor::{Gap, Look};
use crate::error::Fault;
use crate::image::Manifest;
use crate::image::ami::name::{ARCH_TAG, DIGEST_TAG, RECIPE_TAG};

/// The processor of an image that says none: by EC2's name, and by Debian's.
const PROCESSORS: [(&str, &str); 2] = [("x86_64", "amd64"), ("arm64", "arm64")];

/// How the image to be put in service was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Somebody named it.
    Named(String),
    /// A parameter of this name points to it; or would, if it were there.
    Pointer {
        /// The parameter.
        parameter: String,
        /// What it points to.
        image: Option<String>,
    },
    /// It served before; or would have, if anything were recorded.
    Previous(Option<Side>),
    /// No recipe is known whose pointer could be asked.
    Nothing,
}

impl Choice {
    /// The image.
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Named(image) => Some(image),
            Self::Pointer { image, .. } => image.as_deref(),
            Self::Previous(side) => side.as_ref().map(|side| side.image.as_str()),
            Self::Nothing => None,
        }
    }
}

/// What is recorded of the group in Parameter Store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// What serves.
    pub current: Option<Side>,
    /// What served before.
    pub previous: Option<Side>,
    /// Who holds the lock, if anybody: as it is written, where that cannot be read.
    pub lock: Option<Result<Lock, String>>,
    /// The rollout that is not over, by the journal, if there is one.
    pub unfinished: Option<Unfinished>,
    /// The replacements that are over, the oldest first.
    pub past: Vec<Record>,
}

/// Whether a call would be allowed that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The action, as IAM spells it.
    pub action: &'static str,
    /// What was answered.
    pub answer: Look<()>,
}

/// What is known of what is in an image: from what was baked on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its packages.
    pub packages: BTreeMap<String, String>,
    /// The plugins of Jenkins that came with it.
    pub plugins: BTreeMap<String, String>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Survey {
    /// As whom it was read.
    pub identity: Identity,
    /// The group, and what it launches now.
    pub subject: Subject,
    /// How the image was chosen.
    pub choice: Look<Choice>,
    /// The image to be put in service; none where EC2 knows no such one.
    pub image: Look<Option<Image>>,
    /// The types of instances that it would run on.
    pub types: Look<Vec<Type>>,
    /// The quotas that limit the group's hosts.
    pub rooms: Look<Vec<Room>>,
    /// What is recorded.
    pub records: Look<Records>,
    /// Whether the controller that serves hears what it is told by its tag.
    pub channel: Look<Option<Channel>>,
    /// The version of the launch template that served before, for a way back: what it says beside the
    /// image served with it.
    pub kept: Look<Option<(Version, Data)>>,
    /// The alarms that were named; where none was, those about the group that fire now.
    pub alarms: Look<Vec<Alarm>>,
    /// Who else is concerned.
    pub relations: Look<Relations>,
    /// What would be allowed.
    pub probes: Vec<Probe>,
    /// What is in the image that serves.
    pub old: Option<Contents>,
    /// What is in the image to be put in service.
    pub new: Option<Contents>,
}

impl Survey {
    /// The image to be put in service.
    pub fn new_image(&self) -> Option<&Image> {
        self.image.as_ref().ok()?.as_ref()
    }

    /// The version that served before, if it is still what it was: for a way back it is taken again.
    pub fn again(&self) -> Option<&(Version, Data)> {
        let choice = self.choice.as_ref().ok()?;
        self.new_image()?;
        as_it_was(choice, self.kept.as_ref().ok()?.as_ref()?, &self.subject)
    }

    /// What hosts would be launched with but for the image: that version, or else the one that serves,
    /// of which the new one is made.
    pub fn launched(&self) -> Option<&(Version, Data)> {
        self.again().or_else(|| self.subject.template.as_ref().ok()?.as_ref())
    }

    /// The image that the group launches now.
    pub fn old_image(&self) -> Option<&Image> {
        self.subject.image.as_ref().ok()?.as_ref()
    }
}

/// Reads all of it.
///
/// # Errors
/// There is no such group, or AWS says nothing at all.
pub async fn survey(config: &SdkConfig, ask: &Ask) -> Result<Survey, Fault> {
    let asked = Asked { group: &ask.group, role: ask.role };
    // The first call tells wrong credentials and a wrong clock.
    let identity = identity(config).await.map_err(|failure| fault(&failure))?;
    let subject = Box::pin(read(config, &asked)).await?;
    let (records, choice) =
        tokio::join!(records(config, &ask.group), pointer(config, ask, &subject));
    let choice = choice.map(|choice| match (&ask.image, ask.rollback) {
        (Some(image), _) => Choice::Named(image.clone()),
        (None, true) => {
            let previous = records.as_ref().ok().and_then(|records| records.previous.clone());
            Choice::Previous(previous)
        }
        (None, false) => choice,
    });
    let choice = choice.map_err(Gap::from);
    let id = choice.as_ref().ok().and_then(|choice| choice.image().map(str::to_owned));
    let kept = kept(config, choice.as_ref().ok()).await;
    let again = choice.as_ref().ok().zip(kept.as_ref().ok().and_then(Option::as_ref));
    let again = again.and_then(|(choice, kept)| as_it_was(choice, kept, &subject));
    let (image, (types, rooms), channel, alarms, relations, probes) = tokio::join!(
        new_image(config, id.as_deref()),
        types_and_rooms(config, &subject, again),
        open(config, &subject),
        alarms::look(config, ask, &subject),
        Relations::read(config, ask, &subject),
        probes(config, &subject, again, id.as_deref()),
    );
    let image = image.map_err(Gap::from);
    let contents = |image: Option<&Image>| contents(image?, &ask.folders);
    let old = contents(subject.image.as_ref().ok().and_then(|it| it.as_ref()));
    let new = contents(image.as_ref().ok().and_then(|it| it.as_ref()));
    Ok(Survey {
        identity,
        subject,
        choice,
        image,
        types: types.map_err(Gap::from),
        rooms: rooms.map_err(Gap::from),
        records: records.map_err(Gap::from),
        channel: channel.map_err(Gap::from),
        kept: kept.map_err(Gap::from),
        alarms: alarms.map_err(Gap::from),
        relations: relations.map_err(Gap::from),
        probes,
        old,
        new,
    })
}

/// What `latest` of the recipe points to, where nothing else was said.
async fn pointer(config: &SdkConfig, ask: &Ask, subject: &Subject) -> Result<Choice, Failure> {
    if ask.image.is_some() || ask.rollback {
        return Ok(Choice::Nothing);
    }
    let serving = subject.image.as_ref().ok().and_then(|it| it.as_ref());
    let recipe = ask.recipe.as_deref().or_else(|| serving?.tag(RECIPE_TAG));
    let Some(recipe) = recipe else { return Ok(Choice::Nothing) };
    let arch = serving.map_or("amd64", arch);
    let parameter = format!("/hostkit/{recipe}/{arch}/latest");
    let found = ssm::parameters(config, &[&parameter]).await?;
    let image = found.values.get(&parameter).map(str::to_owned);
    Ok(Choice::Pointer { parameter, image })
}

/// The processor of an image, by Debian's name.
pub fn arch(image: &Image) -> &str {
    image.tag(ARCH_TAG).unwrap_or_else(|| {
        let known = PROCESSORS.iter().find(|(ec2, _)| *ec2 == image.architecture);
        known.map_or(image.architecture.as_str(), |(_, debian)| debian)
    })
}

async fn records(config: &SdkConfig, group: &str) -> Result<Records, Failure> {
    let (lock, journal) = (lock::parameter(group), journal::parameter(group));
    let names = [lock.as_str(), journal.as_str()];
    let (sides, found, past) = tokio::join!(
        record::sides(config, group),
        ssm::parameters(config, &names),
        record::all(config, group),
    );
    let (current, previous) = sides?;
    let found = found?.values;
    let unfinished = found.get(&journal).and_then(Unfinished::of);
    let held = found.get(&lock).map(str::to_owned);
    let lock = held.map(|text| serde_json::from_str(&text).map_err(|_unreadable| text));
    Ok(Records { current, previous, lock, unfinished, past: past? })
}

async fn new_image(config: &SdkConfig, id: Option<&str>) -> Result<Option<Image>, Failure> {
    match id {
        Some(id) => match image::describe(config, id).await {
            Err(failure) if failure.code() == Some("InvalidAMIID.Malformed") => Ok(None),
            answer => answer,
        },
        None => Ok(None),
    }
}

async fn kept(
    config: &SdkConfig,
    choice: Option<&Choice>,
) -> Result<Option<(Version, Data)>, Failure> {
    let Some(Choice::Previous(Some(side))) = choice else { return Ok(None) };
    let Some(number) = side.version else { return Ok(None) };
    let template = Which::Id(side.template.clone());
    launch_template::with_data(config, &template, &number.to_string()).await
}

/// The types of instances, and the quotas that limit them.
async fn types_and_rooms(
    config: &SdkConfig,
    subject: &Subject,
    again: Option<&(Version, Data)>,
) -> (Result<Vec<Type>, Failure>, Result<Vec<Room>, Failure>) {
    let types = types(config, subject, again).await;
    let rooms = room::read(config, subject, types.as_deref().unwrap_or_default()).await;
    (types, rooms)
}

/// See [`Survey::again`].
fn as_it_was<'a>(
    choice: &Choice,
    kept: &'a (Version, Data),
    subject: &Subject,
) -> Option<&'a (Version, Data)> {
    let Choice::Previous(Some(side)) = choice else { return None };
    let (serving, _) = subject.template.as_ref().ok()?.as_ref()?;
    let (version, _) = kept;
    let same = version.template == serving.template && version.image.as_ref() == Some(&side.image);
    same.then_some(kept)
}

async fn types(
    config: &SdkConfig,
    subject: &Subject,
    again: Option<&(Version, Data)>,
) -> Result<Vec<Type>, Failure> {
    let names = type_names(subject, again);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    instance_type::describe(config, &names).await
}

/// The types of instances that hosts would run on.
fn type_names(subject: &Subject, again: Option<&(Version, Data)>) -> Vec<String> {
    let said = again.or_else(|| subject.template.as_ref().ok()?.as_ref());
    let said = said.and_then(|(_, data)| data.instance_type.clone());
    let others = subject.group.overrides.iter().filter_map(|it| it.instance_type.clone());
    let running = subject.group.members.iter().map(|it| it.instance_type.clone());
    let mut names: Vec<_> = others.collect();
    // Overrides take the place of what the template says.
    if names.is_empty() {
        names.extend(said);
    }
    if names.is_empty() {
        names.extend(running.filter(|name| !name.is_empty()));
    }
    names.sort_unstable();
    names.dedup();
    names
}

async fn open(config: &SdkConfig, subject: &Subject) -> Result<Option<Channel>, Failure> {
    match subject.group.in_service().next().filter(|_| subject.is_controller()) {
        Some(member) => channel::look(config, &member.id, TAG).await,
        None => Ok(None),
    }
}

/// Asks whether all that changes something would be allowed, where that can be asked.
async fn probes(
    config: &SdkConfig,
    subject: &Subject,
    again: Option<&(Version, Data)>,
    image: Option<&str>,
) -> Vec<Probe> {
    let template = subject.template.as_ref().ok().and_then(|it| it.as_ref());
    let (Some((version, _)), Some(image)) = (template, image) else { return Vec::new() };
    let (id, number) = (version.template.as_str(), version.number);
    let launched = again.map_or(number, |(version, _)| version.number);
    let subnet = subject.group.subnets.first().map(String::as_str);
    let (added, moved, launched) = tokio::join!(
        probe::add_version(config, id, number, image),
        probe::set_default(config, id, number),
        probe::launch(config, id, launched, image, subnet),
    );
    let tagged = subject.group.in_service().filter(|_| subject.is_controller()).take(1);
    let tagged = tagged.map(async |member| {
        let id = member.id.as_str();
        tokio::join!(probe::tag(config, id, TAG, "cancel"), probe::untag(config, id, TAG))
    });
    let tagged = join_all(tagged)
        .await
        .into_iter()
        .flat_map(|(given, taken)| [("ec2:CreateTags", given), ("ec2:DeleteTags", taken)]);
    let others = [
        ("ec2:CreateLaunchTemplateVersion", added),
        ("ec2:ModifyLaunchTemplate", moved),
        ("ec2:RunInstances", launched),
    ];
    let all = others.into_iter().chain(tagged);
    all.map(|(action, answer)| Probe { action, answer: answer.map_err(Gap::from) }).collect()
}

/// What is in an image that was baked here, and is still there.
fn contents(image: &Image, folders: &[camino::Utf8PathBuf]) -> Option<Contents> {
    let digest = image.tag(DIGEST_TAG)?;
    folders.iter().find_map(|folder| {
        let manifest = Manifest::with_digest(folder, digest)?;
        let plugins = manifest.bom.as_ref().map(|bom| plugins(&folder.join(&bom.file)));
        Some(Contents { packages: manifest.packages, plugins: plugins.unwrap_or_default() })
    })
}

/// The plugins of Jenkins in a bill of materials.
fn plugins(bom: &Utf8Path) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Component {
        #[serde(rename = "bom-ref", default)]
        reference: String,
        name: String,
        #[serde(default)]
        version: String,
    }
    #[derive(Deserialize)]
    struct Bom {
        #[serde(default)]
        components: Vec<Component>,
    }
    let text = std::fs::read(bom).unwrap_or_default();
    let all = serde_json::from_slice::<Bom>(&text).map(|bom| bom.components).unwrap_or_default();
    let plugins = all.into_iter().filter(|it| it.reference.starts_with("jenkins-plugin:"));
    plugins.map(|it| (it.name, it.version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::rollout::sample::before;

    #[test]
    fn a_way_back_runs_on_what_it_ran_on_then() {
        let survey = before();
        let (_, serving) = survey.subject.template.as_ref().unwrap().as_ref().unwrap();
        assert_eq!(serving.instance_type.as_deref(), Some("m5.large"));
        assert_eq!(type_names(&survey.subject, survey.again()), ["t3.large"]);
        assert_eq!(survey.launched().unwrap().0.number, 3);
        // It was changed, or is another template: a new version is made of the one that serves.
        let mut survey = before();
        survey.kept.as_mut().unwrap().as_mut().unwrap().0.image = Some("ami-0f".into());
        assert_eq!(type_names(&survey.subject, survey.again()), ["m5.large"]);
        assert_eq!(survey.launched().unwrap().0.number, 4);
    }
}
