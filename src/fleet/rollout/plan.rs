//! What would be done, for people to agree to: what differs between the two images, how the hosts are
//! replaced and why so, and for how long nobody is served. Pure.

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::survey::{Contents, Survey};
use super::{Ask, Builds, Order, Side, Strategy, crowd, preflight};
use crate::aws::asg::Launches;
use crate::aws::image::Image;
use crate::host::Role;
use crate::image::ami::name::{JENKINS_TAG, RECIPE_TAG};
use crate::image::compare::Packages;

/// What a version of a launch template calls its image.
const IMAGE: &str = "ImageId";

/// The packages that people ask about first, by how their names begin.
const HIGHLIGHTS: [(&str, &[&str]); 4] = [
    ("java", &["openjdk-", "java-", "temurin-"]),
    ("kernel", &["linux-image-", "kernel"]),
    ("hostkit", &["hostkit"]),
    ("docker", &["docker", "containerd", "ecs-init"]),
];

/// See the module.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// What is carried out.
    pub order: Order,
    /// Where.
    pub region: String,
    /// What the launch template says otherwise: what, before and after.
    pub template: Vec<Change>,
    /// What people ask about first.
    pub highlights: Vec<Change>,
    /// What differs in the two images; absent where what is in one of them is not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<Packages>,
    /// The same of the plugins of Jenkins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Packages>,
    /// Which of the two images it is not known of what is in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Why the hosts are replaced so.
    pub because: &'static str,
    /// How long nobody is served.
    pub downtime: Downtime,
    /// How many builds run now, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builds: Option<u32>,
    /// How many hosts are replaced.
    pub hosts: usize,
    /// The actions that are needed and that AWS cannot be asked for ahead: a denial shows only then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untried: Vec<&'static str>,
}

/// What is not the same afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// What.
    pub what: String,
    /// Before; absent where there was none, or it is not known.
    pub from: Option<String>,
    /// After.
    pub to: Option<String>,
}

/// How long nobody is served.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "known-by")]
pub enum Downtime {
    /// Hosts are replaced beside each other: not at all.
    None,
    /// As the last replacements took: seconds, and of how many they are the longest.
    Past {
        /// Seconds.
        seconds: f64,
        /// Of so many.
        of: usize,
    },
    /// As the group's own activities took.
    Measured {
        /// The longest termination, in seconds.
        drain: f64,
        /// The longest launch.
        boot: f64,
    },
    /// As the boot of the host that serves took, in seconds, and whatever its end takes.
    Boot {
        /// Seconds.
        seconds: f64,
    },
    /// Nothing was ever measured.
    Unknown,
}

impl Plan {
    /// What would be done; none where it is not known to what, or from what.
    pub fn of(survey: &Survey, ask: &Ask) -> Option<Self> {
        let order = order(survey, ask)?;
        let subject = &survey.subject;
        let both = survey.old.as_ref().zip(survey.new.as_ref());
        let compare = |of: fn(&Contents) -> &std::collections::BTreeMap<String, String>| {
            both.map(|(old, new)| Packages::between(of(old), of(new)))
        };
        let (packages, plugins) = (compare(|it| &it.packages), compare(|it| &it.plugins));
        let known = [(&order.from.image, &survey.old), (&order.to.image, &survey.new)];
        let unknown = known.into_iter().filter(|(_, contents)| contents.is_none());
        let standing = subject.standing.as_ref().ok().and_then(|it| it.as_ref());
        Some(Self {
            region: subject.region.clone(),
            template: template(survey, &order),
            highlights: highlights(&order, packages.as_ref()),
            unknown: unknown.map(|(image, _)| image.clone()).collect(),
            plugins: plugins.filter(|it| *it != Packages::default()),
            packages,
            because: because(order.strategy, order.role),
            downtime: downtime(survey, &order),
            builds: standing.and_then(|it| it.builds).filter(|_| order.role == Role::Controller),
            hosts: subject.group.members.len(),
            untried: preflight::untried(survey),
            order,
        })
    }

    /// Whether the image is in service already.
    pub fn is_nothing(&self, survey: &Survey) -> bool {
        let number = self.order.from.version;
        let group = &survey.subject.group;
        let runs = |member: &crate::aws::asg::Member| {
            member.template.as_ref().and_then(Launches::number).is_none_or(|it| Some(it) == number)
        };
        self.order.from.image == self.order.to.image
            && !group.members.is_empty()
            && group.members.iter().all(runs)
    }
}

