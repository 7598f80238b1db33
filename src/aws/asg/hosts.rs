//! The hosts of a group, what it launches, and what it has done of late.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{self, Activity as Told, AutoScalingGroup};
use jiff::Timestamp;

use super::Failure;

/// A group with its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crew {
    /// The launch template of hosts to come: `lt-…`
    pub template: Option<String>,
    /// The version of it, as the group names it: a number, `$Latest`, `$Default`.
    pub version: Option<String>,
    /// What the group does not do at the moment.
    pub suspended: Vec<String>,
    /// How many hosts it wants.
    pub desired: u32,
    /// Its hosts, also those that come and go.
    pub hosts: Vec<Host>,
    /// The ARNs of its target groups.
    pub target_groups: Vec<String>,
}

/// A host of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `i-…`
    pub id: String,
    /// `Pending`, `Pending:Wait`, `InService`, `Terminating:Wait`, …
    pub state: String,
    /// Whether the group finds it healthy.
    pub healthy: bool,
    /// The launch template that it was launched from.
    pub template: Option<String>,
    /// The number of its version.
    pub version: Option<i64>,
    /// Its image, where the group says so.
    pub image: Option<String>,
}

impl Host {
    /// Whether it serves, as far as the group is concerned.
    pub fn is_in_service(&self) -> bool {
        self.state == "InService"
    }

    /// Whether it is on its way out, or gone.
    pub fn is_leaving(&self) -> bool {
        self.state.starts_with("Terminat") || self.state.starts_with("Detach")
    }
}

/// A group with its hosts; `None` where there is no such group.
pub async fn crew(config: &SdkConfig, name: &str) -> Result<Option<Crew>, Failure> {
    let call = Client::new(config).describe_auto_scaling_groups().auto_scaling_group_names(name);
    let answer = call.send().await;
    let answer =
        answer.map_err(|error| Failure::new("autoscaling:DescribeAutoScalingGroups", &error))?;
    let named = |group: &&AutoScalingGroup| group.auto_scaling_group_name() == Some(name);
    Ok(answer.auto_scaling_groups().iter().find(named).map(read))
}

fn read(group: &AutoScalingGroup) -> Crew {
    let mixed = group.mixed_instances_policy().and_then(|it| it.launch_template());
    let mixed = mixed.and_then(|it| it.launch_template_specification());
    let template = group.launch_template().or(mixed);
    let suspended = group.suspended_processes().iter().filter_map(|one| one.process_name());
    let common = super::group::read(group);
    Crew {
        template: template.and_then(|it| it.launch_template_id().map(str::to_owned)),
        version: template.map(|it| it.version().unwrap_or("$Default").to_owned()),
        suspended: suspended.map(str::to_owned).collect(),
        desired: common.desired,
        hosts: group.instances().iter().filter_map(host).collect(),
        target_groups: common.target_groups,
    }
}

fn host(instance: &types::Instance) -> Option<Host> {
    let template = instance.launch_template();
    Some(Host {
        id: instance.instance_id()?.to_owned(),
        state: instance.lifecycle_state().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        healthy: instance.health_status().is_some_and(|it| it.eq_ignore_ascii_case("healthy")),
        template: template.and_then(|it| it.launch_template_id().map(str::to_owned)),
        version: template.and_then(|it| it.version()?.parse().ok()),
        image: instance.image_id().map(str::to_owned),
    })
}

/// Something that a group has done, or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// What: `Launching a new EC2 instance: i-…`
    pub description: String,
    /// `InProgress`, `Successful`, `Failed`, …
    pub status: String,
    /// What AWS says of it: for one that failed, why.
    pub message: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
}

/// What an activity is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An instance is launched.
    Launch,
    /// An instance is terminated.
    Terminate,
    /// Something else.
    Other,
}

impl Activity {
    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self.description.as_str() {
            it if it.starts_with("Launching") => Kind::Launch,
            it if it.starts_with("Terminating") => Kind::Terminate,
            _ => Kind::Other,
        }
    }

    /// How long it took, hooks and all; none where it did not come to a good end.
    pub fn took(&self) -> Option<Duration> {
        let took = self.ended?.duration_since(self.started?);
        (self.status == "Successful").then(|| Duration::try_from(took).ok())?
    }

    /// Whether it did not succeed.
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_str(), "Failed" | "Cancelled")
    }
}

/// What a group has done of late, the newest first.
pub async fn activities(
    config: &SdkConfig,
    group: &str,
    count: i32,
) -> Result<Vec<Activity>, Failure> {
    let call = Client::new(config).describe_scaling_activities().auto_scaling_group_name(group);
    let answer = call.max_records(count).send().await;
    let answer =
        answer.map_err(|error| Failure::new("autoscaling:DescribeScalingActivities", &error))?;
    Ok(answer.activities().iter().filter_map(activity).collect())
}

fn activity(told: &Told) -> Option<Activity> {
    Some(Activity {
        id: told.activity_id()?.to_owned(),
        description: told.description().unwrap_or_default().to_owned(),
        status: told.status_code().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        message: told.status_message().filter(|it| !it.is_empty()).map(str::to_owned),
        started: told.start_time().and_then(super::time),
        ended: told.end_time().and_then(super::time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_tells_what_it_is_about_and_how_long_it_took() {
        let told = |status: &str| {
            Told::builder()
                .activity_id("1")
                .description("Launching a new EC2 instance: i-0123456789abcdef0")
                .start_time(aws_smithy_types::DateTime::from_secs(100))
                .end_time(aws_smithy_types::DateTime::from_millis(161_500))
                .status_code(status.into())
                .build()
        };
        let good = activity(&told("Successful")).unwrap();
        assert_eq!((good.kind(), good.took()), (Kind::Launch, Some(Duration::from_millis(61_500))));
        let bad = activity(&told("Failed")).unwrap();
        assert!(bad.has_failed() && bad.took().is_none());
    }
}
