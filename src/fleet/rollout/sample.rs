//! What is read of a group that can be upgraded, for tests.

use std::collections::BTreeMap;

use super::Ask;
use super::room::Room;
use super::survey::{Choice, Contents, Probe, Records, Survey};
use crate::aws::channel::Channel;
use crate::aws::image::{Disk, Image, State};
use crate::aws::instance_type::Type;
use crate::aws::operator::Identity;
use crate::aws::quota::Quota;
use crate::doctor::group::sample::sound;
use crate::group::standing::Proof;

/// What somebody asks for who names the recipe.
pub(super) fn ask() -> Ask {
    Ask { recipe: Some("jenkins-controller".into()), ..Ask::of("ci-controller") }
}

/// An image of the recipe, with this Jenkins.
pub(super) fn image(number: u8, jenkins: &str) -> Image {
    let tags = [
        ("hostkit:recipe", "jenkins-controller"),
        ("hostkit:digest", "0123456789abcdef"),
        ("hostkit:arch", "amd64"),
        ("hostkit:state", "kept"),
        ("hostkit:jenkins", jenkins),
    ];
    Image {
        id: format!("ami-0000000000000000{number}"),
        name: format!("jenkins-controller-amd64-{jenkins}-{number}{number}{number}{number}"),
        state: State::Available,
        reason: None,
        architecture: "x86_64".into(),
        description: String::new(),
        created: None,
        deprecated: None,
        protected: false,
        tpm: false,
        owner: "123456789012".into(),
        boot_mode: Some("uefi-preferred".into()),
        ena: true,
        root_device: "/dev/xvda".into(),
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        disks: vec![Disk {
            device: "/dev/xvda".into(),
            snapshot: Some("snap-1".into()),
            gib: Some(8),
            encrypted: false,
        }],
    }
}

/// What is in an image: packages, and plugins.
pub(super) fn contents(packages: &[(&str, &str)], plugins: &[(&str, &str)]) -> Contents {
    let map = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
        all.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    };
    Contents { packages: map(packages), plugins: map(plugins) }
}

/// A sound group that serves 2.555.1, and an image with 2.568.2.
pub(super) fn survey() -> Survey {
    let mut subject = sound();
    let (old, new) = (image(1, "2.555.1"), image(2, "2.568.2"));
    {
        let (version, data) = subject.template.as_mut().unwrap().as_mut().unwrap();
        version.image = Some(old.id.clone());
        data.tags_in_metadata = true;
        data.instance_type = Some("m5.large".into());
    }
    subject.image = Ok(Some(old));
    let proof = Proof { ready: true, jenkins: Some("2.555.1".into()), ..Proof::default() };
    subject.standing.as_mut().unwrap().as_mut().unwrap().proof = Some(proof);
    Survey {
        identity: Identity {
            account: "123456789012".into(),
            arn: "arn:aws:iam::123456789012:user/ada".into(),
        },
        choice: Ok(Choice::Pointer {
            parameter: "/hostkit/jenkins-controller/amd64/latest".into(),
            image: Some(new.id.clone()),
        }),
        image: Ok(Some(new)),
        types: Ok(vec![Type {
            name: "m5.large".into(),
            architectures: vec!["x86_64".into()],
            boot_modes: vec!["legacy-bios".into(), "uefi".into()],
            needs_ena: true,
            nvme: true,
            vcpus: 2,
        }]),
        rooms: Ok(vec![Room {
            quota: Quota {
                code: "L-1216C47A".into(),
                name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances".into(),
                limit: 64,
                used: Some(12),
            },
            smallest: ("m5.large".into(), 2),
            largest: ("m5.large".into(), 2),
        }]),
        records: Ok(Records::default()),
        channel: Ok(Some(Channel { state: "running".into(), is_open: true, word: None })),
        kept: Ok(None),
        alarms: Ok(Vec::new()),
        relations: Ok(crate::fleet::rollout::relations::Relations::default()),
        probes: vec![Probe { action: "ec2:CreateLaunchTemplateVersion", answer: Ok(()) }],
        old: None,
        new: None,
        subject,
    }
}
