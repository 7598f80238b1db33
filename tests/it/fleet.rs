//! `hostkit images ls|show|diff|prune` on AWS and `hostkit gc`, the binary as a person runs it,
//! against an account of the rehearsal that is seeded from within: what they find, what they keep and
//! why, how often they ask, and that they remove nothing unasked.

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

use crate::account::words;
use crate::support::{repository, scratch};

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
        let text = std::fs::read_to_string(self.path().join("record.jsonl")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let action = |line: Value| {
            let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            format!("{}:{}", word("service"), word("action"))
        };
        lines.map(action).collect()
    }

    /// Every request so far is one that AWS's own client could have sent, and these were among them.
    fn validate(&self, expected: &str) {
        let Some(python) = crate::support::python() else { return };
        let mut command = Command::new(python);
        command.arg(repository("tests/fixtures/botocore_validate.py"));
        let output = command.arg(self.path().join("record.jsonl")).args(["--expect", expected]);
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
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

#[test]
fn prune_keeps_what_anything_needs_and_frees_the_rest() {
    let (stage, gone) = crowded();
    let before = stage.ids();
    let text = stage.said("images prune ci");
    insta::with_settings!({ filters => vec![(r"20\d\d-\d\d-\d\d \d\d:\d\d", "[when]"), (r"\bi-[0-9a-f]{17}", "[instance]")] }, {
        insta::assert_snapshot!("prune", text);
    });
    let note = words(&stage.run("images prune ci"));
    let told = "11 images with 9 snapshots of up to 72 GiB would be removed: --yes removes";
    assert!(note.contains(told), "{note}");
    assert_eq!(stage.ids(), before, "nothing is removed that nobody agreed to");

    let removed = stage.run("images prune ci --yes");
    assert!(removed.status.success(), "{}", words(&removed));
    let after = stage.ids();
    let missing: BTreeSet<_> = before.difference(&after).cloned().collect();
    let spared = [29, 30].map(snap);
    let snapshots = gone.iter().map(|id| id.replace("ami-", "snap-"));
    let expected = gone.iter().cloned().chain(snapshots.filter(|id| !spared.contains(id)));
    assert_eq!(missing, expected.collect());
    assert!(stage.said("images prune ci").contains("nothing is to be removed"));
}

#[test]
fn prune_follows_its_rule() {
    let stage = Stage::empty();
    for number in 1..=6 {
        stage.image(number, "ci", i64::try_from(number).unwrap());
    }
    stage.image(9, "other", 50);
    let gone = |line: &str| -> Vec<String> {
        let verdicts = stage.verdicts(line, "ami-").into_iter();
        let gone = verdicts.filter(|(_, verdict)| verdict.contains("remove"));
        gone.map(|(id, _)| id).collect()
    };
    assert_eq!(gone("images prune ci"), [4, 5, 6].map(ami));
    assert_eq!(gone("images prune ci --keep 5"), [ami(6)]);
    assert_eq!(gone("images prune ci --keep 0 --older-than 4"), [4, 5, 6].map(ami));
    assert_eq!(gone("images prune ci --keep 0 --older-than 132h"), [ami(6)]);
    assert_eq!(gone("images prune --all --keep 0 --older-than 40d"), [ami(9)]);
    let everybody = ("group".to_owned(), "all".to_owned());
    stage.change(&ami(6), |it| it.shared_with = [everybody].into());
    assert_eq!(gone("images prune ci --keep 4"), [ami(5)]);
    assert_eq!(gone("images prune ci --keep 4 --include-shared"), [ami(5), ami(6)]);
    assert!(stage.said("images prune nobody").contains("no images of the recipe `nobody`"));
    let usage = stage.run("images prune");
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn ten_thousand_images_are_looked_after_in_few_requests() {
    const IMAGES: usize = 10_000;
    let stage = Stage::empty();
    {
        let mut account = stage.account();
        let region = account.region(REGION);
        for number in 0..IMAGES {
            let days = i64::try_from(number).unwrap();
            let (image, snapshot) = pair(number, ["ci", "agent"][number % 2], days);
            region.snapshots.insert(snapshot.id.clone(), snapshot);
            region.images.insert(image.id.clone(), image);
        }
    }
    let count = |before: usize| stage.actions().len() - before;
    // Who is asked: 2 times who, 10 pages of images, 10 of snapshots, and one each of instances,
    // launch templates, groups and parameters.
    let survey = 26;
    assert_eq!(stage.said("images ls --aws").lines().count(), IMAGES + 1);
    assert_eq!(count(0), survey);

    // And of those that would go: 10 a call of what uses them, one a call of who shares them.
    let (keep, going) = (IMAGES / 2 - 50, 100);
    let before = stage.actions().len();
    let line = format!("images prune --all --keep {keep}");
    let said = words(&stage.run(&line));
    assert!(said.contains("100 images with 100 snapshots of up to 800 GiB would be"), "{said}");
    assert_eq!(count(before), survey + going / 10 + going);

    // Removal: a call for each image and each snapshot, and one that marks all of them.
    let before = stage.actions().len();
    let output = stage.run(&format!("{line} --include-shared --yes"));
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(count(before), survey + going / 10 + 1 + 2 * going);
    assert_eq!(stage.account().region(REGION).own_images().count(), IMAGES - going);
}

#[test]
fn what_cannot_be_removed_is_told_and_the_rest_is_removed() {
    let faults =
        "[[fault]]\nservice = 'ec2'\naction = 'DeregisterImage'\nnext = 1\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    for number in 1..=3 {
        stage.image(number, "ci", 50);
    }
    let output = stage.run("images prune ci --keep 0 --yes");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("error: 1 of 5 things could not be removed"), "{said}");
    assert!(said.contains("is still there: ec2:DeregisterImage was refused"), "{said}");
    let mut account = stage.account();
    let region = account.region(REGION);
    assert_eq!((region.own_images().count(), region.snapshots.len()), (1, 1));
    let kept = region.snapshots.values().next().unwrap();
    assert_eq!(kept.tags["hostkit:state"], "kept", "its image stays");
}

