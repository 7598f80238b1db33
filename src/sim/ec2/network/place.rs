//! `DescribeRegions`, `DescribeAvailabilityZones`, `DescribeVpcs`, `DescribeSubnets`.

use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::Filters;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, set, some};
use crate::sim::network::{CIDR, Subnet};
use crate::sim::region::Tags;
use crate::sim::xml::leaf;

/// The regions that every account has.
const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// `DescribeRegions`.
pub fn regions(call: &mut Call<'_>, mut query: Query) -> Answer {
    let names = query.list("RegionName");
    let _all = query.flag("AllRegions")?;
    let filters = Filters::of(&mut query, &["endpoint", "opt-in-status", "region-name"])?;
    let dry_run = query.finish()?;
    if let Some(name) = names.iter().find(|name| !REGIONS.contains(&name.as_str())) {
        return Err(Refusal::value(format!("Invalid region: {name}")));
    }
    dry_run.end()?;
    let _ = call;
    let endpoint = |name: &str| format!("ec2.{name}.amazonaws.com");
    let wanted = REGIONS.iter().filter(|name| {
        (names.is_empty() || names.iter().any(|one| one == *name))
            && filters.pass(&Tags::new(), |filter| {
                vec![match filter {
                    "endpoint" => endpoint(name),
                    "opt-in-status" => "opt-in-not-required".to_owned(),
                    _ => (**name).to_owned(),
                }]
            })
    });
    let items = wanted.map(|name| {
        leaf("regionName", name)
            + &leaf("regionEndpoint", &endpoint(name))
            + &leaf("optInStatus", "opt-in-not-required")
    });
    Ok(set("regionInfo", items))
}

/// `DescribeAvailabilityZones`: those of the default network's subnets.
pub fn zones(call: &mut Call<'_>, mut query: Query) -> Answer {
    let (names, ids) = (query.list("ZoneName"), query.list("ZoneId"));
    let _all = query.flag("AllAvailabilityZones")?;
    let known = [
        "group-name",
        "message",
        "opt-in-status",
        "region-name",
        "state",
        "zone-id",
        "zone-name",
        "zone-type",
    ];
    let filters = Filters::of(&mut query, &known)?;
    let dry_run = query.finish()?;
    let region = call.region.clone();
    let subnets = &call.here().subnets;
    let unknown = |name: &&String| subnets.values().all(|one| one.zone != **name);
    if let Some(name) = names.iter().find(unknown) {
        return Err(Refusal::value(format!("Invalid availability zone: [{name}]")));
    }
    dry_run.end()?;
    let mut zones: Vec<&Subnet> = subnets.values().collect();
    zones.sort_by(|one, other| one.zone.cmp(&other.zone));
    let wanted = zones.into_iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.zone))
            && (ids.is_empty() || ids.contains(&zone.zone_id))
            && filters.pass(&Tags::new(), |filter| match filter {
                "group-name" | "region-name" => vec![region.clone()],
                "opt-in-status" => vec!["opt-in-not-required".to_owned()],
                "state" => vec!["available".to_owned()],
                "zone-id" => vec![zone.zone_id.clone()],
                "zone-name" => vec![zone.zone.clone()],
                "zone-type" => vec!["availability-zone".to_owned()],
                _ => Vec::new(),
            })
    });
    let items = wanted.map(|zone| {
        leaf("zoneName", &zone.zone)
            + &leaf("zoneId", &zone.zone_id)
            + &leaf("zoneState", "available")
            + &leaf("regionName", &region)
            + &leaf("groupName", &region)
            + &leaf("networkBorderGroup", &region)
            + &leaf("zoneType", "availability-zone")
            + &leaf("optInStatus", "opt-in-not-required")
    });
    Ok(set("availabilityZoneInfo", items.collect::<Vec<_>>()))
}

