//! Baked images in virtual machines: the real agent, systemd, NFS server, Docker and AWS SDK.
//!
//! What is not real: Jenkins is the package that `tests/fixtures/jenkins-package` builds, the ECS agent
//! that of `tests/fixtures/ecs-agent-package`, and AWS is the rehearsal account (see docs/fidelity.md). Each image is baked once
//! for all tests, and one test at a time has the processors.

mod agent;
mod ami;
mod builder;
mod controller;
mod drain;
mod ecs;
mod failover;
mod lease;
mod long_life;
mod recovery;
mod upgrade;

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{hostkit, scratch};

/// What a boot may take under emulation on a busy machine: three times what was measured.
pub(super) const TIMEOUT: &str = "8m";

/// Where images and the stand-in package are left for the next run.
pub(super) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Bakes a recipe; the image.
pub(super) fn bake(recipe: &str, vars: &[String]) -> PathBuf {
    // Today's packages: those of a lock that an earlier run left may be gone.
    let _ = fs::remove_file(folder().join("hostkit.lock"));
    let mut command = hostkit();
    command.current_dir(folder()).args(["bake", recipe]);
    for var in vars {
        command.args(["--var", var]);
    }
    command.arg("--output").arg(folder()).timeout(Duration::from_mins(20)).assert().success();
    folder().join(format!("{recipe}.raw"))
}

/// The processors: a machine that shares them with another is too slow for its time-outs.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static PROCESSORS: Mutex<()> = Mutex::new(());
    PROCESSORS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn run(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// A folder that the guest's users can enter, as the root of an EFS is.
pub(super) fn file_system() -> TempDir {
    let dir = scratch();
    set_mode(dir.path(), 0o755);
    dir
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A key pair that the tests know, to look for it where it must not be.
pub(super) struct Keys {
    folder: TempDir,
    pub(super) private: String,
    pub(super) password: String,
}

impl Keys {
    pub(super) fn new() -> Self {
        let folder = scratch();
        let key = folder.path().join("id");
        assert!(run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)));
        let private = fs::read_to_string(&key).unwrap();
        let public = fs::read_to_string(folder.path().join("id.pub")).unwrap();
        let password = "correct-horse-battery-staple-4711".to_owned();
        let text = format!(
            "\"/devops-tools/jenkins/id_rsa\" = {{ value = '''{private}''', type = 'SecureString' }}\n\
             \"/devops-tools/jenkins/id_rsa.pub\" = {{ value = '{}' }}\n\
             \"/devops-tools/jenkins/admin_password\" = {{ value = '{password}', type = 'SecureString' }}\n",
            public.trim()
        );
        fs::write(folder.path().join("parameters.toml"), text).unwrap();
        Self { folder, private, password }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("parameters.toml")
    }

    /// A line of the private key that stands nowhere else, and the password.
    pub(super) fn secrets(&self) -> [&str; 2] {
        let line = self.private.lines().nth(2).unwrap();
        assert!(line.len() > 40);
        [line, &self.password]
    }

    pub(super) fn assert_not_in(&self, what: &str, bytes: &[u8]) {
        for secret in self.secrets() {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in plain text in {what}");
        }
    }

    pub(super) fn assert_not_below(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                self.assert_not_below(&path);
            } else if entry.file_type().unwrap().is_file() {
                self.assert_not_in(path.to_str().unwrap(), &fs::read(&path).unwrap());
            }
        }
    }

    /// In pieces: an image is larger than what one wants in memory.
    pub(super) fn assert_not_in_file(&self, path: &Path) {
        let mut file = fs::File::open(path).unwrap();
        let (mut piece, mut kept) = (vec![0; 8 << 20], Vec::new());
        loop {
            let n = file.read(&mut piece).unwrap();
            if n == 0 {
                return;
            }
            if piece[..n].iter().all(|byte| *byte == 0) {
                kept.clear();
                continue;
            }
            kept.extend_from_slice(&piece[..n]);
            self.assert_not_in(path.to_str().unwrap(), &kept);
            kept.drain(..kept.len() - 128.min(kept.len()));
        }
    }
}

/// `hostkit vm` on an image.
pub(super) fn vm_of(image: &Path) -> assert_cmd::Command {
    vm_within(image, TIMEOUT, Duration::from_mins(10))
}

/// The same, with another time-out, and the time after which it is given up.
pub(super) fn vm_within(image: &Path, timeout: &str, most: Duration) -> assert_cmd::Command {
    let mut command = hostkit();
    command.arg("vm").arg(image).args(["--timeout", timeout]).timeout(most);
    command
}

/// The sections of a guest's output, which it divides with `@@ NAME` lines.
pub(super) fn sections(output: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(output);
    let parts = text.split("@@ ").skip(1);
    parts
        .filter_map(|part| part.split_once('\n'))
        .map(|(name, body)| (name.trim().to_owned(), body.trim().to_owned()))
        .collect()
}

/// The bytes of a line of base64, by the tool that everybody has.
pub(super) fn base64(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("base64")
        .arg("-d")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = text.to_owned();
    let feed = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    output.stdout
}
