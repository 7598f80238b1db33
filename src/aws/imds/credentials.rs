//! The instance role and its credentials. They are kept in memory only, and nothing shows them.

use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use serde::Deserialize;
use tokio::time::Instant;

use super::{FIRST_PAUSE, Imds};
use crate::error::Fault;

const PATH: &str = "/latest/meta-data/iam/security-credentials/";

/// How long a role may be missing: a profile is attached within seconds of the launch.
const ROLE_ABSENT: Duration = Duration::from_secs(30);

/// What the service says of a role. Everything but the code and the time is secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<jiff::Timestamp>,
}

/// A role that has no credentials, and what is said of it.
#[derive(Debug)]
pub struct Missing {
    what: String,
    hint: &'static str,
}

impl Missing {
    /// What helps.
    pub const fn hint(&self) -> &'static str {
        self.hint
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

const NO_PROFILE: &str = "give the instance (in its launch template) an IAM instance profile";
const NO_TRUST: &str = "the trust policy of the role must let ec2.amazonaws.com assume it";

impl Imds {
    /// The name of the instance role, once its credentials are there: they come later than the
    /// rest.
    pub async fn role(&self) -> anyhow::Result<String> {
        let began = Instant::now();
        let silent = began + self.patience();
        loop {
            let missing = match self.role_with_credentials(silent).await? {
                Ok(role) => return Ok(role),
                Err(missing) => missing,
            };
            if Instant::now() > began + self.budget.min(ROLE_ABSENT) {
                return Err(Fault::environment(missing.what).hint(missing.hint).into());
            }
            tokio::time::sleep(FIRST_PAUSE * 2).await;
        }
    }

    /// As [`Imds::role`], but nobody waits for credentials that are not there yet.
    pub async fn role_now(&self) -> anyhow::Result<Result<String, Missing>> {
        self.role_with_credentials(Instant::now() + self.patience()).await
    }

    async fn role_with_credentials(
        &self,
        until: Instant,
    ) -> anyhow::Result<Result<String, Missing>> {
        let list = self.text_until(until, PATH, |_| {}).await?.unwrap_or_default();
        let Some(role) = list.lines().map(str::trim).find(|role| is_role(role)) else {
            let what = "the instance has no IAM role".to_owned();
            return Ok(Err(Missing { what, hint: NO_PROFILE }));
        };
        let loaded = self.credentials_until(until, role).await?;
        Ok(loaded.map(|credentials| {
            // Whoever asks first gets these: it saves a request.
            *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
            role.to_owned()
        }))
    }

    /// The credentials of `role`: those that came with its name, if nobody has taken them.
    pub(in crate::aws) async fn credentials(
        &self,
        role: &str,
    ) -> anyhow::Result<Result<Credentials, Missing>> {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take();
        let lasts = |it: &Credentials| it.expiry().is_some_and(|end| end > SystemTime::now());
        if let Some(fresh) = fresh.filter(lasts) {
            return Ok(Ok(fresh));
        }
        self.credentials_until(Instant::now() + self.patience(), role).await
    }

    async fn credentials_until(
        &self,
        until: Instant,
        role: &str,
    ) -> anyhow::Result<Result<Credentials, Missing>> {
        let missing = |code: &str| {
            let what = format!("the IAM role {role} has no credentials ({})", code.escape_debug());
            let hint = match code {
                "AssumeRoleUnauthorizedAccess" => NO_TRUST,
                _ => NO_PROFILE,
            };
            Ok(Err(Missing { what, hint }))
        };
        let Some(bytes) = self.bytes_until(until, &format!("{PATH}{role}"), |_| {}).await? else {
            return missing("no answer");
        };
        // What it says is never repeated: it is secret.
        let Ok(document) = serde_json::from_slice::<Document>(&bytes) else {
            return missing("an answer that cannot be read");
        };
        let Document { code, access_key_id, secret_access_key, token, expiration } = document;
        let code = code.unwrap_or_default();
        match (code.as_str(), access_key_id, secret_access_key) {
            ("Success", Some(id), Some(secret)) => {
                let expiry = expiration.map(SystemTime::from);
                Ok(Ok(Credentials::new(id, secret, token, expiry, "hostkit-imds")))
            }
            ("Success", ..) => missing("an answer without keys"),
            (code, ..) => missing(code),
        }
    }
}

/// What is put into a path.
fn is_role(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    (1..=128).contains(&name.len()) && name.chars().all(part)
}
