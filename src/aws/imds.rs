//! The instance metadata service, version 2 only.
//!
//! The SDK's client keeps the token. What is added here: absent is not an error, a refusal is
//! final and explained, and everything else is retried within one budget, because the service is
//! sometimes minutes late on a new instance.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::imds::Client;
use aws_config::imds::client::error::{ImdsError, TokenError};
use aws_sdk_ssm::config::http::HttpResponse;
use aws_sdk_ssm::error::SdkError;
use serde::Deserialize;
use tokio::time::Instant;

use crate::error::Fault;

/// How long the service may be silent; EC2 has been seen to need more than two minutes.
pub const BUDGET: Duration = Duration::from_mins(5);

/// How long a role may be missing: a profile is attached within seconds of the launch.
const ROLE_ABSENT: Duration = Duration::from_secs(30);
/// How long the service may be silent about the role when it has answered before.
const ROLE_SILENT: Duration = Duration::from_mins(1);
const USER_DATA: &str = "/latest/user-data";
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

const CONNECT: Duration = Duration::from_secs(1);
const READ: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A client of the metadata service.
#[derive(Clone)]
pub struct Imds {
    client: Client,
    until: Instant,
    budget: Duration,
}

impl fmt::Debug for Imds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imds").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// The identity document: who the instance is, in one request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The instance.
    pub instance_id: String,
    /// The account that owns it.
    pub account_id: String,
    /// Its region.
    pub region: String,
    /// Its availability zone.
    pub availability_zone: String,
    /// Its image.
    pub image_id: String,
    /// Its address.
    pub private_ip: Ipv4Addr,
    /// When it was last started.
    #[serde(default)]
    pub pending_time: Option<jiff::Timestamp>,
}

enum Verdict {
    Absent,
    NotText,
    Refused(u16),
    Transient(String),
}

impl Imds {
    /// A client whose requests may together take `budget`. `endpoint` is for tests; the SDK also
    /// honours `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn new(endpoint: Option<&str>, budget: Duration) -> anyhow::Result<Self> {
        // One attempt here, retries below: the SDK does not retry what a starting machine sees.
        let mut builder =
            Client::builder().max_attempts(1).connect_timeout(CONNECT).read_timeout(READ);
        if let Some(endpoint) = endpoint {
            builder = builder
                .endpoint(endpoint)
                .map_err(|error| anyhow::anyhow!("the metadata endpoint is not a URL: {error}"))?;
        }
        Ok(Self { client: builder.build(), until: Instant::now() + budget, budget })
    }

    /// The SDK's client, which shares the token.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The value at `path`, or `None` where the instance has none. `waiting` is told every time
    /// that another attempt is needed.
    pub async fn get(
        &self,
        path: &str,
        waiting: impl FnMut(&str),
    ) -> anyhow::Result<Option<String>> {
        self.get_until(self.until, path, waiting).await
    }

    async fn get_until(
        &self,
        until: Instant,
        path: &str,
        mut waiting: impl FnMut(&str),
    ) -> anyhow::Result<Option<String>> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.client.get(path).await {
                Ok(text) => return Ok(Some(text.as_ref().to_owned())),
                Err(error) => match judge(&error) {
                    Verdict::Absent => return Ok(None),
                    Verdict::Refused(status) => return Err(refusal(status, path).into()),
                    Verdict::NotText => return Err(not_text(path).into()),
                    Verdict::Transient(cause) if Instant::now() + pause > until => {
                        return Err(self.silence(path, &cause).into());
                    }
                    Verdict::Transient(cause) => waiting(&cause),
                },
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// As [`Imds::get`] for what every instance has.
    pub async fn require(&self, path: &str, waiting: impl FnMut(&str)) -> anyhow::Result<String> {
        self.get(path, waiting).await?.ok_or_else(|| {
            Fault::environment(format!("the instance metadata service has no {path}"))
                .hint("this does not look like EC2")
                .into()
        })
    }

    /// The user-data; empty where the instance has none.
    pub async fn user_data(&self) -> anyhow::Result<String> {
        Ok(self.get(USER_DATA, |_| {}).await?.unwrap_or_default())
    }

    /// The name of the instance role, once its credentials are there: they come later than the
    /// rest, and the SDK takes the first hiccup for an answer.
    pub async fn role(&self) -> anyhow::Result<String> {
        let began = Instant::now();
        let silent = began + self.budget.min(ROLE_SILENT);
        loop {
            let missing = match self.role_with_credentials(silent).await? {
                Ok(role) => return Ok(role),
                Err(missing) => missing,
            };
            if Instant::now() > began + self.budget.min(ROLE_ABSENT) {
                return Err(Fault::environment(missing)
                    .hint("give the instance (in its launch template) an IAM instance profile")
                    .into());
            }
            tokio::time::sleep(FIRST_PAUSE * 2).await;
        }
    }

    async fn role_with_credentials(
        &self,
        until: Instant,
    ) -> anyhow::Result<Result<String, String>> {
        let list = self.get_until(until, CREDENTIALS, |_| {}).await?.unwrap_or_default();
        let Some(role) = list.lines().map(str::trim).find(|role| !role.is_empty()) else {
            return Ok(Err("the instance has no IAM role".to_owned()));
        };
        let answer = self.get_until(until, &format!("{CREDENTIALS}{role}"), |_| {}).await?;
        // What else it says is secret.
        let code = answer.and_then(|text| {
            let answer: serde_json::Value = serde_json::from_str(&text).ok()?;
            answer["Code"].as_str().map(str::to_owned)
        });
        Ok(match code.as_deref() {
            Some("Success") => Ok(role.to_owned()),
            code => Err(format!(
                "the IAM role {role} has no credentials ({})",
                code.unwrap_or("no answer").escape_debug()
            )),
        })
    }

    /// The identity document.
    pub async fn document(&self, waiting: impl FnMut(&str)) -> anyhow::Result<Document> {
        let text = self.require("/latest/dynamic/instance-identity/document", waiting).await?;
        let document: Document =
            serde_json::from_str(&text).context("reading the instance identity document")?;
        anyhow::ensure!(
            is_region(&document.region),
            "the instance identity document names `{}` as the region",
            document.region.escape_debug()
        );
        Ok(document)
    }

    fn silence(&self, path: &str, cause: &str) -> Fault {
        let seconds = self.budget.as_secs();
        Fault::environment(format!(
            "the instance metadata service gave no {path} within {seconds} s: {cause}"
        ))
        .hint("check that the metadata service of the instance is enabled and 169.254.169.254 is routed")
    }
}