/// `DescribeVpcs`: the default one.
pub fn vpcs(call: &mut Call<'_>, mut query: Query) -> Answer {
    let known = [
        "cidr",
        "cidr-block-association.cidr-block",
        "is-default",
        "owner-id",
        "state",
        "tag-key",
        "vpc-id",
    ];
    let ids = query.list("VpcId");
    let filters = Filters::of(&mut query, &known)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let vpcs = &call.here().vpcs;
    Kind::Vpc.check_all(&ids, |id| vpcs.contains_key(id))?;
    dry_run.end()?;
    let wanted = vpcs.iter().filter(|(id, vpc)| {
        (ids.is_empty() || ids.contains(id))
            && filters.pass(&vpc.tags, |filter| {
                vec![match filter {
                    "cidr" | "cidr-block-association.cidr-block" => CIDR.to_owned(),
                    "is-default" => "true".to_owned(),
                    "owner-id" => ACCOUNT_ID.to_owned(),
                    "state" => "available".to_owned(),
                    _ => vpc.id.clone(),
                }]
            })
    });
    let (part, next) = page.cut(wanted.map(|(id, vpc)| (id.clone(), vpc)));
    let items = part.into_iter().map(|vpc| {
        leaf("vpcId", &vpc.id)
            + &leaf("ownerId", ACCOUNT_ID)
            + &leaf("state", "available")
            + &leaf("cidrBlock", CIDR)
            + &leaf("instanceTenancy", "default")
            + &leaf("isDefault", "true")
            + &shape::tags(&vpc.tags)
    });
    Ok(set("vpcSet", items) + &some("nextToken", next.as_deref()))
}

/// What subnets may be filtered by.
const SUBNET_FILTERS: &[&str] = &[
    "availability-zone",
    "availability-zone-id",
    "available-ip-address-count",
    "cidr-block",
    "default-for-az",
    "map-public-ip-on-launch",
    "owner-id",
    "state",
    "subnet-arn",
    "subnet-id",
    "tag-key",
    "vpc-id",
];

/// The addresses of a subnet, without those that AWS keeps.
const ADDRESSES: &str = "4091";

/// `DescribeSubnets`.
pub fn subnets(call: &mut Call<'_>, mut query: Query) -> Answer {
    let ids = query.list("SubnetId");
    let filters = Filters::of(&mut query, SUBNET_FILTERS)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let region = call.region.clone();
    let subnets = &call.here().subnets;
    Kind::Subnet.check_all(&ids, |id| subnets.contains_key(id))?;
    dry_run.end()?;
    let wanted = subnets.iter().filter(|(id, subnet)| {
        (ids.is_empty() || ids.contains(id))
            && filters.pass(&subnet.tags, |filter| vec![subnet_value(subnet, &region, filter)])
    });
    let (part, next) = page.cut(wanted.map(|(id, subnet)| (id.clone(), subnet)));
    let items = part.into_iter().map(|subnet| {
        leaf("subnetId", &subnet.id)
            + &leaf("subnetArn", &arn(subnet, &region))
            + &leaf("vpcId", &subnet.vpc)
            + &leaf("state", "available")
            + &leaf("cidrBlock", &subnet.cidr())
            + &leaf("availableIpAddressCount", ADDRESSES)
            + &leaf("availabilityZone", &subnet.zone)
            + &leaf("availabilityZoneId", &subnet.zone_id)
            + &leaf("ownerId", ACCOUNT_ID)
            + &leaf("defaultForAz", "true")
            + &leaf("mapPublicIpOnLaunch", "true")
            + &shape::tags(&subnet.tags)
    });
    Ok(set("subnetSet", items) + &some("nextToken", next.as_deref()))
}

fn arn(subnet: &Subnet, region: &str) -> String {
    format!("arn:aws:ec2:{region}:{ACCOUNT_ID}:subnet/{}", subnet.id)
}

fn subnet_value(subnet: &Subnet, region: &str, filter: &str) -> String {
    match filter {
        "availability-zone" => subnet.zone.clone(),
        "availability-zone-id" => subnet.zone_id.clone(),
        "available-ip-address-count" => ADDRESSES.to_owned(),
        "cidr-block" => subnet.cidr(),
        "default-for-az" | "map-public-ip-on-launch" => "true".to_owned(),
        "owner-id" => ACCOUNT_ID.to_owned(),
        "state" => "available".to_owned(),
        "subnet-arn" => arn(subnet, region),
        "vpc-id" => subnet.vpc.clone(),
        _ => subnet.id.clone(),
    }
}
