//! The names of a file system, and how they become an address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

/// Who turns names into addresses.
#[derive(Clone, Debug, Default)]
pub enum Names {
    /// The resolver of this machine.
    #[default]
    System,
    /// A table. For tests.
    Table(Arc<Mutex<BTreeMap<String, Ipv4Addr>>>),
}

impl Names {
    /// The first address of the fourth version that `name` has.
    pub(super) async fn address(&self, name: &str) -> Option<Ipv4Addr> {
        match self {
            Self::System => {
                let all = tokio::net::lookup_host((name, super::wanted::NFS_PORT)).await.ok()?;
                all.into_iter().find_map(|address| match address.ip() {
                    IpAddr::V4(ip) => Some(ip),
                    IpAddr::V6(_) => None,
                })
            }
            Self::Table(table) => table.lock().ok()?.get(name).copied(),
        }
    }
}

/// The names under which a host of this zone reaches a file system: that of the region, and the one
/// that a One Zone file system has in its own zone. With the last dot, so that no search domain is
/// tried first.
pub(super) fn of(id: &str, region: &str, zone: &str, suffix: &str) -> [String; 2] {
    let regional = format!("{id}.efs.{region}.{suffix}.");
    let zonal = format!("{zone}.{regional}");
    [regional, zonal]
}

/// What the names of AWS's services end with in the partition of a region.
pub(super) fn suffix(region: &str) -> &'static str {
    let table = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("us-iso-", "c2s.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
    ];
    let own = table.iter().find(|(prefix, _)| region.starts_with(prefix));
    own.map_or("amazonaws.com", |(_, suffix)| suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_whole_and_of_the_partition_of_its_region() {
        let of = |region: &str| of("fs-1", region, "z", suffix(region));
        assert_eq!(of("eu-west-1")[0], "fs-1.efs.eu-west-1.amazonaws.com.");
        assert_eq!(of("eu-west-1")[1], "z.fs-1.efs.eu-west-1.amazonaws.com.");
        assert_eq!(of("us-gov-west-1")[0], "fs-1.efs.us-gov-west-1.amazonaws.com.");
        assert_eq!(of("cn-north-1")[0], "fs-1.efs.cn-north-1.amazonaws.com.cn.");
        assert_eq!(of("us-isob-east-1")[0], "fs-1.efs.us-isob-east-1.sc2s.sgov.gov.");
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_has_no_address() {
        assert_eq!(Names::System.address("localhost").await, Some(Ipv4Addr::LOCALHOST));
        assert_eq!(Names::Table(Arc::default()).address("localhost").await, None);
    }
}
