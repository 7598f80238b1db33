//! `hostkit bake` with bad input, interrupted and killed.
//!
//! Packages come from Debian's mirror, which must be reached. The tests that make a tree need root
//! and say so when they are skipped.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use tempfile::TempDir;

use crate::support::{await_gone, hostkit, is_root, pause, scratch, send};

/// A project folder with one recipe.
fn project(recipe: &str) -> TempDir {
    let dir = scratch();
    fs::create_dir(dir.path().join("image-recipes")).unwrap();
    fs::write(dir.path().join("image-recipes/mine.toml"), recipe).unwrap();
    dir
}

/// The smallest recipe: nothing is installed, so a bake of it ends while packing (there is no GRUB)
/// unless it ends before.
const SMALL: &str = "[recipe]\nname = 'mine'\n[base]\nos = 'debian:trixie'\n";

fn bake(project: &Path) -> assert_cmd::Command {
    let mut command = hostkit();
    command.current_dir(project).args(["bake", "mine"]).timeout(Duration::from_mins(10));
    command
}

/// No process lives in a tree below `cache` or has one mounted, in whatever namespace, and no tree
/// is left.
fn assert_nothing_is_left(cache: &Path) {
    let name = cache.to_str().unwrap();
    for process in fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let root = fs::read_link(process.join("root")).unwrap_or_default();
        assert!(!root.starts_with(cache), "{} lives in a tree", process.display());
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        assert!(!mounts.contains(name), "{} sees a mount:\n{mounts}", process.display());
    }
    let work = cache.join("work");
    let left: Vec<_> = fs::read_dir(&work).map(|d| d.flatten().collect()).unwrap_or_default();
    assert!(left.is_empty(), "work folders left: {left:?}");
}

#[test]
fn an_unknown_key_is_shown_where_it_is() {
    let project = project(&format!("{SMALL}\n[packages]\ninstal = ['git']\n"));
    bake(project.path()).assert().code(3).stderr(
        contains("line 7, column 1")
            .and(contains("instal = ['git']"))
            .and(contains("hint: did you mean `install`?")),
    );
}

#[test]
fn an_unknown_section_and_an_unknown_variable_are_named() {
    let sections = project(&format!("{SMALL}[[pakcages]]\n"));
    bake(sections.path())
        .assert()
        .code(3)
        .stderr(contains("pakcages").and(contains("did you mean `packages`?")));
    let variables = project(SMALL);
    bake(variables.path())
        .args(["--var", "colour=red"])
        .assert()
        .code(3)
        .stderr(contains("the recipe has no variable `colour`"));
    bake(variables.path()).args(["--var", "colour"]).assert().code(2);
}

#[test]
fn a_missing_template_is_the_recipes_fault() {
    let recipe = format!("{SMALL}[[file]]\npath = '/etc/x'\ntemplate = 'templates/no.tera'\n");
    bake(project(&recipe).path())
        .assert()
        .code(3)
        .stderr(contains("there is no file `templates/no.tera`"));
}

#[test]
fn an_error_is_one_json_line_for_programs() {
    let project = project(SMALL);
    let output = bake(project.path()).args(["--var", "x=1", "--format", "json"]).output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["exit-code"], 3);
    assert_eq!(line["error"], "the recipe has no variable `x`");
}

#[test]
fn a_base_that_does_not_exist_leaves_nothing_behind() {
    if !is_root() {
        return;
    }
    let recipe = "[recipe]\nname = 'mine'\n[base]\nos = 'debian:nosuch'\n";
    let (project, cache) = (project(recipe), scratch());
    bake(project.path())
        .arg("--cache")
        .arg(cache.path())
        .assert()
        .code(3)
        .stderr(contains("there is no base `debian:nosuch`").and(contains("hint:")));
    assert_nothing_is_left(cache.path());
}

#[test]
fn a_mirror_that_does_not_answer_is_the_environments_fault() {
    if !is_root() {
        return;
    }
    // Port 9 is nobody's; the connection is refused.
    let recipe = format!("{SMALL}mirror = 'http://127.0.0.1:9/debian'\n");
    let (project, cache) = (project(&recipe), scratch());
    bake(project.path())
        .arg("--cache")
        .arg(cache.path())
        .assert()
        .code(4)
        .stderr(contains("the mirror http://127.0.0.1:9/debian does not answer"));
    assert_nothing_is_left(cache.path());
}

