//! What instances are to be like: of a launch template, or of one launch.
//!
//! Everything may be left open here; whoever launches decides what is missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::disk::{self, Wanted};
use super::filter::truth;
use super::id::Kind;
use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::shape::{self, number, set, some};
use super::tags::Specified;
use crate::sim::region::Tags;
use crate::sim::xml::{leaf, node};

/// The kinds of things that a launch makes and tags.
pub const TAGGED: [Kind; 4] =
    [Kind::Instance, Kind::Volume, Kind::NetworkInterface, Kind::SpotRequest];

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Specification {
    /// `ami-…`, or `resolve:ssm:…`.
    pub image: Option<String>,
    /// `t3.micro`
    pub instance_type: Option<String>,
    /// The name of a key pair.
    pub key_name: Option<String>,
    /// `sg-…`
    pub group_ids: Vec<String>,
    /// Names of security groups of the default network.
    pub group_names: Vec<String>,
    /// Network cards.
    pub interfaces: Vec<Interface>,
    /// The availability zone.
    pub zone: Option<String>,
    /// `default`, …
    pub tenancy: Option<String>,
    /// In base64, as it was sent.
    pub user_data: Option<String>,
    /// Disks, beside those of the image or instead of them.
    pub disks: Vec<Wanted>,
    /// How the metadata service is.
    pub metadata: Metadata,
    /// What becomes of an instance that switches itself off: `stop` or `terminate`.
    pub shutdown: Option<String>,
    /// Whether it is a spot instance, and which.
    pub market: Option<Market>,
    /// The role's profile.
    pub profile: Option<Profile>,
    /// The tags of what is made, by the word of the kind.
    pub tags: BTreeMap<String, Tags>,
    /// Monitored in detail.
    pub monitoring: Option<bool>,
    /// With bandwidth of its own for volumes.
    pub ebs_optimized: Option<bool>,
    /// Able to hibernate.
    pub hibernation: Option<bool>,
    /// Protected from being terminated.
    pub disable_termination: Option<bool>,
    /// Protected from being stopped.
    pub disable_stop: Option<bool>,
    /// `standard` or `unlimited`.
    pub credits: Option<String>,
}

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// 0 is the first.
    pub index: Option<u64>,
    /// Its subnet.
    pub subnet: Option<String>,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Whether it has an address in the world.
    pub public: Option<bool>,
    /// Whether it goes with its instance.
    pub delete_on_termination: Option<bool>,
    /// Its address.
    pub private_ip: Option<String>,
    /// Whatever was said of it.
    pub description: Option<String>,
}

/// How the metadata service is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// `required` or `optional`.
    pub tokens: Option<String>,
    /// How many hops an answer may go.
    pub hop_limit: Option<u64>,
    /// `enabled` or `disabled`.
    pub endpoint: Option<String>,
    /// The same for version 6 of the Internet protocol.
    pub ipv6: Option<String>,
    /// Whether it tells tags: `enabled` or `disabled`.
    pub tags: Option<String>,
}

/// A spot instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Market {
    /// `spot`
    pub kind: String,
    /// The price of an hour.
    pub max_price: Option<String>,
    /// `one-time` or `persistent`.
    pub spot_type: Option<String>,
    /// `terminate`, `stop` or `hibernate`.
    pub interruption: Option<String>,
}

/// An instance profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// Its ARN.
    pub arn: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

const ON_OFF: [&str; 2] = ["enabled", "disabled"];

