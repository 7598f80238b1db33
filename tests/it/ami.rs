//! `hostkit bake --target ami`, the binary as a person runs it, against `hostkit sim`: what is sent,
//! what is registered, what a second bake does, and what is left when it is killed.
//!
//! The recipe is real (Debian packages, a chroot, a disk with GRUB) and small: it has no kernel and is
//! not booted here. AWS is the rehearsal account.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::account::Account;
use crate::support::{coldsnap, is_root, pause, scratch, send, tell};

const RECIPE: &str = "[recipe]\nname = 'small'\nversion = '1.0'\n[base]\nos = 'debian:trixie'\n\
    [vars.place]\ndefault = 'here'\n\
    [packages]\ninstall = ['grub-common', 'grub-pc-bin', 'grub-efi-amd64-bin']\n\
    [[link]]\npath = '/vmlinuz'\nto = 'boot/none'\n\
    [[file]]\npath = '/etc/motd'\ntemplate = 'templates/motd.tera'\n";

/// How many requests of an action were answered with what was asked.
fn count(account: &Account, action: &str) -> usize {
    let requests = account.requests();
    let fits = |it: &&Value| it["action"] == action && it["status"].as_u64().unwrap() < 300;
    requests.iter().filter(fits).count()
}

/// A person's project and state.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = scratch();
        for name in ["image-recipes", "templates"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("templates/motd.tera"), "welcome to {{ place }}\n").unwrap();
        fs::write(folder.path().join("image-recipes/small.toml"), RECIPE).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// hostkit on this desk, in an account.
    fn hostkit(&self, account: &Account, args: &[&str]) -> Command {
        account.hostkit(self.path(), args)
    }

    /// Bakes an AMI; the last line.
    fn bake(&self, account: &Account, args: &[&str]) -> Value {
        let fixed = ["bake", "small", "--target", "ami", "--format", "json"];
        let output = self.hostkit(account, &[&fixed[..], args].concat()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{error}");
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    }

    /// A bake that fails: its status and what it says.
    fn refused(&self, account: &Account, args: &[&str]) -> (Option<i32>, String) {
        let fixed = ["bake", "small", "--target", "ami"];
        let output = self.hostkit(account, &[&fixed[..], args].concat()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// The journals of builds that did not come to their end.
    fn open_journals(&self) -> usize {
        let folder = self.path().join("state/hostkit/builds");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let texts = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "jsonl"));
        texts
            .filter(|entry| !fs::read_to_string(entry.path()).unwrap().contains("\"done\""))
            .count()
    }
}

/// Everything that our own account has of what costs money.
const EVERYTHING: &str = "
images = ec2.describe_images(Owners=['self'])['Images']
snapshots = ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']
print(json.dumps([one['ImageId'] for one in images] + [one['SnapshotId'] for one in snapshots]))";

