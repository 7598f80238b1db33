//! `hostkit efs backup` and `efs recover throughput|failover`: the binary against the rehearsal
//! account; boto3 beside it, whose words the account must understand, too.

use std::time::Duration;

use assert_cmd::Command;
use hostkit::sim::account::{FileSystem, Replication};
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::disturbance::{Disturbance, Kind, When};
use hostkit::sim::encryption_key::{EncryptionKey, State as KeyState};
use hostkit::sim::endpoint::with;
use hostkit::sim::service::Service;
use hostkit::sim::vault::Point;
use jiff::SignedDuration;
use serde_json::Value;

use crate::support::{hostkit, python};

const HERE: &str = "eu-west-1";
const THERE: &str = "eu-central-1";

/// An account in which minutes take a second, with a home that was backed up last night.
struct Setting {
    cloud: Cloud,
    id: String,
    point: String,
}

impl Setting {
    fn new() -> Self {
        Self::at(600.0)
    }

    fn at(speed: f64) -> Self {
        let cloud = Cloud::open(Options { speed, ..Options::default() }).unwrap();
        let (id, point) = with(&cloud.account, |account| {
            let home = FileSystem::of_folder("/srv/home");
            let id = home.id.clone();
            account.file_systems.push(home);
            let arn = format!("arn:aws:elasticfilesystem:{HERE}:123456789012:file-system/{id}");
            let made = account.world() - SignedDuration::from_hours(5);
            let old = account.world() - SignedDuration::from_hours(29);
            let vaults = &mut account.region(HERE).vaults;
            let point = Point::made(HERE, &arn, made, 6 << 30);
            let partial =
                Point { state: "EXPIRED".into(), ..Point::made(HERE, &arn, old, 5 << 30) };
            let found = point.arn.rsplit(':').next().unwrap().to_owned();
            vaults.keep(point);
            vaults.keep(partial);
            (id, found)
        });
        Self { cloud, id, point }
    }

    fn hostkit(&self, line: &str) -> Command {
        let mut command = hostkit();
        command.envs(self.cloud.environment());
        command.args(line.split_whitespace()).args(["--file-system", &self.id]);
        command.timeout(Duration::from_mins(3));
        command
    }

    /// What it says on standard output, where it must end so.
    fn says(&self, line: &str, code: i32) -> String {
        let output = self.hostkit(line).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {text}\n{error}");
        if code == 0 { text } else { error.into_owned() }
    }

    fn json(&self, line: &str) -> Vec<Value> {
        let text = self.says(&format!("{line} --format json"), 0);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn disturb(&self, action: &str, kind: Kind) {
        let one = Disturbance {
            action: Some(action.into()),
            when: When::Next(1),
            ..Disturbance::of(Service::Backup, kind)
        };
        with(&self.cloud.account, |account| account.disturbances = vec![one]);
    }
}

/// Without what differs in every run.
fn settings(setting: &Setting) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&setting.id, "fs-HOME");
    settings.add_filter(&setting.point, "POINT");
    settings.add_filter("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "ID");
    settings.add_filter(r"\d{4}-\d{2}-\d{2}[ T]\d{2}[:-]\d{2}(:\d{2})?", "TIME");
    settings.add_filter(r"\d+\.\d s\b", "TOOK");
    settings.add_filter("fs-[0-9a-f]{17}", "fs-COPY");
    settings.add_filter("fsmt-[0-9a-f]{17}", "fsmt-NEW");
    settings.add_filter("subnet-[0-9a-f]{17}", "subnet-HERE");
    settings
}

#[test]
fn a_backup_is_made_and_seen() {
    let setting = Setting::new();
    settings(&setting).bind(|| {
        insta::assert_snapshot!("status", setting.says("efs backup status", 0));
        insta::assert_snapshot!("list", setting.says("efs backup list", 0));
        insta::assert_snapshot!("start", setting.says("efs backup start --wait", 0));
    });
    let points = setting.json("efs backup list");
    assert_eq!(points.len(), 3, "{points:?}");
    assert_eq!(
        (&points[0]["state"], &points[0]["vault"]),
        (&"COMPLETED".into(), &"Default".into())
    );
    let [status] = &setting.json("efs backup status")[..] else { panic!("one line") };
    assert_eq!(status["backups"]["Ok"][0]["state"], "COMPLETED", "{status}");
    // The same word begins it once.
    let first = setting.json("efs backup start --token night").pop().unwrap();
    let second = setting.json("efs backup start --token night --wait").pop().unwrap();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(setting.json("efs backup list").len(), 4);
}

