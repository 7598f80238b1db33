//! Who may import whom. The rooms of `src/` are layers: this keeps them so.

use std::fs;
use std::path::Path;

use crate::imports::imports;
use crate::support::{repository, scratch};

/// One room: a file or a folder directly below `src/`.
struct Room {
    name: &'static str,
    /// The rooms that it may import, beside [`EVERYBODY`].
    may: &'static [&'static str],
    /// Paths that it may not import though their room is allowed.
    never: &'static [&'static str],
}

const fn room(name: &'static str, may: &'static [&'static str]) -> Room {
    Room { name, may, never: &[] }
}

/// The shared vocabulary, and what a host is told to be.
const EVERYBODY: &[&str] = &["digest", "error", "event", "report", "secret", "teardown", "host"];

/// The vocabulary itself imports nothing but vocabulary.
const VOCABULARY: &[&str] = &["digest", "error", "event", "report", "secret", "teardown", "host"];

/// What is done on a running host, or to one from outside, stands on these.
const ON_A_HOST: &[&str] = &["lease", "jenkins", "group", "keys", "efs", "facts", "sys", "aws"];

const ROOMS: &[Room] = &[
    // The command line knows everything, and alone knows the rehearsal account.
    room("main", &["cli", "ui"]),
    room("lib", &[]),
    room(
        "cli",
        &[
            "ui", "recipe", "plan", "step", "apply", "image", "boot", "guard", "doctor", "fleet",
            "lease", "logs", "jenkins", "group", "keys", "iam", "facts", "sim", "aws", "sys",
        ],
    ),
    // The shared vocabulary. Only `ui` prints.
    room("digest", &[]),
    room("error", &[]),
    room("event", &[]),
    room("report", &[]),
    room("secret", &[]),
    room("teardown", &[]),
    room("host", &[]),
    // To the journal of the machine, too.
    room("ui", &["sys"]),
    // From what users write to what is done to a tree.
    room("recipe", &[]),
    room("plan", &["recipe", "step"]),
    room("step", &["sys"]),
    room("apply", &["plan", "step", "sys"]),
    room("image", &["apply", "plan", "step", "sys", "aws"]),
    // On a host.
    room("facts", &["sys", "aws"]),
    room("lease", &["facts", "sys", "aws"]),
    room("jenkins", &["facts", "sys"]),
    // What the boot and the guard both say to Auto Scaling.
    room("group", &["lease", "sys", "aws"]),
    // How a file system is reached.
    room("efs", &["facts", "sys", "aws"]),
    room("logs", &["facts", "sys", "aws"]),
    room("boot", ON_A_HOST),
    room("guard", ON_A_HOST),
    // The doctor must work where Jenkins does not.
    Room { name: "doctor", may: ON_A_HOST, never: &["jenkins::client"] },
    // To AWS from outside.
    // It has ssh-keygen make them, and ssh ask who lets them in.
    room("keys", &["sys", "aws"]),
    room("iam", &["aws"]),
    room(
        "fleet",
        &[
            "doctor", "lease", "jenkins", "group", "facts", "sys", "aws", "image", "plan",
            "recipe", "keys", "iam",
        ],
    ),
    // The rehearsal account stands alone: what it imitates must not lean on what it tests.
    room("sim", &["sys"]),
    // The two seams. Neither knows the other.
    room("sys", &[]),
    room("aws", &[]),
];

/// Everything that is wrong below `src`, as `file:line: what`.
fn violations(src: &Path) -> Vec<String> {
    let mut files = Vec::new();
    rust_files(src, &mut files);
    files.sort();
    files.iter().flat_map(|file| violations_in(src, Path::new(file))).collect()
}

fn rust_files(folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the source folder can be read") {
        let path = entry.expect("the source folder can be read").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path.display().to_string());
        }
    }
}

fn violations_in(src: &Path, file: &Path) -> Vec<String> {
    let shown = file.strip_prefix(src).expect("the file was found below src");
    let module = module_of(shown);
    let name = room_of(shown);
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![format!(
            "src/{}:1: the room `{name}` is not in the table of tests/it/layers.rs",
            shown.display()
        )];
    };
    let source = fs::read_to_string(file).expect("a source file is text");
    imports(&source, &module)
        .into_iter()
        .filter(|import| !allowed(room, &import.path))
        .map(|import| {
            let path = import.path.join("::");
            format!("src/{}:{}: `{name}` imports `{path}`", shown.display(), import.line)
        })
        .collect()
}