impl Specification {
    /// Takes what there is of it from a request, or from the data of a launch template.
    pub fn of(query: &mut Query) -> Answer<Self> {
        let placement = query.structure("Placement");
        let (zone, tenancy) = placement.map(placed).transpose()?.unwrap_or_default();
        let found = Self {
            image: query.text("ImageId"),
            instance_type: query.text("InstanceType"),
            key_name: query.text("KeyName"),
            group_ids: query.list("SecurityGroupId"),
            group_names: query.list("SecurityGroup"),
            interfaces: interfaces(query)?,
            zone,
            tenancy,
            user_data: query.text("UserData"),
            disks: disk::wanted(query)?,
            metadata: query
                .structure("MetadataOptions")
                .map(metadata)
                .transpose()?
                .unwrap_or_default(),
            shutdown: owned(
                query.word("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?,
            ),
            market: query.structure("InstanceMarketOptions").map(market).transpose()?,
            profile: query.structure("IamInstanceProfile").map(profile).transpose()?,
            tags: Specified::of(query, &TAGGED)?.0,
            monitoring: inner_flag(query, "Monitoring", "Enabled")?,
            ebs_optimized: query.flag("EbsOptimized")?,
            hibernation: inner_flag(query, "HibernationOptions", "Configured")?,
            disable_termination: query.flag("DisableApiTermination")?,
            disable_stop: query.flag("DisableApiStop")?,
            credits: credits(query)?,
        };
        let grouped = !(found.group_ids.is_empty() && found.group_names.is_empty());
        if grouped && !found.interfaces.is_empty() {
            return Err(Refusal::combination(
                "Network interfaces and an instance-level security groups may not be specified on \
                 the same request",
            ));
        }
        Ok(found)
    }

    /// This, and what it leaves open from another one.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        // Groups can be said in three ways that exclude one another.
        let grouped = !(self.group_ids.is_empty()
            && self.group_names.is_empty()
            && self.interfaces.is_empty());
        let groups = if grouped { &self } else { &base };
        let (group_ids, group_names) = (groups.group_ids.clone(), groups.group_names.clone());
        let interfaces = groups.interfaces.clone();
        let mut tags = base.tags;
        for (kind, more) in self.tags {
            tags.entry(kind).or_default().extend(more);
        }
        let mut disks = base.disks;
        disks.retain(|one| self.disks.iter().all(|other| other.device != one.device));
        disks.extend(self.disks);
        Self {
            image: self.image.or(base.image),
            instance_type: self.instance_type.or(base.instance_type),
            key_name: self.key_name.or(base.key_name),
            group_ids,
            group_names,
            interfaces,
            zone: self.zone.or(base.zone),
            tenancy: self.tenancy.or(base.tenancy),
            user_data: self.user_data.or(base.user_data),
            disks,
            metadata: self.metadata.over(base.metadata),
            shutdown: self.shutdown.or(base.shutdown),
            market: self.market.or(base.market),
            profile: self.profile.or(base.profile),
            tags,
            monitoring: self.monitoring.or(base.monitoring),
            ebs_optimized: self.ebs_optimized.or(base.ebs_optimized),
            hibernation: self.hibernation.or(base.hibernation),
            disable_termination: self.disable_termination.or(base.disable_termination),
            disable_stop: self.disable_stop.or(base.disable_stop),
            credits: self.credits.or(base.credits),
        }
    }

    /// As answers show the data of a launch template; with another image, where its own was an
    /// alias that is resolved.
    pub fn shape(&self, image: Option<&str>) -> String {
        let truth = |name: &str, flag: Option<bool>| some(name, flag.map(truth));
        let list = |name: &str, items: Vec<String>| match items.as_slice() {
            [] => String::new(),
            _ => set(name, items),
        };
        let texts = |name: &str, texts: &[String]| {
            let items: String = texts.iter().map(|text| leaf("item", text)).collect();
            if items.is_empty() { items } else { node(name, &items) }
        };
        let tags = self
            .tags
            .iter()
            .map(|(kind, tags)| leaf("resourceType", kind) + &shape::tags(tags))
            .collect();
        let placement = some("availabilityZone", self.zone.as_deref())
            + &some("tenancy", self.tenancy.as_deref());
        truth("ebsOptimized", self.ebs_optimized)
            + &self.profile.as_ref().map_or_else(String::new, |profile| {
                let inner =
                    some("arn", profile.arn.as_deref()) + &some("name", profile.name.as_deref());
                node("iamInstanceProfile", &inner)
            })
            + &list("blockDeviceMappingSet", self.disks.iter().map(Wanted::shape).collect())
            + &list("networkInterfaceSet", self.interfaces.iter().map(Interface::shape).collect())
            + &some("imageId", image.or(self.image.as_deref()))
            + &some("instanceType", self.instance_type.as_deref())
            + &some("keyName", self.key_name.as_deref())
            + &whole("monitoring", &truth("enabled", self.monitoring))
            + &whole("placement", &placement)
            + &truth("disableApiTermination", self.disable_termination)
            + &truth("disableApiStop", self.disable_stop)
            + &some("instanceInitiatedShutdownBehavior", self.shutdown.as_deref())
            + &some("userData", self.user_data.as_deref())
            + &list("tagSpecificationSet", tags)
            + &texts("securityGroupIdSet", &self.group_ids)
            + &texts("securityGroupSet", &self.group_names)
            + &self.market.as_ref().map_or_else(String::new, Market::shape)
            + &whole("creditSpecification", &some("cpuCredits", self.credits.as_deref()))
            + &whole("hibernationOptions", &truth("configured", self.hibernation))
            + &whole("metadataOptions", &self.metadata.shape())
    }
}

/// A structure, where there is something in it.
fn whole(name: &str, inner: &str) -> String {
    if inner.is_empty() { String::new() } else { node(name, inner) }
}

fn owned(word: Option<&'static str>) -> Option<String> {
    word.map(str::to_owned)
}

fn placed(mut query: Query) -> Answer<(Option<String>, Option<String>)> {
    let zone = query.text("AvailabilityZone");
    let tenancy = owned(query.word("Tenancy", &["default", "dedicated", "host"])?);
    query.done()?;
    Ok((zone, tenancy))
}

