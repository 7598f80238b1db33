//! What the checks are given: what is asked about, and what they may look with.

use std::net::SocketAddr;

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::Observed;
use crate::aws::imds::Imds;
use crate::doctor::Look;
use crate::host::{Efs, Role};
use crate::lease::ground::Ground;
use crate::sys::Runner;

/// What is asked about. A bundle keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `fs-…`
    pub file_system: String,
    /// Where it is.
    pub region: String,
    /// What this host is told of it; nothing where it is looked at from outside.
    pub host: Option<Here>,
    /// Whether small files are made to see how fast that is.
    pub benchmark: bool,
}

/// What a host is told of a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Here {
    /// What the host is.
    pub role: Role,
    /// Where it is mounted, as the host's own configuration has it.
    pub mount_point: Utf8PathBuf,
    /// `[efs]`, or what `[[mount]]` says in its words.
    pub efs: Efs,
    /// The user that Jenkins runs as.
    pub user: String,
    /// The Jenkins of the image, where it is known.
    pub jenkins: Option<String>,
}

/// With what the checks look.
#[derive(Debug)]
pub struct Scene<'a> {
    /// What is asked about.
    pub asked: &'a Asked,
    /// What those before have seen.
    pub observed: &'a Observed,
    /// Below which the files of this machine are.
    pub root: &'a Utf8Path,
    /// How programs are run.
    pub runner: &'a Runner,
    /// How AWS is called, or why it cannot be.
    pub aws: &'a Look<SdkConfig>,
    /// The metadata service; nothing from outside.
    pub imds: Option<&'a Imds>,
    /// The port of NFS.
    pub nfs_port: u16,
    /// The resolver of the VPC.
    pub resolver: SocketAddr,
    /// On what the children may work.
    pub ground: Ground,
}

impl Scene<'_> {
    /// How AWS is called, or why it cannot be.
    ///
    /// # Errors
    /// There are no credentials.
    pub fn aws(&self) -> Look<&SdkConfig> {
        self.aws.as_ref().map_err(Clone::clone)
    }

    /// A path of the machine, written with or without the first slash.
    pub fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// What is judged: all that was seen, and when.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// What was asked about.
    pub asked: &'a Asked,
    /// What was seen.
    pub observed: &'a Observed,
    /// When.
    pub now: Timestamp,
}

impl Case<'_> {
    /// What this host is told; nothing where it is looked at from outside.
    pub const fn here(&self) -> Option<&Here> {
        self.asked.host.as_ref()
    }
}
