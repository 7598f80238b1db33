//! Where calls to AWS go, and as whom: the arguments that all verbs share which make any.

use aws_config::SdkConfig;

use crate::aws::operator::{Access, Identity, fault, identity};
use crate::error::Fault;

/// `--region`, `--profile`, `--endpoint-url`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "AWS")]
pub struct Aws {
    /// The region; that of the profile or the environment if not given
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The profile that says who calls are made as
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Where all services are, if not on AWS: that of `hostkit sim`, for instance
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
}

impl Aws {
    /// As the room of AWS knows it.
    pub fn access(&self) -> Access {
        let Self { region, profile, endpoint_url } = self.clone();
        Access { region, profile, endpoint_url }
    }

    /// How calls are made. Nothing is asked yet.
    pub async fn config(&self) -> Result<SdkConfig, Fault> {
        self.access().config().await
    }

    /// How calls are made, and as whom: AWS was asked.
    pub async fn sign_in(&self) -> anyhow::Result<(SdkConfig, Identity)> {
        let config = self.config().await?;
        let identity = identity(&config).await.map_err(|failure| fault(&failure))?;
        Ok((config, identity))
    }
}
