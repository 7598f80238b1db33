//! AWS as a person or a pipeline sees it: their profile, their region, their credentials.
//!
//! The counterpart of a host's [`super::config`]: here the SDK's usual chain is followed
//! (environment, profiles, web identity, the metadata service of a build instance).

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;

use super::{Clock, Failure};
use crate::error::Fault;

const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(30);
const OPERATION: Duration = Duration::from_mins(3);
/// Control plane calls are throttled for minutes where many build at once.
const ATTEMPTS: u32 = 8;

/// What a person says of where calls go, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The region; the profile's or the environment's if absent.
    pub region: Option<String>,
    /// The profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// Where all services are, if not on AWS.
    pub endpoint_url: Option<String>,
}

/// Who calls are made as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// The user or the session of a role.
    pub arn: String,
}

impl Access {
    /// How calls are made. Credentials are looked up, and no call is made.
    ///
    /// # Errors
    /// No region is known, or no credentials are found: a matter of the environment.
    pub async fn config(&self) -> Result<SdkConfig, Fault> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .app_name(AppName::new("hostkit").expect("the name is a constant of plain letters"))
            .retry_config(RetryConfig::adaptive().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(OPERATION)
                    .build(),
            );
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(Fault::environment("no AWS region is known")
                .hint("give --region, set AWS_REGION, or put `region` into the profile"));
        }
        let provider = config.credentials_provider();
        let found = match &provider {
            Some(provider) => provider.provide_credentials().await,
            None => return Err(no_credentials("there is no provider of credentials")),
        };
        found.map(|_| config).map_err(|error| no_credentials(&super::failure::causes(&error)))
    }
}

fn no_credentials(cause: &str) -> Fault {
    Fault::environment(format!("no AWS credentials were found: {cause}"))
        .hint("give --profile, set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
}

/// The same calls in another region.
pub fn in_region(config: &SdkConfig, region: &str) -> SdkConfig {
    config.to_builder().region(Region::new(region.to_owned())).build()
}

/// The region of calls.
pub fn region(config: &SdkConfig) -> &str {
    config.region().map_or("", Region::as_ref)
}

/// Asks AWS who this is: the first call, which tells wrong credentials and a wrong clock.
pub async fn identity(config: &SdkConfig) -> Result<Identity, Failure> {
    const CALL: &str = "sts:GetCallerIdentity";
    let answer = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
    let answer = answer.map_err(|error| Failure::new(CALL, &error))?;
    match (answer.account, answer.arn) {
        (Some(account), Some(arn)) => Ok(Identity { account, arn }),
        _ => Err(Failure::Unreadable { call: CALL, cause: "it names no account".to_owned() }),
    }
}

/// A failure of a person's call, and what that person can do about it.
///
/// The conversion of [`Failure`] itself speaks to who looks after a host.
pub fn fault(failure: &Failure) -> Fault {
    let fault = Fault::aws(failure.to_string());
    let code = failure.code().unwrap_or_default();
    let hint = match failure.clock() {
        Clock::Off(ahead) => {
            format!("the clock of this machine is wrong by {ahead:#}: set it, and try again")
        }
        _ if failure.is_denied() => format!(
            "allow `{}` to whom these credentials belong: `hostkit iam ROLE` prints what is needed",
            failure.wanted()
        ),
        _ if code.contains("Expired") => "these credentials are too old: sign in again".to_owned(),
        Clock::Suspect | Clock::Fine if code == "AuthFailure" => {
            "check the credentials, and the clock of this machine".to_owned()
        }
        _ if code.contains("LimitExceeded") && !failure.is_passing() => {
            "ask for more in Service Quotas, or remove what is not needed: `hostkit images prune`"
                .to_owned()
        }
        _ if failure.is_passing() && !code.is_empty() => {
            "AWS has too much to do: the same command carries on later".to_owned()
        }
        _ if code.is_empty() => {
            "check the network, the region and --endpoint-url; then give the same command again"
                .to_owned()
        }
        _ => "the answer is from AWS itself; its code is in the documentation of that call".into(),
    };
    fault.hint(hint)
}
