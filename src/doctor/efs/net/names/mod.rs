//! What its names resolve to, by the resolver of the VPC and by the system's.

mod judge;
mod look;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use judge::judge;
pub use look::look;

use crate::doctor::efs::host::role;
use crate::doctor::efs::scene::Asked;
use crate::doctor::efs::table::Observed;
use crate::efs::dns::Answer;
use crate::efs::name;
use crate::facts::Partition;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The resolver of the VPC.
    pub resolver: SocketAddr,
    /// Every name; the one that this host goes by comes first.
    pub names: Vec<Lookup>,
    /// What this host is told of names.
    pub local: Local,
}

/// What is said of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lookup {
    /// The name, with the last dot.
    pub name: String,
    /// Its addresses of version 4, by the resolver of the VPC.
    pub vpc: Answer,
    /// Those of version 6.
    pub vpc6: Answer,
    /// What the system's resolver says.
    pub system: System,
    /// What it says where the last dot is left out, so that it may try other names, too.
    pub undotted: System,
}

/// What the system's resolver says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// These addresses.
    Found(Vec<IpAddr>),
    /// None, in its words.
    Failed(String),
    /// Nothing within so many milliseconds.
    Silent(u64),
}

/// What the files of this host say of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// The servers of `/etc/resolv.conf`.
    pub servers: Vec<String>,
    /// What it appends to names.
    pub search: Vec<String>,
    /// Why it could not be read.
    pub trouble: Option<String>,
    /// Lines of `/etc/hosts` that name the file system.
    pub hosts: Vec<String>,
}

impl Seen {
    /// An address that some name has: by the VPC's resolver, else by the system's.
    pub fn address(&self) -> Option<(&str, IpAddr)> {
        let of = |lookup: &Lookup| match (&lookup.vpc, &lookup.system) {
            (Answer::Addresses(all), _) | (_, System::Found(all)) => all.first().copied(),
            _ => None,
        };
        self.names.iter().find_map(|lookup| Some((lookup.name.as_str(), of(lookup)?)))
    }
}

impl System {
    fn found(&self) -> &[IpAddr] {
        match self {
            Self::Found(all) => all,
            Self::Failed(_) | Self::Silent(_) => &[],
        }
    }
}

/// The names of the file system, with the last dot; the one that this host goes by comes first:
/// that of the zone where the file system is in one zone only.
pub fn names(asked: &Asked, observed: &Observed) -> Vec<String> {
    let partition = Partition::of_region(&asked.region).unwrap_or_default();
    let only = observed.exists.seen().and_then(|seen| seen.file_system.as_ref()?.zone.as_deref());
    let own = role::identity(observed).map(|identity| identity.zone.as_str());
    let zone = only.or(own);
    let of = |zone| name::of(&asked.file_system, &asked.region, zone, &partition.dns_suffix);
    match zone {
        None => vec![of("").into_iter().next().expect("there are two")],
        Some(zone) => {
            let mut both = of(zone);
            if only.is_some() {
                both.reverse();
            }
            both.to_vec()
        }
    }
}
