//! What many tests need: the binary, a folder to work in, files of the repository.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use tempfile::TempDir;

/// The hostkit that was just built, free of what the caller's shell says about it.
pub(crate) fn hostkit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
    command.env_remove("HOSTKIT_FORMAT").env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// An empty folder that goes away with the value.
pub(crate) fn scratch() -> TempDir {
    TempDir::with_prefix("hostkit-test-").expect("the temporary folder is writable")
}

/// Who runs this test.
pub(crate) fn my_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
    user.expect("every test machine knows its user").name
}

/// A file below a folder, and the folders that it needs.
pub(crate) fn lay(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether this test may make trees and namespaces. Says so when it may not.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: this test needs root");
    }
    root
}

/// The Python environment of `.ci/setup --test`, with AWS's own client in it. Says so where there
/// is none.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("HOSTKIT_TEST_PYTHON")
        .map_or_else(|| "/var/cache/hostkit/python/bin/python".into(), PathBuf::from);
    let there = std::process::Command::new(&python).args(["-c", "import boto3"]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: {} has no boto3 (.ci/setup --test)", python.display());
    }
    there.then_some(python)
}

/// Waits until a process (its folder in `/proc`) is gone.
pub(crate) fn await_gone(process: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Path::new(process).join("exe").read_link().is_ok() {
        assert!(Instant::now() < deadline, "{process} still runs");
        pause();
    }
}

/// A glance at something that takes its time.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Sends a signal to a process of this test.
pub(crate) fn send(signal: &str, pid: u32) {
    let kill = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).assert();
    kill.success();
}

/// Prints a line that is seen when the test passes, too: what `eprintln!` writes is kept back then.
pub(crate) fn tell(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// coldsnap, as an independent reader and writer of snapshots; says so where it is not there.
pub(crate) fn coldsnap() -> Option<PathBuf> {
    let cache = std::env::var_os("HOSTKIT_CACHE").unwrap_or_else(|| "/var/cache/hostkit".into());
    let program = Path::new(&cache).join("peers/bin/coldsnap");
    if !program.exists() {
        tell("SKIPPED in part: coldsnap is not there (.ci/setup --test)");
    }
    program.exists().then_some(program)
}