/// The versions of Jenkins: of what serves, and of the image to be put in service, where they are
/// known.
pub(super) fn jenkins_of(survey: &Survey) -> (Option<String>, Option<String>) {
    let subject = &survey.subject;
    let standing = subject.standing.as_ref().ok().and_then(|it| it.as_ref());
    // What answers knows best; it is not asked when another host has spoken.
    let here = |id: &str| subject.group.members.iter().any(|member| member.id == id);
    let proof = standing.filter(|it| here(&it.instance)).and_then(|it| it.proof.as_ref());
    let served = proof.and_then(|proof| proof.jenkins.clone());
    let records = survey.records.as_ref().ok();
    let recorded = |side: Option<&Side>, image: Option<&Image>| {
        side.filter(|it| image.is_some_and(|image| image.id == it.image))?.jenkins.clone()
    };
    let in_image = |image: Option<&Image>, contents: Option<&Contents>| {
        let told = image.and_then(|it| it.tag(JENKINS_TAG)).map(str::to_owned);
        let told = told.or_else(|| contents?.packages.get("jenkins").cloned());
        let sides = records.map(|it| [it.current.as_ref(), it.previous.as_ref()]);
        let sides = sides.into_iter().flatten();
        told.map(|version| plain(&version))
            .or_else(|| sides.into_iter().find_map(|side| recorded(side, image)))
    };
    let old = in_image(survey.old_image(), survey.old.as_ref());
    let new = in_image(survey.new_image(), survey.new.as_ref());
    (served.or(old), new)
}

/// The version of a package without what those who packaged it added.
fn plain(version: &str) -> String {
    let version = version.rsplit(':').next().unwrap_or(version);
    version.split(['-', '+', '~', ' ']).next().unwrap_or(version).to_owned()
}

fn order(survey: &Survey, ask: &Ask) -> Option<Order> {
    let subject = &survey.subject;
    let (version, _) = subject.template.as_ref().ok()?.as_ref()?;
    let image = survey.new_image()?;
    let (old_jenkins, new_jenkins) = jenkins_of(survey);
    let old = survey.old_image();
    let side = |id: &str, image: Option<&Image>, jenkins: Option<String>| Side {
        image: id.to_owned(),
        name: image.map(|it| it.name.clone()).unwrap_or_default(),
        template: version.template.clone(),
        version: None,
        recipe: image.and_then(|it| it.tag(RECIPE_TAG)).map(str::to_owned),
        jenkins,
    };
    let from =
        Side { version: Some(version.number), ..side(version.image.as_deref()?, old, old_jenkins) };
    let to = Side {
        version: survey.again().map(|it| it.0.number),
        ..side(&image.id, Some(image), new_jenkins)
    };
    let role = subject.part.role;
    Some(Order {
        group: subject.group.name.clone(),
        region: subject.region.clone(),
        role,
        from,
        to,
        strategy: ask.strategy_for(role),
        builds: ask.builds,
        builds_patience: ask.builds_patience.as_secs(),
        patience: crowd::patience(
            role,
            (ask.patience + warmup(survey, role)).as_secs(),
            ask.builds_patience.as_secs(),
            subject.group.desired,
        ),
        soak: ask.soak.as_secs(),
        rollback: ask.rollback,
        home: home_of(survey),
        restores_home: ask.rollback && ask.restore_home && role == Role::Controller,
        alarms: ask.alarms.clone(),
        crowd: survey
            .relations
            .as_ref()
            .map(|relations| relations.crowd(role, subject.group.desired))
            .unwrap_or_default(),
    })
}

/// So long AWS waits in a group of many until each lot of hosts has warmed up.
fn warmup(survey: &Survey, role: Role) -> Duration {
    let group = &survey.subject.group;
    match role {
        Role::Controller => Duration::ZERO,
        Role::Agent | Role::Ecs => group.warmup.unwrap_or(group.grace),
    }
}

/// The file system of a controller's home.
fn home_of(survey: &Survey) -> Option<String> {
    let home = survey.subject.home.as_ref().ok()?.as_ref()?;
    survey.subject.is_controller().then(|| home.file_system.clone())
}

