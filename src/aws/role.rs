//! The credentials of the instance role, for the SDK.
//!
//! The SDK's own provider gives up at the first hiccup of the metadata service, and asks it at
//! another address than ours. This one is patient; and where the service is silent when credentials
//! end, it lends them a little longer, as the SDK's does: AWS may still take them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};

use super::imds::Imds;
use crate::secret;

const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Until when a whole round of attempts must be over: the SDK waits for 30 s.
const ROUND: Duration = Duration::from_secs(25);
const LENT: Duration = Duration::from_mins(10);

/// Gives the credentials of one role.
#[derive(Debug)]
pub(super) struct Role {
    imds: Imds,
    name: String,
    last: Mutex<Option<Credentials>>,
}

impl Role {
    pub(super) fn new(imds: &Imds, name: &str) -> Self {
        Self { imds: imds.clone(), name: name.to_owned(), last: Mutex::default() }
    }

    async fn load(&self) -> provider::Result {
        let silent = || "the metadata service is silent".to_owned();
        let asked = tokio::time::timeout(ROUND, self.ask()).await;
        let why = match asked.unwrap_or_else(|_elapsed| Err(silent())) {
            Ok(found) => {
                learn(&found);
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
                return Ok(found);
            }
            Err(why) => why,
        };
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut last) = last else {
            return Err(CredentialsError::provider_error(why));
        };
        tracing::warn!(why, "the credentials of the role are used a little longer");
        *last.expiry_mut() = Some(SystemTime::now() + LENT);
        Ok(last)
    }

    async fn ask(&self) -> Result<Credentials, String> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let why = match self.imds.credentials(&self.name).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(missing)) => missing.to_string(),
                Err(error) => format!("{error:#}"),
            };
            if attempt == ATTEMPTS {
                return Err(why);
            }
            tracing::debug!(why, "the role has no credentials yet");
            tokio::time::sleep(pause).await;
            (pause, attempt) = (pause * 2, attempt + 1);
        }
    }
}

/// Has what AWS takes for us masked. Its own are long: what a stand-in gives may be a common word.
fn learn(credentials: &Credentials) {
    let texts = [Some(credentials.secret_access_key()), credentials.session_token()];
    texts.into_iter().flatten().filter(|text| text.len() >= 16).for_each(secret::learn);
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}
