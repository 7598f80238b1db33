//! A home whose server is dead: a file system of FUSE that from one moment on answers nothing.
//!
//! The binary is the real one, with everything that it starts. What it is made to believe is that the
//! mount is NFS: its own table of mounts says so. All mounts are in a namespace of one thread, and go
//! with it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};

use crate::fuse::{FileSystem, apart};
use crate::support::{is_root, pause, tell};

const HOME: &str = "/var/lib/jenkins";
/// What is on it, as long as its server lives: nothing.
const BACKING: &str = "/run/backing";
/// What commands take for the kernel's table of mounts.
const TABLE: &str = "/run/mountinfo";
const FS_ID: &str = "fs-0123456789abcdef0";

/// In the namespace of this thread: nothing of the machine's `/run`, and a home with a dead server.
fn stage() -> Option<FileSystem> {
    let none = None::<&str>;
    let empty = |at: &str| mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    empty("/run");
    empty("/var/lib");
    fs::create_dir_all(HOME).unwrap();
    fs::create_dir_all(BACKING).unwrap();
    let file_system = FileSystem::mounted(HOME, BACKING)?;
    let put = |path: &str, text: &str| {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot_id = boot_id.trim();
    // What the boot of a controller leaves.
    put(
        "/run/hostkit/host.toml",
        &format!(
            "role = \"controller\"\n[efs]\nid = \"{FS_ID}\"\n[jenkins]\nurl = \"https://ci.example.com/\"\n\
             [jenkins.security]\nmode = \"local\"\n\
             [aws]\nregion = \"eu-west-1\"\nendpoint_url = \"http://127.0.0.1:9\"\n"
        ),
    );
    put(
        "/run/hostkit/identity.json",
        &format!(
            r#"{{"instance_id": "i-0aaaaaaaaaaaaaaaa", "account_id": "123456789012", "region": "eu-west-1",
            "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1", "image_id": "ami-1",
            "private_ip": "10.0.2.15", "hostname": "ip-10-0-2-15", "boot_id": "{boot_id}"}}"#
        ),
    );
    let report = format!(
        r#"{{"version": 1, "state": "ready", "pid": 1, "boot_id": "{boot_id}",
        "instance_id": "i-0aaaaaaaaaaaaaaaa", "started": "2026-11-20T03:00:00Z", "uptime": 4.2,
        "report": {{"version": 1, "steps": []}}}}"#
    );
    put("/run/hostkit/report.json", &report);
    put("/var/lib/hostkit/boots/20261120T030000Z-i-0aaaaaaaaaaaaaaaa.json", &report);
    let holder = format!(
        r#"{{"fs_id": "{FS_ID}", "region": "eu-west-1", "account": "123456789012",
        "instance_id": "i-0aaaaaaaaaaaaaaaa", "boot_id": "{boot_id}"}}"#
    );
    put(
        "/run/hostkit/lease/order.json",
        &format!(
            r#"{{"me": {holder}, "mount_point": "{HOME}", "policy": "wait", "patience": 900,
            "group": null, "endpoint_url": "http://127.0.0.1:9", "imds": "http://127.0.0.1:9"}}"#
        ),
    );
    put(
        TABLE,
        &format!(
            "22 1 259:3 / / rw shared:1 - ext4 /dev/root rw\n\
             23 22 0:22 / /run rw shared:2 - tmpfs tmpfs rw\n\
             30 22 0:26 / {HOME} rw shared:15 - nfs4 10.0.2.100:/ rw,vers=4.1\n"
        ),
    );
    Some(file_system)
}

/// A command of hostkit that waits for a word, in a shell that stands where it is told to.
struct Waiting {
    number: usize,
    child: Child,
}

impl Waiting {
    fn prepared(line: &'static str, folder: &str, number: usize) -> Self {
        let file = |name: &str| File::create(format!("/run/{name}.{number}")).unwrap();
        let child = Command::new("/bin/sh")
            .args([
                "-c",
                "mount --bind \"$TABLE\" /proc/$$/mountinfo; read -r word; exec \"$0\" \"$@\"",
            ])
            .arg(env!("CARGO_BIN_EXE_hostkit"))
            .args(line.split_whitespace())
            .current_dir(folder)
            .env_remove("HOSTKIT_FORMAT")
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .env("TABLE", TABLE)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
            .stdin(Stdio::piped())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        Self { number, child }
    }