#[test]
fn a_disk_becomes_an_image_and_a_second_bake_does_nothing() {
    if !is_root() {
        return;
    }
    let (account, desk) = (Account::open(""), Desk::new());
    let first = desk.bake(&account, &[]);
    let (image, snapshot) = (first["ami"]["image"].as_str().unwrap(), &first["ami"]["snapshot"]);
    let used = first["ami"]["sent"]["blocks"].as_u64().unwrap();
    assert!(used > 100 && used < 1000, "holes are not sent: {used}");
    assert_eq!(desk.open_journals(), 0);
    if let Some(told) = account.python(&format!(
        "image = ec2.describe_images(ImageIds=['{image}'])['Images'][0]\n\
         snapshot = ec2.describe_snapshots(SnapshotIds=[{snapshot}])['Snapshots'][0]\n\
         print(json.dumps([image, snapshot], default=str))"
    )) {
        let digest = first["manifest"]["digest"].as_str().unwrap();
        let name = format!("small-amd64-1.0-{}", &digest[..8]);
        assert_eq!(told[0]["Name"], name.as_str());
        let disk = &told[0]["BlockDeviceMappings"][0]["Ebs"];
        assert_eq!((&disk["VolumeType"], &disk["SnapshotId"]), (&"gp3".into(), snapshot));
        assert_eq!(told[0]["BootMode"], "uefi-preferred");
        assert_eq!(
            (&told[0]["ImdsSupport"], &told[0]["EnaSupport"]),
            (&"v2.0".into(), &true.into())
        );
        for one in [&told[0], &told[1]] {
            let tag = |key: &str| {
                let tags = one["Tags"].as_array().unwrap().iter();
                tags.clone().find(|tag| tag["Key"] == key).map(|tag| tag["Value"].clone())
            };
            for (key, value) in [
                ("hostkit:recipe", "small"),
                ("hostkit:version", "1.0"),
                ("hostkit:digest", digest),
                ("hostkit:state", "kept"),
            ] {
                assert_eq!(tag(key), Some(value.into()), "{key}");
            }
            assert!(tag("hostkit:build").is_some());
        }
    }
    downloaded_is_the_same(&account, &desk, snapshot.as_str().unwrap());

    let puts = count(&account, "PutSnapshotBlock");
    assert_eq!(puts as u64, used);
    // On another machine: nothing but the project and its lock.
    let other = Desk::new();
    fs::copy(desk.path().join("hostkit.lock"), other.path().join("hostkit.lock")).unwrap();
    let again = other.bake(&account, &[]);
    assert_eq!((&again["outcome"], &again["ami"]["image"]), (&"unchanged".into(), &image.into()));
    assert_eq!(count(&account, "PutSnapshotBlock"), puts);
    assert!(!other.path().join("out/small.raw").exists(), "nothing was baked, either");
    let variables = fs::read(other.path().join("out/small.auto.tfvars.json")).unwrap();
    let variables: Value = serde_json::from_slice(&variables).unwrap();
    assert_eq!(variables["small_ami_id"], image, "nobody has to type it");

    let changed = other.bake(&account, &["--var", "place=there", "--copy-to", "us-east-1"]);
    let sent = changed["ami"]["sent"]["blocks"].as_u64().unwrap();
    assert!((1..=32).contains(&sent), "{sent} blocks for one template");
    assert_eq!(&changed["ami"]["parent"], snapshot);
    downloaded_is_the_same(&account, &other, changed["ami"]["snapshot"].as_str().unwrap());
    let roles = [hostkit::iam::Role::Bake, hostkit::iam::Role::Publish];
    crate::iam::covered(&roles, &account.requests());
    account
        .validate("ebs:StartSnapshot,ebs:PutSnapshotBlock,ebs:CompleteSnapshot,ec2:RegisterImage");
}

/// What an independent client reads back is what was baked.
fn downloaded_is_the_same(account: &Account, desk: &Desk, snapshot: &str) {
    let Some(coldsnap) = coldsnap() else { return };
    let copy = desk.path().join("copy.raw");
    let mut command = Command::new(coldsnap);
    command.arg("download").arg(snapshot).arg(&copy).envs(account.environment());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let raw = desk.path().join("out/small.raw");
    assert!(Command::new("cmp").args([&raw, &copy]).status().unwrap().success());
    fs::remove_file(copy).unwrap();
}

/// Waits until something has happened, or the process that is to do it has ended.
fn until(child: &mut Child, mut happened: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_mins(3);
    while !happened() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        pause();
    }
    true
}

