//! `DescribeImages`.

use jiff::Timestamp;

use super::{is_visible, mapping};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::{Filters, truth};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::Answer;
use crate::sim::ec2::shape::{self, flag, set, some};
use crate::sim::image::{Image, State};
use crate::sim::xml::{leaf, node};

/// What an answer may be filtered by.
const FILTERS: &[&str] = &[
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.encrypted",
    "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size",
    "block-device-mapping.volume-type",
    "boot-mode",
    "creation-date",
    "description",
    "ena-support",
    "free-tier-eligible",
    "hypervisor",
    "image-allowed",
    "image-id",
    "image-type",
    "is-public",
    "kernel-id",
    "manifest-location",
    "name",
    "owner-alias",
    "owner-id",
    "platform",
    "product-code",
    "product-code.type",
    "public-ssm-parameter-name",
    "ramdisk-id",
    "root-device-name",
    "root-device-type",
    "source-image-id",
    "source-image-region",
    "source-instance-id",
    "sriov-net-support",
    "state",
    "state-reason-code",
    "state-reason-message",
    "tag-key",
    "virtualization-type",
];

/// What is asked for.
struct Asked {
    ids: Vec<String>,
    owners: Vec<String>,
    executable_by: Vec<String>,
    deprecated: bool,
    disabled: bool,
    filters: Filters,
    seen: Timestamp,
    now: Timestamp,
}

impl Asked {
    fn of(query: &mut Query, call: &Call<'_>) -> Answer<Self> {
        Ok(Self {
            ids: query.list("ImageId"),
            owners: query.list("Owner"),
            executable_by: query.list("ExecutableBy"),
            deprecated: query.flag("IncludeDeprecated")?.unwrap_or_default(),
            disabled: query.flag("IncludeDisabled")?.unwrap_or_default(),
            filters: Filters::of(query, FILTERS)?,
            seen: call.seen(),
            now: call.account.world(),
        })
    }

    fn wants(&self, image: &Image) -> bool {
        let own = image.owner == ACCOUNT_ID;
        let deprecated = image.deprecated.is_some_and(|at| at <= self.now);
        (self.ids.is_empty() || self.ids.contains(&image.id))
            && (own || self.deprecated || !deprecated)
            && (self.disabled || image.state != State::Disabled)
            && (self.owners.is_empty() || self.owners.iter().any(|owner| is_of(image, owner)))
            && (self.executable_by.is_empty()
                || self.executable_by.iter().any(|who| is_shared(image, who)))
            && self.filters.pass(&image.tags, |name| values(image, name))
    }
}

fn is_of(image: &Image, owner: &str) -> bool {
    match owner {
        "self" => image.owner == ACCOUNT_ID,
        other => image.owner == other || image.owner_alias.as_deref() == Some(other),
    }
}

fn is_shared(image: &Image, who: &str) -> bool {
    let account = |id: &str| image.shared_with.contains(&("userId".to_owned(), id.to_owned()));
    match who {
        "all" => image.is_public(),
        "self" => account(ACCOUNT_ID),
        other => account(other),
    }
}

