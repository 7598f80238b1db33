//! Instance types: a few families, and what matters of them for an image.
//! `DescribeInstanceTypes`, `DescribeInstanceTypeOfferings`.

use crate::sim::ec2::Call;
use crate::sim::ec2::filter::{Filters, truth};
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{flag, number, set, some};
use crate::sim::region::Tags;
use crate::sim::xml::{leaf, node};

/// What the types of a family have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Family {
    name: &'static str,
    architecture: &'static str,
    /// The older hypervisor: no UEFI, no enhanced network adapter.
    xen: bool,
    burstable: bool,
    maker: &'static str,
    sizes: &'static [Size],
}

/// A size: its name, its processors, its memory in MiB.
type Size = (&'static str, u64, u64);

const BURSTABLE: &[Size] = &[
    ("nano", 2, 512),
    ("micro", 2, 1024),
    ("small", 2, 2048),
    ("medium", 2, 4096),
    ("large", 2, 8192),
    ("xlarge", 4, 16_384),
    ("2xlarge", 8, 32_768),
];
const GENERAL: &[Size] =
    &[("large", 2, 8192), ("xlarge", 4, 16_384), ("2xlarge", 8, 32_768), ("4xlarge", 16, 65_536)];
const COMPUTE: &[Size] =
    &[("large", 2, 4096), ("xlarge", 4, 8192), ("2xlarge", 8, 16_384), ("4xlarge", 16, 32_768)];
const OLD: &[Size] = &[("micro", 1, 1024), ("small", 1, 2048), ("medium", 2, 4096)];

const fn family(name: &'static str, maker: &'static str, sizes: &'static [Size]) -> Family {
    Family { name, architecture: "x86_64", xen: false, burstable: false, maker, sizes }
}

const FAMILIES: [Family; 11] = [
    family("c5", "Intel", COMPUTE),
    family("c6i", "Intel", COMPUTE),
    Family { architecture: "arm64", ..family("c7g", "AWS", COMPUTE) },
    family("m5", "Intel", GENERAL),
    family("m6i", "Intel", GENERAL),
    Family { architecture: "arm64", ..family("m6g", "AWS", GENERAL) },
    Family { architecture: "arm64", ..family("m7g", "AWS", GENERAL) },
    Family { xen: true, burstable: true, ..family("t2", "Intel", OLD) },
    Family { burstable: true, ..family("t3", "Intel", BURSTABLE) },
    Family { burstable: true, ..family("t3a", "AMD", BURSTABLE) },
    Family { burstable: true, architecture: "arm64", ..family("t4g", "AWS", BURSTABLE) },
];

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    family: Family,
    size: Size,
}

impl Type {
    /// All types, in the order of their names.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = FAMILIES
            .iter()
            .flat_map(|family| {
                family.sizes.iter().map(|size| Self { family: *family, size: *size })
            })
            .collect();
        all.sort_by_key(Self::name);
        all
    }

    /// The type of a name.
    pub fn of(name: &str) -> Option<Self> {
        let (family, size) = name.split_once('.')?;
        let family = FAMILIES.iter().find(|one| one.name == family)?;
        let size = family.sizes.iter().find(|one| one.0 == size)?;
        Some(Self { family: *family, size: *size })
    }

    /// `t3.micro`
    pub fn name(&self) -> String {
        format!("{}.{}", self.family.name, self.size.0)
    }

    /// Its virtual processors.
    pub const fn vcpus(&self) -> u64 {
        self.size.1
    }

    /// `x86_64` or `arm64`.
    pub const fn architecture(&self) -> &'static str {
        self.family.architecture
    }

    /// Whether an image must support the elastic network adapter.
    pub const fn needs_ena(&self) -> bool {
        !self.family.xen
    }

    /// How a machine of it can boot.
    pub fn boot_modes(&self) -> &'static [&'static str] {
        match (self.family.architecture, self.family.xen) {
            ("arm64", _) => &["uefi"],
            (_, true) => &["legacy-bios"],
            (_, false) => &["legacy-bios", "uefi"],
        }
    }

    /// Whether it has a trusted platform module for images that want one.
    pub const fn has_tpm(&self) -> bool {
        !self.family.xen
    }

    fn hypervisor(&self) -> &'static str {
        if self.family.xen { "xen" } else { "nitro" }
    }

    fn architectures(&self) -> &'static [&'static str] {
        match (self.family.architecture, self.family.xen) {
            ("arm64", _) => &["arm64"],
            (_, true) => &["i386", "x86_64"],
            (_, false) => &["x86_64"],
        }
    }

    fn values(&self, filter: &str) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        let several = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        match filter {
            "bare-metal" | "instance-storage-supported" => one("false"),
            "burstable-performance-supported" => one(truth(self.family.burstable)),
            "current-generation" => one("true"),
            "free-tier-eligible" => one(truth(self.size.0 == "micro")),
            "hypervisor" => one(self.hypervisor()),
            "instance-type" => vec![self.name()],
            "memory-info.size-in-mib" => vec![self.size.2.to_string()],
            "network-info.ena-support" => {
                one(if self.needs_ena() { "required" } else { "unsupported" })
            }
            "nitro-tpm-support" => one(if self.has_tpm() { "supported" } else { "unsupported" }),
            "nitro-tpm-info.supported-versions" if self.has_tpm() => one("2.0"),
            "processor-info.supported-architecture" => several(self.architectures()),
            "supported-boot-mode" => several(self.boot_modes()),
            "supported-root-device-type" => one("ebs"),
            "supported-usage-class" => several(&["on-demand", "spot"]),
            "supported-virtualization-type" => one("hvm"),
            "vcpu-info.default-vcpus" => vec![self.size.1.to_string()],
            _ => Vec::new(),
        }
    }

    fn shape(&self) -> String {
        let texts = |name: &str, texts: &[&str]| {
            node(name, &texts.iter().map(|text| leaf("item", text)).collect::<String>())
        };
        let support = |has: bool| if has { "supported" } else { "unsupported" };
        let ena = if self.needs_ena() { "required" } else { "unsupported" };
        let threads = if self.family.architecture == "arm64" { 1 } else { self.size.1.min(2) };
        let processor = texts("supportedArchitectures", self.architectures())
            + &leaf("manufacturer", self.family.maker);
        let count = number("defaultVCpus", Some(self.size.1))
            + &number("defaultCores", Some(self.size.1 / threads))
            + &number("defaultThreadsPerCore", Some(threads));
        let tpm = if self.has_tpm() {
            node("nitroTpmInfo", &texts("supportedVersions", &["2.0"]))
        } else {
            String::new()
        };
        leaf("instanceType", &self.name())
            + &leaf("currentGeneration", "true")
            + &flag("freeTierEligible", self.size.0 == "micro")
            + &texts("supportedUsageClasses", &["on-demand", "spot"])
            + &texts("supportedRootDeviceTypes", &["ebs"])
            + &texts("supportedVirtualizationTypes", &["hvm"])
            + &leaf("bareMetal", "false")
            + &leaf("hypervisor", self.hypervisor())
            + &node("processorInfo", &processor)
            + &node("vCpuInfo", &count)
            + &node("memoryInfo", &number("sizeInMiB", Some(self.size.2)))
            + &leaf("instanceStorageSupported", "false")
            + &node("networkInfo", &leaf("enaSupport", ena))
            + &flag("burstablePerformanceSupported", self.family.burstable)
            + &texts("supportedBootModes", self.boot_modes())
            + &leaf("nitroTpmSupport", support(self.has_tpm()))
            + &tpm
    }
}

