//! What a launch comes to: everything that was said, put together with what the image and the
//! network say, and checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::disks::{self, Disk};
use super::types::Type;
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::launch::Shutdown;
use crate::sim::ec2::network::group;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::specification::{Metadata, Specification};
use crate::sim::ec2::{Call, image, key_pair, template};
use crate::sim::image::{Image, State};
use crate::sim::network::Subnet;
use crate::sim::region::Region;
use crate::sim::shortage::Lack;

/// The bytes of user-data.
const USER_DATA_LIMIT: usize = 16_384;
/// The type of who says none. AWS's, too, and of the older hypervisor.
const DEFAULT_TYPE: &str = "m1.small";

/// See the module.
#[derive(Debug)]
pub struct Plan {
    /// The image.
    pub image: Image,
    /// The type.
    pub kind: Type,
    /// Where it goes.
    pub subnet: Subnet,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its key pair: the name and the public key.
    pub key: Option<(String, String)>,
    /// In the clear.
    pub user_data: String,
    /// How its metadata service is.
    pub metadata: Metadata,
    /// Its disks, the root first.
    pub disks: Vec<Disk>,
    /// What becomes of it when it switches itself off.
    pub shutdown: Shutdown,
    /// Whether it has an address in the world.
    pub public: bool,
    /// The address in its network that was asked for.
    pub private_ip: Option<String>,
    /// Whether it is a spot instance, and then whether for one time only.
    pub spot: Option<bool>,
    /// The ARN of its role's profile.
    pub profile: Option<String>,
}

impl Plan {
    /// Puts it together. `subnet` and `private_ip` are what the launch itself says.
    pub fn of(
        call: &mut Call<'_>,
        said: &Specification,
        subnet: Option<&str>,
        private_ip: Option<&str>,
    ) -> Answer<Self> {
        let image = launchable(call, said)?;
        let name = said.instance_type.as_deref().unwrap_or(DEFAULT_TYPE);
        let kind = Type::of(name)
            .ok_or_else(|| Refusal::value(format!("Invalid value '{name}' for InstanceType.")))?;
        fits(&image, &kind)?;
        let key_name = said.key_name.as_deref().filter(|name| !name.is_empty());
        let key = key_name.map(|name| key(call.here(), name)).transpose()?;
        let spot =
            said.market.as_ref().map(|market| market.spot_type.as_deref() != Some("persistent"));
        let card = said.interfaces.first();
        let subnet = subnet.or(card.and_then(|card| card.subnet.as_deref()));
        let subnet = place(call, subnet, said.zone.as_deref())?;
        capacity(call.account, &kind, &subnet, spot.is_some())?;
        let groups = groups(call.here(), said, &subnet)?;
        let region = call.region.clone();
        Ok(Self {
            metadata: metadata(&said.metadata, image.imds_support.is_some()),
            disks: disks::of(&image, &said.disks, call.here(), &region)?,
            user_data: user_data(said.user_data.as_deref())?,
            shutdown: match said.shutdown.as_deref() {
                Some("terminate") => Shutdown::Terminate,
                _ => Shutdown::Stop,
            },
            public: card.and_then(|card| card.public).unwrap_or(true),
            private_ip: private_ip
                .or(card.and_then(|card| card.private_ip.as_deref()))
                .map(str::to_owned),
            profile: said.profile.as_ref().map(|profile| match (&profile.arn, &profile.name) {
                (Some(arn), _) => arn.clone(),
                (None, name) => format!(
                    "arn:aws:iam::{ACCOUNT_ID}:instance-profile/{}",
                    name.as_deref().unwrap_or_default()
                ),
            }),
            image,
            kind,
            subnet,
            groups,
            key,
            spot,
        })
    }
}

fn launchable(call: &mut Call<'_>, said: &Specification) -> Answer<Image> {
    let id = said.image.as_deref().ok_or_else(|| Refusal::missing("ImageId"))?;
    let id = template::resolve::image(call, id)?;
    let image = image::find(call.here(), &id)?;
    if image.state == State::Available {
        return Ok(image.clone());
    }
    let state = image.state.word();
    Err(Refusal::new(
        "InvalidAMIID.Unavailable",
        format!("The AMI ID '{id}' is currently {state} and may not be used for instance creation"),
    ))
}

/// Whether a machine of that type can boot that image.
fn fits(image: &Image, kind: &Type) -> Answer<()> {
    let name = kind.name();
    if image.architecture != kind.architecture() {
        return Err(Refusal::value(format!(
            "The architecture '{}' of the specified instance type does not match the architecture \
             '{}' of the specified AMI. Specify an instance type and an AMI that have matching \
             architectures, and try again. You can use 'describe-instance-types' or \
             'describe-images' to discover the architecture of the instance type or AMI.",
            kind.architecture(),
            image.architecture
        )));
    }
    if image.virtualization != "hvm" {
        return Err(Refusal::combination(format!(
            "Virtualization type '{}' is not supported for instances of type '{name}'",
            image.virtualization
        )));
    }
    if kind.needs_ena() && !image.ena {
        return Err(Refusal::combination(format!(
            "Enhanced networking with the Elastic Network Adapter (ENA) is required for the \
             '{name}' instance type. Ensure that you are using an AMI that is enabled for ENA."
        )));
    }
    let boots = match image.boot_mode.as_deref() {
        None | Some("uefi-preferred") => true,
        Some(mode) => kind.boot_modes().contains(&mode),
    };
    if !boots || (image.tpm_support.is_some() && !kind.has_tpm()) {
        let mode = image.boot_mode.as_deref().unwrap_or_default();
        return Err(Refusal::combination(format!(
            "The AMI's boot mode '{mode}' is not supported by the '{name}' instance type"
        )));
    }
    Ok(())
}