/// See the module.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let asked = Asked::of(&mut query, call)?;
    let page = Page::of(&mut query, &(1..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let images = &call.here().images;
    let known = |image: &Image| is_visible(image) && image.created <= asked.seen;
    Kind::Image.check_all(&asked.ids, |id| images.get(id).is_some_and(known))?;
    dry_run.end()?;
    let wanted = images.iter().filter(|(_, image)| known(image) && asked.wants(image));
    let (part, next) = page.cut(wanted.map(|(id, image)| (id.clone(), image)));
    Ok(set("imagesSet", part.into_iter().map(item)) + &some("nextToken", next.as_deref()))
}

fn reason(image: &Image) -> Option<(&'static str, &str)> {
    match &image.state {
        State::Failed(message) => Some(("Client.InvalidSnapshot.NotFound", message)),
        _ => None,
    }
}

fn item(image: &Image) -> String {
    let source = image.source_image.as_ref();
    leaf("imageId", &image.id)
        + &leaf("imageLocation", &format!("{}/{}", image.owner, image.name))
        + &leaf("imageState", image.state.word())
        + &leaf("imageOwnerId", &image.owner)
        + &leaf("creationDate", &shape::time(image.created))
        + &flag("isPublic", image.is_public())
        + &leaf("architecture", &image.architecture)
        + &leaf("imageType", "machine")
        + &leaf("platformDetails", "Linux/UNIX")
        + &leaf("usageOperation", "RunInstances")
        + &some("imageOwnerAlias", image.owner_alias.as_deref())
        + &leaf("name", &image.name)
        + &some("description", Some(&*image.description).filter(|text| !text.is_empty()))
        + &leaf("rootDeviceType", "ebs")
        + &leaf("rootDeviceName", &image.root_device)
        + &mapping::shape(&image.mappings)
        + &leaf("virtualizationType", &image.virtualization)
        + &leaf("hypervisor", "xen")
        + &if image.ena { leaf("enaSupport", "true") } else { String::new() }
        + &some("sriovNetSupport", image.sriov.as_deref())
        + &some("bootMode", image.boot_mode.as_deref())
        + &some("tpmSupport", image.tpm_support.as_deref())
        + &some("imdsSupport", image.imds_support.as_deref())
        + &some("deprecationTime", image.deprecated.map(shape::time).as_deref())
        + &leaf("deregistrationProtection", image.protection.as_deref().unwrap_or("disabled"))
        + &some("sourceInstanceId", image.source_instance.as_deref())
        + &some("sourceImageRegion", source.map(|(region, _)| region.as_str()))
        + &some("sourceImageId", source.map(|(_, id)| id.as_str()))
        + &some("lastLaunchedTime", image.last_launched.map(shape::time).as_deref())
        + &some("publicSsmParameterName", image.public_parameter.as_deref())
        + &reason(image).map_or_else(String::new, |(code, message)| {
            node("stateReason", &(leaf("code", code) + &leaf("message", message)))
        })
        + &shape::tags(&image.tags)
}

/// What an image has under the name of a filter.
fn values(image: &Image, filter: &str) -> Vec<String> {
    if let Some(field) = filter.strip_prefix("block-device-mapping.") {
        return image.mappings.iter().filter_map(|one| mapping::value(one, field)).collect();
    }
    let source = image.source_image.as_ref();
    let text = match filter {
        "architecture" => Some(image.architecture.clone()),
        "boot-mode" => image.boot_mode.clone(),
        "creation-date" => Some(shape::time(image.created)),
        "description" => Some(image.description.clone()),
        "ena-support" => Some(truth(image.ena).to_owned()),
        "hypervisor" => Some("xen".to_owned()),
        "image-allowed" => Some("true".to_owned()),
        "free-tier-eligible" => Some("false".to_owned()),
        "image-id" => Some(image.id.clone()),
        "image-type" => Some("machine".to_owned()),
        "is-public" => Some(truth(image.is_public()).to_owned()),
        "manifest-location" => Some(format!("{}/{}", image.owner, image.name)),
        "name" => Some(image.name.clone()),
        "owner-alias" => image.owner_alias.clone(),
        "owner-id" => Some(image.owner.clone()),
        "public-ssm-parameter-name" => image.public_parameter.clone(),
        "root-device-name" => Some(image.root_device.clone()),
        "root-device-type" => Some("ebs".to_owned()),
        "source-image-id" => source.map(|(_, id)| id.clone()),
        "source-image-region" => source.map(|(region, _)| region.clone()),
        "source-instance-id" => image.source_instance.clone(),
        "sriov-net-support" => image.sriov.clone(),
        "state" => Some(image.state.word().to_owned()),
        "state-reason-code" => reason(image).map(|(code, _)| code.to_owned()),
        "state-reason-message" => reason(image).map(|(_, message)| message.to_owned()),
        "virtualization-type" => Some(image.virtualization.clone()),
        // No image here has a kernel, a memory disk, a product code, or runs Windows.
        _ => None,
    };
    text.into_iter().collect()
}