    /// Says the word.
    fn begin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// What it said until now.
    fn text(&self) -> String {
        let read = |name: &str| fs::read_to_string(format!("/run/{name}.{}", self.number)).unwrap();
        read("out") + &read("err")
    }
}

/// Commands that people run on a host at night, the seconds that each may take (as its page says, and
/// as much again), its exit code, and what it must say.
const COMMANDS: &[(&str, u64, i32, &str)] = &[
    ("status", 20, 0, "ready in"),
    ("status --format json", 20, 0, "\"live\""),
    ("analyze", 20, 0, ""),
    ("analyze --boot i-0aaaaaaaaaaaaaaaa", 130, 0, ""),
    ("analyze --report /var/lib/jenkins/.hostkit/boots/x.json", 20, 2, "hostkit analyze --boot"),
    ("analyze --svg /var/lib/jenkins/boot.svg", 20, 2, "could hang"),
    ("history", 130, 0, "the home could not be read"),
    ("history --format json", 130, 0, "i-0aaaaaaaaaaaaaaaa"),
    ("lease status --offline", 60, 5, "did not answer"),
    ("lease status", 120, 5, "did not answer"),
    ("lease break --generation 1 --reason test", 120, 5, "did not answer"),
    ("drain --plan", 20, 0, "STAGE"),
    ("boot --plan", 60, 3, "step"),
    ("boot --dot", 20, 0, "digraph"),
    ("keys refresh", 120, 4, ""),
    ("agents refresh", 120, 0, "it has no pools"),
    // All that is looked at on the host: what needs the file system is skipped once it is dead.
    ("efs check", 30, 5, "mount.alive"),
    ("support-bundle -o /run/bundle.tar.gz", 240, 0, "for whoever helps you"),
    ("support-bundle -o /var/lib/jenkins/bundle.tar.gz", 20, 2, "could hang"),
];

/// The same, by somebody who stands in the home.
const INSIDE: &[(&str, u64, i32, &str)] = &[
    ("status", 20, 0, "ready in"),
    ("history", 130, 0, "the home could not be read"),
    ("support-bundle", 20, 2, "could hang"),
];

#[test]
fn no_command_hangs_where_the_server_of_the_home_is_dead() {
    if !is_root() {
        return;
    }
    apart(|| {
        let Some(file_system) = stage() else { return };
        let inside = fs::metadata(HOME);
        assert!(inside.is_ok_and(|meta| meta.is_dir()), "it answers while its server does");
        let rows =
            COMMANDS.iter().map(|row| ("/", row)).chain(INSIDE.iter().map(|row| (HOME, row)));
        let mut waiting: Vec<_> = rows
            .enumerate()
            .map(|(number, (folder, row))| (row, Waiting::prepared(row.0, folder, number)))
            .collect();
        // The shells have read their programs: what is opened from now on is hostkit's.
        std::thread::sleep(Duration::from_secs(1));
        file_system.die();
        for (_, command) in &mut waiting {
            command.begin();
        }
        let (began, mut wrong) = (Instant::now(), Vec::new());
        while !waiting.is_empty() {
            pause();
            waiting.retain_mut(|((line, most, code, words), command)| {
                let Some(status) = command.child.try_wait().unwrap() else {
                    if began.elapsed() < Duration::from_secs(*most) {
                        return true;
                    }
                    // Not waited for: it may be one that cannot be killed.
                    let _ = command.child.kill();
                    wrong.push(format!("`hostkit {line}` hangs; it said: {}", command.text()));
                    return false;
                };
                tell(&format!("{:>5.1} s  hostkit {line}", began.elapsed().as_secs_f32()));
                let text = command.text();
                if status.code() != Some(*code) || !text.contains(words) {
                    wrong.push(format!("`hostkit {line}` ended with {status}: {text}"));
                }
                false
            });
        }
        let asked = file_system.unanswered.load(Ordering::SeqCst);
        drop(file_system);
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        assert!(asked > 0, "somebody must have asked the dead server");
    });
}