/// What the version says otherwise with which hosts are launched then.
fn template(survey: &Survey, order: &Order) -> Vec<Change> {
    let (from, to) = (&order.from, &order.to);
    let number = |side: &Side| side.version.map(|number| number.to_string());
    let change = |what: &str, from: Option<String>, to: Option<String>| Change {
        what: what.to_owned(),
        from,
        to,
    };
    let mut all = vec![
        change("version", number(from), number(to)),
        change(IMAGE, Some(from.image.clone()), Some(to.image.clone())),
    ];
    let serving = survey.subject.template.as_ref().ok().and_then(|it| it.as_ref());
    if let Some(((_, again), (_, serving))) = survey.again().zip(serving) {
        let names: BTreeSet<_> = again.fields.keys().chain(serving.fields.keys()).collect();
        let both = names.into_iter().filter(|name| **name != IMAGE).map(|name| {
            change(name, serving.fields.get(name).cloned(), again.fields.get(name).cloned())
        });
        all.extend(both.filter(|change| change.from != change.to));
    }
    all
}

fn highlights(order: &Order, packages: Option<&Packages>) -> Vec<Change> {
    let mut all = Vec::new();
    let (from, to) = (&order.from.jenkins, &order.to.jenkins);
    if from.is_some() || to.is_some() {
        all.push(Change { what: "jenkins".to_owned(), from: from.clone(), to: to.clone() });
    }
    let Some(packages) = packages else { return all };
    for (what, beginnings) in HIGHLIGHTS {
        let is = |name: &str| beginnings.iter().any(|it| name.starts_with(it));
        let changed = packages.changed.iter().find(|(name, _)| is(name));
        let change = if let Some((_, (from, to))) = changed {
            (Some(from.clone()), Some(to.clone()))
        } else {
            // The name of a kernel's package has its version in it.
            let of = |map: &std::collections::BTreeMap<String, String>| {
                map.iter().rev().find(|(name, _)| is(name)).map(|(_, version)| version.clone())
            };
            (of(&packages.removed), of(&packages.added))
        };
        if let (None, None) = change {
            continue;
        }
        all.push(Change { what: what.to_owned(), from: change.0, to: change.1 });
    }
    all
}

const fn because(strategy: Strategy, role: Role) -> &'static str {
    match (strategy, role) {
        (Strategy::TerminateFirst, _) => {
            "two must never write one home: the host goes, releases the home, and then the next one comes"
        }
        (Strategy::Rolling, Role::Controller) => {
            "the host is replaced in place of another one, which holds the home until it is gone"
        }
        (Strategy::Rolling, Role::Agent) => {
            "agents serve beside each other: each is offline in Jenkins before it goes, so that no build \
             is lost"
        }
        (Strategy::Rolling, Role::Ecs) => {
            "hosts serve beside each other: ECS moves the tasks of each away before it goes"
        }
        (Strategy::ReplaceRootVolume, _) => {
            "the host keeps its id and its address and gets a new root volume; not verified against AWS"
        }
    }
}

fn downtime(survey: &Survey, order: &Order) -> Downtime {
    if order.role != Role::Controller {
        return Downtime::None;
    }
    let past = survey.records.as_ref().map(|it| it.past.as_slice()).unwrap_or_default();
    let recent = past.iter().rev().map(|record| record.times.down);
    let recent: Vec<_> = recent.filter(|seconds| *seconds > 0.0).take(5).collect();
    if !recent.is_empty() {
        let seconds = recent.iter().copied().fold(0.0, f64::max);
        return Downtime::Past { seconds, of: recent.len() };
    }
    let measured = survey.subject.measured();
    if let (Some(drain), Some(boot)) = (measured.drain, measured.boot) {
        return Downtime::Measured { drain: drain.as_secs_f64(), boot: boot.as_secs_f64() };
    }
    let standing = survey.subject.standing.as_ref().ok().and_then(|it| it.as_ref());
    let boot = standing.and_then(|it| it.proof.as_ref()?.boot);
    let boot = boot.and_then(|boot| Some(boot.ready?.duration_since(boot.started).as_secs_f64()));
    match boot.or(measured.boot.map(|boot| boot.as_secs_f64())) {
        Some(seconds) => Downtime::Boot { seconds },
        None => Downtime::Unknown,
    }
}

impl Builds {
    /// What becomes of builds that run, for people.
    pub(super) fn say(self, patience: u64) -> String {
        let minutes = patience.div_ceil(60);
        match self {
            Self::Wait => {
                format!(
                    "waited for {minutes} min at most; if they take longer, nothing is replaced"
                )
            }
            Self::WaitThenForce => {
                format!("waited for {minutes} min at most; if they take longer, they are lost")
            }
            Self::Force => "not waited for: they are lost".to_owned(),
        }
    }
}