fn refusal(status: u16, path: &str) -> Fault {
    Fault::environment(format!("the instance metadata service refused {path} with HTTP {status}"))
        .hint("set HttpEndpoint=enabled and HttpTokens=required in the metadata options of the instance")
}

fn not_text(path: &str) -> Fault {
    if path == USER_DATA {
        return Fault::recipe("user-data is not text")
            .hint("hostkit reads TOML there, like host.toml; it understands nothing compressed");
    }
    Fault::environment(format!("what the instance metadata service has at {path} is not text"))
        .hint("this does not look like EC2")
}

fn judge(error: &ImdsError) -> Verdict {
    match error {
        ImdsError::ErrorResponse(context) => by_status(context.response().status().as_u16()),
        other => token_status(other).map_or_else(|| by_cause(chain(other)), by_status),
    }
}

/// The SDK has no type for it: the bytes are thrown away before we could look at them.
fn by_cause(cause: String) -> Verdict {
    if cause.contains("valid UTF-8") { Verdict::NotText } else { Verdict::Transient(cause) }
}

fn by_status(status: u16) -> Verdict {
    match status {
        404 => Verdict::Absent,
        429 | 500.. => Verdict::Transient(format!("HTTP {status}")),
        _ => Verdict::Refused(status),
    }
}

/// The HTTP status of a request for a token that was answered with an error.
fn token_status(error: &ImdsError) -> Option<u16> {
    let source = std::error::Error::source(error)?;
    let response = source.downcast_ref::<SdkError<TokenError, HttpResponse>>()?.raw_response()?;
    // No token at all at this address: not a value that is absent, but a service that is not there.
    let status = response.status().as_u16();
    Some(if status == 404 { 403 } else { status })
}

fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    // The last source is the one that tells something: `connection refused`.
    sources.last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// `eu-west-1`, `us-gov-east-1`, `cn-north-1`: what is put into host names must look like this.
fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let letters = |part: &&str| part.chars().all(|c| c.is_ascii_lowercase()) && part.len() >= 2;
    (3..=4).contains(&parts.len())
        && parts[..parts.len() - 1].iter().all(letters)
        && parts.last().is_some_and(|n| n.len() <= 2 && n.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_what_aws_calls_one() {
        for good in ["eu-west-1", "us-gov-east-1", "us-iso-east-1", "ap-southeast-10"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "evil.example", "eu-west-", "eu-west-1.evil", "-eu-west-1", "eu_west_1"] {
            assert!(!is_region(bad), "{bad}");
        }
    }
}
