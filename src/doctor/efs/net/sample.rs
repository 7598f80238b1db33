//! A host, its file system, and what the checks before these have seen of both. For tests.

use std::net::{Ipv4Addr, SocketAddr};

use aws_config::SdkConfig;
use camino::Utf8Path;
use tempfile::TempDir;

use crate::aws::efs::{FileSystem, Target};
use crate::doctor::efs::api::{exists, targets};
use crate::doctor::efs::host::role::{self, Identity};
use crate::doctor::efs::observed::Cell;
use crate::doctor::efs::scene::{Asked, Case, Here, Scene};
use crate::doctor::efs::table::Observed;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::host::{Efs, Role};
use crate::lease::ground::Ground;
use crate::sys::Runner;

pub(crate) const ID: &str = "fs-0123456789abcdef0";
pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);

/// What a check is given.
pub(crate) struct Sample {
    pub asked: Asked,
    pub observed: Observed,
    /// Below which this host's files are.
    pub root: TempDir,
    pub resolver: SocketAddr,
    aws: Look<SdkConfig>,
}

/// A controller in the first of two zones.
pub(crate) fn asked() -> Asked {
    let efs = Efs { id: Some(ID.to_owned()), ..Efs::default() };
    let here = Here {
        role: Role::Controller,
        mount_point: crate::host::HOME.into(),
        efs,
        user: "jenkins".to_owned(),
        jenkins: None,
    };
    Asked {
        file_system: ID.to_owned(),
        region: "eu-west-1".to_owned(),
        host: Some(here),
        benchmark: false,
    }
}

fn target(id: &str, zone: &str, address: Ipv4Addr) -> Target {
    Target {
        id: format!("fsmt-{id}"),
        address: Some(address),
        zone: format!("eu-west-1{}", if zone == "euw1-az1" { "a" } else { "b" }),
        zone_id: zone.to_owned(),
        state: "available".to_owned(),
        subnet: format!("subnet-{id}"),
        vpc: "vpc-0aaaaaaaaaaaaaaaa".to_owned(),
        security_groups: Some(vec!["sg-0cccccccccccccccc".to_owned()]),
        ..Target::default()
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self::on([OURS, OTHER])
    }
}

impl Sample {
    /// With mount targets at these addresses, the first in the zone of this host.
    pub(crate) fn on([ours, other]: [Ipv4Addr; 2]) -> Self {
        let sample = Self::bare();
        let all = vec![
            target("0bbbbbbbbbbbbbbbb", "euw1-az2", other),
            target("0aaaaaaaaaaaaaaaa", "euw1-az1", ours),
        ];
        sample.with_targets(all)
    }

    /// With these mount targets.
    pub(crate) fn with_targets(mut self, targets: Vec<Target>) -> Self {
        let zone_id = Some("euw1-az1".to_owned());
        self.observed.targets = Cell::of(targets::Seen { targets, zone_id });
        let identity = Identity::sample();
        self.observed.role = Cell::of(role::Seen::Told(Box::new(identity)));
        self
    }

    /// With nothing but what host.toml says.
    pub(crate) fn bare() -> Self {
        let mut asked = asked();
        if let Some(here) = &mut asked.host {
            here.efs.addresses.insert("euw1-az1".to_owned(), OURS);
        }
        let gap = Gap { needs: String::new(), denied: false, why: "no credentials".to_owned() };
        Self {
            asked,
            observed: Observed::default(),
            root: tempfile::tempdir().unwrap(),
            resolver: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            aws: Err(gap),
        }
    }

    /// In one zone only.
    pub(crate) fn in_one_zone(mut self) -> Self {
        let zone = Some("eu-west-1b".to_owned());
        let file_system = FileSystem { id: ID.to_owned(), zone, ..FileSystem::default() };
        self.observed.exists = Cell::of(exists::Seen { file_system: Some(file_system) });
        self
    }

    /// With a file of this host.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) const fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(crate) fn case(&self) -> Case<'_> {
        let now = "2026-11-27T03:00:00Z".parse().unwrap();
        Case { asked: &self.asked, observed: &self.observed, now }
    }

    pub(crate) fn scene(&self, nfs_port: u16) -> Scene<'_> {
        Scene {
            asked: &self.asked,
            observed: &self.observed,
            root: Utf8Path::from_path(self.root.path()).unwrap(),
            runner: &Runner::Direct,
            aws: &self.aws,
            imds: None,
            nfs_port,
            resolver: self.resolver,
            ground: Ground::Any,
        }
    }
}

/// As people see it; what passed with its words, too.
pub(crate) fn shown(finding: &Finding) -> String {
    if finding.verdict != Verdict::Pass {
        return crate::doctor::render(std::slice::from_ref(finding));
    }
    let evidence: String = finding.evidence.iter().map(|line| format!("      {line}\n")).collect();
    format!("pass  {}  {}\n{evidence}", finding.id, finding.says)
}