#[test]
fn a_prune_that_breaks_off_leaves_nothing_that_gc_does_not_find() {
    let faults = "[[fault]]\nservice = 'ec2'\naction = 'DeleteSnapshot'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    stage.image(1, "ci", 50);
    let broken = stage.run("images prune ci --keep 0 --yes");
    assert_eq!(broken.status.code(), Some(6));
    stage.account().disturbances.clear();
    assert!(stage.said("gc").contains(&snap(1)));
    stage.said("gc --yes");
    assert!(stage.account().region(REGION).snapshots.is_empty());
}

#[test]
fn the_images_of_an_account_are_listed_with_who_uses_them() {
    let (stage, _) = crowded();
    let text = stage.said("images ls --aws");
    let line = |number: usize| {
        let id = ami(number);
        text.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{id}: {text}"))
    };
    for (number, who) in [
        (10, "/hostkit/ci/amd64/latest"),
        (15, "launch template name-of-lt-0000000000000000a v4 ($Latest)"),
        (16, "v3 (group blue)"),
        (24, "public"),
        (25, "shared with 111122223333"),
        (26, "protected (enabled-without-cooldown)"),
        (27, "building"),
    ] {
        assert!(line(number).contains(who), "{}", line(number));
    }
    assert!(!text.contains(&ami(28)), "hostkit did not make it");
    let json = stage.said("images ls --region eu-west-1 --format json");
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((first["version"].as_u64(), first["recipe"].as_str()), (Some(1), Some("ci")));

    let elsewhere = stage.run("images ls --region us-east-1");
    assert!(words(&elsewhere).contains("nothing in us-east-1 carries hostkit's tags"));
    let both = stage.said("images ls --region us-east-1 --region eu-west-1");
    assert!(both.contains(&ami(10)));
}

