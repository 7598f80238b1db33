//! `[efs]` and `[[mount]]`: file systems.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[efs]`: the file system of the home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Efs {
    /// The file system's id. Required for a controller.
    pub id: Option<String>,
    /// Whether a mount target in another availability zone will do.
    pub cross_az: bool,
    /// Whether the connection is encrypted, by amazon-efs-utils.
    pub tls: bool,
    /// Whether the host proves who it is to the file system's policy. Needs `tls`.
    pub iam: bool,
    /// The access point through which it is mounted, `fsap-…`. Needs `tls`.
    pub access_point: Option<String>,
    /// Addresses of mount targets, by the id of their availability zone, for the day on which
    /// neither DNS nor EFS answers.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// How far the kernel reads ahead, in KiB; the kernel's own choice if absent.
    pub read_ahead: Option<u32>,
}

/// `[[mount]]`: a further file system, as for the volumes of containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The file system's id.
    pub id: String,
    /// Where it is mounted, an absolute path.
    pub path: String,
    /// As [`Efs::cross_az`].
    #[serde(default)]
    pub cross_az: bool,
    /// As [`Efs::tls`].
    #[serde(default)]
    pub tls: bool,
    /// As [`Efs::iam`].
    #[serde(default)]
    pub iam: bool,
    /// As [`Efs::access_point`].
    #[serde(default)]
    pub access_point: Option<String>,
    /// Whether nothing can be written there.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the host comes up without it.
    #[serde(default)]
    pub optional: bool,
}