fn interfaces(query: &mut Query) -> Answer<Vec<Interface>> {
    let mut all = Vec::new();
    for mut one in query.structures("NetworkInterface") {
        all.push(Interface {
            index: one.number("DeviceIndex")?,
            subnet: one.text("SubnetId"),
            groups: one.list("SecurityGroupId"),
            public: one.flag("AssociatePublicIpAddress")?,
            delete_on_termination: one.flag("DeleteOnTermination")?,
            private_ip: one.text("PrivateIpAddress"),
            description: one.text("Description"),
        });
        one.done()?;
    }
    Ok(all)
}

fn metadata(mut query: Query) -> Answer<Metadata> {
    let found = Metadata {
        tokens: owned(query.word("HttpTokens", &["optional", "required"])?),
        hop_limit: query.number("HttpPutResponseHopLimit")?,
        endpoint: owned(query.word("HttpEndpoint", &ON_OFF)?),
        ipv6: owned(query.word("HttpProtocolIpv6", &ON_OFF)?),
        tags: owned(query.word("InstanceMetadataTags", &ON_OFF)?),
    };
    query.done()?;
    match found.hop_limit {
        Some(hops) if !(1..=64).contains(&hops) => Err(Refusal::value(format!(
            "Value ({hops}) for parameter HttpPutResponseHopLimit is invalid: 1 to 64 is expected"
        ))),
        _ => Ok(found),
    }
}

fn market(mut query: Query) -> Answer<Market> {
    let kind = query.word("MarketType", &["spot"])?.unwrap_or("spot").to_owned();
    let mut found = Market { kind, ..Market::default() };
    if let Some(mut spot) = query.structure("SpotOptions") {
        found.max_price = spot.text("MaxPrice");
        found.spot_type = owned(spot.word("SpotInstanceType", &["one-time", "persistent"])?);
        let ends = ["hibernate", "stop", "terminate"];
        found.interruption = owned(spot.word("InstanceInterruptionBehavior", &ends)?);
        spot.done()?;
    }
    query.done()?;
    let lasting = found.spot_type.as_deref() == Some("persistent");
    if !lasting && matches!(found.interruption.as_deref(), Some("stop" | "hibernate")) {
        return Err(Refusal::combination(
            "A one-time Spot request cannot be stopped or hibernated when it is interrupted",
        ));
    }
    Ok(found)
}

fn profile(mut query: Query) -> Answer<Profile> {
    let found = Profile { arn: query.text("Arn"), name: query.text("Name") };
    query.done()?;
    if found.arn.is_some() && found.name.is_some() {
        return Err(Refusal::combination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with \
             'iamInstanceProfile.arn'",
        ));
    }
    Ok(found)
}

fn inner_flag(query: &mut Query, field: &str, inner: &str) -> Answer<Option<bool>> {
    let Some(mut structure) = query.structure(field) else { return Ok(None) };
    let flag = structure.flag(inner)?;
    structure.done()?;
    Ok(flag)
}

fn credits(query: &mut Query) -> Answer<Option<String>> {
    let Some(mut structure) = query.structure("CreditSpecification") else { return Ok(None) };
    let word = structure.word("CpuCredits", &["standard", "unlimited"])?;
    structure.done()?;
    Ok(owned(word))
}

impl Interface {
    fn shape(&self) -> String {
        let truth = |name: &str, flag: Option<bool>| some(name, flag.map(truth));
        let groups: String = self.groups.iter().map(|group| leaf("groupId", group)).collect();
        number("deviceIndex", self.index)
            + &some("subnetId", self.subnet.as_deref())
            + &whole("groupSet", &groups)
            + &truth("associatePublicIpAddress", self.public)
            + &truth("deleteOnTermination", self.delete_on_termination)
            + &some("privateIpAddress", self.private_ip.as_deref())
            + &some("description", self.description.as_deref())
    }
}

impl Metadata {
    fn over(self, base: Self) -> Self {
        Self {
            tokens: self.tokens.or(base.tokens),
            hop_limit: self.hop_limit.or(base.hop_limit),
            endpoint: self.endpoint.or(base.endpoint),
            ipv6: self.ipv6.or(base.ipv6),
            tags: self.tags.or(base.tags),
        }
    }

    /// As answers show it, without its state.
    pub fn shape(&self) -> String {
        some("httpTokens", self.tokens.as_deref())
            + &number("httpPutResponseHopLimit", self.hop_limit)
            + &some("httpEndpoint", self.endpoint.as_deref())
            + &some("httpProtocolIpv6", self.ipv6.as_deref())
            + &some("instanceMetadataTags", self.tags.as_deref())
    }
}

impl Market {
    fn shape(&self) -> String {
        let spot = some("maxPrice", self.max_price.as_deref())
            + &some("spotInstanceType", self.spot_type.as_deref())
            + &some("instanceInterruptionBehavior", self.interruption.as_deref());
        let inner = leaf("marketType", &self.kind) + &whole("spotOptions", &spot);
        node("instanceMarketOptions", &inner)
    }
}
