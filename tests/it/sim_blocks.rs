//! The rehearsal account as others use it: AWS's own client for Python, the AWS CLI and coldsnap,
//! against EBS direct, the Parameter Store and STS. What they do not understand is not what AWS sends.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::disturbance::{Disturbance, Kind, When};
use hostkit::sim::endpoint::with;
use hostkit::sim::service::Service;
use tempfile::TempDir;

use crate::support::{coldsnap, hostkit, python, repository, scratch, tell};

/// An account, and a record of what is asked of it.
struct World {
    cloud: Cloud,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = scratch();
        let record = Some(folder.path().join("record"));
        let cloud = Cloud::open(Options { speed: 100.0, record, ..Options::default() }).unwrap();
        Self { cloud, folder }
    }

    /// Runs a program that acts on the account; gives what it printed.
    fn run(&self, program: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.cloud.environment());
        let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}\n{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs one of the scripts for boto3.
    fn script(&self, python: &Path, name: &str) {
        let script = repository("tests/fixtures/rehearsal").join(name);
        self.run(python, &[script.to_str().unwrap()]);
    }

    /// Runs lines that find what the scripts have in common.
    fn lines(&self, python: &Path, lines: &str) {
        let folder = repository("tests/fixtures/rehearsal");
        let head = format!(
            "import sys\nsys.path.insert(0, '{}')\nfrom common import *\n",
            folder.display()
        );
        self.run(python, &["-c", &(head + lines)]);
    }

    /// All that was asked is as AWS's models say; and that was asked.
    fn validate(&self, python: &Path, expected: &str) {
        let script = repository("tests/fixtures/botocore_validate.py");
        let record = self.folder.path().join("record");
        let arguments = [script, record, "--expect".into(), expected.into()];
        let output = Command::new(python).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    fn disturb(&self, disturbances: Vec<Disturbance>) {
        with(&self.cloud.account, |account| account.disturbances = disturbances);
    }
}

fn puts(kind: Kind) -> Disturbance {
    Disturbance { action: Some("PutSnapshotBlock".into()), ..Disturbance::of(Service::Ebs, kind) }
}

#[test]
fn boto3_writes_and_reads_snapshots() {
    let Some(python) = python() else { return };
    let world = World::new();
    world.script(&python, "blocks.py");
    // Some of what it asks is wrong on purpose, and not what the models allow.
    assert!(fs::read_to_string(world.folder.path().join("record")).unwrap().contains("snap-"));
}

#[test]
fn boto3_uses_the_parameter_store() {
    let Some(python) = python() else { return };
    let world = World::new();
    world.script(&python, "parameters.py");
    world.validate(&python, "ssm:PutParameter,ssm:DescribeParameters,ec2:RegisterImage");
}

#[test]
fn boto3_understands_what_goes_wrong_with_blocks() {
    let Some(python) = python() else { return };
    let world = World::new();
    let case = |disturbance: Disturbance, lines: &str| {
        world.disturb(vec![disturbance]);
        world.lines(&python, lines);
    };
    let put = "got = refused(put, snapshot=start(), index=5, block=random_block())\n";
    let cases = [
        (Kind::Throttled, "('RequestThrottledException', 'ACCOUNT_THROTTLED')"),
        (Kind::Unavailable, "('ServiceUnavailable', None)"),
        (Kind::InternalError, "('InternalServerException', None)"),
        (Kind::Denied, "('AccessDeniedException', None)"),
        (Kind::Closed, "('ConnectionClosedError', None)"),
        (Kind::ClosedAfter(1000), "('ConnectionClosedError', None)"),
        (Kind::Silent, "('ReadTimeoutError', None)"),
    ];
    for (kind, expected) in cases {
        case(puts(kind), &format!("{put}assert got == {expected}, got\n"));
    }
    // The block was put, though nobody said so.
    let lost = "
snapshot = start()
got = refused(put, snapshot=snapshot, index=5, block=random_block())
assert got == ('ConnectionClosedError', None), got
ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
";
    case(puts(Kind::AnswerLost), lost);
    let torn = "
snapshot = written({0: random_block()})
[block] = ebs.list_snapshot_blocks(SnapshotId=snapshot)['Blocks']
try:
    ebs.get_snapshot_block(SnapshotId=snapshot, **block)['BlockData'].read()
except Exception as error:
    assert 'Incomplete' in type(error).__name__ + str(error), error
else:
    raise AssertionError('it came whole')
";
    let get = Some("GetSnapshotBlock".into());
    case(Disturbance { action: get, ..puts(Kind::ClosedAfter(70_000)) }, torn);
    let doomed = "
snapshot = start()
ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
until(lambda: state(snapshot) == 'error')
";
    let complete = Some("CompleteSnapshot".into());
    case(Disturbance { action: complete, ..puts(Kind::Fails) }, doomed);
    // By number, by block, by region.
    let second = "
snapshot = start()
put(snapshot, 1, random_block())
assert refused(put, snapshot=snapshot, index=2, block=random_block())[0] == 'ServiceUnavailable'
";
    case(Disturbance { when: When::From(2), ..puts(Kind::Unavailable) }, second);
    let next = "
snapshot = start()
assert refused(put, snapshot=snapshot, index=2, block=random_block())[0] == 'ServiceUnavailable'
put(snapshot, 2, random_block())
";
    case(Disturbance { when: When::Next(1), ..puts(Kind::Unavailable) }, next);
    let third = "
snapshot = start()
put(snapshot, 2, random_block())
assert refused(put, snapshot=snapshot, index=3, block=random_block())[0] == 'ServiceUnavailable'
";
    case(Disturbance { block: Some(3), ..puts(Kind::Unavailable) }, third);
    let elsewhere = "put(start(), 2, random_block())\n";
    let region = Some("us-west-2".into());
    case(Disturbance { region, ..puts(Kind::Unavailable) }, elsewhere);
}

#[test]
fn boto3_meets_the_conditions_of_ebs() {
    let Some(python) = python() else { return };
    let world = World::new();
    let conditions = |change: fn(&mut hostkit::sim::conditions::Conditions)| {
        with(&world.cloud.account, |account| {
            account.conditions = hostkit::sim::conditions::Conditions::default();
            account.conditions.speed = 100.0;
            change(&mut account.conditions);
        });
    };
    conditions(|conditions| conditions.appears_after = Duration::from_hours(1));
    let early = "
got = refused(put, snapshot=start(), index=0, block=random_block())
assert got == ('ResourceNotFoundException', 'SNAPSHOT_NOT_FOUND'), got
";
    world.lines(&python, early);

    conditions(|conditions| conditions.puts_per_second = 1);
    let hasty = "
snapshot = start()
put(snapshot, 0, random_block())
got = refused(put, snapshot=snapshot, index=1, block=random_block())
assert got == ('RequestThrottledException', 'RESOURCE_LEVEL_THROTTLE'), got
";
    world.lines(&python, hasty);

    conditions(|conditions| conditions.impatience = 10_000.0);
    let left = "
snapshot = start(Timeout=10)
until(lambda: state(snapshot) == 'error')
";
    world.lines(&python, left);

    conditions(|conditions| conditions.clock_ahead = jiff::SignedDuration::from_mins(20));
    let skewed = "
def code(service, call):
    return refused(getattr(client(service), call))[0]
assert code('sts', 'get_caller_identity') == 'SignatureDoesNotMatch'
assert code('ec2', 'describe_images') == 'RequestExpired'
assert code('ssm', 'describe_parameters') == 'InvalidSignatureException'
got = refused(ebs.start_snapshot, VolumeSize=1)
assert got[0] == 'InvalidSignatureException', got
";
    world.lines(&python, skewed);
}

#[test]
fn the_aws_cli_uses_it() {
    let Some(python) = python() else { return };
    let world = World::new();
    let aws = python.with_file_name("aws");
    if !aws.exists() {
        return tell("SKIPPED: there is no AWS CLI (.ci/setup --test)");
    }
    let start = ["ebs", "start-snapshot", "--volume-size", "1", "--query", "SnapshotId"];
    let snapshot: String = serde_json::from_str(&world.run(&aws, &start)).unwrap();
    assert!(snapshot.starts_with("snap-"), "{snapshot}");
    let block = world.folder.path().join("block");
    fs::write(&block, vec![7; 512 << 10]).unwrap();
    let checksum = "import sys; sys.path.insert(0, sys.argv[1]); from common import *; \
                    print(checksum(bytes([7]) * BLOCK), end='')";
    let common = repository("tests/fixtures/rehearsal");
    let checksum = world.run(&python, &["-c", checksum, common.to_str().unwrap()]);
    let put = ["ebs", "put-snapshot-block", "--snapshot-id", &snapshot, "--block-index", "3"];
    let data = ["--block-data", block.to_str().unwrap(), "--data-length", "524288"];
    let sum = ["--checksum", &checksum, "--checksum-algorithm", "SHA256"];
    std::thread::sleep(Duration::from_millis(50));
    world.run(&aws, &[&put[..], &data[..], &sum[..]].concat());
    let count = ["--changed-blocks-count", "1", "--snapshot-id", &snapshot];
    world.run(&aws, &[&["ebs", "complete-snapshot"][..], &count[..]].concat());
    world.run(&aws, &["ec2", "wait", "snapshot-completed", "--snapshot-ids", &snapshot]);

    let put = ["ssm", "put-parameter", "--name", "/cli", "--value", "v", "--type", "String"];
    world.run(&aws, &put);
    let get = ["ssm", "get-parameter", "--name", "/cli", "--query", "Parameter.Value"];
    assert_eq!(world.run(&aws, &get).trim(), "\"v\"");
    let who = world.run(&aws, &["sts", "get-caller-identity", "--query", "Account"]);
    assert_eq!(who.trim(), "\"123456789012\"");
    let expected = "ebs:StartSnapshot,ebs:PutSnapshotBlock,ebs:CompleteSnapshot,\
                    ec2:DescribeSnapshots,ssm:PutParameter,sts:GetCallerIdentity";
    world.validate(&python, expected);
}

#[test]
fn coldsnap_uploads_waits_and_downloads() {
    let Some(coldsnap) = coldsnap() else { return };
    let world = World::new();
    let [disk, back] = ["disk", "back"].map(|name| world.folder.path().join(name));
    let file = File::create(&disk).unwrap();
    file.set_len(1 << 30).unwrap();
    for index in [0_u64, 3, 1000, 2047] {
        let mark = u8::try_from(index % 251).unwrap();
        let block: Vec<u8> = (0..=250_u8).map(|byte| byte ^ mark).cycle().take(512 << 10).collect();
        file.write_all_at(&block, index * (512 << 10)).unwrap();
    }
    let upload = ["upload", "--no-progress", "--omit-zero-blocks", disk.to_str().unwrap()];
    let snapshot = world.run(&coldsnap, &upload);
    world.run(&coldsnap, &["wait", snapshot.trim()]);
    world.run(&coldsnap, &["download", "--no-progress", snapshot.trim(), back.to_str().unwrap()]);
    assert!(fs::read(&disk).unwrap() == fs::read(&back).unwrap(), "it came back as another");
    let Some(python) = python() else { return };
    let expected = "ebs:StartSnapshot,ebs:PutSnapshotBlock,ebs:CompleteSnapshot,\
                    ebs:ListSnapshotBlocks,ebs:GetSnapshotBlock,ec2:DescribeSnapshots";
    world.validate(&python, expected);
}

#[test]
fn the_verb_runs_a_command_and_keeps_the_account() {
    let folder = scratch();
    let state = folder.path().join("state");
    let faults = folder.path().join("faults");
    fs::write(&faults, "appears-after = '0s'").unwrap();
    let sim = |words: &[&str]| {
        let mut command = hostkit();
        command.args(["sim", "--faults"]).arg(&faults).arg("--state").arg(&state).arg("--");
        command.args(words).assert()
    };
    sim(&["sh", "-c", "exit 7"]).code(7);
    let key = ["sh", "-c", "echo $AWS_ACCESS_KEY_ID"];
    let first = sim(&key).success().get_output().stdout.clone();
    assert!(first.starts_with(b"AKIA"));
    assert_eq!(sim(&key).success().get_output().stdout, first, "it is the same account");
    let Some(python) = python() else { return };
    let python = python.to_str().unwrap().to_owned();
    let common = repository("tests/fixtures/rehearsal");
    let head = format!("import sys; sys.path.insert(0, {common:?}); from common import *\n");
    let mark = folder.path().join("id");
    let write = format!("{head}open({mark:?}, 'w').write(written({{5: bytes([9]) * BLOCK}}))\n");
    sim(&[&python, "-c", &write]).success();
    let read = format!("{head}assert read(open({mark:?}).read()) == {{5: bytes([9]) * BLOCK}}\n");
    sim(&[&python, "-c", &read]).success();
}

#[test]
fn the_verb_refuses_what_makes_no_sense() {
    let folder = scratch();
    let faults = folder.path().join("faults");
    fs::write(&faults, "[[fault]]\ndoes = 'explodes'").unwrap();
    let wrong = hostkit().args(["sim", "--faults"]).arg(&faults).assert().code(3);
    let said = String::from_utf8_lossy(&wrong.get_output().stderr).into_owned();
    assert!(said.contains("unknown variant `explodes`"), "{said}");
    hostkit().args(["sim", "--speed", "0"]).assert().code(2);
    hostkit().args(["sim", "--faults", "/nowhere"]).assert().code(2);
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    hostkit().args(["sim", "--port", &port]).assert().code(4);
}
