//! What a group did of late: each launch and each termination, how long it took and why.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{self, ScalingActivityStatusCode};
use jiff::Timestamp;

use super::Failure;

/// So many are asked for: the last days of a group of one host.
const MOST: i32 = 50;

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

/// Something that a group does, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// What it is about.
    pub kind: Kind,
    /// The instance, where there is one.
    pub instance: Option<String>,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Whether it is over and went well.
    pub done: bool,
    /// Whether it is over and did not go well.
    pub failed: bool,
    /// What AWS says of how it went.
    pub message: String,
    /// Why it was done.
    pub cause: String,
}

impl Activity {
    /// How long it took, hooks and all; none where it did not come to a good end.
    pub fn took(&self) -> Option<Duration> {
        let (began, ended) = (self.began?, self.ended?);
        self.done.then(|| Duration::try_from(ended.duration_since(began)).ok())?
    }
}

/// What a group did of late, the newest first.
pub async fn activities(config: &SdkConfig, group: &str) -> Result<Vec<Activity>, Failure> {
    let call = Client::new(config).describe_scaling_activities().auto_scaling_group_name(group);
    let answer = call.max_records(MOST).send().await;
    let answer =
        answer.map_err(|error| Failure::new("autoscaling:DescribeScalingActivities", &error))?;
    Ok(answer.activities().iter().map(read).collect())
}

fn read(activity: &types::Activity) -> Activity {
    use ScalingActivityStatusCode::{Cancelled, Failed, Successful};
    let at = |time: Option<&aws_smithy_types::DateTime>| {
        time.and_then(|time| Timestamp::from_millisecond(time.to_millis().ok()?).ok())
    };
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let description = activity.description().unwrap_or_default();
    let kind = match description {
        it if it.starts_with("Launching") => Kind::Launch,
        it if it.starts_with("Terminating") => Kind::Terminate,
        _ => Kind::Other,
    };
    let mut words = description.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    Activity {
        kind,
        instance: words.find(|word| word.starts_with("i-")).map(str::to_owned),
        began: at(activity.start_time()),
        ended: at(activity.end_time()),
        done: activity.status_code() == Some(&Successful),
        failed: matches!(activity.status_code(), Some(Failed | Cancelled)),
        message: text(activity.status_message()),
        cause: text(activity.cause()),
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;

    use super::*;

    #[test]
    fn an_activity_tells_its_instance_and_how_long_it_took() {
        let told = |code| {
            types::Activity::builder()
                .description("Launching a new EC2 instance: i-0123456789abcdef0")
                .start_time(DateTime::from_secs(100))
                .end_time(DateTime::from_millis(161_500))
                .status_code(code)
                .build()
        };
        let good = read(&told(ScalingActivityStatusCode::Successful));
        assert_eq!(good.instance.as_deref(), Some("i-0123456789abcdef0"));
        assert_eq!((good.kind, good.took()), (Kind::Launch, Some(Duration::from_millis(61_500))));
        let bad = read(&told(ScalingActivityStatusCode::Failed));
        assert!(bad.failed && bad.took().is_none());
    }
}
