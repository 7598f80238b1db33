//! `hostkit efs check` as a person meets it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use hostkit::sim::account::REGION;
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::disturbance::{Disturbance, Kind};
use hostkit::sim::endpoint::with;
use hostkit::sim::service::Service;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::rehearsal_account::furnish;
use crate::support::{hostkit, is_root, scratch};

/// The account that hostkit is called from.
fn cloud() -> Cloud {
    Cloud::open(Options::default()).unwrap()
}

/// The binary, with the credentials of an operator of `cloud`.
fn from_outside(cloud: &Cloud, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = hostkit();
    command
        .args(["efs", "check", "--region", REGION, "--endpoint-url", &cloud.url])
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", &cloud.credentials.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &cloud.credentials.secret_key)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn json(output: &[u8]) -> Value {
    serde_json::from_slice(output).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(output)))
}

/// How one check ended.
fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let all = report["findings"].as_array().unwrap();
    all.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("no {id}: {report:#}"))
}

#[test]
fn without_a_host_toml_both_ways_are_told() {
    if fs::exists("/etc/hostkit/host.toml").unwrap() {
        return;
    }
    hostkit()
        .args(["efs", "check"])
        .assert()
        .code(2)
        .stderr(contains("on a host that hostkit boots").and(contains("--file-system fs-")));
}

#[test]
fn a_misspelt_check_is_told_with_the_one_that_was_meant() {
    for option in ["--only", "--explain"] {
        hostkit()
            .args(["efs", "check", option, "net.grops"])
            .assert()
            .code(2)
            .stderr(contains("there is no check `net.grops`").and(contains("`net.groups`?")));
    }
    hostkit()
        .args(["efs", "check", "--only", "x"])
        .assert()
        .code(2)
        .stderr(contains("home.intact"));
    hostkit().args(["efs", "check", "--watch", "0"]).assert().code(2);
    hostkit().args(["efs", "check", "--file-system", "vol-1"]).assert().code(2);
}

#[test]
fn a_check_is_explained_and_all_are_listed() {
    hostkit()
        .args(["efs", "check", "--explain", "mount.alive"])
        .assert()
        .success()
        .stdout(contains("given up after").and(contains("docs/recovery.md")));
    let list = hostkit().args(["efs", "check", "--list", "--format", "json"]).assert().success();
    let text = String::from_utf8(list.get_output().stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 38);
    assert!(text.lines().all(|line| json(line.as_bytes())["version"] == 1));
}

#[test]
fn a_file_system_that_is_not_there_is_the_root_cause() {
    let cloud = cloud();
    let told = from_outside(&cloud, &["--file-system", "fs-0404040404040404a"]).assert().code(5);
    let text = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    assert!(text.contains("ROOT CAUSE  efs.exists"), "{text}");
    assert!(text.contains("only on the host that mounts it"), "{text}");
    let arguments = ["--file-system", "fs-0404040404040404a", "--format", "json"];
    let told = from_outside(&cloud, &arguments).assert().code(5);
    let report = json(&told.get_output().stdout);
    assert_eq!((&report["version"], &report["cause"]["id"]), (&1.into(), &"efs.exists".into()));
    assert_eq!(report["findings"].as_array().unwrap().len(), 38);
    assert_eq!(finding(&report, "mount.alive")["verdict"], "skip");
}

