//! The credentials of the instance role.
//!
//! The SDK's own provider gives up at the first hiccup of the metadata service, and the SDK does
//! not repeat a call because of that. This one is patient.

use std::time::Duration;

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_credential_types::provider::{self, ProvideCredentials, future};

use super::imds::Imds;

const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Gives the credentials of one role.
#[derive(Debug)]
pub(super) struct Role(ImdsCredentialsProvider);

impl Role {
    pub(super) fn new(imds: &Imds, name: &str) -> Self {
        Self(ImdsCredentialsProvider::builder().imds_client(imds.client()).profile(name).build())
    }

    async fn load(&self) -> provider::Result {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.0.provide_credentials().await {
                Err(error) => tracing::debug!(%error, "the role has no credentials yet"),
                found => return found,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.0.provide_credentials().await
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}
