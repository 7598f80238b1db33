//! A home whose server is dead: a file system of FUSE, served by this test, which from one moment on
//! reads every request and answers none. Whoever waits for it cannot be killed until the file system
//! is gone: worse than NFS, whose waiters at least die.
//!
//! The binary is the real one, with everything that it starts. What it is made to believe is that the
//! mount is NFS: its own table of mounts says so. All mounts are in a namespace of one thread, and go
//! with it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};

use crate::support::{is_root, pause, tell};

const HOME: &str = "/var/lib/jenkins";
/// What commands take for the kernel's table of mounts.
const TABLE: &str = "/run/mountinfo";
const FS_ID: &str = "fs-0123456789abcdef0";

/// How a server behaves.
const ALIVE: u8 = 0;
const DEAD: u8 = 1;
const GONE: u8 = 2;

/// A file system that is an empty folder, as long as its server answers.
struct FileSystem {
    state: Arc<AtomicU8>,
    /// How many requests have come since it is dead.
    unanswered: Arc<AtomicU64>,
    server: Option<JoinHandle<()>>,
}

impl FileSystem {
    /// Mounted at `point` for this thread's namespace; none where this kernel has no FUSE.
    fn mounted(point: &str) -> Option<Self> {
        let mut options = OpenOptions::new();
        let device = options.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK);
        let Ok(device) = device.open("/dev/fuse") else {
            tell("SKIPPED: there is no /dev/fuse");
            return None;
        };
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("dead"), point, Some("fuse.dead"), flags, Some(data.as_str())).unwrap();
        let (state, unanswered) = (Arc::new(AtomicU8::new(ALIVE)), Arc::new(AtomicU64::new(0)));
        let (its, count) = (Arc::clone(&state), Arc::clone(&unanswered));
        let server = std::thread::spawn(move || serve(device, &its, &count));
        Some(Self { state, unanswered, server: Some(server) })
    }

    fn die(&self) {
        self.state.store(DEAD, Ordering::SeqCst);
    }
}

impl Drop for FileSystem {
    /// Whoever still waits gets an error: with the last handle of the device the kernel gives up.
    fn drop(&mut self) {
        self.state.store(GONE, Ordering::SeqCst);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

// Numbers of the kernel's protocol, see linux/fuse.h.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const INTERRUPT: u32 = 36;

fn serve(mut device: File, state: &AtomicU8, unanswered: &AtomicU64) {
    let mut request = vec![0; 1 << 20];
    while state.load(Ordering::SeqCst) != GONE {
        let mut ready = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::from(100_u8));
        let Ok(length) = device.read(&mut request) else { continue };
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let (kind, unique) = (word(4), &request[8..16]);
        if length < 40 || [FORGET, INTERRUPT].contains(&kind) {
            continue;
        }
        if state.load(Ordering::SeqCst) == DEAD {
            unanswered.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let (error, body) = answer(kind);
        let size = u32::try_from(16 + body.len()).unwrap().to_le_bytes();
        let answer = [&size[..], &error.to_le_bytes(), unique, &body].concat();
        let _ = device.write(&answer);
    }
}

fn answer(kind: u32) -> (i32, Vec<u8>) {
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    match kind {
        // Version 7.31; the rest is zero but the largest write.
        INIT => (0, words(&[7, 31, 0, 0, 0, 4096, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        // Known for no time; number, size, blocks and times; mode, links, owner, device, block size.
        GETATTR => {
            let numbers = words(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            (0, [numbers, words(&[0o040_755, 2, 0, 0, 0, 4096, 0])].concat())
        }
        OPENDIR => (0, words(&[0; 4])),
        STATFS => (0, words(&[0; 20])),
        LOOKUP => (-nix::libc::ENOENT, Vec::new()),
        _ => (-nix::libc::ENOSYS, Vec::new()),
    }
}

/// The namespace of this thread: nothing of the machine's `/run`, and a home with a dead server.
fn stage() -> Option<FileSystem> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    let apart = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, apart, none).unwrap();
    let empty = |at: &str| mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    empty("/run");
    empty("/var/lib");
    fs::create_dir_all(HOME).unwrap();
    let file_system = FileSystem::mounted(HOME)?;
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
    std::thread::spawn(|| {
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
    })
    .join()
    .unwrap();
}