#[test]
fn what_is_denied_is_skipped_with_the_permission_and_the_rest_runs() {
    let cloud = cloud();
    let id = with(&cloud.account, furnish);
    let arguments = ["--file-system", &id, "--format", "json"];
    let report = || json(&from_outside(&cloud, &arguments).assert().get_output().stdout);
    let before = report();
    assert_eq!(finding(&before, "efs.exists")["verdict"], "pass", "{before:#}");
    for (check, service, action) in [
        ("efs.exists", Service::Efs, "DescribeFileSystems"),
        ("efs.targets", Service::Efs, "DescribeMountTargets"),
        ("efs.policy", Service::Efs, "DescribeFileSystemPolicy"),
        ("efs.access-point", Service::Efs, "DescribeAccessPoints"),
        ("efs.replication", Service::Efs, "DescribeReplicationConfigurations"),
        ("efs.backup", Service::Efs, "DescribeBackupPolicy"),
        ("net.groups", Service::Ec2, "DescribeSecurityGroups"),
    ] {
        let denied = Disturbance::of(service, Kind::Denied);
        with(&cloud.account, |account| {
            account.disturbances = vec![Disturbance { action: Some(action.to_owned()), ..denied }];
        });
        let report = report();
        let found = finding(&report, check);
        let says = found["says"].as_str().unwrap();
        assert_eq!(found["verdict"], "skip", "{found:#}");
        assert!(says.ends_with(&format!("needs {}:{action}", service.prefix())), "{says}");
        assert_eq!(finding(&report, "host.clock")["verdict"], "pass", "the rest runs");
    }
}

#[test]
fn another_region_has_another_file_system() {
    let cloud = cloud();
    let id = with(&cloud.account, furnish);
    let told = hostkit()
        .args(["efs", "check", "--region", "us-east-1", "--endpoint-url", &cloud.url])
        .args(["--file-system", &id])
        .env("AWS_ACCESS_KEY_ID", &cloud.credentials.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &cloud.credentials.secret_key)
        .assert()
        .code(5);
    told.stdout(contains("ROOT CAUSE  efs.exists").and(contains("us-east-1")));
}

#[test]
fn without_credentials_it_says_so_and_with_nobody_there_every_check_ends() {
    let arguments = ["efs", "check", "--file-system", "fs-0123456789abcdef0", "--region", REGION];
    hostkit()
        .args(arguments)
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_ACCESS_KEY_ID")
        .assert()
        .code(4)
        .stderr(contains("no AWS credentials were found"));
    let nobody = ["--endpoint-url", "http://127.0.0.1:9", "--format", "json"];
    let told = hostkit()
        .args(arguments)
        .args(nobody)
        .env("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
        .env("AWS_SECRET_ACCESS_KEY", "a-word-that-is-long-enough")
        .assert()
        .success();
    let report = json(&told.get_output().stdout);
    assert_eq!(report["verdict"], "skip");
    assert!(report["took"].as_f64().unwrap() < 45.0, "{report:#}");
    let says = finding(&report, "efs.targets")["says"].as_str().unwrap();
    assert!(says.contains("efs.exists had no answer"), "{says}");
}

#[test]
fn a_bundle_is_judged_again_elsewhere_and_never_written_over_something() {
    let (cloud, folder) = (cloud(), scratch());
    let path = folder.path().join("efs.json.gz");
    let path = path.to_str().unwrap();
    let arguments = ["--file-system", "fs-0404040404040404a", "--format", "json"];
    let first = from_outside(&cloud, &arguments).args(["--bundle", path]).assert().code(5);
    let first = json(&first.get_output().stdout);
    from_outside(&cloud, &arguments).args(["--bundle", path]).assert().code(2);
    drop(cloud);
    let again = hostkit()
        .args(["efs", "check", "--format", "json", "--from-bundle", path])
        .assert()
        .code(5);
    assert_eq!(json(&again.get_output().stdout), first);
    fs::write(path, "something else").unwrap();
    let damaged = hostkit().args(["efs", "check", "--from-bundle", path]).assert().code(2);
    damaged.stderr(contains("is no bundle"));
}

/// What is on the machine of [`on_a_host`].
struct Machine<'a> {
    /// `/etc/hostkit/host.toml`
    image: Option<&'a str>,
    /// `/run/hostkit/host.toml`
    effective: Option<&'a str>,
    /// Whose process it is.
    user: u32,
}

