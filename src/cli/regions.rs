//! Where calls go whose verb looks at several regions, and as whom.

use std::collections::BTreeSet;

use aws_config::SdkConfig;

use crate::aws::operator::{Access, Identity, fault, identity, in_region, region};

/// `--region` as often as there are regions, `--profile`, `--endpoint-url`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "AWS")]
pub struct Regions {
    /// A region; may be given several times. That of the profile or the environment if not given
    #[arg(long = "region", value_name = "REGION")]
    pub regions: Vec<String>,
    /// The profile that says who calls are made as
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Where all services are, if not on AWS: that of `hostkit sim`, for instance
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
}

impl Regions {
    /// How calls are made in each region, and as whom: AWS was asked. `known` are the regions that
    /// count where a person names none.
    pub async fn sign_in(
        &self,
        known: &BTreeSet<String>,
    ) -> anyhow::Result<(Vec<SdkConfig>, Identity)> {
        let named: Vec<_> = if self.regions.is_empty() {
            known.iter().cloned().collect()
        } else {
            self.regions.clone()
        };
        let access = Access {
            region: named.first().cloned(),
            profile: self.profile.clone(),
            endpoint_url: self.endpoint_url.clone(),
        };
        let config = access.config().await?;
        let identity = identity(&config).await.map_err(|failure| fault(&failure))?;
        let mut configs = vec![config];
        for name in &named {
            if configs.iter().all(|config| region(config) != name) {
                configs.push(in_region(&configs[0], name));
            }
        }
        Ok((configs, identity))
    }
}