#[test]
fn an_image_is_shown_and_two_are_compared() {
    let (stage, _) = crowded();
    let text = stage.said(&format!("images show {}", ami(10)));
    for part in [
        "ci 1.0 (00000000)",
        "snapshot  snap-0000000000000000a  completed",
        "used by   /hostkit/ci/amd64/latest",
        "hostkit:build = b-10",
        "packages are not known: nothing of this digest is in out",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = stage.said(&format!("images diff {} {}", ami(10), ami(11)));
    assert!(text.contains("tag       hostkit:build: b-10 -> b-11"), "{text}");
    assert!(text.contains("packages  not known of both images"), "{text}");
    let absent = stage.run("images show ami-0123456789abcdef0");
    assert_eq!(absent.status.code(), Some(2));
    assert!(words(&absent).contains("there is no image ami-0123456789abcdef0 in eu-west-1"));
}

/// Makes one of everything that a build can leave, so many hours ago.
fn leave(stage: &Stage, build: &str, number: usize, hours: i64) {
    let started = ago(SignedDuration::from_hours(hours));
    let own = tags(&[("build", build), ("state", "building"), ("recipe", "ci")]);
    stage.image(number, "ci", 0);
    stage.change(&ami(number), |image| {
        image.created = started;
        image.tags = own.clone();
    });
    let mut account = stage.account();
    let region = account.region(REGION);
    let snapshots = [snap(number), snap(number + 1)];
    for id in snapshots {
        region.snapshots.insert(id.clone(), snapshot(&id, own.clone(), started));
    }
    let pending = region.snapshots.get_mut(&snap(number + 1)).unwrap();
    pending.state = snapshot::State::Pending(None);
    let key = KeyPair {
        id: format!("key-{number:017x}"),
        name: build.to_owned(),
        kind: "ed25519".to_owned(),
        public_key: String::new(),
        fingerprint: String::new(),
        created: started,
        tags: own.clone(),
    };
    region.key_pairs.insert(key.id.clone(), key);
    let group = SecurityGroup {
        id: format!("sg-{number:017x}"),
        name: build.to_owned(),
        tags: own,
        ..SecurityGroup::default_of("vpc-0f00d000000000001")
    };
    region.security_groups.insert(group.id.clone(), group);
}

#[test]
fn gc_finds_what_was_left_and_spares_all_else() {
    let stage = Stage::empty();
    stage.image(1, "ci", 50);
    leave(&stage, "dead", 100, 48);
    leave(&stage, "young", 200, 23);
    leave(&stage, "used", 300, 48);
    stage.template("lt-0000000000000000a", &[&ami(300)], 1);
    let before = stage.ids();

    let said = words(&stage.run("gc"));
    assert!(said.contains("8 things would be removed: --yes removes"), "{said}");
    assert!(
        said.contains("stays: used: launch template name-of-lt-0000000000000000a v1"),
        "{said}"
    );
    assert!(said.contains("stays: its build had news at"), "{said}");
    assert_eq!(stage.ids(), before, "nothing is removed that nobody agreed to");

    let removed = words(&stage.run("gc --yes"));
    assert!(removed.contains("removed 8 things"), "{removed}");
    let gone: BTreeSet<_> = before.difference(&stage.ids()).cloned().collect();
    let expected = [
        ami(100),
        snap(100),
        snap(101),
        format!("key-{:017x}", 100),
        format!("sg-{:017x}", 100),
        snap(301),
        format!("key-{:017x}", 300),
        format!("sg-{:017x}", 300),
    ];
    assert_eq!(gone, expected.into());

    stage.said("gc --build young --yes");
    let left = stage.ids();
    assert!(!left.iter().any(|id| id.ends_with("c8") || id.ends_with("c9")), "{left:?}");
    let other = stage.verdicts("gc", "");
    assert_eq!(other.len(), 2, "what is used: {other:?}");
}

#[test]
fn gc_judges_by_the_clock_of_aws() {
    // A snapshot of two minutes ago, by AWS's clock; by this machine's it is not even made.
    let stage = Stage::with("clock-ahead = '3m'\n", Parameters::default());
    leave(&stage, "b", 100, 0);
    let at = Timestamp::now().checked_add(SignedDuration::from_mins(1)).unwrap();
    {
        let mut account = stage.account();
        let region = account.region(REGION);
        region.snapshots.values_mut().for_each(|it| it.started = at);
        region.images.values_mut().for_each(|it| it.created = at);
        region.key_pairs.values_mut().for_each(|it| it.created = at);
    }
    let goes = |line: &str| {
        let verdicts = stage.verdicts(line, "");
        verdicts.iter().filter(|(_, verdict)| verdict == "\"remove\"").count()
    };
    assert_eq!(goes("gc --older-than 1m"), 5);
    assert_eq!(goes("gc --older-than 3m"), 0);
}

#[test]
fn a_build_that_somebody_works_on_is_left_alone_and_its_journal_goes_with_it() {
    let stage = Stage::empty();
    leave(&stage, "b-1", 100, 48);
    let journal = stage.journal("b-1");
    let said = words(&stage.run("gc --older-than 0h --yes"));
    assert!(said.contains("stays: a hostkit on this machine works on the build"), "{said}");
    assert!(stage.ids().contains(&ami(100)));

    drop(journal);
    let said = words(&stage.run("gc --yes"));
    assert!(said.contains("the journal of b-1 is removed: nothing is left of it"), "{said}");
    assert_eq!(std::fs::read_dir(stage.journals()).unwrap().count(), 0);
    assert!(!stage.ids().contains(&ami(100)));

    // A journal of which nothing was ever made.
    drop(stage.journal("b-2"));
    stage.said("gc --yes");
    assert_eq!(std::fs::read_dir(stage.journals()).unwrap().count(), 0);
}

#[test]
fn gc_goes_on_where_something_cannot_be_removed() {
    let faults = "[[fault]]\nservice = 'ec2'\naction = 'DeleteKeyPair'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    leave(&stage, "b-1", 100, 48);
    drop(stage.journal("b-1"));
    let output = stage.run("gc --yes");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("error: 1 of 5 things could not be removed"), "{said}");
    assert_eq!(std::fs::read_dir(stage.journals()).unwrap().count(), 1, "something is left of it");
    let mut account = stage.account();
    let region = account.region(REGION);
    assert!(region.own_images().count() == 0 && region.snapshots.is_empty());
    assert_eq!(region.key_pairs.len(), 1);
}