#[test]
fn a_backup_that_does_not_end_well_says_so() {
    let setting = Setting::new();
    settings(&setting).bind(|| {
        setting.disturb("StartBackupJob", Kind::Fails);
        insta::assert_snapshot!("failed", setting.says("efs backup start --wait", 6));
        setting.disturb("StartBackupJob", Kind::Denied);
        insta::assert_snapshot!("denied", setting.says("efs backup start", 6));
        let other = setting.says("efs backup start --vault other", 6);
        insta::assert_snapshot!("vault", other);
        setting.disturb("ListRestoreJobs", Kind::Denied);
        insta::assert_snapshot!("status-denied", setting.says("efs backup status", 0));
    });
}

#[test]
fn a_backup_is_restored_beside_what_is_there() {
    let setting = Setting::new();
    let line = format!("efs backup restore {} --item /home/jobs/app --wait", setting.point);
    settings(&setting).bind(|| {
        insta::assert_snapshot!("restore", setting.says(&line, 0));
        let newest = setting.says("efs backup restore newest", 0);
        insta::assert_snapshot!("restore-begun", newest);
    });
    let jobs = with(&setting.cloud.account, |account| account.region(HERE).vaults.jobs.clone());
    let items: Vec<_> = jobs.values().map(|job| job.items.clone()).collect();
    assert!(items.contains(&vec!["/home/jobs/app".to_owned()]), "{items:?}");
    assert!(items.contains(&Vec::new()), "{items:?}");
}

#[test]
fn what_cannot_be_restored_is_refused() {
    let setting = Setting::new();
    settings(&setting).bind(|| {
        let mut text = setting.says("efs backup restore 0B0B --wait", 2);
        text += &setting.says("efs backup restore newest --item jobs", 2);
        let points = setting.json("efs backup list");
        let expired = points[1]["arn"].as_str().unwrap();
        text += &setting.says(&format!("efs backup restore {expired}"), 2);
        setting.disturb("StartRestoreJob", Kind::Fails);
        text += &setting.says("efs backup restore newest --wait", 6);
        setting.disturb("GetRecoveryPointRestoreMetadata", Kind::Denied);
        text += &setting.says("efs backup restore newest", 6);
        insta::assert_snapshot!("refused", text);
    });
    let mut other = hostkit();
    other.envs(setting.cloud.environment());
    other.args(["efs", "backup", "list", "--file-system", "fs-0aaaaaaaaaaaaaaaa"]);
    let output = other.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("there is no file system fs-0aaaaaaaaaaaaaaaa in eu-west-1"), "{error}");
}

#[test]
fn throughput_is_changed_once_a_day() {
    let setting = Setting::new();
    let mode =
        || with(&setting.cloud.account, |account| account.file_systems[0].throughput_mode.clone());
    with(&setting.cloud.account, |account| {
        "bursting".clone_into(&mut account.file_systems[0].throughput_mode);
    });
    settings(&setting).bind(|| {
        insta::assert_snapshot!("throughput", setting.says("efs recover throughput", 0));
        assert_eq!(mode(), "bursting", "it was only shown");
        let asked = setting.says("efs recover throughput --apply", 2);
        assert!(asked.contains("nothing is begun without --yes"), "{asked}");
        let done = setting.says("efs recover throughput --apply --yes", 0);
        assert!(done.trim_end().ends_with("is elastic now"), "{done}");
        assert_eq!(mode(), "elastic");
        insta::assert_snapshot!("throughput-done", setting.says("efs recover throughput", 0));
        let again = "efs recover throughput --mode provisioned --mibps 100 --apply --yes";
        insta::assert_snapshot!("throughput-refused", setting.says(again, 6));
    });
}

#[test]
fn a_copy_becomes_the_home() {
    let mut setting = Setting::new();
    let source = setting.id.clone();
    let copy = "fs-0fedcba9876543210".to_owned();
    let subnet = with(&setting.cloud.account, |account| {
        let now = account.world();
        account.file_systems[0].region = Some(HERE.into());
        let mut made = FileSystem { id: copy.clone(), ..FileSystem::of_folder("/srv/copy") };
        made.region = Some(THERE.into());
        "REPLICATING".clone_into(&mut made.overwrite_protection);
        made.targets.clear();
        account.file_systems.push(made);
        account.replications.push(Replication::between((&source, HERE), (&copy, THERE), now));
        account.region(HERE).metrics.steady(&source, "ClientConnections", now, 1.0);
        account.region(THERE).subnets.keys().next().unwrap().clone()
    });
    settings(&setting).bind(|| {
        let wrong = setting.says("efs recover failover", 2);
        assert!(wrong.contains("is the home that is copied, and not the copy"), "{wrong}");
        setting.id.clone_from(&copy);
        let line = format!("efs recover failover --region {THERE} --subnet {subnet}");
        insta::assert_snapshot!("failover", setting.says(&line, 0));
        let used = setting.says(&format!("{line} --apply --yes"), 5);
        assert!(used.contains("1 client has the old home mounted"), "{used}");
        let left = with(&setting.cloud.account, |account| account.replications.len());
        assert_eq!(left, 1, "nothing was done");
        let done = setting.says(&format!("{line} --apply --yes --though-in-use"), 0);
        assert!(done.contains("can be written, and its replication has ended"), "{done}");
        // What is done is not done again.
        let again = setting.says(&format!("{line} --apply --yes"), 0);
        assert!(!again.contains("--apply;"), "{again}");
    });
    with(&setting.cloud.account, |account| {
        let made = account.file_systems.iter().find(|it| it.id == copy).unwrap();
        assert_eq!(made.overwrite_protection, "ENABLED");
        assert_eq!(made.targets.len(), 1);
        assert!(account.replications.is_empty());
    });
}

