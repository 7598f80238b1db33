//! The network of a region as every account has it: a default VPC with a subnet in each zone, and
//! its default security group. Others cannot be made.

use serde::{Deserialize, Serialize};

use super::account::{REGION, SUBNET, VPC, ZONE, ZONE_ID};
use super::random;
use super::region::Tags;

/// The block of addresses of the default VPC.
pub const CIDR: &str = "172.31.0.0/16";
/// The letters of the zones.
const ZONES: [char; 3] = ['a', 'b', 'c'];

/// A virtual private network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-…`
    pub id: String,
    /// Its tags.
    pub tags: Tags,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-…`
    pub id: String,
    /// Its network.
    pub vpc: String,
    /// `eu-west-1a`
    pub zone: String,
    /// `euw1-az1`
    pub zone_id: String,
    /// The third number of its addresses.
    pub third: u8,
    /// Its tags.
    pub tags: Tags,
}

impl Subnet {
    /// Its block of addresses.
    pub fn cidr(&self) -> String {
        format!("172.31.{}.0/20", self.third)
    }
}

/// The default VPC of a region.
pub fn vpc(region: &str) -> Vpc {
    let id = match region {
        REGION => VPC.to_owned(),
        _ => format!("vpc-0{}", random::derived(&format!("vpc {region}"), 16)),
    };
    Vpc { id, tags: Tags::new() }
}

/// The subnets of the default VPC of a region, one a zone.
pub fn subnets(region: &str) -> Vec<Subnet> {
    let vpc = vpc(region).id;
    let one = |(index, letter): (u8, char)| {
        let zone = format!("{region}{letter}");
        let known = zone == ZONE;
        let id = format!("subnet-0{}", random::derived(&format!("subnet {zone}"), 16));
        Subnet {
            id: if known { SUBNET.to_owned() } else { id },
            vpc: vpc.clone(),
            zone_id: if known { ZONE_ID.to_owned() } else { zone_id(region, index + 1) },
            zone,
            third: index * 16,
            tags: Tags::new(),
        }
    };
    (0..).zip(ZONES).map(one).collect()
}

/// The id of a zone: `eu-west-1b` has `euw1-az2`.
pub fn id_of_zone(zone: &str) -> String {
    let known = ZONES.iter().position(|letter| zone.ends_with(*letter)).unwrap_or_default();
    zone_id(zone.trim_end_matches(ZONES), u8::try_from(known + 1).unwrap_or(1))
}

/// `eu-west-1` and 2 give `euw1-az2`.
fn zone_id(region: &str, number: u8) -> String {
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    let side = match parts.next().unwrap_or_default() {
        "northeast" => "ne",
        "northwest" => "nw",
        "southeast" => "se",
        "southwest" => "sw",
        side => side.get(..1).unwrap_or_default(),
    };
    format!("{area}{side}{}-az{number}", parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_region_has_what_the_guests_say() {
        let subnets = subnets(REGION);
        assert_eq!((subnets[0].id.as_str(), subnets[0].vpc.as_str()), (SUBNET, VPC));
        assert_eq!(subnets[1].zone_id, "euw1-az2");
        assert!(subnets.iter().all(|subnet| id_of_zone(&subnet.zone) == subnet.zone_id));
        assert_eq!(subnets[2].cidr(), "172.31.32.0/20");
        assert_eq!(super::subnets("ap-southeast-2")[0].zone_id, "apse2-az1");
    }
}
