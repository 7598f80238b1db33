//! What others have in every region: public images of Amazon, Canonical and Debian, and the public
//! parameters that point to the newest of them.
//!
//! Their snapshots are private: no image here has a disk that could be read or booted.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::ec2::id::Kind as Id;
use super::image::{Image, Mapping, State};
use super::parameter_store::{ParameterStore, Tier, Version};
use super::parameters::Kind;
use super::region::{Region, Tags};

const AMAZON: &str = "137112412989";
const CANONICAL: &str = "099720109477";
const DEBIAN: &str = "136693071363";
/// What only AWS names.
pub const PUBLIC_PARAMETERS: &str = "/aws/service/";

/// One public image.
struct Public {
    owner: &'static str,
    name: &'static str,
    description: &'static str,
    arm: bool,
    root_device: &'static str,
    gib: u64,
    /// The date in its name, at midnight.
    created: &'static str,
    /// From when on it is deprecated.
    deprecated: Option<&'static str>,
    /// The parameters that point to it.
    parameters: &'static [&'static str],
}

const AL2023: Public = Public {
    owner: AMAZON,
    name: "al2023-ami-2023.9.20261102.0-kernel-6.1-x86_64",
    description: "Amazon Linux 2023 AMI 2023.9.20261102.0 x86_64 HVM kernel-6.1",
    arm: false,
    root_device: "/dev/xvda",
    gib: 8,
    created: "2026-11-02T00:00:00Z",
    deprecated: Some("2027-01-31T00:00:00Z"),
    parameters: &[
        "ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64",
    ],
};

const NOBLE: Public = Public {
    owner: CANONICAL,
    name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261104",
    description: "Canonical, Ubuntu, 24.04, amd64 noble image",
    arm: false,
    root_device: "/dev/sda1",
    gib: 8,
    created: "2026-11-04T00:00:00Z",
    deprecated: Some("2028-11-04T00:00:00Z"),
    parameters: &["canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"],
};

const TRIXIE: Public = Public {
    owner: DEBIAN,
    name: "debian-13-amd64-20261101-2283",
    description: "Debian 13 (20261101-2283)",
    arm: false,
    root_device: "/dev/xvda",
    gib: 8,
    created: "2026-11-01T00:00:00Z",
    deprecated: Some("2028-11-01T00:00:00Z"),
    parameters: &["debian/release/13/latest/amd64"],
};

const ALL: &[Public] = &[
    AL2023,
    Public {
        name: "al2023-ami-2023.9.20261102.0-kernel-6.1-arm64",
        description: "Amazon Linux 2023 AMI 2023.9.20261102.0 arm64 HVM kernel-6.1",
        arm: true,
        parameters: &["ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"],
        ..AL2023
    },
    Public {
        name: "al2023-ami-2023.8.20260512.0-kernel-6.1-x86_64",
        description: "Amazon Linux 2023 AMI 2023.8.20260512.0 x86_64 HVM kernel-6.1",
        created: "2026-05-12T00:00:00Z",
        deprecated: Some("2026-08-10T00:00:00Z"),
        parameters: &[],
        ..AL2023
    },
    NOBLE,
    Public {
        name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20261104",
        description: "Canonical, Ubuntu, 24.04, arm64 noble image",
        arm: true,
        parameters: &["canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"],
        ..NOBLE
    },
    Public {
        name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260910",
        created: "2026-09-10T00:00:00Z",
        deprecated: Some("2028-09-10T00:00:00Z"),
        parameters: &[],
        ..NOBLE
    },
    Public {
        name: "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261020",
        description: "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image",
        created: "2026-10-20T00:00:00Z",
        deprecated: Some("2028-10-20T00:00:00Z"),
        parameters: &["canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"],
        ..NOBLE
    },
    TRIXIE,
    Public {
        name: "debian-13-arm64-20261101-2283",
        arm: true,
        parameters: &["debian/release/13/latest/arm64"],
        ..TRIXIE
    },
    Public {
        name: "debian-12-amd64-20260927-2255",
        description: "Debian 12 (20260927-2255)",
        created: "2026-09-27T00:00:00Z",
        deprecated: Some("2028-09-27T00:00:00Z"),
        parameters: &["debian/release/12/latest/amd64"],
        ..TRIXIE
    },
];

/// Puts all that into a fresh region.
pub fn furnish(region: &mut Region, name: &str) {
    for public in ALL {
        let image = public.image(name);
        for parameter in public.parameters {
            let parameter = format!("{PUBLIC_PARAMETERS}{parameter}");
            point(&mut region.parameters, &parameter, &image);
        }
        region.images.insert(image.id.clone(), image);
    }
}

fn moment(text: &str) -> Timestamp {
    text.parse().expect("the table has moments")
}

impl Public {
    fn image(&self, region: &str) -> Image {
        let what = format!("{region} {}", self.name);
        Image {
            id: Id::Image.derived(&what),
            name: self.name.to_owned(),
            owner: self.owner.to_owned(),
            owner_alias: (self.owner == AMAZON).then(|| "amazon".to_owned()),
            description: self.description.to_owned(),
            architecture: if self.arm { "arm64" } else { "x86_64" }.to_owned(),
            root_device: self.root_device.to_owned(),
            virtualization: "hvm".to_owned(),
            mappings: vec![Mapping {
                device: self.root_device.to_owned(),
                snapshot: Some(Id::Snapshot.derived(&what)),
                volume_gib: self.gib,
                volume_type: "gp3".to_owned(),
                iops: Some(3000),
                throughput: Some(125),
                delete_on_termination: true,
                ..Mapping::default()
            }],
            boot_mode: Some(if self.arm { "uefi" } else { "uefi-preferred" }.to_owned()),
            tpm_support: None,
            imds_support: Some("v2.0".to_owned()),
            uefi_data: None,
            ena: true,
            sriov: Some("simple".to_owned()),
            tags: Tags::new(),
            created: moment(self.created),
            deprecated: self.deprecated.map(moment),
            protection: None,
            shared_with: BTreeSet::from([("group".to_owned(), "all".to_owned())]),
            cooldown: None,
            state: State::Available,
            fails: None,
            last_launched: None,
            public_parameter: self
                .parameters
                .first()
                .map(|parameter| format!("{PUBLIC_PARAMETERS}{parameter}")),
            source_instance: None,
            source_image: None,
        }
    }
}

/// A parameter that points to an image, written an hour after that was made.
fn point(store: &mut ParameterStore, name: &str, image: &Image) {
    store.place(name).add(Version {
        number: 1,
        value: image.id.clone(),
        kind: Kind::String,
        tier: Tier::Standard,
        data_type: "aws:ec2:image".to_owned(),
        description: None,
        allowed_pattern: None,
        key: None,
        written: image.created + SignedDuration::from_hours(1),
        writer: format!("arn:aws:iam::{AMAZON}:root"),
        labels: BTreeSet::new(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_images_of_its_own_and_parameters_that_name_them() {
        let furnished = |name: &str| {
            let mut region = Region::fresh(name);
            furnish(&mut region, name);
            region
        };
        let (one, other) = (furnished("eu-west-1"), furnished("us-west-2"));
        assert_eq!(one.images.len(), ALL.len());
        assert!(one.images.keys().all(|id| !other.images.contains_key(id)));
        let parameter =
            "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";
        let (_, stored) = one.parameters.get(parameter).expect("it is there");
        let image = &one.images[&stored.latest().expect("it has one").value];
        assert_eq!(image.owner, CANONICAL);
    }
}
