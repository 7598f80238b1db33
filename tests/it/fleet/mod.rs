//! `hostkit images ls|show|diff|prune` on AWS and `hostkit gc`, the binary as a person runs it,
//! against an account of the rehearsal that is seeded from within: what they find, what they keep and
//! why, how often they ask, and that they remove nothing unasked.

mod gc;
mod prune;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::MutexGuard;

use hostkit::sim::account::Account;
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::ec2::specification::Specification;
use hostkit::sim::group::Group;
use hostkit::sim::group::source::{Override, Source};
use hostkit::sim::image::{Image, Mapping, State};
use hostkit::sim::key_pair::KeyPair;
use hostkit::sim::launch_template::{LaunchTemplate, Version};
use hostkit::sim::parameters::{Kind, Parameters};
use hostkit::sim::region::Tags;
use hostkit::sim::security_group::SecurityGroup;
use hostkit::sim::snapshot::{self, Snapshot};
use hostkit::sim::timeline::Recorder;
use hostkit::teardown::{self, Header, Journal};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::account::{recorded, validate, words};
use crate::support::scratch;

const REGION: &str = "eu-west-1";

/// An account, and a person's folder.
struct Stage {
    cloud: Cloud,
    folder: TempDir,
}

impl Stage {
    fn empty() -> Self {
        Self::with("", Parameters::default())
    }