const FILTERS: &[&str] = &[
    "bare-metal",
    "burstable-performance-supported",
    "current-generation",
    "free-tier-eligible",
    "hypervisor",
    "instance-storage-supported",
    "instance-type",
    "memory-info.size-in-mib",
    "network-info.ena-support",
    "nitro-tpm-info.supported-versions",
    "nitro-tpm-support",
    "processor-info.supported-architecture",
    "supported-boot-mode",
    "supported-root-device-type",
    "supported-usage-class",
    "supported-virtualization-type",
    "vcpu-info.default-vcpus",
];

/// `DescribeInstanceTypes`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let names = query.list("InstanceType");
    let filters = Filters::of(&mut query, FILTERS)?;
    let page = Page::of(&mut query, &(5..=100), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let unknown: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| Type::of(name).is_none()).collect();
    if !unknown.is_empty() {
        let message =
            format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
        return Err(Refusal::new("InvalidInstanceType", message));
    }
    dry_run.end()?;
    let wanted = Type::all().into_iter().filter(|one| {
        (names.is_empty() || names.contains(&one.name()))
            && filters.pass(&Tags::new(), |filter| one.values(filter))
    });
    let (part, next) = page.cut(wanted.map(|one| (one.name(), one)));
    Ok(set("instanceTypeSet", part.iter().map(Type::shape)) + &some("nextToken", next.as_deref()))
}

/// `DescribeInstanceTypeOfferings`: all types everywhere.
pub fn offerings(call: &mut Call<'_>, mut query: Query) -> Answer {
    let places = ["region", "availability-zone", "availability-zone-id"];
    let place = query.word("LocationType", &places)?.unwrap_or("region");
    let filters = Filters::of(&mut query, &["instance-type", "location"])?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    query.finish()?.end()?;
    let region = call.region.clone();
    let subnets = call.here().subnets.values();
    let locations: Vec<String> = match place {
        "region" => vec![region],
        "availability-zone" => subnets.map(|subnet| subnet.zone.clone()).collect(),
        _ => subnets.map(|subnet| subnet.zone_id.clone()).collect(),
    };
    let mut all = Vec::new();
    for one in Type::all() {
        for location in &locations {
            let name = one.name();
            let values = |filter: &str| {
                vec![if filter == "location" { location.clone() } else { name.clone() }]
            };
            if filters.pass(&Tags::new(), values) {
                all.push((format!("{name}/{location}"), (name.clone(), location.clone())));
            }
        }
    }
    all.sort();
    let (part, next) = page.cut(all.into_iter());
    let items = part.into_iter().map(|(name, location)| {
        leaf("instanceType", &name) + &leaf("locationType", place) + &leaf("location", &location)
    });
    Ok(set("instanceTypeOfferingSet", items) + &some("nextToken", next.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_says_how_it_boots() {
        let boots = |name: &str| Type::of(name).expect("it is known").boot_modes();
        assert_eq!(boots("t3.micro"), ["legacy-bios", "uefi"]);
        assert_eq!(boots("t4g.micro"), ["uefi"]);
        assert_eq!(boots("t2.micro"), ["legacy-bios"]);
        assert_eq!(Type::of("t3.huge"), None);
        assert!(Type::all().iter().all(|one| Type::of(&one.name()) == Some(*one)));
    }
}
