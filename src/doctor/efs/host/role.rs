//! Whether the metadata service answers, with an identity and a role.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::{Id, Observed};
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The metadata service answered.
    Told(Box<Identity>),
    /// It did not, or what answered is something else.
    Silent {
        /// What came instead.
        why: String,
        /// What may help, if it is known.
        hint: Option<String>,
    },
}

/// Who this host is on AWS, as the metadata service tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `i-…`
    pub instance_id: String,
    /// The account that owns it.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its availability zone, as `eu-west-1a`.
    pub zone: String,
    /// The name of that zone in every account, as `euw1-az1`. It may be untold: very old services.
    pub zone_id: Option<String>,
    /// The name of its role; none where it has no instance profile.
    pub role: Option<String>,
    /// What is wrong with the credentials of that role, as the service has it.
    pub role_trouble: Option<String>,
    /// Its first address.
    pub private_ip: Ipv4Addr,
    /// What AWS calls its first address, which nobody else has in its network.
    pub private_name: Option<String>,
    /// Its first network card.
    pub mac: Option<String>,
    /// The network of that card.
    pub vpc: Option<String>,
    /// The subnet of that card.
    pub subnet: Option<String>,
    /// The security groups of that card.
    pub security_groups: Vec<String>,
    /// Its Auto Scaling group, where its tags are shown to it.
    pub group: Option<String>,
}

/// Who this host is; nothing from outside, or where the metadata service was silent.
pub fn identity(observed: &Observed) -> Option<&Identity> {
    match observed.role.seen()? {
        Seen::Told(identity) => Some(identity),
        Seen::Silent { .. } => None,
    }
}

/// Looks.
pub async fn look(_scene: &Scene<'_>) -> Look<Seen> {
    Err(Gap { needs: String::new(), denied: false, why: "not looked at".to_owned() })
}

/// Says what it means.
pub fn judge(_seen: &Seen, _case: &Case<'_>) -> Finding {
    Finding::new(Id::Role.name(), Verdict::Skip, "not looked at")
}

#[cfg(test)]
impl Identity {
    /// A host in the first zone.
    pub(crate) fn sample() -> Self {
        Self {
            instance_id: "i-0aaaaaaaaaaaaaaaa".into(),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            zone: "eu-west-1a".into(),
            zone_id: Some("euw1-az1".into()),
            role: Some("ci-controller".into()),
            role_trouble: None,
            private_ip: Ipv4Addr::new(10, 0, 1, 15),
            private_name: Some("ip-10-0-1-15.eu-west-1.compute.internal".into()),
            mac: Some("0a:00:00:00:00:01".into()),
            vpc: Some("vpc-0aaaaaaaaaaaaaaaa".into()),
            subnet: Some("subnet-0aaaaaaaaaaaaaaaa".into()),
            security_groups: vec!["sg-0bbbbbbbbbbbbbbbb".into()],
            group: Some("ci-controller".into()),
        }
    }
}
