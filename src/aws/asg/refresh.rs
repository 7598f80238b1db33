//! Instance refreshes of a group: begun, looked at, rolled back, cancelled.
//!
//! A group has at most one at a time. AWS knows no client token for them, so whoever begins one looks
//! first whether it is there already.

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{
    AlarmSpecification, AutoScalingGroup, DesiredConfiguration, InstanceRefresh, LaunchTemplate,
    LaunchTemplateOverrides, LaunchTemplateSpecification, MixedInstancesPolicy, RefreshPreferences,
    RefreshStrategy, ScaleInProtectedInstances,
};
use jiff::Timestamp;

use super::Failure;

/// What AWS says when another refresh of the group is under way.
pub const BUSY: &str = "InstanceRefreshInProgress";
/// What it says when there is none to be rolled back or cancelled.
pub const NONE: &str = "ActiveInstanceRefreshNotFound";
/// What it says of one that cannot be rolled back.
pub const IRREVERSIBLE: &str = "IrreversibleInstanceRefresh";

/// Whether a refresh was refused because Auto Scaling does not know the version of the launch template:
/// it may not have heard yet of one that was made a moment ago. AWS says it in words only.
pub fn is_unheard(failure: &Failure) -> bool {
    let said = failure.message().to_lowercase();
    let unknown = ["could not find", "does not exist", "not found", "no such version"];
    failure.code() == Some("ValidationError")
        && said.contains("launch template")
        && unknown.iter().any(|words| said.contains(words))
}

const START: &str = "autoscaling:StartInstanceRefresh";

/// Where a refresh is, in AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has not begun.
    Pending,
    /// It replaces hosts.
    InProgress,
    /// All are replaced; AWS watches them a little longer.
    Baking,
    /// It is done.
    Successful,
    /// It was given up; what was replaced stays replaced.
    Failed,
    /// It is being cancelled.
    Cancelling,
    /// It was cancelled; what was replaced stays replaced.
    Cancelled,
    /// It puts the former hosts' configuration back.
    RollbackInProgress,
    /// It could not.
    RollbackFailed,
    /// It has.
    RollbackSuccessful,
}

impl Status {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "Pending" => Self::Pending,
            "InProgress" => Self::InProgress,
            "Baking" => Self::Baking,
            "Successful" => Self::Successful,
            "Failed" => Self::Failed,
            "Cancelling" => Self::Cancelling,
            "Cancelled" => Self::Cancelled,
            "RollbackInProgress" => Self::RollbackInProgress,
            "RollbackFailed" => Self::RollbackFailed,
            "RollbackSuccessful" => Self::RollbackSuccessful,
            _ => return None,
        })
    }

    /// Whether the group is still busy with it.
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Pending
                | Self::InProgress
                | Self::Baking
                | Self::Cancelling
                | Self::RollbackInProgress
        )
    }
}

/// A refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub status: Status,
    /// What AWS says of that.
    pub reason: Option<String>,
    /// Why it is rolled back, if it is.
    pub rollback: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How far it is, in percent.
    pub percent: Option<i32>,
    /// The launch template that its hosts shall have: `lt-…`
    pub template: Option<String>,
    /// The number of its version; none where the refresh names none, or `$Latest`.
    pub version: Option<i64>,
}

/// How hosts are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// So much of the group stays in service, and it never has more, in percent.
    Rolling {
        /// 0 to 100.
        least: i32,
        /// 100 to 200.
        most: i32,
    },
    /// Each keeps its id and gets a new root volume.
    RootVolume,
}

/// A refresh to be begun.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The group.
    pub group: &'a str,
    /// `lt-…`
    pub template: &'a str,
    /// Its version.
    pub version: i64,
    /// The image of that version.
    pub image: &'a str,
    /// How.
    pub manner: Manner,
    /// Whether AWS goes back by itself when hosts do not become healthy.
    pub auto_rollback: bool,
    /// Whether hosts are replaced that are protected from scale-in; else they are waited for.
    pub protected: bool,
    /// The CloudWatch alarms that AWS watches meanwhile: once one fires, it goes back by itself, or the
    /// refresh fails where it does not do that. Ten at most.
    pub alarms: &'a [String],
    /// So many seconds a host is in service before it counts; absent: what the group says, which is its
    /// default warm-up, or else its grace period.
    pub warmup: Option<i32>,
}