#[test]
fn a_bake_that_is_killed_while_it_sends_goes_on_with_the_rest() {
    if !is_root() {
        return;
    }
    let slow =
        "[[fault]]\nservice = 'ebs'\naction = 'PutSnapshotBlock'\ndoes = 'slow'\nafter = '400ms'\n";
    let (account, desk) = (Account::open(slow), Desk::new());
    let fixed = ["bake", "small", "--target", "ami", "--rate", "60"];
    let mut child =
        desk.hostkit(&account, &fixed).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.as_mut().unwrap();
    assert!(until(child, || count(&account, "PutSnapshotBlock") >= 60), "it ended too early");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(desk.open_journals(), 1);
    let before = count(&account, "PutSnapshotBlock");

    let made = desk.bake(&account, &["--resume"]);
    let sent = &made["ami"]["sent"];
    let (all, known) = (sent["blocks"].as_u64().unwrap(), sent["before"].as_u64().unwrap());
    assert!(known > 0 && known <= before as u64, "{sent}");
    let after = (count(&account, "PutSnapshotBlock") - before) as u64;
    assert_eq!(after, all - known, "only the rest is sent");
    assert_eq!(count(&account, "StartSnapshot"), 1);
    assert_eq!(desk.open_journals(), 0);
    downloaded_is_the_same(&account, &desk, made["ami"]["snapshot"].as_str().unwrap());
    let (status, said) = desk.refused(&account, &["--resume", "--var", "place=elsewhere"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("no build of this image in"), "{said}");
}

#[test]
fn whenever_it_is_killed_gc_leaves_the_account_empty() {
    if !is_root() {
        return;
    }
    let slow = "[[fault]]\nservice = 'ebs'\ndoes = 'slow'\nafter = '20ms'\n\
        [[fault]]\nservice = 'ec2'\ndoes = 'slow'\nafter = '100ms'\n";
    let (account, desk) = (Account::open(slow), Desk::new());
    // The layers are in the cache then, and the account has an image that must stay.
    let kept = desk.bake(&account, &[]);
    let mut moments = BTreeSet::new();
    for n in 0..20_u64 {
        let place = format!("place=number {n}");
        // Every other one sends all of its blocks, so that it is killed among them.
        let (whole, after): (&[&str], u64) =
            if n % 2 == 0 { (&[], n / 2) } else { (&["--no-parent"], 17 * n) };
        let args = [&["bake", "small", "--target", "ami", "--var", &place], whole].concat();
        let mut command = desk.hostkit(&account, &args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let requests = account.requests().len() as u64;
        // After so many requests, at a moment that nobody chose.
        let _ = until(&mut child, || account.requests().len() as u64 > requests + after);
        std::thread::sleep(Duration::from_millis(n * 37 % 90));
        let _ = child.kill();
        child.wait().unwrap();
        let last = account.requests().last().map(|request| request["action"].to_string());
        moments.extend(last);
    }
    tell(&format!("killed after {moments:?}"));
    assert!(moments.len() >= 4, "it is always the same moment: {moments:?}");
    let building = "state = [{'Name': 'tag:hostkit:state', 'Values': ['building']}]\n\
        print(len(ec2.describe_snapshots(OwnerIds=['self'], Filters=state)['Snapshots']))";
    if let Some(lost) = account.python(building) {
        assert!(lost.as_u64().unwrap() > 0, "there is nothing to find");
    }
    // Not even the journals are needed.
    fs::remove_dir_all(desk.path().join("state")).unwrap();
    let gc = ["gc", "--older-than", "0h", "--yes"];
    let output = desk.hostkit(&account, &gc).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(left) = account.python(EVERYTHING) else { return };
    // Those that came to their end before they were killed are images like any other.
    let left: BTreeSet<_> = left.as_array().unwrap().iter().map(Value::to_string).collect();
    let done = account.python(
        "state = [{'Name': 'tag:hostkit:state', 'Values': ['kept']}]\n\
         images = ec2.describe_images(Owners=['self'], Filters=state)['Images']\n\
         print(json.dumps([one['ImageId'] for one in images] + \
         [one['BlockDeviceMappings'][0]['Ebs']['SnapshotId'] for one in images]))",
    );
    let done = done.unwrap();
    let done: BTreeSet<_> = done.as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(left, done);
    assert!(left.contains(&kept["ami"]["image"].to_string()), "what is to stay stays");
}

#[test]
fn what_goes_wrong_is_told_and_nothing_is_left() {
    if !is_root() {
        return;
    }
    let broken = "[[fault]]\nservice = 'ebs'\naction = 'CompleteSnapshot'\ndoes = 'fails'\n";
    let (account, desk) = (Account::open(broken), Desk::new());
    let (status, said) = desk.refused(&account, &[]);
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains("hint:"), "{said}");
    assert_eq!(desk.open_journals(), 0);
    if let Some(left) = account.python(EVERYTHING) {
        assert_eq!(left, Value::Array(Vec::new()));
    }

    let mut command = desk.hostkit(&account, &["bake", "small", "--target", "ami"]);
    let output = command.env_remove("AWS_ACCESS_KEY_ID").env("AWS_EC2_METADATA_DISABLED", "true");
    let output = output.env("HOME", desk.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("error: no AWS credentials were found"), "{said}");

    let mut command = desk.hostkit(&account, &["bake", "small", "--target", "ami"]);
    let output = command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
    let output = output.env("HOME", desk.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("error: no AWS region is known"), "{said}");
}

#[test]
fn aws_may_take_longer_than_it_was_given_and_nothing_is_lost() {
    if !is_root() {
        return;
    }
    let (account, desk) = (Account::with("", &["--speed", "4"]), Desk::new());
    let (status, said) = desk.refused(&account, &["--patience", "1s"]);
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains("is still pending after"), "{said}");
    assert!(
        said.contains("hint: AWS carries on by itself: the same command with --resume"),
        "{said}"
    );
    let puts = count(&account, "PutSnapshotBlock");
    let made = desk.bake(&account, &["--resume"]);
    assert_eq!(count(&account, "PutSnapshotBlock"), puts, "all blocks were there");
    assert_eq!((count(&account, "StartSnapshot"), desk.open_journals()), (1, 0));
    downloaded_is_the_same(&account, &desk, made["ami"]["snapshot"].as_str().unwrap());
}

