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
    pub async fn address(&self, name: &str) -> Option<Ipv4Addr> {
        match self {
            Self::System => {
                let all = tokio::net::lookup_host((name, super::NFS_PORT)).await.ok()?;
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
pub fn of(id: &str, region: &str, zone: &str, suffix: &str) -> [String; 2] {
    let regional = format!("{id}.efs.{region}.{suffix}.");
    let zonal = format!("{zone}.{regional}");
    [regional, zonal]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_whole() {
        let [regional, zonal] = of("fs-1", "cn-north-1", "cn-north-1a", "amazonaws.com.cn");
        assert_eq!(regional, "fs-1.efs.cn-north-1.amazonaws.com.cn.");
        assert_eq!(zonal, "cn-north-1a.fs-1.efs.cn-north-1.amazonaws.com.cn.");
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_has_no_address() {
        assert_eq!(Names::System.address("localhost").await, Some(Ipv4Addr::LOCALHOST));
        assert_eq!(Names::Table(Arc::default()).address("localhost").await, None);
    }
}