    fn with(faults: &str, parameters: Parameters) -> Self {
        let folder = scratch();
        let file = folder.path().join("faults.toml");
        std::fs::write(&file, faults).unwrap();
        let cloud = Cloud::open(Options {
            speed: 1000.0,
            faults: Some(file),
            record: Some(folder.path().join("record.jsonl")),
            parameters,
            ..Options::default()
        });
        Self { cloud: cloud.unwrap(), folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.cloud.account.lock().unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.current_dir(self.path()).args(line.split_whitespace());
        command.envs(self.cloud.environment());
        command.env("XDG_STATE_HOME", self.path().join("state")).env("NO_COLOR", "1");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env_remove("HOSTKIT_FORMAT").env_remove("RUST_LOG");
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What it says where all is well.
    fn said(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The last column of its table by the id in one of the others.
    fn verdicts(&self, line: &str, prefix: &str) -> Vec<(String, String)> {
        let said = self.said(&format!("{line} --format json"));
        let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let id = |line: &Value| {
            let id = line.get("image").or_else(|| line.get("id"));
            id.and_then(Value::as_str).unwrap().to_owned()
        };
        let lines = lines.filter(|line| line.get("verdict").is_some());
        let all = lines.map(|line| (id(&line), line["verdict"].to_string()));
        all.filter(|(id, _)| id.starts_with(prefix)).collect()
    }

    /// The actions of every request so far, by service.
    fn actions(&self) -> Vec<String> {
        let action = |line: Value| {
            let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            format!("{}:{}", word("service"), word("action"))
        };
        recorded(&self.path().join("record.jsonl")).into_iter().map(action).collect()
    }

    /// Every request so far is one that AWS's own client could have sent, and these were among them.
    fn validate(&self, expected: &str) {
        validate(&self.path().join("record.jsonl"), expected);
    }

    /// The ids of everything that hostkit could remove.
    fn ids(&self) -> BTreeSet<String> {
        let mut account = self.account();
        let region = account.region(REGION);
        let images = region.images.keys().chain(region.snapshots.keys());
        let all = images.chain(region.key_pairs.keys()).chain(region.security_groups.keys());
        all.cloned().collect()
    }

    /// An image with a snapshot of its own.
    fn image(&self, number: usize, recipe: &str, days: i64) -> String {
        let mut account = self.account();
        let (image, snapshot) = pair(number, recipe, days);
        let id = image.id.clone();
        let region = account.region(REGION);
        region.snapshots.insert(snapshot.id.clone(), snapshot);
        region.images.insert(id.clone(), image);
        id
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Image)) {
        change(self.account().region(REGION).images.get_mut(id).unwrap());
    }

    fn template(&self, id: &str, images: &[&str], default: u64) {
        let version = |image: &&str| Version {
            description: None,
            created: Timestamp::now(),
            by: String::new(),
            data: Specification { image: Some((*image).to_owned()), ..Specification::default() },
        };
        let template = LaunchTemplate {
            id: id.to_owned(),
            name: format!("name-of-{id}"),
            created: Timestamp::now(),
            by: String::new(),
            versions: (1..).zip(images.iter().map(version)).collect(),
            default,
            newest: images.len() as u64,
            tags: Tags::new(),
        };
        self.account().region(REGION).launch_templates.insert(id.to_owned(), template);
    }

    fn journal(&self, build: &str) -> Journal {
        let header = Header {
            version: teardown::VERSION,
            build: build.to_owned(),
            recipe: "ci".to_owned(),
            digest: "0".repeat(64),
            account: hostkit::sim::account::ACCOUNT_ID.to_owned(),
            region: REGION.to_owned(),
            endpoint_url: None,
            started: ago(SignedDuration::from_hours(48)),
        };
        let folder = camino::Utf8PathBuf::from_path_buf(self.journals()).unwrap();
        Journal::create(&folder, header).unwrap()
    }

    fn journals(&self) -> std::path::PathBuf {
        self.path().join("state/hostkit/builds")
    }
}

fn ago(time: SignedDuration) -> Timestamp {
    Timestamp::now().checked_sub(time).unwrap()
}

fn ami(number: usize) -> String {
    format!("ami-{number:017x}")
}

fn snap(number: usize) -> String {
    format!("snap-{number:017x}")
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|&(key, value)| (format!("hostkit:{key}"), value.to_owned())).collect()
}

fn pair(number: usize, recipe: &str, days: i64) -> (Image, Snapshot) {
    // An hour more: AWS gives its time in whole seconds.
    let created = ago(SignedDuration::from_hours(24 * days + 1));
    let tags = tags(&[
        ("recipe", recipe),
        ("arch", "amd64"),
        ("version", "1.0"),
        ("digest", &format!("{number:064x}")),
        ("build", &format!("b-{number}")),
        ("state", "kept"),
    ]);
    let image = Image {
        id: ami(number),
        name: format!("{recipe}-amd64-1.0-{number:08x}"),
        owner: hostkit::sim::account::ACCOUNT_ID.to_owned(),
        owner_alias: None,
        description: String::new(),
        architecture: "x86_64".to_owned(),
        root_device: "/dev/xvda".to_owned(),
        virtualization: "hvm".to_owned(),
        mappings: vec![Mapping {
            device: "/dev/xvda".to_owned(),
            snapshot: Some(snap(number)),
            volume_gib: 8,
            volume_type: "gp3".to_owned(),
            iops: None,
            throughput: None,
            encrypted: false,
            kms_key: None,
            delete_on_termination: true,
            virtual_name: None,
        }],
        boot_mode: None,
        tpm_support: None,
        imds_support: None,
        uefi_data: None,
        ena: true,
        sriov: None,
        tags: tags.clone(),
        created,
        deprecated: None,
        protection: None,
        shared_with: BTreeSet::new(),
        cooldown: None,
        state: State::Available,
        fails: None,
        last_launched: None,
        public_parameter: None,
        source_instance: None,
        source_image: None,
    };
    (image, snapshot(&snap(number), tags, created))
}

fn snapshot(id: &str, tags: Tags, started: Timestamp) -> Snapshot {
    Snapshot {
        id: id.to_owned(),
        volume_gib: 8,
        state: snapshot::State::Completed,
        started,
        description: String::new(),
        tags,
        kms_key: None,
        volume: None,
        parent: None,
        blocks: std::collections::BTreeMap::new(),
        put: BTreeSet::new(),
        shared_with: BTreeSet::new(),
    }
}

/// An account in which nearly every image has another reason to stay; what goes is told.
fn crowded() -> (Stage, BTreeSet<String>) {
    let parameters = Parameters::default()
        .with("/hostkit/ci/amd64/latest", Kind::String, ami(10))
        .with("/hostkit/asg/blue/current", Kind::String, ami(11))
        .with("/hostkit/asg/blue/previous", Kind::String, format!("{{\"image\":\"{}\"}}", ami(12)))
        .with("/hostkit/asg/blue/history", Kind::String, format!("{} v7", ami(13)))
        .with("/mine/image", Kind::String, ami(18));
    let stage = Stage::with("", parameters);
    for (number, days) in (1..=3).zip(1..) {
        stage.image(number, "ci", days);
    }
    for number in 10..40 {
        stage.image(number, "ci", 100);
    }
    stage.image(50, "other", 100);
    let (old, new) = (ami(14), ami(15));
    stage.template("lt-0000000000000000a", &[&old, &ami(38), &ami(16), &new], 1);
    let named = "resolve:ssm:/mine/image";
    stage.template("lt-0000000000000000b", &[named, named], 2);
    stage.template("lt-0000000000000000c", &[&ami(19), &ami(20), "ami-00000000000000fff"], 3);
    let group = Group {
        name: "blue".to_owned(),
        launches: Some(Source {
            mixed: true,
            overrides: vec![Override {
                template: Some(("lt-0000000000000000c".to_owned(), "1".to_owned())),
                ..Override::default()
            }],
            ..Source::of("lt-0000000000000000a", "3")
        }),
        instances: vec![("i-1".to_owned(), "2".to_owned())],
        ..Group::default()
    };
    let old_fashioned = Group {
        name: "green".to_owned(),
        configuration: Some("green-1".to_owned()),
        ..Group::default()
    };
    {
        let mut account = stage.account();
        let region = account.region(REGION);
        region.groups.extend([group, old_fashioned].map(|it| (it.name.clone(), it)));
        region.launch_configurations.insert("green-1".to_owned(), ami(21));
        account.launch(Recorder::silent()).image = ami(22);
        let instance = account.launch(Recorder::silent());
        "ami-00000000000000ffe".clone_into(&mut instance.image);
        let template = [("id", "lt-0000000000000000c"), ("version", "2")];
        let own =
            template.map(|(key, value)| (format!("aws:ec2launchtemplate:{key}"), value.to_owned()));
        instance.tags.extend(own);
        let region = account.region(REGION);
        region.parameters.place("/elsewhere").add(hostkit::sim::parameter_store::Version {
            number: 1,
            value: ami(23),
            kind: Kind::String,
            tier: hostkit::sim::parameter_store::Tier::Standard,
            data_type: "aws:ec2:image".to_owned(),
            description: None,
            allowed_pattern: None,
            key: None,
            written: Timestamp::now(),
            writer: String::new(),
            labels: BTreeSet::new(),
        });
    }
    stage.change(&ami(24), |it| it.shared_with = [("group".into(), "all".into())].into());
    let friend = ("userId".to_owned(), "111122223333".to_owned());
    stage.change(&ami(25), |it| it.shared_with = [friend].into());
    stage.change(&ami(26), |it| it.protection = Some("enabled-without-cooldown".to_owned()));
    stage.change(&ami(27), |it| drop(it.tags.insert("hostkit:state".into(), "building".into())));
    stage.change(&ami(28), |it| it.tags.clear());
    // One whose snapshot another image is made of, and one whose snapshot is somebody else's.
    stage.change(&ami(29), |it| it.mappings[0].snapshot = Some(snap(1)));
    stage.account().region(REGION).snapshots.get_mut(&snap(30)).unwrap().tags.clear();
    stage.change(&ami(31), |it| it.state = State::Failed("no snapshot".to_owned()));
    stage.change(&ami(32), |it| it.state = State::Disabled);
    let gone = [17, 29, 30, 31, 32, 33, 34, 35, 36, 37, 39].map(ami);
    (stage, gone.into())
}
