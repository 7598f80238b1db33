//! What the boot tells the lease: who this host is, and how to behave. Its unit reads it again
//! whenever it restarts, and so does everybody who looks at the lease of this host.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::claim::{Manner, Pace};
use super::record::Holder;
use crate::aws::imds::Imds;
use crate::error::Fault;
use crate::facts::Identity;
use crate::host::{self, HOME, HostConfig, Layer, LeasePolicy, Role};

/// Where it is, below the machine's root. For root only: it names who may be terminated.
pub const PATH: &str = "run/hostkit/lease/order.json";

/// Who this instance is, as the boot has left it, below the machine's root.
const IDENTITY: &str = "run/hostkit/identity.json";

/// How long the metadata service may be silent about the user-data.
const USER_DATA: Duration = Duration::from_secs(5);

/// What the boot tells the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// This host, as it stands in the records that it writes (`since` is set then).
    pub me: Holder,
    /// Where the file system is mounted.
    pub mount_point: Utf8PathBuf,
    /// What to do about a holder that runs.
    pub policy: LeasePolicy,
    /// How long a holder that runs is waited for before it is terminated, in seconds.
    pub patience: u32,
    /// The Auto Scaling Group of this host, if it is in one.
    pub group: Option<String>,
    /// Where AWS is, if not at its own addresses.
    pub endpoint_url: Option<String>,
    /// Where the metadata service is, if not at its own address.
    pub imds: Option<String>,
}

impl Order {
    /// Reads it.
    pub fn read(root: &Utf8Path) -> Result<Self, Fault> {
        let path = root.join(PATH);
        let hint = "it is written by `hostkit boot`: `journalctl -u hostkit-boot` tells why not";
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Fault::environment(format!("{path} cannot be read: {error}")).hint(hint)
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Fault::environment(format!("{path} is not what the boot writes: {error}")).hint(hint)
        })
    }

    /// Reads it; and where the boot has not come so far, makes it of what is known of this host.
    ///
    /// # Errors
    /// hostkit does not boot this machine, or not as a controller, or has not come far enough.
    pub async fn find(root: &Utf8Path) -> Result<Self, Fault> {
        if root.join(PATH).exists() {
            return Self::read(root);
        }
        let hint =
            "the lease is looked at on a controller; `hostkit status` shows how far its boot is";
        let early = |why: &str| Fault::environment(why.to_owned()).hint(hint);
        let path = root.join(IDENTITY);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            early(&format!("hostkit has not booted this machine: {path}: {error}"))
        })?;
        let identity: Identity = serde_json::from_str(&text)
            .map_err(|error| early(&format!("{path} is not what the boot writes: {error}")))?;
        let config = config(root).await?;
        match (config.role, config.efs.id.clone()) {
            (Some(Role::Controller), Some(fs_id)) => Ok(Self::of(identity, &config, fs_id)),
            (Some(Role::Controller), None) => {
                Err(early("nothing tells this controller its file system, `efs.id`"))
            }
            (Some(Role::Agent), _) => Err(early("this host is a build agent: it has no lease")),
            (Some(Role::Ecs), _) => Err(early("this host is a container host: it has no lease")),
            (None, _) => Err(early("nothing tells this host its role")),
        }
    }

    /// Of what is known of this host.
    pub fn of(identity: Identity, config: &HostConfig, fs_id: String) -> Self {
        Self {
            me: Holder {
                fs_id,
                // Where the instance is, not where calls may be sent to: that another region does not
                // know an instance means nothing.
                region: identity.region,
                account: identity.account_id,
                instance_id: Some(identity.instance_id),
                task: None,
                boot_id: identity.boot_id,
                launched: identity.launched,
                ami: Some(identity.image_id),
                hostkit: Some(env!("CARGO_PKG_VERSION").to_owned()),
                since: None,
            },
            mount_point: HOME.into(),
            policy: config.lease.policy,
            patience: config.lease.patience,
            // Only who terminates somebody needs it, and nobody does so before the boot is here.
            group: None,
            endpoint_url: config.aws.endpoint_url.clone(),
            imds: None,
        }
    }

    /// How a newcomer is told to behave.
    pub fn manner(&self) -> Manner {
        let (policy, group) = (self.policy, self.group.clone());
        Manner { policy, group, patience: self.patience, pace: Pace::default() }
    }

    /// How long a holder that runs is waited for before it is terminated.
    pub const fn patience(&self) -> Duration {
        Duration::from_secs(self.patience as u64)
    }
}

/// What the image and the user-data tell this host to be.
async fn config(root: &Utf8Path) -> Result<HostConfig, Fault> {
    let path = root.join(host::PATH.trim_start_matches('/'));
    let image = std::fs::read_to_string(&path).unwrap_or_default();
    let silent = |error: anyhow::Error| {
        Fault::environment(format!("the user-data of this host cannot be had: {error:#}"))
            .hint("the metadata service does not answer; look again once the boot is further")
    };
    let imds = Imds::new(None, USER_DATA).map_err(silent)?;
    let user_data = imds.user_data().await.map_err(silent)?;
    host::read(&[
        Layer { origin: path.as_str(), text: &image },
        Layer { origin: "user-data", text: &user_data },
    ])
}
