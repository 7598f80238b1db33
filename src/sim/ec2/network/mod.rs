//! What instances stand in: regions, zones, networks, subnets and security groups.

pub mod group;
pub mod place;
pub mod prefix_list;
pub mod rules;