/// Begins a refresh. Hosts that are as they shall be already are left alone. Returns its id.
///
/// A group with a mixed instances policy keeps it: only the template's version in it is another one.
pub async fn start(config: &SdkConfig, wanted: &Wanted<'_>) -> Result<String, Failure> {
    let client = Client::new(config);
    let policy = policy_of(&client, wanted.group).await?;
    let preferences =
        RefreshPreferences::builder().skip_matching(true).auto_rollback(wanted.auto_rollback);
    // Standby is waited for, which is what AWS does where nothing is said.
    let preferences =
        preferences.set_instance_warmup(wanted.warmup).set_scale_in_protected_instances(
            wanted.protected.then_some(ScaleInProtectedInstances::Refresh),
        );
    let preferences = preferences.set_alarm_specification(watched(wanted.alarms));
    let (strategy, preferences) = match wanted.manner {
        Manner::Rolling { least, most } => (
            RefreshStrategy::Rolling,
            preferences.min_healthy_percentage(least).max_healthy_percentage(most),
        ),
        Manner::RootVolume => {
            (RefreshStrategy::ReplaceRootVolume, preferences.min_healthy_percentage(0))
        }
    };
    let answer = client
        .start_instance_refresh()
        .auto_scaling_group_name(wanted.group)
        .strategy(strategy)
        .desired_configuration(desired(wanted, policy))
        .preferences(preferences.build())
        .send()
        .await
        .map_err(|error| Failure::new(START, &error))?;
    answer
        .instance_refresh_id
        .ok_or_else(|| Failure::Unreadable { call: START, cause: "it has no id".to_owned() })
}

fn watched(alarms: &[String]) -> Option<AlarmSpecification> {
    let builder = AlarmSpecification::builder().set_alarms(Some(alarms.to_vec()));
    (!alarms.is_empty()).then(|| builder.build())
}

async fn policy_of(client: &Client, group: &str) -> Result<Option<MixedInstancesPolicy>, Failure> {
    let call = client.describe_auto_scaling_groups().auto_scaling_group_names(group);
    let answer = call.send().await;
    let answer =
        answer.map_err(|error| Failure::new("autoscaling:DescribeAutoScalingGroups", &error))?;
    let named = |one: &&AutoScalingGroup| one.auto_scaling_group_name() == Some(group);
    let found = answer.auto_scaling_groups().iter().find(named);
    Ok(found.and_then(|group| group.mixed_instances_policy().cloned()))
}

fn desired(wanted: &Wanted<'_>, policy: Option<MixedInstancesPolicy>) -> DesiredConfiguration {
    let template = LaunchTemplateSpecification::builder()
        .launch_template_id(wanted.template)
        .version(wanted.version.to_string())
        .build();
    let by_volume = wanted.manner == Manner::RootVolume;
    let builder = DesiredConfiguration::builder();
    let Some(policy) =
        policy.or_else(|| by_volume.then(|| MixedInstancesPolicy::builder().build()))
    else {
        return builder.launch_template(template).build();
    };
    let mut overrides: Vec<LaunchTemplateOverrides> =
        policy.launch_template().map(|it| it.overrides().to_vec()).unwrap_or_default();
    // AWS replaces root volumes only where every override names the image.
    if by_volume && overrides.is_empty() {
        overrides.push(LaunchTemplateOverrides::builder().build());
    }
    for one in &mut overrides {
        if by_volume || one.image_id.is_some() {
            one.image_id = Some(wanted.image.to_owned());
        }
    }
    let launch = LaunchTemplate::builder()
        .launch_template_specification(template)
        .set_overrides((!overrides.is_empty()).then_some(overrides));
    let policy = MixedInstancesPolicy::builder()
        .launch_template(launch.build())
        .set_instances_distribution(policy.instances_distribution);
    builder.mixed_instances_policy(policy.build()).build()
}

/// The refreshes of a group that AWS remembers, the newest first: those of some weeks, at most
/// `count`.
pub async fn refreshes(
    config: &SdkConfig,
    group: &str,
    count: i32,
) -> Result<Vec<Refresh>, Failure> {
    let call = Client::new(config).describe_instance_refreshes().auto_scaling_group_name(group);
    let answer = call.max_records(count).send().await;
    let answer =
        answer.map_err(|error| Failure::new("autoscaling:DescribeInstanceRefreshes", &error))?;
    Ok(answer.instance_refreshes().iter().filter_map(read).collect())
}