#[test]
fn who_may_not_look_is_told_what_is_needed() {
    let faults = "[[fault]]\nservice = 'ec2'\naction = 'DescribeInstances'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    stage.image(1, "ci", 50);
    let output = stage.run("images prune ci --keep 0 --yes");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("hint: allow `ec2:DescribeInstances`"), "{said}");
    assert!(said.contains("`hostkit iam prune` prints what is needed"), "{said}");
    assert!(stage.ids().contains(&ami(1)));

    let faults = "[[fault]]\naction = 'DescribeImageReferences'\ndoes = 'denied'\n";
    let stage = Stage::with(faults, Parameters::default());
    stage.image(1, "ci", 50);
    let said = words(&stage.run("images prune ci --keep 0 --yes"));
    assert!(said.contains("hostkit's own search for references counts alone"), "{said}");
    assert!(!stage.ids().contains(&ami(1)));

    let mut command = stage.command("gc");
    command.env_remove("AWS_ACCESS_KEY_ID").env("HOME", stage.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", words(&output));
}

/// Launches an instance as a build does, so many hours ago. Nobody plays its machine.
fn launch(stage: &Stage, build: &str, image: &str, group: &str, hours: i64) -> String {
    let keys = &stage.cloud.credentials;
    let keys = aws_credential_types::Credentials::new(
        &keys.access_key,
        &keys.secret_key,
        None,
        None,
        "test",
    );
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_ec2::config::Region::new(REGION))
        .endpoint_url(&stage.cloud.url)
        .credentials_provider(keys)
        .build();
    let tag = |(key, value): (&str, &str)| {
        aws_sdk_ec2::types::Tag::builder().key(format!("hostkit:{key}")).value(value).build()
    };
    let tags = aws_sdk_ec2::types::TagSpecification::builder()
        .resource_type(aws_sdk_ec2::types::ResourceType::Instance)
        .tags(tag(("build", build)))
        .tags(tag(("state", "building")))
        .build();
    let call = aws_sdk_ec2::Client::from_conf(config)
        .run_instances()
        .image_id(image)
        .instance_type(aws_sdk_ec2::types::InstanceType::T3Micro)
        .min_count(1)
        .max_count(1)
        .security_group_ids(group)
        .tag_specifications(tags);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(call.send()).unwrap();
    let id = answer.instances()[0].instance_id().unwrap().to_owned();
    let mut account = stage.account();
    let (instance, _) = account.instance_mut(&id).unwrap();
    instance.launched = ago(SignedDuration::from_hours(hours));
    id
}

