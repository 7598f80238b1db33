//! What is read of a group that can be upgraded, for tests.

use std::collections::BTreeMap;

use super::room::Room;
use super::survey::{Choice, Contents, Probe, Records, Survey};
use super::{Ask, Side};
use crate::aws::channel::Channel;
use crate::aws::image::{Disk, Image, State};
use crate::aws::instance_type::Type;
use crate::aws::launch_template::{Data, Version};
use crate::aws::operator::Identity;
use crate::aws::quota::Quota;
use crate::doctor::group::sample::sound;
use crate::group::standing::Proof;

/// What EC2 is asked for.
const PROBES: [&str; 5] = [
    "ec2:CreateLaunchTemplateVersion",
    "ec2:ModifyLaunchTemplate",
    "ec2:RunInstances",
    "ec2:CreateTags",
    "ec2:DeleteTags",
];

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
        tokens: true,
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

/// The same, to be taken back to version 3, which had another type and other user-data.
pub(super) fn before() -> Survey {
    let mut survey = survey();
    let image = image(2, "2.555.1");
    let version = Version {
        template: "lt-0123456789abcdef0".into(),
        number: 3,
        image: Some(image.id.clone()),
        description: String::new(),
        is_default: false,
    };
    let fields = [("ImageId", image.id.as_str()), ("InstanceType", "t3.large"), ("KeyName", "ci")];
    let data = Data {
        instance_type: Some("t3.large".into()),
        tags_in_metadata: true,
        fields: fields.map(|(name, words)| (name, words.to_owned())).into(),
        ..Data::default()
    };
    let side = Side {
        image: image.id.clone(),
        name: image.name.clone(),
        template: version.template.clone(),
        version: Some(3),
        recipe: Some("jenkins-controller".into()),
        jenkins: Some("2.555.1".into()),
    };
    let (_, serving) = survey.subject.template.as_mut().unwrap().as_mut().unwrap();
    serving.fields = [("ImageId", "ami-00000000000000001"), ("InstanceType", "m5.large")]
        .map(|(name, words)| (name, words.to_owned()))
        .into();
    survey.choice = Ok(Choice::Previous(Some(side)));
    survey.image = Ok(Some(image));
    survey.kept = Ok(Some((version, data)));
    survey
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
        probes: PROBES.map(|action| Probe { action, answer: Ok(()) }).into(),
        old: None,
        new: None,
        subject,
    }
}
