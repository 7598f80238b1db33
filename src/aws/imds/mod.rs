//! The instance metadata service, version 2 only.
//!
//! Absent is not an error, a refusal is final and explained, and everything else is tried again
//! within one budget, because the service is sometimes minutes late on a new instance. It is asked at
//! its IPv4 and its IPv6 address, and the first that answers is remembered. What a credential is
//! never leaves memory.

mod credentials;
mod document;
mod session;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::Fault;
pub use credentials::Missing;
pub use document::Document;
use session::{Session, Verdict};
pub use wire::VARIABLE;
use wire::Wire;

/// How long the service may be silent; EC2 has been seen to need more than two minutes.
pub const BUDGET: Duration = Duration::from_mins(5);

/// The schema in which what does not change is asked for: it has tags, and no later one takes
/// anything away.
pub const PINNED: &str = "/2021-03-23";

/// How long a token lasts: as long as a boot asks, or as long as it may.
const BOOT_TTL: Duration = Duration::from_mins(5);
const LONG_TTL: Duration = Duration::from_hours(6);

/// How long the service may be silent after the budget of the boot.
const LATER: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// As often in a budget it is told that there is no answer yet: every ten seconds of a boot.
const TOLD: u32 = 30;

const DOCUMENT: &str = "/2021-03-23/dynamic/instance-identity/document";
const ZONE_ID: &str = "/2021-03-23/meta-data/placement/availability-zone-id";
const USER_DATA: &str = "/2021-03-23/user-data";
const TAGS: &str = "/2021-03-23/meta-data/tags/instance";

/// A client of the metadata service. Its clones share token and connections.
#[derive(Clone)]
pub struct Imds {
    session: Arc<Session>,
    until: Instant,
    budget: Duration,
    /// Credentials that came with the name of the role, until somebody takes them.
    fresh: Arc<Mutex<Option<Credentials>>>,
}