fn read(refresh: &InstanceRefresh) -> Option<Refresh> {
    let desired = refresh.desired_configuration();
    let mixed = desired.and_then(|it| it.mixed_instances_policy());
    let mixed = mixed.and_then(|it| it.launch_template()?.launch_template_specification());
    let template = desired.and_then(|it| it.launch_template()).or(mixed);
    Some(Refresh {
        id: refresh.instance_refresh_id()?.to_owned(),
        status: Status::read(refresh.status()?.as_str())?,
        reason: refresh.status_reason().map(str::to_owned),
        rollback: refresh.rollback_details().and_then(|it| it.rollback_reason().map(str::to_owned)),
        started: refresh.start_time().and_then(super::time),
        ended: refresh.end_time().and_then(super::time),
        percent: refresh.percentage_complete(),
        template: template.and_then(|it| it.launch_template_id().map(str::to_owned)),
        version: template.and_then(|it| it.version()?.parse().ok()),
    })
}

/// Has the refresh that is under way put back what it has replaced.
pub async fn roll_back(config: &SdkConfig, group: &str) -> Result<(), Failure> {
    let call = Client::new(config).rollback_instance_refresh().auto_scaling_group_name(group);
    let answer = call.send().await;
    answer.map(drop).map_err(|error| Failure::new("autoscaling:RollbackInstanceRefresh", &error))
}

/// Ends the refresh that is under way. What it has replaced stays replaced.
pub async fn cancel(config: &SdkConfig, group: &str) -> Result<(), Failure> {
    let call = Client::new(config).cancel_instance_refresh().auto_scaling_group_name(group);
    let answer = call.send().await;
    answer.map(drop).map_err(|error| Failure::new("autoscaling:CancelInstanceRefresh", &error))
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::InstancesDistribution;

    use super::*;

    fn wanted(manner: Manner) -> Wanted<'static> {
        Wanted {
            group: "ci",
            template: "lt-1",
            version: 8,
            image: "ami-2",
            manner,
            auto_rollback: true,
            protected: false,
            alarms: &[],
            warmup: None,
        }
    }

    #[test]
    fn alarms_are_named_only_where_there_are_some() {
        assert_eq!(watched(&[]), None);
        let two = ["slow".to_owned(), "errors".to_owned()];
        assert_eq!(watched(&two).unwrap().alarms(), two);
    }

    #[test]
    fn a_mixed_instances_policy_is_kept_but_for_the_version() {
        let kept = LaunchTemplateOverrides::builder().instance_type("m7i.large").build();
        let launch = LaunchTemplate::builder().overrides(kept).build();
        let spread = InstancesDistribution::builder().on_demand_base_capacity(1).build();
        let policy = MixedInstancesPolicy::builder()
            .launch_template(launch)
            .instances_distribution(spread.clone())
            .build();
        let rolling =
            desired(&wanted(Manner::Rolling { least: 0, most: 100 }), Some(policy.clone()));
        let mixed = rolling.mixed_instances_policy().unwrap();
        assert_eq!(mixed.instances_distribution(), Some(&spread));
        let template = mixed.launch_template().unwrap();
        assert_eq!(template.launch_template_specification().unwrap().version(), Some("8"));
        assert_eq!(template.overrides()[0].instance_type(), Some("m7i.large"));
        assert_eq!(template.overrides()[0].image_id(), None);
        let by_volume = desired(&wanted(Manner::RootVolume), Some(policy));
        let overrides = by_volume.mixed_instances_policy().unwrap().launch_template().unwrap();
        assert_eq!(overrides.overrides()[0].image_id(), Some("ami-2"));
    }

    #[test]
    fn without_a_policy_the_template_alone_is_named_but_for_root_volumes() {
        let rolling = desired(&wanted(Manner::Rolling { least: 0, most: 100 }), None);
        assert_eq!(rolling.launch_template().unwrap().version(), Some("8"));
        assert!(rolling.mixed_instances_policy().is_none());
        let by_volume = desired(&wanted(Manner::RootVolume), None);
        let overrides = by_volume.mixed_instances_policy().unwrap().launch_template().unwrap();
        assert_eq!(overrides.overrides()[0].image_id(), Some("ami-2"));
    }

    #[test]
    fn what_a_refresh_wants_is_read_from_either_form() {
        let template =
            LaunchTemplateSpecification::builder().launch_template_id("lt-1").version("8");
        let plain = DesiredConfiguration::builder().launch_template(template.build()).build();
        for configuration in [plain, desired(&wanted(Manner::RootVolume), None)] {
            let told = InstanceRefresh::builder()
                .instance_refresh_id("1")
                .status("RollbackInProgress".into())
                .desired_configuration(configuration)
                .build();
            let seen = read(&told).unwrap();
            assert_eq!((seen.template.as_deref(), seen.version), (Some("lt-1"), Some(8)));
            assert!(seen.status.is_active());
        }
    }
}
