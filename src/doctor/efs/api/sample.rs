//! A file system as it should be, and a host that mounts it, for tests.

use camino::Utf8PathBuf;

use crate::aws::efs::{FileSystem, Target};
use crate::doctor::efs::api::{exists, targets};
use crate::doctor::efs::host::role::{self, Identity};
use crate::doctor::efs::observed::Cell;
use crate::doctor::efs::scene::{Asked, Case, Here};
use crate::doctor::efs::table::Observed;
use crate::host::{Efs, Role};

pub(crate) const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

/// What is asked, on this host or from outside.
pub(crate) fn asked(host: Option<Here>) -> Asked {
    Asked { file_system: FILE_SYSTEM.into(), region: "eu-west-1".into(), host, benchmark: false }
}

/// A controller on it.
pub(crate) fn host() -> Here {
    Here {
        role: Role::Controller,
        mount_point: Utf8PathBuf::from("/var/lib/jenkins"),
        efs: Efs { id: Some(FILE_SYSTEM.into()), ..Efs::default() },
        user: "jenkins".into(),
        jenkins: None,
    }
}

/// What is judged, at three in the morning.
pub(crate) fn case<'a>(asked: &'a Asked, observed: &'a Observed) -> Case<'a> {
    Case { asked, observed, now: "2026-11-27T03:00:00Z".parse().unwrap() }
}

pub(crate) fn file_system() -> FileSystem {
    FileSystem {
        id: FILE_SYSTEM.into(),
        arn: format!("arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/{FILE_SYSTEM}"),
        name: Some("ci-home".into()),
        state: "available".into(),
        throughput_mode: "elastic".into(),
        performance_mode: "generalPurpose".into(),
        encrypted: true,
        key: Some("arn:aws:kms:eu-west-1:123456789012:key/0b1f".into()),
        bytes: 13_421_772_800,
        targets: 2,
        overwrite_protection: Some("ENABLED".into()),
        ..FileSystem::default()
    }
}

/// A mount target in the zone of this letter.
pub(crate) fn target(letter: char) -> Target {
    let number = u8::try_from(u32::from(letter) - u32::from('a') + 1).unwrap();
    Target {
        id: format!("fsmt-0{letter}"),
        address: Some([10, 0, number, 9].into()),
        zone: format!("eu-west-1{letter}"),
        zone_id: format!("euw1-az{number}"),
        state: "available".into(),
        subnet: format!("subnet-0{letter}"),
        vpc: "vpc-0aaaaaaaaaaaaaaaa".into(),
        network_interface: Some(format!("eni-0{letter}")),
        security_groups: Some(vec!["sg-0aaaaaaaaaaaaaaaa".into()]),
        ..Target::default()
    }
}

/// The file system, its two mount targets, and a host in the zone of the first.
pub(crate) fn observed() -> Observed {
    Observed {
        role: Cell::of(role::Seen::Told(Box::new(Identity::sample()))),
        exists: Cell::of(exists::Seen { file_system: Some(file_system()), others: Vec::new() }),
        targets: Cell::of(targets::Seen {
            targets: vec![target('a'), target('b')],
            zone_id: Some("euw1-az1".into()),
        }),
        ..Observed::default()
    }
}
