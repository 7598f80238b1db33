//! Makes a key pair and uploads both halves. Nothing that is there is ever overwritten.

use anyhow::Context as _;
use aws_config::SdkConfig;
use serde::Serialize;

use super::make::{self, Kind};
use super::private::PrivateKey;
use super::{host_key_of, public_of};
use crate::aws::operator::{fault, region};
use crate::aws::ssm;
use crate::error::Fault;

/// A pair in Parameter Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parameter with the private half.
    pub private: String,
    /// The parameter with the public half.
    pub public: String,
    /// Whose host key it is; the key of the controllers if absent.
    pub pool: Option<String>,
}

impl Place {
    /// The host key of a pool.
    pub fn of_pool(pool: &str) -> Self {
        let private = host_key_of(pool);
        Self { public: public_of(&private), private, pool: Some(pool.to_owned()) }
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// The parameter with the private half.
    pub private: String,
    /// The parameter with the public half.
    pub public: String,
    /// Of the public half.
    pub fingerprint: String,
    /// Whether the private half was there already, and only the other one was missing.
    pub completed: bool,
}

/// Makes a pair at `place`. A private half without its public one, which a killed run left, gets
/// that; everything else that is there already is refused.
pub async fn generate(
    config: &SdkConfig,
    place: &Place,
    kind: Kind,
    key: Option<&str>,
) -> anyhow::Result<Made> {
    let (private, public) = (place.private.as_str(), place.public.as_str());
    let found = ssm::parameters(config, &[private, public]).await.map_err(|it| fault(&it))?;
    let comment =
        place.pool.as_ref().map_or_else(|| "jenkins".to_owned(), |it| format!("pool-{it}"));
    let (half, completed) = match (found.values.get(private), found.values.get(public)) {
        (_, Some(_)) => return Err(taken(config, place, public).into()),
        (Some(value), None) => {
            let what = || format!("the parameter `{private}`");
            let there = PrivateKey::read(value)
                .map_err(|wrong| Fault::aws(format!("{} {wrong}", what())).hint(wrong.hint()))?;
            (make::half_of(&there).await.with_context(what)?.with_comment(comment), true)
        }
        (None, None) => {
            let pair = make::pair(kind, &comment).await?;
            let secret = ssm::Kind::Secret(key);
            let text = pair.private.text();
            let about = place.pool.as_ref().map_or_else(
                || "The key with which the controller logs in on build agents".to_owned(),
                |pool| format!("The host key that all build agents of the pool {pool} have"),
            );
            create(config, place, private, text, secret, &about).await?;
            (pair.public, false)
        }
    };
    let about = format!("The public half of {private}");
    create(config, place, public, &half.line(), ssm::Kind::Plain, &about).await?;
    let fingerprint = half.fingerprint();
    Ok(Made { private: private.into(), public: public.into(), fingerprint, completed })
}

async fn create(
    config: &SdkConfig,
    place: &Place,
    name: &str,
    value: &str,
    kind: ssm::Kind<'_>,
    about: &str,
) -> Result<(), Fault> {
    match ssm::create(config, name, value, kind, about).await {
        // Somebody else was quicker.
        Err(failure) if failure.code() == Some("ParameterAlreadyExists") => {
            Err(taken(config, place, name))
        }
        made => made.map_err(|failure| fault(&failure)),
    }
}

fn taken(config: &SdkConfig, place: &Place, name: &str) -> Fault {
    let region = region(config);
    let text =
        format!("the parameter `{name}` is there already in {region}, and is not overwritten");
    Fault::usage(text).hint(if place.pool.is_some() {
        "the agents of a pool keep their host key: name another pool"
    } else {
        "`hostkit keys rotate` exchanges a key pair while logins go on; or name other parameters"
    })
}
