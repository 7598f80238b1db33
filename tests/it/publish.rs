//! `hostkit publish`, the binary as a person runs it, against `hostkit sim`: what an image is like in
//! every region afterwards, in which order that came to be, and what is left when some of it fails.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::account::{Account, words};
use crate::support::{pause, scratch, send};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NAME: &str = "ci-box-amd64-1.0-01234567";
const POINTER: &str = "/hostkit/ci-box/amd64/latest";

/// Makes what a bake makes, by hand: an image with its tags, of a snapshot with one block.
const BAKED: &str = "
import base64, hashlib, time
def baked(region=None, **more):
    ec2, ebs = at('ec2', region), at('ebs', region)
    said = dict(recipe='ci-box', version='1.0', arch='amd64', digest=DIGEST, state='kept', build='b-1')
    tags = [{'Key': 'hostkit:' + k, 'Value': v} for k, v in said.items()]
    snapshot = ebs.start_snapshot(VolumeSize=1, Tags=tags)['SnapshotId']
    data = b'x' * 524288
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    while True:
        try:
            ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=0, BlockData=data,
                DataLength=len(data), Checksum=checksum, ChecksumAlgorithm='SHA256')
            break
        except ebs.exceptions.ResourceNotFoundException: time.sleep(0.05)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
    ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[snapshot], WaiterConfig={'Delay': 0.1})
    wanted = dict(Name=NAME, Description='a box', Architecture='x86_64',
        RootDeviceName='/dev/xvda', VirtualizationType='hvm', EnaSupport=True,
        BootMode='uefi-preferred', ImdsSupport='v2.0',
        BlockDeviceMappings=[{'DeviceName': '/dev/xvda',
            'Ebs': {'SnapshotId': snapshot, 'VolumeType': 'gp3', 'DeleteOnTermination': True}}],
        TagSpecifications=[{'ResourceType': 'image', 'Tags': tags}])
    image = ec2.register_image(**{**wanted, **more})['ImageId']
    ec2.get_waiter('image_available').wait(ImageIds=[image], WaiterConfig={'Delay': 0.1})
    return image
";