fn key(region: &Region, name: &str) -> Answer<(String, String)> {
    let found = region.key_pairs.values().find(|pair| pair.name == name);
    let pair = found.ok_or_else(|| key_pair::no_such_name(name))?;
    Ok((pair.name.clone(), pair.public_key.clone()))
}

/// The subnet that was said, or the first in the zone that was said, or the first of all.
fn place(call: &mut Call<'_>, subnet: Option<&str>, zone: Option<&str>) -> Answer<Subnet> {
    let subnets = &call.here().subnets;
    if let Some(id) = subnet {
        Kind::Subnet.check(id)?;
        let subnet = subnets.get(id).ok_or_else(|| Kind::Subnet.not_found(&[id]))?;
        if zone.is_some_and(|zone| zone != subnet.zone) {
            let message = "The specified subnet is not in the specified availability zone";
            return Err(Refusal::combination(message));
        }
        return Ok(subnet.clone());
    }
    let mut all: Vec<&Subnet> = subnets.values().collect();
    all.sort_by(|one, other| one.zone.cmp(&other.zone));
    let found = all.into_iter().find(|subnet| zone.is_none_or(|zone| zone == subnet.zone));
    found.cloned().ok_or_else(|| {
        Refusal::value(format!("Invalid availability zone: [{}]", zone.unwrap_or_default()))
    })
}

/// Refuses where there is no capacity, or the account may have no more.
pub fn capacity(account: &mut Account, kind: &Type, subnet: &Subnet, spot: bool) -> Answer<()> {
    let name = kind.name();
    let short = account
        .shortages
        .iter_mut()
        .find_map(|one| one.hinders(&name, &subnet.zone, &subnet.id, spot).then_some(one.lack));
    let (status, code, message) = match short {
        None => return Ok(()),
        Some(Lack::Capacity) => {
            (500, "InsufficientInstanceCapacity", no_capacity(&name, subnet, spot))
        }
        Some(Lack::Quota) => (400, "VcpuLimitExceeded", NO_QUOTA.to_owned()),
        Some(Lack::SpotQuota) => {
            (400, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded".to_owned())
        }
        Some(Lack::SpotPrice) => (400, "SpotMaxPriceTooLow", LOW_PRICE.to_owned()),
        Some(Lack::Addresses) => (400, "InsufficientFreeAddressesInSubnet", NO_ADDRESS.to_owned()),
    };
    Err(Refusal { status, code, message })
}

const NO_QUOTA: &str = "You have requested more vCPU capacity than your current vCPU limit of 0 \
    allows for the instance bucket that the specified instance type belongs to. Please visit \
    http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.";
const LOW_PRICE: &str = "Your Spot request price is lower than the minimum required Spot request \
    fulfillment price.";
const NO_ADDRESS: &str =
    "The specified subnet does not have enough free addresses to satisfy the request.";

fn no_capacity(name: &str, subnet: &Subnet, spot: bool) -> String {
    if spot {
        return "There is no Spot capacity available that matches your request.".to_owned();
    }
    format!(
        "We currently do not have sufficient {name} capacity in the Availability Zone you \
         requested ({}). Our system will be working on provisioning additional capacity. You can \
         currently get {name} capacity by not specifying an Availability Zone in your request or \
         choosing another one.",
        subnet.zone
    )
}

fn groups(region: &Region, said: &Specification, subnet: &Subnet) -> Answer<Vec<String>> {
    let mut ids = said.group_ids.clone();
    for name in &said.group_names {
        ids.push(group::by_name(region, name)?);
    }
    ids.extend(said.interfaces.first().map(|card| card.groups.clone()).unwrap_or_default());
    Kind::SecurityGroup.check_all(&ids, |id| region.security_groups.contains_key(id))?;
    if let Some(id) = ids.iter().find(|id| region.security_groups[*id].vpc != subnet.vpc) {
        let message =
            format!("Security group {id} and subnet {} belong to different networks.", subnet.id);
        return Err(Refusal::new("InvalidParameter", message));
    }
    if ids.is_empty() {
        ids.push(group::by_name(region, "default")?);
    }
    Ok(ids)
}

fn user_data(encoded: Option<&str>) -> Answer {
    let Some(encoded) = encoded else { return Ok(String::new()) };
    let encoded: String = encoded.split_whitespace().collect();
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| Refusal::value("Invalid BASE64 encoding of user data."))?;
    if bytes.len() > USER_DATA_LIMIT {
        let message = format!("User data is limited to {USER_DATA_LIMIT} bytes");
        return Err(Refusal::value(message));
    }
    String::from_utf8(bytes).map_err(|_| {
        Refusal::value("User data that is not text is not modelled by the rehearsal account")
    })
}

/// What was said; where nothing was, what the image says; where that says nothing, AWS's defaults.
fn metadata(said: &Metadata, version_2: bool) -> Metadata {
    let word = |said: &Option<String>, otherwise: &str| {
        Some(said.clone().unwrap_or_else(|| otherwise.to_owned()))
    };
    Metadata {
        tokens: word(&said.tokens, if version_2 { "required" } else { "optional" }),
        hop_limit: said.hop_limit.or(Some(if version_2 { 2 } else { 1 })),
        endpoint: word(&said.endpoint, "enabled"),
        ipv6: word(&said.ipv6, "disabled"),
        tags: word(&said.tags, "disabled"),
    }
}