#[test]
fn gc_ends_builders_before_what_they_use() {
    let stage = Stage::empty();
    stage.image(1, "base", 1);
    leave(&stage, "dead", 100, 48);
    leave(&stage, "young", 200, 48);
    let groups = [100, 200].map(|number| format!("sg-{number:017x}"));
    let dead = launch(&stage, "dead", &ami(1), &groups[0], 48);
    let young = launch(&stage, "young", &ami(1), &groups[1], 1);
    let removed = words(&stage.run("gc --yes"));
    assert!(removed.contains("removed 6 things"), "{removed}");
    let state = |id: &str| stage.account().instance(id).unwrap().state().word();
    assert_eq!((state(&dead), state(&young)), ("terminated", "running"));
    let left = stage.ids();
    assert!(!left.contains(&groups[0]) && left.contains(&groups[1]), "{left:?}");
    let order = stage.actions();
    let at = |action: &str| order.iter().position(|it| it == action).unwrap();
    assert!(at("ec2:TerminateInstances") < at("ec2:DeregisterImage"));
    assert!(at("ec2:DeleteSnapshot") < at("ec2:DeleteSecurityGroup"));
}

#[test]
fn the_policy_of_who_looks_after_images_is_what_is_asked_of_aws() {
    let (stage, _) = crowded();
    leave(&stage, "dead", 100, 48);
    launch(&stage, "dead", &ami(1), "sg-00000000000000064", 48);
    let before = stage.actions().len();
    stage.said("images prune ci --yes");
    stage.said("gc --yes");
    stage.said(&format!("images diff {} {}", ami(1), ami(2)));
    stage.validate("ec2:DescribeImageReferences,ec2:DeregisterImage,ec2:DeleteSecurityGroup");
    let asked: BTreeSet<_> = stage.actions().split_off(before).into_iter().collect();
    let scope = hostkit::iam::Scope::default();
    let allowed = hostkit::iam::actions(&[hostkit::iam::Role::Prune], &scope);
    // Everybody may ask who they are.
    let missing = asked.iter().filter(|it| !allowed.contains(it.as_str()));
    assert_eq!(missing.collect::<Vec<_>>(), ["sts:GetCallerIdentity"]);
    // These snapshots hold no table of their blocks that could be read.
    let unused: Vec<_> = allowed.iter().filter(|it| !asked.contains(**it)).copied().collect();
    assert_eq!(unused, ["ebs:GetSnapshotBlock"]);
}