/// Everything that an account has of the image in some regions.
const STATE: &str = "
def state(region):
    ec2, ssm = at('ec2', region), at('ssm', region)
    tags = lambda one: {tag['Key']: tag['Value'] for tag in one.get('Tags', [])}
    images = []
    for image in ec2.describe_images(Owners=['self'])['Images']:
        id = image['ImageId']
        snapshot = image['BlockDeviceMappings'][0]['Ebs']['SnapshotId']
        disk = ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots'][0]
        launch = ec2.describe_image_attribute(ImageId=id, Attribute='launchPermission')
        volume = ec2.describe_snapshot_attribute(
            SnapshotId=snapshot, Attribute='createVolumePermission')
        images.append(dict(id=id, name=image['Name'], state=image['State'], tags=tags(image),
            snapshot=dict(tags=tags(disk), encrypted=disk['Encrypted'], key=disk.get('KmsKeyId'),
                shared=volume['CreateVolumePermissions']),
            shared=launch['LaunchPermissions'], deprecated=image.get('DeprecationTime'),
            protected=image.get('DeregistrationProtection'), imds=image.get('ImdsSupport'),
            boot=image.get('BootMode')))
    pointer = ssm.get_parameters(Names=[POINTER])['Parameters']
    return dict(images=images, pointer=pointer[0] if pointer else None,
        snapshots=len(ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']))
";

/// A person's folder and an account with a baked image.
struct Desk {
    account: Account,
    folder: TempDir,
    image: String,
}

impl Desk {
    fn with(faults: &str) -> Option<Self> {
        let account = Account::open(faults);
        let image = account.python(&format!("{}{BAKED}say(baked())", names()))?;
        let image = image.as_str().unwrap().to_owned();
        Some(Self { account, folder: scratch(), image })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Publishes the image: the exit status, the lines of the regions, and all words.
    fn publish(&self, args: &[&str]) -> (Option<i32>, Vec<Value>, String) {
        let fixed = ["publish", &self.image, "--format", "json"];
        let output = self.account.hostkit(self.path(), &[&fixed[..], args].concat()).output();
        let output = output.unwrap();
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let places = lines.filter_map(|line| line.get("published").cloned()).collect();
        (output.status.code(), places, words(&output))
    }

    /// What there is in a region.
    fn state(&self, region: &str) -> Value {
        let script = format!("{}{STATE}say(state('{region}'))", names());
        self.account.python(&script).unwrap()
    }

    fn open_journals(&self) -> usize {
        let folder = self.path().join("state/hostkit/builds");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let texts = entries.map(|entry| fs::read_to_string(entry.path()).unwrap());
        texts.filter(|text| !text.contains("\"done\"")).count()
    }
}

fn names() -> String {
    format!("DIGEST, NAME, POINTER = '{DIGEST}', '{NAME}', '{POINTER}'\n")
}

/// Those that change something.
fn changes(actions: &[String]) -> Vec<&str> {
    let looks = ["Describe", "Get", "List"];
    let changes = actions.iter().filter(|one| !looks.iter().any(|look| one.starts_with(look)));
    changes.map(String::as_str).collect()
}

const ALL: &[&str] = &[
    "--copy-to",
    "us-east-1",
    "--copy-to",
    "us-west-2",
    "--share-account",
    "111122223333",
    "--share-org",
    "arn:aws:organizations::123456789012:organization/o-example123",
    "--share-ou",
    "arn:aws:organizations::123456789012:ou/o-example123/ou-ab12-example1",
    "--deprecate-after",
    "30",
    "--protect",
    "--tag",
    "team=ci",
];

#[test]
fn an_image_is_the_same_in_every_region_and_the_pointer_moves_last() {
    let Some(desk) = Desk::with("") else { return };
    let before: Vec<_> = ["eu-west-1", "us-east-1", "us-west-2"]
        .map(|region| desk.account.actions(region).len())
        .into();
    let (status, places, said) = desk.publish(ALL);
    assert_eq!(status, Some(0), "{said}");
    let home = desk.account.region().to_owned();
    for (region, before) in [home.as_str(), "us-east-1", "us-west-2"].into_iter().zip(before) {
        let state = desk.state(region);
        let image = &state["images"][0];
        assert_eq!(state["images"].as_array().unwrap().len(), 1, "{region}");
        assert_eq!((&image["name"], &image["state"]), (&NAME.into(), &"available".into()));
        for tags in [&image["tags"], &image["snapshot"]["tags"]] {
            for (key, value) in [
                ("team", "ci"),
                ("hostkit:recipe", "ci-box"),
                ("hostkit:version", "1.0"),
                ("hostkit:arch", "amd64"),
                ("hostkit:digest", DIGEST),
                ("hostkit:state", "kept"),
            ] {
                assert_eq!(tags[key], value, "{region} {key}");
            }
        }
        assert_eq!(image["snapshot"]["shared"][0]["UserId"], "111122223333", "{region}");
        let shared = image["shared"].to_string();
        for who in ["111122223333", "organization/o-example123", "ou-ab12-example1"] {
            assert!(shared.contains(who), "{region} {shared}");
        }
        assert!(image["deprecated"].is_string(), "{region}");
        assert_eq!(image["protected"], "enabled-with-cooldown", "{region}");
        assert_eq!((&image["imds"], &image["boot"]), (&"v2.0".into(), &"uefi-preferred".into()));
        assert_eq!(state["pointer"]["Value"], image["id"], "{region}");
        assert_eq!(state["pointer"]["DataType"], "aws:ec2:image", "{region}");

        let actions = desk.account.actions(region);
        let changed = changes(&actions[before..]);
        assert_eq!(changed.last(), Some(&"PutParameter"), "{region} {changed:?}");
        assert_eq!(changed.iter().filter(|one| **one == "PutParameter").count(), 1, "{region}");
        let copies = changed.iter().filter(|one| **one == "CopyImage").count();
        assert_eq!(copies, usize::from(region != home), "{region}");
    }
    assert_eq!(places.len(), 3);
    assert!(places.iter().all(|place| place["state"] == "published"), "{places:?}");
    assert_eq!(desk.open_journals(), 0);
    written(&desk, &places);

    // The same command again finds everything done.
    let before = desk.account.requests().len();
    let (status, places, said) = desk.publish(ALL);
    assert_eq!(status, Some(0), "{said}");
    assert!(places.iter().all(|place| place["state"] == "unchanged"), "{places:?}");
    let after = desk.account.requests().split_off(before);
    let actions: Vec<_> =
        after.iter().map(|one| one["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(changes(&actions), Vec::<&str>::new());
    written(&desk, &places);
    crate::iam::covered(&[hostkit::iam::Role::Publish], &desk.account.requests());
    desk.account.validate(
        "ec2:CopyImage,ec2:CreateTags,ec2:ModifyImageAttribute,ec2:ModifySnapshotAttribute,\
         ec2:EnableImageDeprecation,ec2:EnableImageDeregistrationProtection,ssm:PutParameter",
    );
}

/// What other tools read names the images of all regions, once.
fn written(desk: &Desk, places: &[Value]) {
    let json = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(desk.path().join("out").join(name)).unwrap()).unwrap()
    };
    let packer = json("manifest.json");
    let [build] = packer["builds"].as_array().unwrap().as_slice() else { panic!("{packer}") };
    let ids = build["artifact_id"].as_str().unwrap();
    let terraform = json("ci-box.auto.tfvars.json");
    assert_eq!(terraform["ci_box_ami_id"], desk.image.as_str());
    for place in places {
        let (region, id) = (place["region"].as_str().unwrap(), place["image"].as_str().unwrap());
        assert!(ids.split(',').any(|one| one == format!("{region}:{id}")), "{ids}");
        assert_eq!(terraform["ci_box_ami_ids"][region], id);
    }
}

#[test]
fn a_region_that_refuses_leaves_the_others_good_and_is_done_by_the_next_command() {
    let refuses = "[[fault]]\nservice = 'ec2'\naction = 'CopyImage'\nregion = 'us-west-2'\n\
                   next = 1\ndoes = 'denied'\n";
    let Some(desk) = Desk::with(refuses) else { return };
    let args = ["--copy-to", "us-east-1", "--copy-to", "us-west-2", "--protect"];
    let (status, places, said) = desk.publish(&args);
    assert_eq!(status, Some(6), "{said}");
    let states: Vec<_> = places.iter().map(|place| place["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["published", "published", "failed"]);
    assert!(places[2]["error"].as_str().unwrap().contains("ec2:CopyImage"), "{said}");
    let again = format!("hostkit publish {} --region eu-west-1 --copy-to us-west-2", desk.image);
    assert!(said.contains(&again), "{said}");
    assert!(desk.state("us-east-1")["pointer"]["Value"].is_string());
    let there = desk.state("us-west-2");
    assert_eq!((&there["pointer"], &there["snapshots"]), (&Value::Null, &0.into()));
    assert_eq!(desk.open_journals(), 0, "nothing was begun there");

    let (status, places, said) = desk.publish(&["--copy-to", "us-west-2", "--protect"]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(places[0]["state"], "unchanged", "{said}");
    let there = desk.state("us-west-2");
    assert_eq!(there["pointer"]["Value"], there["images"][0]["id"]);
    // What the first command did is not forgotten.
    let file = desk.path().join("out/ci-box.auto.tfvars.json");
    let ids: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(ids["ci_box_ami_ids"].as_object().unwrap().len(), 3, "{ids}");
}

#[test]
fn a_copy_that_fails_on_aws_is_removed_and_made_anew() {
    let fails = "[[fault]]\nservice = 'ec2'\naction = 'CopyImage'\nregion = 'us-east-1'\n\
                 next = 1\ndoes = 'fails'\n";
    let Some(desk) = Desk::with(fails) else { return };
    let (status, places, said) = desk.publish(&["--copy-to", "us-east-1"]);
    assert_eq!(status, Some(6), "{said}");
    assert_eq!((&places[0]["state"], &places[1]["state"]), (&"published".into(), &"failed".into()));
    assert!(places[1]["error"].as_str().unwrap().contains("could not be made"), "{said}");
    let there = desk.state("us-east-1");
    assert_eq!((&there["images"], &there["snapshots"]), (&Value::Array(vec![]), &0.into()));
    assert_eq!(there["pointer"], Value::Null);
    let (status, _, said) = desk.publish(&["--copy-to", "us-east-1"]);
    assert_eq!(status, Some(0), "{said}");
    let there = desk.state("us-east-1");
    assert_eq!(there["pointer"]["Value"], there["images"][0]["id"]);
    assert_eq!(desk.open_journals(), 0);
}

#[test]
fn what_was_killed_is_carried_on_with_and_what_is_stopped_is_undone() {
    let Some(desk) = Desk::with("") else { return };
    let fixed = ["publish", &desk.image, "--copy-to", "us-east-1"];
    for signal in ["KILL", "INT"] {
        let copies = |there: &[String]| there.iter().filter(|one| *one == "CopyImage").count();
        let before = copies(&desk.account.actions("us-east-1"));
        let mut command = desk.account.hostkit(desk.path(), &fixed);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while copies(&desk.account.actions("us-east-1")) == before {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "{signal}");
            pause();
        }
        send(signal, child.id());
        let status = child.wait().unwrap();
        if signal == "INT" {
            assert_eq!(status.code(), Some(130));
            let there = desk.state("us-east-1");
            let none = (&Value::Array(vec![]), &Value::from(0));
            assert_eq!((&there["images"], &there["snapshots"]), none);
            assert_eq!(desk.open_journals(), 0);
            continue;
        }
        assert_eq!(desk.open_journals(), 1);
        let (status, _, said) = desk.publish(&["--copy-to", "us-east-1"]);
        assert_eq!(status, Some(0), "{said}");
        let there = desk.state("us-east-1");
        assert_eq!(there["images"].as_array().unwrap().len(), 1, "one copy, however often");
        assert_eq!(there["images"][0]["tags"]["hostkit:state"], "kept");
        assert_eq!(there["images"][0]["snapshot"]["tags"]["hostkit:state"], "kept");
        assert_eq!((copies(&desk.account.actions("us-east-1")), desk.open_journals()), (1, 0));
        // For the other signal there must be something to do.
        desk.account.python(
            "there = at('ec2', 'us-east-1')\n\
             for one in there.describe_images(Owners=['self'])['Images']:\n    \
             there.deregister_image(ImageId=one['ImageId'], DeleteAssociatedSnapshots=True)\n\
             say(None)",
        );
    }
}

#[test]
fn each_region_encrypts_with_its_own_key_and_the_default_key_is_not_shared() {
    let Some(desk) = Desk::with("") else { return };
    let before = desk.account.requests().len();
    let share = ["--share-account", "111122223333", "--copy-to", "us-east-1"];
    let (status, _, said) = desk.publish(&[&share[..], &["--kms-key", "alias/aws/ebs"]].concat());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("default key cannot be shared"), "{said}");
    let after = desk.account.requests().split_off(before);
    let actions: Vec<_> =
        after.iter().map(|one| one["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(changes(&actions), Vec::<&str>::new(), "it is said before anything is done");

    let key =
        |region: &str, id: &str| format!("{region}=arn:aws:kms:{region}:123456789012:key/{id}");
    let (west, east) = (key("eu-west-1", &"1".repeat(8)), key("us-east-1", &"2".repeat(8)));
    let keys = ["--kms-key", &west, "--kms-key", &east];
    let (status, places, said) = desk.publish(&[&share[..], &keys].concat());
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("is not encrypted, and stays"), "{said}");
    for (region, id) in [("eu-west-1", "11111111"), ("us-east-1", "22222222")] {
        let state = desk.state(region);
        let pointed = &state["pointer"]["Value"];
        let image = state["images"].as_array().unwrap().iter().find(|one| one["id"] == *pointed);
        let snapshot = &image.unwrap()["snapshot"];
        assert_eq!(snapshot["encrypted"], true, "{region}");
        assert!(snapshot["key"].as_str().unwrap().ends_with(id), "{region} {snapshot}");
        assert_eq!(snapshot["shared"][0]["UserId"], "111122223333", "{region}");
    }
    assert!(places.iter().all(|place| place["image"] != desk.image.as_str()), "{places:?}");
    let (status, places, said) = desk.publish(&[&share[..], &keys].concat());
    assert_eq!(status, Some(0), "{said}");
    assert!(places.iter().all(|place| place["state"] == "unchanged"), "{places:?}");
}

#[test]
fn a_launch_template_gets_a_version_that_differs_in_the_image_alone() {
    let Some(desk) = Desk::with("") else { return };
    let made = "\nold = baked(Name='older')\n\
        data = dict(ImageId=old, InstanceType='t3.large', EbsOptimized=True)\n\
        say(ec2.create_launch_template(LaunchTemplateName='ci/box',\
        LaunchTemplateData=data)['LaunchTemplate']['LaunchTemplateId'])";
    desk.account.python(&format!("{}{BAKED}{made}", names())).unwrap();
    let versions = || {
        let script = "say(ec2.describe_launch_template_versions(\
            LaunchTemplateName='ci/box')['LaunchTemplateVersions'])";
        let mut versions = desk.account.python(script).unwrap().as_array().unwrap().clone();
        versions.sort_by_key(|version| version["VersionNumber"].as_u64());
        versions
    };
    let args = ["--launch-template", "ci/box"];
    for n in 0..2 {
        let (status, places, said) = desk.publish(&args);
        assert_eq!(status, Some(0), "{said}");
        assert_eq!(places[0]["state"], if n == 0 { "published" } else { "unchanged" });
        let versions = versions();
        assert_eq!(versions.len(), 2);
        let (one, two) = (&versions[0], &versions[1]);
        assert_eq!(two["LaunchTemplateData"]["ImageId"], desk.image.as_str());
        let mut same = two["LaunchTemplateData"].clone();
        same["ImageId"] = one["LaunchTemplateData"]["ImageId"].clone();
        assert_eq!(same, one["LaunchTemplateData"], "nothing else differs");
        assert_eq!((&one["DefaultVersion"], &two["DefaultVersion"]), (&true.into(), &false.into()));
    }
    let (status, _, said) = desk.publish(&[&args[..], &["--set-default"]].concat());
    assert_eq!(status, Some(0), "{said}");
    let versions = versions();
    assert_eq!((versions.len(), &versions[1]["DefaultVersion"]), (2, &true.into()));
    let (status, _, said) = desk.publish(&["--launch-template", "nobody"]);
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains("there is no launch template nobody in eu-west-1"), "{said}");
    crate::iam::covered(&[hostkit::iam::Role::Publish], &desk.account.requests());
    desk.account.validate("ec2:CreateLaunchTemplateVersion,ec2:ModifyLaunchTemplate");
}

#[test]
fn what_is_no_image_of_hostkits_is_refused() {
    let Some(desk) = Desk::with("") else { return };
    let plain = format!("{}{BAKED}say(baked(Name='plain', TagSpecifications=[]))", names());
    let plain = desk.account.python(&plain).unwrap();
    let refused = |args: &[&str]| {
        let output = desk.account.hostkit(desk.path(), &[&["publish"], args].concat()).output();
        let output = output.unwrap();
        (output.status.code(), words(&output))
    };
    let (status, said) = refused(&[plain.as_str().unwrap()]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("hostkit did not make it"), "{said}");
    let (status, said) = refused(&["ami-0123456789abcdef0"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("there is no image ami-0123456789abcdef0 in eu-west-1"), "{said}");
    let (status, said) = refused(&[&desk.image, "--tag", "hostkit:state=kept"]);
    assert_eq!(status, Some(2), "{said}");

    // By the name of a recipe: the image in the output folder says which digest that is.
    let (status, said) = refused(&["ci-box"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("there is no image `ci-box`"), "{said}");
    let first = include_str!("../fixtures/manifests/first.json");
    let mut manifest: Value = serde_json::from_str(first).unwrap();
    manifest["digest"] = DIGEST.into();
    fs::create_dir_all(desk.path().join("out")).unwrap();
    fs::write(desk.path().join("out/ci-box.json"), manifest.to_string()).unwrap();
    let (status, said) = refused(&["ci-box", "--no-pointer"]);
    assert_eq!(status, Some(0), "{said}");
    insta::with_settings!({filters => vec![(desk.image.as_str(), "[ami]"), (r" \d+\.\d s", " [s]")]}, {
        insta::assert_snapshot!(said.lines().take(3).collect::<Vec<_>>().join("\n"));
    });
}