impl fmt::Debug for Imds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imds").field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Imds {
    /// A client whose requests may together take `budget`. `endpoint` is for tests; else
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT` may say where it is.
    pub fn new(endpoint: Option<&str>, budget: Duration) -> anyhow::Result<Self> {
        Ok(Self::on(Wire::new(endpoint)?, BOOT_TTL, budget))
    }

    /// One for a process that asks as long as the host lives: each request may take `budget`.
    pub fn lasting(endpoint: Option<&str>, budget: Duration) -> anyhow::Result<Self> {
        Ok(Self::on(Wire::new(endpoint)?, LONG_TTL, budget))
    }

    fn on(wire: Wire, ttl: Duration, budget: Duration) -> Self {
        let session = Arc::new(Session::new(wire, ttl));
        Self { session, until: Instant::now() + budget, budget, fresh: Arc::default() }
    }

    /// The value at `path`, or `None` where the instance has none. `waiting` is told now and then
    /// why there is no answer yet.
    pub async fn get(
        &self,
        path: &str,
        waiting: impl FnMut(&str),
    ) -> anyhow::Result<Option<String>> {
        // The budget of a boot is for its first requests together; later ones have their own.
        let until = self.until.max(Instant::now() + self.patience());
        self.text_until(until, path, waiting).await
    }

    /// As [`Imds::get`] for what every instance has.
    pub async fn require(&self, path: &str, waiting: impl FnMut(&str)) -> anyhow::Result<String> {
        self.get(path, waiting).await?.ok_or_else(|| {
            let path = shown(path);
            Fault::environment(format!("the instance metadata service has no {path}"))
                .hint("this does not look like EC2: something else answers at its address")
                .into()
        })
    }

    /// The user-data; empty where the instance has none.
    pub async fn user_data(&self) -> anyhow::Result<String> {
        Ok(self.get(USER_DATA, |_| {}).await?.unwrap_or_default())
    }

    /// The identity document.
    pub async fn document(&self, waiting: impl FnMut(&str)) -> anyhow::Result<Document> {
        Ok(Document::parse(&self.require(DOCUMENT, waiting).await?)?)
    }

    /// The name of the availability zone in every account.
    pub async fn zone_id(&self) -> anyhow::Result<String> {
        let text = self.require(ZONE_ID, |_| {}).await?;
        let id = text.trim();
        if document::is_zone_id(id) {
            return Ok(id.to_owned());
        }
        let what = "what the instance metadata service gives as the id of the zone is none";
        Err(Fault::environment(what)
            .hint("this does not look like EC2: something else answers at its address")
            .into())
    }

    /// The names of the instance's tags; `None` where its metadata options do not give them away,
    /// or it has none.
    pub async fn tags(&self) -> anyhow::Result<Option<Vec<String>>> {
        let list = self.get(TAGS, |_| {}).await?;
        Ok(list.map(|list| list.lines().map(str::trim).map(str::to_owned).collect()))
    }

    /// The value of the tag `name`.
    pub async fn tag(&self, name: &str) -> anyhow::Result<Option<String>> {
        self.get(&format!("{TAGS}/{name}"), |_| {}).await
    }

    /// What time it is there, to the second: every answer tells it, or none where it does not.
    pub async fn date(&self) -> anyhow::Result<Option<jiff::Timestamp>> {
        self.require(ZONE_ID, |_| {}).await?;
        Ok(self.session.date())
    }

    /// How long a request may take that is not the boot's first.
    fn patience(&self) -> Duration {
        self.budget.min(LATER)
    }

    async fn text_until(
        &self,
        until: Instant,
        path: &str,
        waiting: impl FnMut(&str),
    ) -> anyhow::Result<Option<String>> {
        let Some(bytes) = self.bytes_until(until, path, waiting).await? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| not_text(path))?;
        Ok(Some(text.to_owned()))
    }

    async fn bytes_until(
        &self,
        until: Instant,
        path: &str,
        mut waiting: impl FnMut(&str),
    ) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut pause = FIRST_PAUSE;
        let mut tell = Instant::now() + self.budget / TOLD;
        loop {
            let cause = match self.session.get(path).await {
                Verdict::Found(bytes) => return Ok(Some(bytes)),
                Verdict::Absent => return Ok(None),
                Verdict::Refused(status) => return Err(refusal(status, path).into()),
                Verdict::Foreign(what) => return Err(foreign(what).into()),
                Verdict::Malformed => {
                    // Nobody but hostkit can do something about it.
                    anyhow::bail!("the metadata service does not understand {}", shown(path))
                }
                Verdict::Later(cause) => cause,
            };
            let now = Instant::now();
            if now >= until {
                return Err(self.silence(path, &cause).into());
            }
            if now >= tell {
                waiting(&cause);
                tell = now + self.budget / TOLD;
            }
            // Anything from nothing to the whole pause: many instances start at the same moment.
            let random = pause.mul_f64(fastrand::f64());
            tokio::time::sleep(random.min(until - now)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn silence(&self, path: &str, cause: &str) -> Fault {
        let (seconds, path) = (self.budget.as_secs(), shown(path));
        Fault::environment(format!(
            "the instance metadata service gave no {path} within {seconds} s: {cause}"
        ))
        .hint("check that the metadata service of the instance is enabled and 169.254.169.254 is routed")
    }
}

/// A path without its version.
fn shown(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    path.split_once('/').map_or(path, |(_, rest)| rest)
}

fn refusal(status: u16, path: &str) -> Fault {
    let path = shown(path);
    let fault = Fault::environment(format!(
        "the instance metadata service refused {path} with HTTP {status}"
    ));
    match status {
        300..400 => fault.hint(
            "something in between redirects: nothing may stand between an \
                                instance and 169.254.169.254",
        ),
        404 => {
            fault.hint("what answers there gives no tokens: it is not the metadata service of EC2")
        }
        _ => fault.hint(
            "set HttpEndpoint=enabled and HttpTokens=required in the metadata options of \
                         the instance: aws ec2 modify-instance-metadata-options",
        ),
    }
}

fn foreign(what: &str) -> Fault {
    Fault::environment(format!(
        "what answers as the instance metadata service is something else: {what}"
    ))
    .hint("a proxy or a captive network stands between this host and 169.254.169.254")
}

fn not_text(path: &str) -> Fault {
    if path == USER_DATA {
        return Fault::recipe("user-data is not text")
            .hint("hostkit reads TOML there, like host.toml; it understands nothing compressed");
    }
    let path = shown(path);
    Fault::environment(format!("what the instance metadata service has at {path} is not text"))
        .hint("this does not look like EC2: something else answers at its address")
}
