//! Who this instance is: asked once a boot, and kept for those who come later.
//!
//! What is kept belongs to one boot of one instance. An image that was made of a running machine
//! still has the file of that machine, so whoever reads it says for which boot.

use std::io;
use std::net::Ipv4Addr;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Partition;
use crate::error::Fault;

/// Who this instance is, as its metadata service says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The instance.
    pub instance_id: String,
    /// The account that owns it.
    pub account_id: String,
    /// Its region.
    pub region: String,
    /// The partition of its region.
    #[serde(default)]
    pub partition: Partition,
    /// Its availability zone's name in this account.
    pub availability_zone: String,
    /// Its availability zone's name in every account.
    pub availability_zone_id: String,
    /// The image that it was started from.
    pub image_id: String,
    /// Its type, as `m5.large`.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// Its processor, as `x86_64`.
    #[serde(default)]
    pub architecture: Option<String>,
    /// How it was bought, if that is known.
    #[serde(default)]
    pub life_cycle: Option<LifeCycle>,
    /// Its address in the network.
    pub private_ip: Ipv4Addr,
    /// The name that the instance should have.
    pub hostname: String,
    /// When AWS last started it, by AWS's clock.
    #[serde(default)]
    pub launched: Option<jiff::Timestamp>,
    /// For which boot this was read.
    pub boot_id: String,
}

/// How an instance was bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifeCycle {
    /// Nobody takes it back.
    OnDemand,
    /// AWS may take it back with two minutes' notice.
    Spot,
    /// It runs at hours that were bought.
    Scheduled,
    /// It is part of capacity that was bought for some days.
    CapacityBlock,
}

impl LifeCycle {
    /// From the metadata service's word.
    pub fn named(word: &str) -> Option<Self> {
        match word.trim() {
            "on-demand" => Some(Self::OnDemand),
            "spot" => Some(Self::Spot),
            "scheduled" => Some(Self::Scheduled),
            "capacity-block" => Some(Self::CapacityBlock),
            _ => None,
        }
    }
}

impl Identity {
    /// Where it is kept, below the root of the machine.
    pub const PATH: &str = "run/hostkit/identity.json";

    /// The one that this boot has kept below `root`. One of another boot is refused: it may be of
    /// another instance.
    pub fn kept(root: &Utf8Path, boot_id: &str) -> Result<Self, Fault> {
        let path = root.join(Self::PATH);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unknown("this boot does not know yet who this instance is"),
            _ => Fault::environment(format!("{path} cannot be read: {error}")),
        })?;
        let kept: Self = serde_json::from_str(&text)
            .map_err(|error| unknown(&format!("{path} is not an identity: {error}")))?;
        if kept.boot_id == boot_id {
            return Ok(kept);
        }
        let who = &kept.instance_id;
        Err(unknown(&format!("{path} is of another boot, in which this was {who}")))
    }
}

fn unknown(what: &str) -> Fault {
    Fault::environment(what).hint("systemctl restart hostkit-boot asks the metadata service again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_boot_has_kept_is_refused_with_whose_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        let error = Identity::kept(root, "a").unwrap_err().to_string();
        assert_eq!(error, "this boot does not know yet who this instance is");
        std::fs::create_dir_all(root.join("run/hostkit")).unwrap();
        let text = serde_json::json!({
            "instance_id": "i-0aaaaaaaaaaaaaaaa", "account_id": "123456789012",
            "region": "eu-west-1", "availability_zone": "eu-west-1a",
            "availability_zone_id": "euw1-az1", "image_id": "ami-1", "private_ip": "10.0.2.15",
            "hostname": "ip-10-0-2-15", "boot_id": "a",
        });
        std::fs::write(root.join(Identity::PATH), text.to_string()).unwrap();
        assert_eq!(Identity::kept(root, "a").unwrap().region, "eu-west-1");
        let error = Identity::kept(root, "b").unwrap_err().to_string();
        assert!(error.contains("another boot, in which this was i-0aaaaaaaaaaaaaaaa"), "{error}");
        std::fs::write(root.join(Identity::PATH), "{}").unwrap();
        assert!(Identity::kept(root, "a").unwrap_err().to_string().contains("not an identity"));
    }
}