fn allowed(room: &Room, path: &[String]) -> bool {
    let full = path.join("::");
    let target = path.first().map_or("", String::as_str);
    if room.never.iter().any(|never| full == *never || full.starts_with(&format!("{never}::"))) {
        return false;
    }
    let everybody = if VOCABULARY.contains(&room.name) { VOCABULARY } else { EVERYBODY };
    target == room.name || room.may.contains(&target) || everybody.contains(&target)
}

/// `boot/run.rs` is the module `boot::run`; `main.rs` and `lib.rs` are the crate's root.
fn module_of(file: &Path) -> Vec<String> {
    let path = file.with_extension("");
    let mut module: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    module.pop_if(|last| ["mod", "main", "lib"].contains(&last.as_str()));
    module
}

fn room_of(file: &Path) -> String {
    let first = file.iter().next().expect("a file below src has a name");
    Path::new(first).with_extension("").display().to_string()
}

#[test]
fn every_room_imports_only_what_it_may() {
    let found = violations(&repository("src"));
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_table_names_only_rooms_that_it_has() {
    for room in ROOMS {
        for name in room.may.iter().chain(EVERYBODY) {
            assert!(ROOMS.iter().any(|room| room.name == *name), "{}: {name}?", room.name);
        }
    }
}

/// A tree with one file, and what is wrong with it.
fn violations_of(file: &str, source: &str) -> Vec<String> {
    let folder = scratch();
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().expect("it has a folder")).unwrap();
    fs::write(&path, source).unwrap();
    violations(folder.path())
}

#[test]
fn a_forbidden_import_is_reported_where_it_stands() {
    let planted = [
        ("sys/mount.rs", "\nuse crate::aws::efs;", "src/sys/mount.rs:2: `sys` imports `aws::efs`"),
        ("plan.rs", "use crate::{recipe, sys::Cmd};", "src/plan.rs:1: `plan` imports `sys::Cmd`"),
        ("boot/mod.rs", "fn f() { crate::ui::g() }", "src/boot/mod.rs:1: `boot` imports `ui::g`"),
        ("aws/ec2.rs", "use super::super::sys;", "src/aws/ec2.rs:1: `aws` imports `sys`"),
        ("event.rs", "use crate::sys;", "src/event.rs:1: `event` imports `sys`"),
        ("fleet.rs", "use crate::sim;", "src/fleet.rs:1: `fleet` imports `sim`"),
        (
            "doctor/efs.rs",
            "use crate::jenkins::client::Client;",
            "src/doctor/efs.rs:1: `doctor` imports `jenkins::client::Client`",
        ),
        ("boot.rs", "use super::*;", "src/boot.rs:1: `boot` imports `*`"),
    ];
    for (file, source, expected) in planted {
        assert_eq!(violations_of(file, source), [expected]);
    }
}

#[test]
fn a_forbidden_import_planted_in_a_copy_of_this_source_is_the_only_one_reported() {
    let folder = scratch();
    let source = repository("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    for file in &files {
        let to = folder.path().join(Path::new(file).strip_prefix(&source).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
    assert_eq!(violations(folder.path()), [""; 0]);

    let victim = folder.path().join("error.rs");
    let text = fs::read_to_string(&victim).unwrap();
    fs::write(&victim, format!("use crate::cli::Cli;\n{text}")).unwrap();
    assert_eq!(violations(folder.path()), ["src/error.rs:1: `error` imports `cli::Cli`"]);
}

#[test]
fn a_permitted_import_is_not_reported() {
    let permitted = [
        ("boot/run.rs", "use crate::{error::Fault, sys::{Cmd, Tool}, aws};"),
        ("boot/run.rs", "use super::graph; mod tests { use super::*; }"),
        ("cli/vm.rs", "use crate::sim::vm;"),
        ("ui/human.rs", "use crate::event::Event;"),
        ("doctor/mod.rs", "use crate::jenkins::render;"),
        (
            "sys/mod.rs",
            "//! Unlike [`crate::aws`], this room starts programs.\npub(crate) mod cmd;",
        ),
    ];
    for (file, source) in permitted {
        assert_eq!(violations_of(file, source), [""; 0]);
    }
}

#[test]
fn a_room_that_nobody_placed_is_reported() {
    let expected = "src/utils.rs:1: the room `utils` is not in the table of tests/it/layers.rs";
    assert_eq!(violations_of("utils.rs", ""), [expected]);
}
