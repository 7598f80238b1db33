//! Whether an Auto Scaling group is fit to hold what it holds: the only controller on its home, or
//! hosts beside each other.
//!
//! AWS's defaults are made for hosts that are all alike and any number of: most of what is looked at
//! here would start a second controller beside the first, or take the only one away. What was read
//! is a [`Subject`]; the checks are pure.

mod hooks;
mod launches;
mod members;
mod mend;
mod place;
mod read;
mod replacing;
#[cfg(test)]
pub(crate) mod sample;
mod serving;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

pub use mend::{Mend, quoted};
pub use read::{Asked, read, user_data};

use super::{Finding, Look, Verdict};
use crate::aws::asg::refresh::Refresh;
use crate::aws::asg::{Activity, Group, Kind, Posted};
use crate::aws::efs::MountTarget;
use crate::aws::elb::{Health, TargetGroup};
use crate::aws::image::Image;
use crate::aws::instances::Subnet;
use crate::aws::launch_template::{Data, Version};
use crate::group::standing::Standing;
use crate::host::Role;

/// The file system of a controller's home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// `fs-…`
    pub file_system: String,
    /// `available`, `updating`, `deleting`, `error`, …
    pub state: String,
    /// The one zone that it is in, if it is in one only.
    pub zone: Option<String>,
    /// Where it can be mounted.
    pub targets: Vec<MountTarget>,
    /// Whether hosts are told that a mount target in another zone will do.
    pub cross_az: bool,
    /// Whether a backup of it is made each day.
    pub backed_up: Look<bool>,
    /// When the newest backup was begun that can be restored; none where there is none.
    pub newest_backup: Look<Option<Timestamp>>,
}

/// A target group of the group, and how each of its instances is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// The target group.
    pub group: TargetGroup,
    /// Instances, by their ids, and their health.
    pub health: Vec<(String, Health)>,
}

/// What the hosts of a group are, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What they are.
    pub role: Role,
    /// What says it.
    pub told_by: String,
}

/// Everything that was read of a group.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The region, for the commands that mend.
    pub region: String,
    /// When it was read, by AWS's clock.
    pub now: Timestamp,
    /// What the hosts are.
    pub part: Part,
    /// The group.
    pub group: Group,
    /// Its hooks.
    pub hooks: Look<Vec<Posted>>,
    /// The refreshes that are not over.
    pub refreshes: Look<Vec<Refresh>>,
    /// What it did of late.
    pub activities: Look<Vec<Activity>>,
    /// Its subnets.
    pub subnets: Look<Vec<Subnet>>,
    /// Its target groups.
    pub targets: Look<Vec<Targets>>,
    /// What it launches; none where it has no launch template, or that is gone.
    pub template: Look<Option<(Version, Data)>>,
    /// The image of that, where it is named by its id.
    pub image: Look<Option<Image>>,
    /// What the controller says of itself.
    pub standing: Look<Option<Standing>>,
    /// The home, where it is known which it is.
    pub home: Look<Option<Home>>,
}

/// How long hosts of this group took, as its own activities tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The longest launch that went well, hook and all.
    pub boot: Option<Duration>,
    /// The longest termination that went well, hook and all.
    pub drain: Option<Duration>,
}

impl Subject {
    /// How long hosts took to come and to go.
    pub fn measured(&self) -> Measured {
        let longest = |kind: Kind| {
            let all = self.activities.as_deref().unwrap_or_default().iter();
            all.filter(|it| it.kind() == kind).filter_map(Activity::took).max()
        };
        Measured { boot: longest(Kind::Launch), drain: longest(Kind::Terminate) }
    }

    /// Whether its host is the only one that there may be.
    pub fn is_controller(&self) -> bool {
        self.part.role == Role::Controller
    }

    /// What mends it.
    fn mend(&self) -> Mend<'_> {
        Mend { group: &self.group.name, region: &self.region }
    }
}

/// All checks, in the order in which a person would look.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let checks: [fn(&Subject) -> Vec<Finding>; 7] = [
        launches::check,
        replacing::check,
        hooks::check,
        members::check,
        serving::check,
        place::check,
        standing,
    ];
    checks.into_iter().flat_map(|check| check(subject)).collect()
}

/// What the only host says of itself.
fn standing(subject: &Subject) -> Vec<Finding> {
    use crate::group::standing::State;
    const ID: &str = "host.standing";
    if !subject.is_controller() {
        return Vec::new();
    }
    let finding = match &subject.standing {
        Err(gap) => Finding::untold(ID, "how the controller stands", gap),
        Ok(None) => Finding::new(
            ID,
            Verdict::Warn,
            "no controller has said anything of itself: its guard may not write to Parameter Store, \
             or is not hostkit's",
        )
        .shown_by(crate::group::standing::parameter(&subject.group.name))
        .mended_by("hostkit iam controller"),
        Ok(Some(told)) => {
            let state = format!("{:?}", told.state).to_lowercase();
            let since = told.since.strftime("%Y-%m-%d %H:%M:%S UTC");
            let here = subject.group.members.iter().any(|member| member.id == told.instance);
            let (verdict, says) = match told.state {
                _ if !here => (
                    Verdict::Warn,
                    format!("the last that spoke is {}, which is not in the group", told.instance),
                ),
                State::Serving if told.why.is_none() => {
                    (Verdict::Pass, format!("{} serves", told.instance))
                }
                State::Serving => (Verdict::Warn, format!("{} serves, but not well", told.instance)),
                State::Quiet => {
                    (Verdict::Warn, format!("{} begins no builds: it is quiet", told.instance))
                }
                State::Draining | State::Drained => {
                    (Verdict::Fail, format!("{} is {state}: it serves nobody", told.instance))
                }
            };
            let finding = Finding::new(ID, verdict, says).shown_by(format!("{state} since {since}"));
            told.why.iter().fold(finding, |finding, why| finding.shown_by(why.clone()))
        }
    };
    vec![finding]
}
