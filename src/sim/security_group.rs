//! A security group and its rules.

use serde::{Deserialize, Serialize};

use super::random;
use super::region::Tags;

/// Whom a rule lets through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// A block of addresses.
    Ipv4(String),
    /// The same, version 6.
    Ipv6(String),
    /// Whoever is in a security group.
    Group(String),
    /// A list of blocks that is kept elsewhere.
    PrefixList(String),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `sgr-…`
    pub id: String,
    /// Whether it is for what goes out.
    pub egress: bool,
    /// `tcp`, …, or `-1` for all.
    pub protocol: String,
    /// The first port.
    pub from: Option<i32>,
    /// The last port.
    pub to: Option<i32>,
    /// Whom it lets through.
    pub peer: Peer,
    /// Whatever was said of it.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

impl Rule {
    /// Everything may go out.
    pub fn all_out() -> Self {
        Self {
            id: format!("sgr-0{}", random::hex(16)),
            egress: true,
            protocol: "-1".to_owned(),
            from: None,
            to: None,
            peer: Peer::Ipv4("0.0.0.0/0".to_owned()),
            description: None,
            tags: Tags::new(),
        }
    }

    /// Whether another one lets through the same.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.egress, &self.protocol, self.from, self.to, &self.peer)
            == (other.egress, &other.protocol, other.from, other.to, &other.peer)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-…`
    pub id: String,
    /// Its name, of which a network has one.
    pub name: String,
    /// Whatever was said of it.
    pub description: String,
    /// Its network.
    pub vpc: String,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Its tags.
    pub tags: Tags,
}

impl SecurityGroup {
    /// The default group of a network: its own members may come in.
    pub fn default_of(vpc: &str) -> Self {
        let id = format!("sg-0{}", random::derived(&format!("default group of {vpc}"), 16));
        let inward = Rule { egress: false, peer: Peer::Group(id.clone()), ..Rule::all_out() };
        Self {
            id,
            name: "default".to_owned(),
            description: "default VPC security group".to_owned(),
            vpc: vpc.to_owned(),
            rules: vec![inward, Rule::all_out()],
            tags: Tags::new(),
        }
    }
}
