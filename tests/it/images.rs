//! `hostkit images` on what lies beside images: two of today's form, and one of the first.

use std::fs;

use camino::Utf8Path;
use hostkit::image::blocks::Table;
use hostkit::image::contents::{Entry, Kind};
use hostkit::image::files;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{hostkit, repository, scratch};

fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    let (uid, gid, mtime, attributes) = (0, 0, 1_790_000_000, Vec::new());
    Entry { path: path.to_owned(), kind, mode, uid, gid, mtime, attributes }
}

fn file(path: &str, bytes: u64) -> Entry {
    entry(path, Kind::File { bytes, sha256: format!("{bytes:064x}") }, 0o644)
}

/// An image of this name: a manifest, a list of files, a table of blocks.
fn image(folder: &Utf8Path, name: &str, packages: &Value, entries: &[Entry], blocks: &[u8]) {
    let list = format!("{name}.files.gz");
    let bytes = files::write(entries, &folder.join(&list)).unwrap();
    let table: Vec<u8> = blocks.iter().flat_map(|block| [*block; 32]).collect();
    fs::write(folder.join(format!("{name}.blocks")), &table).unwrap();
    let manifest = json!({
        "version": 2,
        "recipe": name,
        "image_version": "1.0",
        "arch": "amd64",
        "target": "disk",
        "digest": format!("{:064x}", blocks.len()),
        "epoch": 1_790_000_000,
        "base": "debian:trixie",
        "created": "2026-11-20T16:00:00Z",
        "hostkit": "0.1.0",
        "disk": {
            "file": format!("{name}.raw"),
            "bytes": 1u64 << 30,
            "allocated": (blocks.len() as u64) << 20,
            "digest": Table::from_bytes(&table).unwrap().digest(),
            "blocks": format!("{name}.blocks"),
        },
        "files": {"file": list, "bytes": bytes},
        "packages": packages,
        "phases": [{"name": "pack", "seconds": 1.5}],
    });
    fs::write(folder.join(format!("{name}.json")), manifest.to_string()).unwrap();
}

fn folder() -> TempDir {
    let dir = scratch();
    let folder = Utf8Path::from_path(dir.path()).unwrap();
    let old = [
        entry("", Kind::Directory, 0o755),
        entry("etc", Kind::Directory, 0o755),
        file("etc/config", 10),
        file("etc/gone", 2000),
        entry("etc/link", Kind::Link { to: "config".to_owned() }, 0o777),
    ];
    let mut secret = file("etc/config", 10);
    secret.mode = 0o600;
    let mut new = vec![entry("", Kind::Directory, 0o755), entry("etc", Kind::Directory, 0o755)];
    new.extend([secret, file("etc/link", 7)]);
    new.extend((0..50).map(|n| file(&format!("usr/{n:02}"), 1024)));
    let packages = json!({"curl": "8.14", "git": "1:2.47", "vim": "9.1"});
    image(folder, "first", &packages, &old, &[1, 2, 3, 4]);
    let packages = json!({"curl": "8.14", "git": "1:2.49", "zsh": "5.9"});
    image(folder, "second", &packages, &new, &[1, 9, 3, 4, 5]);
    let v1 = repository("tests/fixtures/manifests/first.json");
    fs::copy(v1, folder.join("jenkins-controller.json")).unwrap();
    // What others keep there.
    fs::write(folder.join("first.cdx.json"), "{\"bomFormat\": \"CycloneDX\"}").unwrap();
    fs::write(folder.join("notes.json"), "not even JSON").unwrap();
    dir
}

/// What a call prints, without the name of the test's folder.
fn printed(folder: &TempDir, args: &[&str]) -> String {
    let output = hostkit().current_dir(folder).arg("images").args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_folder_of_images_is_a_table() {
    let folder = folder();
    insta::assert_snapshot!(printed(&folder, &["ls", "."]));
    let lines = printed(&folder, &["ls", ".", "--format", "json"]);
    let names: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["recipe"].clone())
        .collect();
    assert_eq!(names, ["first", "jenkins-controller", "second"]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(printed(&folder, &["ls", "empty"]), "no images in empty\n");
}

#[test]
fn an_image_is_shown_by_its_name_and_by_any_of_its_files() {
    let folder = folder();
    let by_name = printed(&folder, &["show", "first", "-o", "."]);
    insta::assert_snapshot!(by_name);
    for path in ["./first.raw", "first.qcow2", "first.json"] {
        assert_eq!(printed(&folder, &["show", path]), by_name);
    }
    insta::assert_snapshot!(printed(&folder, &["show", "jenkins-controller.json"]));
}

#[test]
fn a_difference_names_packages_files_sizes_and_blocks() {
    let folder = folder();
    insta::assert_snapshot!(printed(&folder, &["diff", "first", "second", "-o", "."]));
    let all = printed(&folder, &["diff", "first", "second", "-o", ".", "--all"]);
    assert!(all.contains("+ /usr/49") && !all.contains("more"), "{all}");
    let line = printed(&folder, &["diff", "second", "first", "-o", ".", "--format", "json"]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["packages"]["changed"], json!({"git": ["1:2.49", "1:2.47"]}));
    assert_eq!(line["blocks"], json!({"blocks": 1, "of": 4}));
    assert_eq!(line["files"]["added"], json!([{"path": "/etc/gone", "bytes": 2000}]));
    // Of the first form, only the packages are known.
    let old = printed(&folder, &["diff", "jenkins-controller.json", "first.json"]);
    assert!(old.contains("files     not known of both images"), "{old}");
}

#[test]
fn what_is_not_there_or_no_image_is_an_error_that_says_where_it_looked() {
    let folder = folder();
    let call =
        |args: &[&str]| hostkit().current_dir(&folder).arg("images").args(args).assert().failure();
    let missing = call(&["show", "nothing"]).code(2);
    let said = String::from_utf8_lossy(&missing.get_output().stderr).into_owned();
    insta::assert_snapshot!(said);
    call(&["show", "notes.json"]).code(3);
    call(&["ls", "nowhere"]).code(4);
    // A list that is none.
    fs::write(folder.path().join("first.files.gz"), "no list").unwrap();
    call(&["diff", "first.json", "second.json"]).code(3);
}