#[test]
fn a_child_has_the_key_that_was_asked_for_and_a_wrong_clock_is_named() {
    if !is_root() {
        return;
    }
    let (account, desk) = (Account::open(""), Desk::new());
    let key = |id: &str| format!("arn:aws:kms:{}:123456789012:key/{id}", account.region());
    let first = desk.bake(&account, &["--kms-key", &key("one")]);
    let all = first["ami"]["sent"]["blocks"].as_u64().unwrap();
    assert_eq!(all, 2048, "what is never written of an encrypted snapshot is not zeros");
    downloaded_is_the_same(&account, &desk, first["ami"]["snapshot"].as_str().unwrap());
    let same = desk.bake(&account, &["--kms-key", &key("one"), "--var", "place=second"]);
    assert_eq!(same["ami"]["parent"], first["ami"]["snapshot"]);
    let other = desk.bake(&account, &["--kms-key", &key("two"), "--var", "place=third"]);
    assert_eq!(other["ami"]["parent"], Value::Null);
    assert_eq!(other["ami"]["sent"]["blocks"].as_u64(), Some(all));

    let skewed = Account::open("clock-ahead = '2h'\n");
    let (status, said) = desk.refused(&skewed, &[]);
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains("the clock of this machine is wrong by"), "{said}");
}

#[test]
fn who_stops_a_bake_finds_nothing_on_aws_unless_it_was_to_stay() {
    if !is_root() {
        return;
    }
    let slow =
        "[[fault]]\nservice = 'ebs'\naction = 'PutSnapshotBlock'\ndoes = 'slow'\nafter = '400ms'\n";
    let (account, desk) = (Account::open(slow), Desk::new());
    let stop = |more: &[&str]| {
        let fixed = ["bake", "small", "--target", "ami", "--rate", "60"];
        let before = count(&account, "PutSnapshotBlock");
        let mut command = desk.hostkit(&account, &[&fixed[..], more].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert!(until(&mut child, || count(&account, "PutSnapshotBlock") > before + 20));
        send("INT", child.id());
        child.wait().unwrap().code()
    };
    assert_eq!(stop(&[]), Some(130));
    assert_eq!(desk.open_journals(), 0);
    if let Some(left) = account.python(EVERYTHING) {
        assert_eq!(left, Value::Array(Vec::new()));
    }
    assert_eq!(stop(&["--on-error", "keep"]), Some(130));
    assert_eq!(desk.open_journals(), 1);
    let made = desk.bake(&account, &["--resume"]);
    assert!(made["ami"]["sent"]["before"].as_u64().unwrap() > 0, "{made}");
    assert_eq!(count(&account, "StartSnapshot"), 2);
    let (status, said) = desk.refused(&account, &["--encrypt"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("is this image, and is not encrypted"), "{said}");
}

#[test]
fn a_name_that_is_taken_and_a_quota_that_is_used_up_are_told() {
    if !is_root() {
        return;
    }
    let (elsewhere, desk) = (Account::open(""), Desk::new());
    let name = desk.bake(&elsewhere, &[])["ami"]["name"].clone();
    let account = Account::open("pending-snapshots = 1\n");
    let foreign = format!(
        "snapshot = ebs.start_snapshot(VolumeSize=1)['SnapshotId']\n\
         ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)\n\
         ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[snapshot])\n\
         disk = {{'DeviceName': '/dev/xvda', 'Ebs': {{'SnapshotId': snapshot}}}}\n\
         print(json.dumps(ec2.register_image(Name={name}, RootDeviceName='/dev/xvda',\n\
         \x20   BlockDeviceMappings=[disk])['ImageId']))"
    );
    let Some(foreign) = account.python(&foreign) else { return };
    let (status, said) = desk.refused(&account, &[]);
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains(&format!("belongs to {}, which hostkit did not make", text(&foreign))));
    let there = account.python(EVERYTHING).unwrap();
    assert_eq!(there.as_array().unwrap().len(), 2, "only what was there: {there}");

    account.python("print(json.dumps(ebs.start_snapshot(VolumeSize=1)['SnapshotId']))");
    let (status, said) = desk.refused(&account, &["--var", "place=third"]);
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains("`hostkit gc` finds those that were left"), "{said}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
