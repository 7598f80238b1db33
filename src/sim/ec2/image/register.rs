//! `RegisterImage`: an image of snapshots that are there.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::mapping;
use crate::sim::account::ACCOUNT_ID;
use crate::sim::conditions;
use crate::sim::ec2::Call;
use crate::sim::ec2::disk::{self, Wanted};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::tags::Specified;
use crate::sim::image::{Image, State};
use crate::sim::xml::leaf;

/// The characters of a description.
pub const DESCRIPTION_LIMIT: usize = 255;
const UEFI_DATA_LIMIT: usize = 64_000;

/// What is asked for.
struct Asked {
    name: String,
    description: String,
    architecture: &'static str,
    root_device: String,
    virtualization: &'static str,
    boot_mode: Option<&'static str>,
    tpm_support: Option<&'static str>,
    imds_support: Option<&'static str>,
    uefi_data: Option<String>,
    ena: bool,
    sriov: Option<&'static str>,
    wanted: Vec<Wanted>,
    tags: Specified,
}

impl Asked {
    fn of(query: &mut Query) -> Answer<Self> {
        let architectures = ["i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"];
        let boot_modes = ["legacy-bios", "uefi", "uefi-preferred"];
        Ok(Self {
            name: query.required("Name")?,
            description: query.short("Description", DESCRIPTION_LIMIT)?.unwrap_or_default(),
            // AWS's own defaults, bad as they are: who forgets one must notice here.
            architecture: query.word("Architecture", &architectures)?.unwrap_or("i386"),
            virtualization: query
                .word("VirtualizationType", &["hvm", "paravirtual"])?
                .unwrap_or("paravirtual"),
            root_device: query.required("RootDeviceName")?,
            boot_mode: query.word("BootMode", &boot_modes)?,
            tpm_support: query.word("TpmSupport", &["v2.0"])?,
            imds_support: query.word("ImdsSupport", &["v2.0"])?,
            uefi_data: query.short("UefiData", UEFI_DATA_LIMIT)?,
            ena: query.flag("EnaSupport")?.unwrap_or_default(),
            sriov: query.word("SriovNetSupport", &["simple"])?,
            wanted: disk::wanted(query)?,
            tags: Specified::of(query, &[Kind::Image])?,
        })
    }

    /// Whether it goes together.
    fn check(&self) -> Answer<()> {
        let combination = |message: &str| Err(Refusal::combination(message));
        if self.virtualization == "paravirtual" {
            if self.ena || self.sriov.is_some() {
                return combination("Enhanced networking needs virtualization type hvm");
            }
            if self.boot_mode.is_some() || self.architecture == "arm64" {
                return combination("A boot mode and arm64 need virtualization type hvm");
            }
        }
        if self.architecture == "arm64" && self.boot_mode == Some("legacy-bios") {
            return combination("Boot mode legacy-bios is not supported for arm64");
        }
        if self.tpm_support.is_some() && self.boot_mode != Some("uefi") {
            return combination("TpmSupport v2.0 needs boot mode uefi");
        }
        match &self.uefi_data {
            Some(_) if !matches!(self.boot_mode, Some("uefi" | "uefi-preferred")) => {
                combination("UefiData needs boot mode uefi or uefi-preferred")
            }
            Some(data) if STANDARD.decode(data).is_err() => {
                Err(Refusal::value("Value for parameter UefiData is invalid: it is not base64"))
            }
            _ => Ok(()),
        }
    }
}

/// See the module.
pub fn register(call: &mut Call<'_>, mut query: Query) -> Answer {
    let asked = Asked::of(&mut query)?;
    let dry_run = query.finish()?;
    asked.check()?;
    super::check_name(call, &asked.name)?;
    let mappings = mapping::registered(asked.wanted, call.here())?;
    let root = mappings.iter().find(|one| one.device == asked.root_device);
    if root.is_none_or(|root| root.snapshot.is_none()) {
        return Err(disk::invalid(format!(
            "The root device '{}' has no snapshot in the block device mapping",
            asked.root_device
        )));
    }
    dry_run.end()?;
    let id = Kind::Image.fresh();
    let image = Image {
        id: id.clone(),
        name: asked.name,
        owner: ACCOUNT_ID.to_owned(),
        owner_alias: None,
        description: asked.description,
        architecture: asked.architecture.to_owned(),
        root_device: asked.root_device,
        virtualization: asked.virtualization.to_owned(),
        mappings,
        boot_mode: asked.boot_mode.map(str::to_owned),
        tpm_support: asked.tpm_support.map(str::to_owned),
        imds_support: asked.imds_support.map(str::to_owned),
        uefi_data: asked.uefi_data,
        ena: asked.ena,
        sriov: asked.sriov.map(str::to_owned),
        tags: asked.tags.for_kind(Kind::Image),
        created: call.account.world(),
        deprecated: None,
        protection: None,
        cooldown: None,
        shared_with: BTreeSet::new(),
        state: State::Pending(call.account.due(conditions::IMAGE)),
        fails: call.doom(),
        last_launched: None,
        public_parameter: None,
        source_instance: None,
        source_image: None,
    };
    call.here().images.insert(id.clone(), image);
    Ok(leaf("imageId", &id))
}
