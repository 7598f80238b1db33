//! What is to be mounted, and where: the home of a controller, or one of `[[mount]]`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::efs::NFS_PORT;
use crate::host::{self, HostConfig};

/// A file system that this host is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Wanted {
    /// The file system's id.
    pub id: String,
    /// Where it is mounted.
    pub point: String,
    /// Whether a mount target in another availability zone will do.
    pub cross_az: bool,
    /// Addresses of mount targets, by the id of their zone, for when nobody can be asked.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// Whether amazon-efs-utils mounts it, through an encrypted connection.
    pub tls: bool,
    /// Whether the instance role is shown to the file system.
    pub iam: bool,
    /// The access point.
    pub access_point: Option<String>,
    /// Whether nothing can be written there.
    pub read_only: bool,
    /// Whether the host comes up without it.
    pub optional: bool,
    /// How far the kernel reads ahead, in KiB.
    pub read_ahead: Option<u32>,
    /// The key in host.toml that a person would change.
    pub section: &'static str,
}

impl Wanted {
    /// The home. None where no file system is named.
    pub(super) fn home(config: &HostConfig) -> Option<Self> {
        let efs = config.efs.clone();
        Some(Self {
            id: efs.id?,
            point: host::HOME.to_owned(),
            cross_az: efs.cross_az,
            addresses: efs.addresses,
            tls: efs.tls,
            iam: efs.iam,
            access_point: efs.access_point,
            read_only: false,
            optional: false,
            read_ahead: efs.read_ahead,
            section: "efs",
        })
    }

    /// All of `[[mount]]`.
    pub(super) fn others(config: &HostConfig) -> Vec<Self> {
        config.mount.iter().cloned().map(Self::other).collect()
    }

    fn other(mount: host::Mount) -> Self {
        Self {
            id: mount.id,
            point: mount.path,
            cross_az: mount.cross_az,
            addresses: BTreeMap::new(),
            tls: mount.tls,
            iam: mount.iam,
            access_point: mount.access_point,
            read_only: mount.read_only,
            optional: mount.optional,
            read_ahead: None,
            section: "mount",
        }
    }

    /// Whether amazon-efs-utils is needed: the kernel's client knows nothing of these.
    pub(super) const fn needs_utils(&self) -> bool {
        self.tls || self.iam || self.access_point.is_some()
    }

    /// The options of its mount.
    pub(super) fn options(&self, address: Ipv4Addr, port: u16) -> String {
        let mut options = vec![NFS.to_owned()];
        if self.needs_utils() {
            options.push("tls".to_owned());
            if self.iam {
                options.push("iam".to_owned());
            }
            options.extend(self.access_point.iter().map(|id| format!("accesspoint={id}")));
            // The name is asked for once, by us.
            options.push(format!("mounttargetip={address}"));
        } else if port != NFS_PORT {
            options.push(format!("port={port}"));
        }
        if self.read_only {
            options.push("ro".to_owned());
        }
        options.join(",")
    }
}

/// What AWS recommends for EFS; `retry=0` because the attempts are ours.
const NFS: &str = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,\
    noresvport,_netdev,retry=0";

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> HostConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn plain_nfs_needs_nothing_and_the_rest_is_for_the_helper() {
        let address = Ipv4Addr::new(10, 0, 2, 100);
        let plain = config("[[mount]]\nid = 'fs-1'\npath = '/srv/x'\nread_only = true");
        let plain = &Wanted::others(&plain)[0];
        assert!(!plain.needs_utils());
        assert_eq!(plain.options(address, 2049), format!("{NFS},ro"));
        assert_eq!(plain.options(address, 20490), format!("{NFS},port=20490,ro"));

        let home = config("[efs]\nid = 'fs-1'\ntls = true\niam = true\naccess_point = 'fsap-1'");
        let home = Wanted::home(&home).unwrap();
        let utils = "tls,iam,accesspoint=fsap-1,mounttargetip=10.0.2.100";
        assert_eq!(home.options(address, 2049), format!("{NFS},{utils}"));
        assert_eq!(Wanted::home(&config("")), None);
    }
}
