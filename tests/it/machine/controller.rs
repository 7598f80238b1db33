//! The controller: it serves from its file system and keeps its secrets, or says why not.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use super::{Keys, TIMEOUT, alone, bake, base64, file_system, folder, lease, run, sections, vm_of};
use crate::support::{await_gone, hostkit, is_root, pause, repository, scratch, send};

/// The image of `jenkins-controller` with the stand-in package.
pub(super) fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let package = folder().join("jenkins.deb");
        let build = repository("tests/fixtures/jenkins-package/build.sh");
        assert!(run(Command::new(build).arg(&package)), "the stand-in package was not built");
        bake("jenkins-controller", &[package_variable()])
    })
}

/// The variable that has the recipe take the stand-in package.
pub(super) fn package_variable() -> String {
    format!("jenkins_package={}", folder().join("jenkins.deb").display())
}

/// `hostkit vm` on the image.
fn vm(efs: &Path) -> assert_cmd::Command {
    let mut command = vm_of(image());
    command.arg("--efs").arg(efs);
    command
}

/// What is asked of a guest that is ready. Every `@@` line begins a section.
const QUESTIONS: &str = r#"
echo "@@ status"; hostkit status --format json
echo "@@ status for people"; hostkit status
echo "@@ again"; hostkit boot --format json; echo "exit $?"
echo "@@ unit again"; systemctl restart hostkit-boot && echo fine
echo "@@ unmarked"; exec 3<>/dev/tcp/169.254.169.254/80
printf 'GET /latest/meta-data/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3; head -n 1 <&3
echo "@@ jenkins unit"; systemctl is-enabled jenkins.service
echo "@@ failed units"; systemctl --failed --no-legend --plain
echo "@@ root size"; df --output=size -B1 / | tail -n 1
echo "@@ host name"; hostname
echo "@@ machine id"; cat /etc/machine-id
echo "@@ host keys"; ls /etc/ssh/ssh_host_*
echo "@@ secrets"; stat -c '%a %U %n' /run/hostkit/secrets /run/hostkit/secrets/*
echo "@@ mount"; grep ' /var/lib/jenkins ' /proc/self/mountinfo
echo "@@ nfs name"; cat /sys/fs/nfs/net/nfs_client/identifier
echo "@@ journal"; journalctl --boot --no-pager --output export | base64 -w0; echo
"#;

#[test]
fn a_controller_boots_serves_from_its_file_system_and_keeps_its_secrets() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let (efs, keys, folder) = (file_system(), Keys::new(), scratch());
    let console = folder.path().join("console.log");
    let output = vm(efs.path())
        .arg("--parameters")
        .arg(keys.file())
        .arg("--console-log")
        .arg(&console)
        .args(["--until", "ready", "--until", "http:8080/login", "--", "sudo", "bash", "-c"])
        .arg(format!("{QUESTIONS}{}\necho '@@ end'\n", lease::QUESTIONS))
        .assert()
        .success();
    let output = output.get_output();
    let said = sections(&output.stdout);
    assert!(said.contains_key("end"), "{}", String::from_utf8_lossy(&output.stdout));

    status_tells_every_step(&said);
    a_second_run_changes_nothing(&said);
    the_image_did_its_part(&said);
    jenkins_got_what_was_meant_for_it(efs.path(), &keys);
    lease::it_outlives_its_processes(&said);
    lease::it_ends_in_order(&said);
    lease::it_costs_little(&said);

    let journal = base64(&said["journal"]);
    assert!(journal.len() > 10_000, "the journal is not that short");
    keys.assert_not_in("the journal", &journal);
    keys.assert_not_in("the console", &fs::read(&console).unwrap());
    keys.assert_not_in("the output of hostkit", &output.stderr);
    keys.assert_not_below(efs.path());
    keys.assert_not_in_file(image());

    the_next_instance_finds_what_the_first_left(efs.path());
}

fn status_tells_every_step(said: &HashMap<String, String>) {
    let status: Value = serde_json::from_str(&said["status"]).unwrap();
    assert_eq!(status["version"], 1);
    let steps = status["report"]["steps"].as_array().or(status["steps"].as_array()).unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    for wanted in ["identity", "keys", "efs", "lease", "home", "render", "jenkins", "lifecycle"] {
        assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
    }
    assert!(said["status for people"].starts_with("ready in "), "{}", said["status for people"]);
}

fn a_second_run_changes_nothing(said: &HashMap<String, String>) {
    let again = &said["again"];
    assert!(again.ends_with("exit 0"), "{again}");
    let outcomes: Vec<Value> = again
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["event"].get("finished").cloned())
        .collect();
    assert_eq!(outcomes.len(), 17, "{again}");
    for outcome in outcomes {
        let skipped = |why: &str| serde_json::json!({ "skipped": why });
        let wanted = match outcome["step"].as_str().unwrap() {
            // The stand-in package loads no plugins, so its image brings none.
            "plugins" => skipped("the image brings none"),
            "mounts" => skipped("no [[mount]]"),
            "target" => skipped("its group registers this host, after its hook"),
            "traffic" => skipped("no target group"),
            _ => "unchanged".into(),
        };
        assert_eq!(outcome["outcome"], wanted, "{outcome}");
    }
    assert_eq!(said["unit again"], "fine");
}

fn the_image_did_its_part(said: &HashMap<String, String>) {
    assert_eq!(said["unmarked"], "HTTP/1.1 401 Unauthorized", "IMDS without a token");
    assert_eq!(said["jenkins unit"], "disabled");
    assert_eq!(said["failed units"], "");
    let size: u64 = said["root size"].parse().unwrap();
    assert!(size > 7 << 30, "the root did not grow: {size}");
    assert!(said["host name"].starts_with("ip-10-"), "{}", said["host name"]);
    assert_eq!(said["machine id"].len(), 32);
    let host_keys = "/etc/ssh/ssh_host_ed25519_key\n/etc/ssh/ssh_host_ed25519_key.pub";
    assert_eq!(said["host keys"], host_keys);
    let secrets = &said["secrets"];
    assert!(secrets.starts_with("700 root /run/hostkit/secrets\n"), "{secrets}");
    assert_eq!(secrets.matches("400 root ").count(), 4, "{secrets}");
    for option in ["nfs4", "vers=4.1", "hard", "noresvport", "rsize=1048576", "timeo=600"] {
        assert!(said["mount"].contains(option), "{option}: {}", said["mount"]);
    }
    assert!(said["nfs name"].starts_with("i-"), "{}", said["nfs name"]);
}

/// The stand-in records what it was given: names and digests of secrets, never their values.
fn jenkins_got_what_was_meant_for_it(efs: &Path, keys: &Keys) {
    let home = efs.join("home");
    let given = fs::read(home.join("casc-secrets.json")).unwrap();
    let given: Value = serde_json::from_slice(&given).unwrap();
    let digest = |text: &str| hostkit::digest::sha256(text.trim());
    assert_eq!(given["agent_key"], digest(&keys.private));
    assert_eq!(given["admin_password"], digest(&keys.password));
    let configuration = fs::read_to_string(home.join("casc-received.yaml")).unwrap();
    for line in ["numExecutors: 0", "- \"Overall/Manage\"", "privateKey: \"${agent_key}\""] {
        assert!(configuration.contains(line), "{line} is not in\n{configuration}");
    }
    let mark = fs::read_to_string(efs.join(".hostkit/fs-id")).unwrap();
    assert!(mark.starts_with("fs-"), "{mark}");
}

/// Another instance on the same file system, and at the same time one on its own.
fn the_next_instance_finds_what_the_first_left(efs: &Path) {
    let other = file_system();
    let guests = [efs, other.path()].map(|efs| {
        let child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
            .args(["vm"])
            .arg(image())
            .arg("--efs")
            .arg(efs)
            .args(["--timeout", TIMEOUT, "--until", "ready", "--format", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        (efs, child)
    });
    let ended = guests.map(|(efs, child)| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let last = String::from_utf8(output.stdout).unwrap();
        let last: Value = serde_json::from_str(last.trim().lines().last().unwrap()).unwrap();
        let mark = fs::read_to_string(efs.join(".hostkit/fs-id")).unwrap();
        assert_eq!(last["file_system"], mark.trim(), "each was served its own file system");
        lease::assert_released(efs);
        last
    });
    assert_ne!(ended[0]["instance"], ended[1]["instance"]);
    // Three in the first boot, as the lease was stopped twice.
    assert_eq!(starts(efs), 4, "the second boot found the first one's data");
    assert_eq!(starts(other.path()), 1);
}

/// How often the stand-in was started on a home.
fn starts(efs: &Path) -> usize {
    fs::read_dir(efs.join("home/builds-of-the-fixture")).unwrap().count()
}

#[test]
fn without_its_file_system_a_host_gives_up_and_says_why() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let (efs, folder) = (file_system(), scratch());
    let console = folder.path().join("console.log");
    vm(efs.path())
        .env("TMPDIR", folder.path()) // where the console of a failure stays
        .args(["--fault", "efs-down", "--until", "ready", "--console-log"])
        .arg(&console)
        .assert()
        .code(5)
        .stderr(
            contains("launch hook: ABANDON")
                .and(contains("`efs` failed"))
                .and(contains("10.0.2.100:2049")),
        );
    let console = String::from_utf8_lossy(&fs::read(&console).unwrap()).into_owned();
    assert!(!console.contains("jenkins.service"), "Jenkins was not started\n{console}");
    assert!(!efs.path().join("home").exists());
}

#[test]
fn an_image_that_does_not_boot_is_given_up_with_its_last_words() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let folder = scratch();
    let disk = folder.path().join("empty.raw");
    fs::write(&disk, boot_sector("no system here")).unwrap();
    hostkit()
        .arg("vm")
        .arg(&disk)
        .env("TMPDIR", folder.path())
        .args(["--until", "ready", "--timeout", "15s"])
        .assert()
        .code(5)
        .stderr(
            contains("15 s passed before `ready`")
                .and(contains("the console ends with:\n  no system here"))
                .and(contains("hint:")),
        );
}

/// A disk whose boot sector writes `text` to the serial port and stops.
pub(super) fn boot_sector(text: &str) -> Vec<u8> {
    let mut sector = vec![
        0xbe, 0x11, 0x7c, // mov si, 0x7c11: the text behind the code
        0xba, 0xf8, 0x03, // mov dx, 0x3f8: the serial port
        0xac, 0x84, 0xc0, 0x74, 0x03, // lodsb; test al, al; jz +3
        0xee, 0xeb, 0xf8, // out dx, al; jmp back
        0xf4, 0xeb, 0xfd, // hlt; jmp to it
    ];
    sector.extend_from_slice(text.as_bytes());
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    sector.resize(1 << 20, 0);
    sector
}

#[test]
fn a_port_in_use_and_an_image_that_is_not_there_are_named() {
    if !is_root() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let disk = scratch();
    let disk = disk.path().join("empty.raw");
    fs::write(&disk, boot_sector("")).unwrap();
    hostkit()
        .arg("vm")
        .arg(&disk)
        .args(["--forward", &format!("{port}:8080"), "--timeout", "15s", "--until", "ready"])
        .assert()
        .code(4)
        .stderr(contains(port.to_string()).and(contains("in use")));
    hostkit()
        .args(["vm", "/nonexistent/image.raw", "--timeout", "15s"])
        .assert()
        .failure()
        .stderr(contains("/nonexistent/image.raw"));
}

#[test]
fn stopped_or_killed_it_takes_its_programs_along() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let efs = file_system();
    for signal in ["INT", "TERM", "KILL"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
            .arg("vm")
            .arg(image())
            .arg("--efs")
            .arg(efs.path())
            .args(["--until", "ready"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let programs = await_programs(&child);
        send(signal, child.id());
        child.wait().unwrap();
        for program in programs {
            await_gone(&program);
        }
    }
}

/// The QEMU and the NFS server that a `hostkit vm` has started, once both are there.
pub(super) fn await_programs(parent: &Child) -> [String; 2] {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id()));
        let children = children.unwrap_or_default();
        let named = |name: &str| {
            children.split_whitespace().map(|pid| format!("/proc/{pid}")).find(|process| {
                let command = fs::read_to_string(format!("{process}/comm")).unwrap_or_default();
                command.starts_with(name)
            })
        };
        if let (Some(qemu), Some(ganesha)) = (named("qemu-system"), named("ganesha")) {
            return [qemu, ganesha];
        }
        assert!(Instant::now() < deadline, "QEMU and the NFS server did not start");
        pause();
    }
}