#[test]
fn whoever_is_not_root_is_told_so() {
    let project = project(SMALL);
    let mut command = if is_root() {
        // A binary that nobody may read cannot be run by nobody: take a copy that everybody may.
        let copy = project.path().join("hostkit");
        fs::copy(env!("CARGO_BIN_EXE_hostkit"), &copy).unwrap();
        set_mode(project.path(), 0o755);
        set_mode(&copy, 0o755);
        let mut command = assert_cmd::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
        command
    } else {
        hostkit()
    };
    command
        .current_dir(project.path())
        .args(["bake", "mine"])
        .assert()
        .code(4)
        .stderr(contains("a bake needs root").and(contains("sudo")));
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    if !is_root() {
        return;
    }
    let project = project(SMALL);
    // In a mount namespace of its own, something that is no file covers the tool.
    let script = "mount --bind /dev/null /usr/bin/mmdebstrap && exec \"$0\" bake mine";
    assert_cmd::Command::new("unshare")
        .args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_hostkit")])
        .current_dir(project.path())
        .assert()
        .code(4)
        .stderr(
            contains("`mmdebstrap` is not installed").and(contains("apt-get install mmdebstrap")),
        );
}

#[test]
fn a_full_disk_is_found_before_work_begins() {
    if !is_root() {
        return;
    }
    let project = project(SMALL);
    let script = "mount -t tmpfs -o size=64m none \"$1\" && exec \"$0\" bake mine --cache \"$1\"";
    let small = scratch();
    assert_cmd::Command::new("unshare")
        .args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_hostkit")])
        .arg(small.path())
        .current_dir(project.path())
        .assert()
        .code(4)
        .stderr(contains("a bake needs about 4.00 GiB").and(contains("--cache")));
}

#[test]
fn a_failed_bake_leaves_the_previous_image_alone() {
    if !is_root() {
        return;
    }
    let script = "[[script]]\nname = 'stop'\nhook = 'early'\nrun = 'echo so it goes >&2; exit 7'\n";
    let project = project(&format!("{SMALL}{script}"));
    let out = project.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine.raw"), "the previous image").unwrap();
    fs::write(out.join("mine.json"), "{}").unwrap();
    bake(project.path()).assert().code(5).stderr(
        contains("the step `script:stop` failed")
            .and(contains("ended with 7"))
            .and(contains("so it goes")),
    );
    assert_eq!(fs::read_to_string(out.join("mine.raw")).unwrap(), "the previous image");
    let names: Vec<_> = fs::read_dir(&out).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn interrupted_or_killed_it_leaves_no_mount_no_process_and_no_tree() {
    if !is_root() {
        return;
    }
    let script = "[[script]]\nname = 'wait'\nhook = 'early'\nrun = 'echo waiting; sleep 600'\n";
    let project = project(&format!("{SMALL}{script}"));
    let cache = scratch();
    // The signal a person sends, the one a service manager sends, and the one nobody can handle.
    for (signal, ends_by_itself) in [("INT", true), ("TERM", true), ("KILL", false)] {
        let mut child = start(project.path(), cache.path());
        let sleeping = await_sleeper(cache.path());
        send(signal, child.id());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), ends_by_itself.then_some(130), "after {signal}");
        await_gone(&sleeping);
        if ends_by_itself {
            assert_nothing_is_left(cache.path());
        }
    }
    // At any moment, not only while a program sleeps.
    for wait in [0, 1, 3, 7, 15, 40, 90, 200, 400] {
        let mut child = start(project.path(), cache.path());
        std::thread::sleep(Duration::from_millis(wait));
        send("KILL", child.id());
        child.wait().unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    // What a kill left, the next bake removes; this one ends at a base that does not exist.
    let next = "[recipe]\nname = 'mine'\n[base]\nos = 'debian:nosuch'\n";
    fs::write(project.path().join("image-recipes/mine.toml"), next).unwrap();
    bake(project.path()).arg("--cache").arg(cache.path()).assert().code(3);
    assert_nothing_is_left(cache.path());
}

fn start(project: &Path, cache: &Path) -> std::process::Child {
    std::process::Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .args(["bake", "mine", "--cache"])
        .arg(cache)
        .current_dir(project)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The process that sleeps inside a tree below `cache`, once it is there.
fn await_sleeper(cache: &Path) -> String {
    let deadline = Instant::now() + Duration::from_mins(10);
    loop {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let root = fs::read_link(process.path().join("root")).unwrap_or_default();
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if root.starts_with(cache) && command.starts_with(b"sleep") {
                return process.path().to_str().unwrap().to_owned();
            }
        }
        assert!(Instant::now() < deadline, "the script did not start");
        pause();
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