/// Runs it in a mount namespace in which the machine has what `machine` says. There is no metadata
/// service.
fn on_a_host(machine: &Machine<'_>, arguments: &[&str]) -> Option<Output> {
    if !is_root() {
        return None;
    }
    let run = || {
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        fs::create_dir_all("/etc/hostkit").unwrap();
        for at in ["/run", "/etc/hostkit", "/var/lib"] {
            mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).unwrap();
        }
        fs::create_dir_all("/run/hostkit").unwrap();
        fs::create_dir_all("/var/lib/jenkins").unwrap();
        for (path, text) in [
            ("/etc/hostkit/host.toml", machine.image),
            ("/run/hostkit/host.toml", machine.effective),
        ] {
            if let Some(text) = text {
                fs::write(path, text).unwrap();
            }
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command
            .args(["efs", "check"])
            .args(arguments)
            .env_remove("HOSTKIT_FORMAT")
            .env("NO_COLOR", "1")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
            .current_dir("/")
            .uid(machine.user);
        command.output().unwrap()
    };
    Some(std::thread::scope(|scope| scope.spawn(run).join().unwrap()))
}

const TOLD: &str = "role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n\
    [aws]\nregion = \"eu-west-1\"\nendpoint_url = \"http://127.0.0.1:9\"\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn on_a_host_without_a_mount_and_without_credentials_it_ends_in_time_and_says_so() {
    let machine = Machine { image: None, effective: Some(TOLD), user: 0 };
    let Some(output) = on_a_host(&machine, &["--format", "json"]) else { return };
    let report = json(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{report:#}");
    assert!(report["took"].as_f64().unwrap() < 45.0, "three times what is promised: {report:#}");
    assert_eq!(finding(&report, "mount.there")["verdict"], "fail");
    let says = finding(&report, "efs.exists")["says"].as_str().unwrap();
    assert!(says.contains("AWS cannot be asked"), "{says}");
    let says = finding(&report, "home.intact")["says"].as_str().unwrap();
    assert!(says.contains("mount.there failed"), "{says}");
}

#[test]
fn a_host_toml_that_is_wrong_is_told_with_its_place() {
    let image = "role = \"controller\"\n[efs]\nid = 7\n";
    let machine = Machine { image: Some(image), effective: None, user: 0 };
    let Some(output) = on_a_host(&machine, &[]) else { return };
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("/etc/hostkit/host.toml is not right: line 3"), "{told}");
}

#[test]
fn a_mount_is_chosen_by_its_path() {
    let two = "role = \"ecs\"\n[aws]\nregion = \"eu-west-1\"\n\
        [[mount]]\nid = \"fs-0123456789abcdef0\"\npath = \"/srv/one\"\n\
        [[mount]]\nid = \"fs-0123456789abcdef1\"\npath = \"/srv/two\"\n";
    let machine = Machine { image: Some(two), effective: None, user: 0 };
    let Some(output) = on_a_host(&machine, &[]) else { return };
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--mount /srv/one, --mount /srv/two"));
    let arguments = ["--format", "json", "--mount", "/srv/two"];
    let report = json(&on_a_host(&machine, &arguments).unwrap().stdout);
    assert_eq!(report["file_system"], "fs-0123456789abcdef1");
    let says = finding(&report, "home.owner")["says"].as_str().unwrap();
    assert_eq!(says, "/srv/two is not the home of a Jenkins");
    let none = on_a_host(&machine, &["--mount", "/srv/three"]).unwrap();
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn somebody_who_is_not_root_sees_what_can_be_seen() {
    let machine = Machine { image: Some(TOLD), effective: None, user: 65534 };
    let Some(output) = on_a_host(&machine, &["--format", "json"]) else { return };
    let report = json(&output.stdout);
    let says = finding(&report, "mount.stuck")["says"].as_str().unwrap().to_owned();
    assert!(says.contains("only root can look"), "{says}");
    assert_ne!(finding(&report, "host.kernel")["says"], says);
}
