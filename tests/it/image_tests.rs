//! `[[test]]`, `hostkit test`, `hostkit shell`, and a disk that is there already as a base.
//!
//! The trees are a bare Debian, from the cache of bakes. What makes one needs root and Debian's
//! mirror, and says so when it is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use tempfile::TempDir;

use crate::support::{hostkit, is_root, pause, scratch, send};

const SMALL: &str = "[recipe]\nname = 'mine'\nversion = '1'\n[base]\nos = 'debian:trixie'\n";

fn project(recipe: &str) -> TempDir {
    let dir = scratch();
    fs::create_dir(dir.path().join("image-recipes")).unwrap();
    write_recipe(dir.path(), recipe);
    dir
}

fn write_recipe(project: &Path, recipe: &str) {
    fs::write(project.join("image-recipes/mine.toml"), recipe).unwrap();
}

fn run(project: &Path, verb: &[&str]) -> assert_cmd::Command {
    let mut command = hostkit();
    command.current_dir(project).args(verb).timeout(Duration::from_mins(10));
    command
}

const OCI: [&str; 4] = ["bake", "mine", "--target", "oci"];

/// The layer of an image that was baked in `project`.
fn layer(project: &Path) -> PathBuf {
    let blobs = fs::read_dir(project.join("out/mine.oci/blobs/sha256")).unwrap().flatten();
    blobs.map(|entry| entry.path()).max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn tests_of_the_tree_pass_or_fail_the_bake_and_leave_no_trace_in_the_image() {
    if !is_root() {
        return;
    }
    let good = "[[test]]\nname = 'writes'\ncommand = 'echo x >/etc/of-a-test; cat /etc/os-release'\n\
        output = 'trixie'\n\
        [[test]]\nname = 'apt'\npackage = 'apt'\n\
        [[test]]\nname = 'later'\nport = 8080\n";
    let project = project(&format!("{SMALL}{good}"));
    run(project.path(), &OCI).assert().success().stderr(
        contains("unchanged testing writes: command").and(contains("testing apt: package apt")),
    );
    let listing = Command::new("tar").arg("-tzf").arg(layer(project.path())).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("etc/os-release") && !listing.contains("of-a-test"));

    let bad = "[[test]]\nname = 'mode'\nfile = '/etc/passwd'\nmode = 0o600\n\
        [[test]]\nname = 'says'\ncommand = 'echo so it goes; exit 7'\n\
        [[test]]\nname = 'old'\npackage = 'apt'\nversion = '0.'\n";
    write_recipe(project.path(), &format!("{SMALL}{good}{bad}"));
    let before = fs::read(project.path().join("out/mine.oci.json")).unwrap();
    run(project.path(), &OCI).assert().code(5).stderr(
        contains("3 of 5 tests failed")
            .and(contains("mode (file /etc/passwd): its mode is 644, not 600"))
            .and(contains("says (command): so it goes\n").and(contains("it ended with 7")))
            .and(contains("old (package apt): its version is ")),
    );
    assert_eq!(fs::read(project.path().join("out/mine.oci.json")).unwrap(), before);
}

#[test]
fn a_shell_opens_in_the_tree_and_what_it_changes_is_lost() {
    if !is_root() {
        return;
    }
    let project = project(&format!("{SMALL}[[file]]\npath = '/etc/mine'\ncontent = 'of mine'\n"));
    let shell = ["shell", "mine", "--target", "oci"];
    run(project.path(), &shell)
        .write_stdin("cat /etc/mine; echo x >/etc/lost; test -e /etc/lost; exit 3\n")
        .assert()
        .code(3)
        .stdout("of mine")
        .stderr(contains("What is changed here is lost."));
    run(project.path(), &shell).write_stdin("test -e /etc/lost\n").assert().code(1);
}

#[test]
fn a_shell_needs_somebody_who_types_or_something_to_read() {
    let project = project(SMALL);
    let output = Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .args(["shell", "mine", "--target", "oci"])
        .current_dir(project.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("a shell needs a terminal"), "{said}");
}

#[test]
fn a_failed_step_opens_a_shell_for_a_person_and_none_for_a_program() {
    if !is_root() {
        return;
    }
    let script = "[[script]]\nname = 'stop'\nhook = 'late'\nrun = 'echo x >/srv/half; exit 7'\n";
    let project = project(&format!("{SMALL}{script}"));
    let bake = [&OCI[..], &["--on-error", "shell"]].concat();
    run(project.path(), &bake)
        .assert()
        .code(5)
        .stderr(contains("no shell is opened: the input is no terminal"));

    // A terminal, in which somebody types.
    let line = format!("{} {}", env!("CARGO_BIN_EXE_hostkit"), bake.join(" "));
    let mut typing = assert_cmd::Command::new("script");
    typing
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(project.path())
        .timeout(Duration::from_mins(5))
        .write_stdin("echo \"half=$(cat /srv/half)\"; exit\n")
        .assert()
        .code(5)
        .stdout(contains("half=x").and(contains("the step `script:stop` failed")));
}

