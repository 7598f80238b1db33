//! What time it is on AWS: a machine whose clock is hours off must not take what was just made for
//! something old.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::Failure;

/// Keeps the `Date` of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener(Arc<Mutex<Option<Timestamp>>>);

impl Listener {
    /// The time of the answer that came last, to the second; none where it has none.
    pub(super) fn heard(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Listener {
    fn name(&self) -> &'static str {
        "the time of the answer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let time = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
        Ok(())
    }
}

/// Asks AWS for the time, which it gives with every answer; this machine's where it gives none.
pub async fn now(config: &SdkConfig) -> Result<Timestamp, Failure> {
    let (answer, heard) = ask(config).await;
    answer.map(|()| heard.unwrap_or_else(Timestamp::now))
}

/// As [`now`], but a refusal tells the time as well: a signature of another time is refused. To the
/// second; none where an answer has none.
///
/// # Errors
/// There was no answer that tells it.
pub async fn heard(config: &SdkConfig) -> Result<Option<Timestamp>, Failure> {
    match ask(config).await {
        (Err(failure), None) => Err(failure),
        (_, heard) => Ok(heard),
    }
}

async fn ask(config: &SdkConfig) -> (Result<(), Failure>, Option<Timestamp>) {
    let listener = Listener::default();
    let call = aws_sdk_sts::Client::new(config).get_caller_identity();
    let answer = call.customize().interceptor(listener.clone()).send().await;
    let answer = answer.map_err(|error| Failure::new("sts:GetCallerIdentity", &error));
    (answer.map(drop), listener.heard())
}