#[test]
fn boto3_speaks_to_backups_metrics_keys_and_replications() {
    let Some(python) = python() else { return };
    let setting = Setting::at(100_000.0);
    with(&setting.cloud.account, |account| {
        let now = account.world();
        account.region(HERE).metrics.steady(&setting.id, "ClientConnections", now, 2.0);
    });
    let script = include_str!("../fixtures/rehearsal/backup.py");
    let output = std::process::Command::new(python)
        .args(["-c", script, &setting.cloud.url, &setting.id])
        .envs(setting.cloud.environment())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the four checks say of the home from outside: `id verdict says`, the fixes below.
fn checked(setting: &Setting) -> String {
    let only = "efs.key,efs.throughput,efs.backup,efs.replication";
    let mut command = setting.hostkit(&format!("efs check --only {only} --format json"));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let mut told = String::new();
    for finding in report["findings"].as_array().unwrap() {
        let word = |key: &str| finding[key].as_str().unwrap_or_default();
        if only.split(',').any(|id| id == word("id")) {
            told += &format!("{} {}: {}\n", word("verdict"), word("id"), word("says"));
            for fix in finding["fix"].as_array().into_iter().flatten() {
                told += &format!("  > {}\n", fix.as_str().unwrap());
            }
        }
    }
    told
}

/// All four ended so.
fn all(told: &str, verdict: &str) {
    for id in ["efs.key", "efs.throughput", "efs.backup", "efs.replication"] {
        assert!(told.contains(&format!("{verdict} {id}: ")), "{verdict} {id}: {told}");
    }
}

#[test]
fn the_checks_see_what_is_so() {
    let setting = Setting::new();
    let fill = |credits: f64, clients: f64| {
        with(&setting.cloud.account, |account| {
            let (now, id) = (account.world(), setting.id.clone());
            let metrics = &mut account.region(HERE).metrics;
            metrics.steady(&id, "BurstCreditBalance", now, credits);
            metrics.steady(&id, "PermittedThroughput", now, 104_857_600.0);
            metrics.steady(&id, "MeteredIOBytes", now, 60.0 * 1_048_576.0);
            metrics.steady(&id, "PercentIOLimit", now, 2.0);
            metrics.steady(&id, "ClientConnections", now, clients);
        });
    };
    fill(2.3e12, 1.0);
    let key = with(&setting.cloud.account, |account| {
        let made = account.world();
        let key = EncryptionKey::of_customer(HERE, made);
        let (id, arn) = (key.id.clone(), key.arn.clone());
        account.region(HERE).keys.insert(id.clone(), key);
        account.file_systems[0].key = Some(arn);
        account.file_systems[0].region = Some(HERE.into());
        "bursting".clone_into(&mut account.file_systems[0].throughput_mode);
        id
    });
    all(&checked(&setting), "pass");
    fill(1e9, 3.0);
    with(&setting.cloud.account, |account| {
        let now = account.world();
        account.region(HERE).keys.get_mut(&key).unwrap().state = KeyState::Disabled;
        account.region(HERE).vaults.points.clear();
        account.file_systems[0].backed_up = false;
        "REPLICATING".clone_into(&mut account.file_systems[0].overwrite_protection);
        let other = ("fs-0fedcba9876543210", THERE);
        let copy = setting.id.clone();
        account.replications.push(Replication::between(other, (&copy, HERE), now));
    });
    all(&checked(&setting), "fail");
    let denied = [
        (Service::Kms, "DescribeKey"),
        (Service::CloudWatch, "GetMetricData"),
        (Service::Backup, "ListRecoveryPointsByResource"),
        (Service::Efs, "DescribeReplicationConfigurations"),
    ];
    let denied = denied.map(|(service, action)| Disturbance {
        action: Some(action.into()),
        ..Disturbance::of(service, Kind::Denied)
    });
    with(&setting.cloud.account, |account| account.disturbances = denied.into());
    let text = checked(&setting);
    all(&text, "skip");
    assert!(text.contains("needs kms:DescribeKey"), "{text}");
}