#[test]
fn an_image_without_a_manifest_cannot_be_tested() {
    let dir = scratch();
    fs::write(dir.path().join("disk.raw"), "").unwrap();
    run(dir.path(), &["test", "tiny"])
        .assert()
        .code(2)
        .stderr(contains("there is no image `tiny`: looked for out/tiny.json"));
    run(dir.path(), &["test", "disk.raw"])
        .assert()
        .code(2)
        .stderr(contains("disk.raw has no manifest beside it").and(contains("hint:")));
    run(dir.path(), &["test", "nope.raw"])
        .assert()
        .code(2)
        .stderr(contains("there is no image nope.raw").and(contains("manifest").not()));
}

/// A disk with a partition table and the tree of the image in `project`, as qcow2. Returns its
/// SHA-256.
fn disk_of(project: &Path) -> String {
    let make = "set -e\nmkdir tree\ntar -xzf \"$1\" -C tree\n\
        mke2fs -q -t ext4 -L root -d tree root.ext4 600M\n\
        truncate -s 700M disk.raw\n\
        printf 'label: gpt\\nstart=2048,size=2048,type=21686148-6449-6E6F-744E-656564454649\\n\
        start=4096,size=1228800,type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709,name=root\\n' |\n\
        sfdisk --quiet disk.raw\n\
        dd if=root.ext4 of=disk.raw bs=1M seek=2 conv=notrunc,sparse status=none\n\
        qemu-img convert -O qcow2 disk.raw base.qcow2\nrm -r tree root.ext4 disk.raw\n";
    let made = Command::new("sh")
        .args(["-c", make, "sh"])
        .arg(layer(project))
        .current_dir(project)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let file = project.join("base.qcow2");
    hostkit::digest::sha256_of(camino::Utf8Path::from_path(&file).unwrap()).unwrap()
}

/// What is in a file of the root of a raw disk that [`disk_of`] partitioned.
fn read_in(disk: &Path, path: &str) -> String {
    let disk = format!("{}?offset=2097152", disk.display());
    let output = Command::new("/usr/sbin/debugfs")
        .args(["-R", &format!("cat {path}"), &disk])
        .stderr(Stdio::null())
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// The loop devices whose file is below `folder`.
fn attached(folder: &Path) -> usize {
    let devices = fs::read_dir("/sys/block").unwrap().flatten();
    let files = devices.map(|device| fs::read_to_string(device.path().join("loop/backing_file")));
    files.flatten().filter(|file| file.starts_with(folder.to_str().unwrap())).count()
}

#[test]
fn an_existing_disk_is_changed_in_place_and_let_go_whatever_happens() {
    if !is_root() {
        return;
    }
    let (project, cache) = (project(SMALL), scratch());
    let project = project.path();
    run(project, &OCI).assert().success();
    let sha256 = disk_of(project);
    let onto = |image: &str, sha256: &str, more: &str| {
        let base = format!("image = '{image}'\nsha256 = '{sha256}'\n");
        write_recipe(project, &format!("{SMALL}{base}{more}"));
        let mut command = run(project, &["bake", "mine", "--cache"]);
        command.arg(cache.path());
        command
    };
    let steps = "[[file]]\npath = '/etc/added'\ncontent = 'by hostkit'\n\
        [[script]]\nname = 'log'\nhook = 'late'\nrun = 'echo x >/var/log/build.log'\n\
        [[test]]\nname = 'added'\nfile = '/etc/added'\ncontains = 'by'\n";
    onto("base.qcow2", &sha256, steps).assert().success();
    let disk = project.join("out/mine.raw");
    assert_eq!(read_in(&disk, "/etc/added"), "by hostkit");
    assert_eq!(read_in(&disk, "/var/log/build.log"), "");
    let table = Command::new("/usr/sbin/sfdisk").arg("--dump").arg(&disk).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("size=     1228800") && table.contains("name=\"root\""), "{table}");
    assert_eq!(attached(cache.path()), 0);
    onto("base.qcow2", &sha256, steps).assert().success().stdout(contains("unchanged  mine"));

    // Another digest, another system, what is no disk at all.
    let wrong = "0".repeat(64);
    onto("base.qcow2", &wrong, "").assert().code(3).stderr(contains("has the SHA-256"));
    onto("no.qcow2", &wrong, "").assert().code(3).stderr(contains("cannot be read"));
    fs::write(project.join("text.raw"), vec![b'x'; 1 << 20]).unwrap();
    let text = hostkit::digest::sha256(vec![b'x'; 1 << 20]);
    onto("text.raw", &text, "").assert().code(3).stderr(contains("no partition table"));
    assert_eq!(read_in(&disk, "/etc/added"), "by hostkit", "the previous image stays");

    // Killed in the middle, nothing stays attached.
    let waits = "[[script]]\nname = 'wait'\nhook = 'late'\nrun = 'sleep 600'\n";
    let _ = onto("base.qcow2", &sha256, waits);
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .args(["bake", "mine", "--cache"])
        .arg(cache.path())
        .current_dir(project)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    await_until(deadline, || attached(cache.path()) == 1);
    send("KILL", child.id());
    child.wait().unwrap();
    await_until(deadline, || attached(cache.path()) == 0);
}

fn await_until(deadline: Instant, done: impl Fn() -> bool) {
    while !done() {
        assert!(Instant::now() < deadline, "it took too long");
        pause();
    }
}
