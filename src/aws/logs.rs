//! CloudWatch Logs.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;

use super::Failure;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What.
    pub text: String,
}

/// Makes a stream in a group. One that is there already is as good.
pub async fn create_stream(config: &SdkConfig, group: &str, stream: &str) -> Result<(), Failure> {
    let call = Client::new(config).create_log_stream();
    let made = call.log_group_name(group).log_stream_name(stream).send().await;
    match made.map_err(|error| Failure::new("logs:CreateLogStream", &error)) {
        Err(failure) if failure.code() == Some("ResourceAlreadyExistsException") => Ok(()),
        made => made.map(drop),
    }
}

/// Puts events, which must be in order. Returns how many of them AWS did not take, because they are
/// too old or of the future.
pub async fn put(
    config: &SdkConfig,
    group: &str,
    stream: &str,
    events: &[LogEvent],
) -> Result<usize, Failure> {
    let input = events.iter().map(|event| {
        let event = InputLogEvent::builder().timestamp(event.at).message(&event.text);
        event.build().expect("it has both that it must have")
    });
    let call = Client::new(config).put_log_events().log_group_name(group);
    let call = call.log_stream_name(stream).set_log_events(Some(input.collect()));
    let put = call.send().await.map_err(|error| Failure::new("logs:PutLogEvents", &error))?;
    let Some(rejected) = put.rejected_log_events_info() else { return Ok(0) };
    let index = |index: Option<i32>| index.and_then(|index| usize::try_from(index).ok());
    let old = index(rejected.too_old_log_event_end_index())
        .max(index(rejected.expired_log_event_end_index()))
        .unwrap_or(0);
    let new = index(rejected.too_new_log_event_start_index()).unwrap_or(events.len());
    Ok(old + events.len().saturating_sub(new))
}
