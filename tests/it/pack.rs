//! Packing, with a whole bake around it: the same tree gives the same bytes on every way, a small
//! change is a small change, and what the images hold is read by others than hostkit.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{hostkit, is_root, scratch};

/// It has GRUB and no kernel: it is packed, and not booted.
const RECIPE: &str = "[recipe]\nname = 'small'\nversion = '1.0'\n[base]\nos = 'debian:trixie'\n\
    [vars.place]\ndefault = 'here'\n\
    [packages]\ninstall = ['acl', 'grub-common', 'grub-pc-bin', 'grub-efi-amd64-bin']\n\
    [[link]]\npath = '/vmlinuz'\nto = 'boot/none'\n\
    [[directory]]\npath = '/var/lib/jenkins'\n\
    [[file]]\npath = '/etc/motd'\ntemplate = 'templates/motd.tera'\n\
    [[file]]\npath = '/opt/it is \"new\"/ő'\ncontent = 'unusual'\n\
    [[script]]\nname = 'installed'\nhook = 'installed'\nrun = '''\n\
    yes 'removed '\"in the late part\" | head -c 3000000 > /opt/removed\n\
    mkdir /opt/shared; setfacl -m u:33:rwx,m::rx /opt/shared\n'''\n\
    [[script]]\nname = 'late'\nhook = 'late'\nrun = '''\n\
    rm /opt/removed; mkdir /opt/names; echo 1 > /opt/names/first\n\
    for n in $(seq 600); do ln /opt/names/first /opt/names/$n; done\n\
    head -c 3000000 /dev/zero > /opt/holes; echo end >> /opt/holes\n\
    rm /usr/bin/perl5* ; chmod 04711 /usr/bin/tac; ln /opt/holes /opt/again\n'''\n\
    [host]\nrole = 'controller'\nefs = { id = 'fs-0123456789abcdef0' }\n";

fn project() -> TempDir {
    let dir = scratch();
    for folder in ["image-recipes", "templates"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("templates/motd.tera"), "welcome to {{ place }}\n").unwrap();
    fs::write(dir.path().join("image-recipes/small.toml"), RECIPE).unwrap();
    dir
}

/// Bakes with more arguments; returns the last line.
fn bake(project: &Path, args: &[&str]) -> Value {
    let said = bake_saying(project, args);
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// Bakes with more arguments; returns all lines.
fn bake_saying(project: &Path, args: &[&str]) -> String {
    let mut command = hostkit();
    command.current_dir(project).timeout(Duration::from_mins(10));
    let output = command.args(["bake", "small", "--format", "json"]).args(args).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

fn run(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn look(disk: &Path, request: &str) -> String {
    run("debugfs", &["-R", request, &format!("{}?offset={}", disk.display(), 64 << 20)])
}

/// The cached disks of foundations.
fn cached_disk(cache: &Path) -> std::path::PathBuf {
    let folder = fs::read_dir(cache.join("disks")).unwrap().next().unwrap().unwrap().path();
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|end| end == "raw")).unwrap()
}

#[test]
fn a_tree_becomes_the_same_disk_on_every_way_and_a_small_change_stays_small() {
    if !is_root() {
        return;
    }
    let (project, cache) = (project(), scratch());
    let disk = project.path().join("out/small.raw");
    let cache_arg = ["--cache", cache.path().to_str().unwrap()];
    let digest = |line: &Value| line["manifest"]["disk"]["digest"].as_str().unwrap().to_owned();

    let first = bake(project.path(), &cache_arg);
    let whole = fs::read(&disk).unwrap();
    let mut grep = Command::new("grep");
    let found = grep.args(["-qF", "removed in the late part"]).arg(&disk).status().unwrap();
    assert_eq!(found.code(), Some(1), "what was removed can be read");
    look_into(&disk);

    small_changes(project.path(), &cache_arg);

    // Back, with the foundation from the cache; its bytes are those of the first time.
    let again = bake(project.path(), &cache_arg);
    assert_eq!(digest(&again), digest(&first));
    assert!(fs::read(&disk).unwrap() == whole, "warm and cold differ");

    // A damaged foundation is found, and made again: the same bytes once more. And qcow2.
    let cached = cached_disk(cache.path());
    let damaged = fs::OpenOptions::new().write(true).open(&cached).unwrap();
    let middle = find_data(&fs::read(&cached).unwrap());
    damaged.write_all_at(b"damaged", middle).unwrap();
    // What this one's late part does to the boot loader is for itself alone.
    let recipe = project.path().join("image-recipes/small.toml");
    let late = "[[script]]\nname = 'more'\nhook = 'late'\n\
        run = 'echo more >> /usr/lib/grub/i386-pc/test.mod'\n";
    fs::write(&recipe, RECIPE.to_owned() + late).unwrap();
    let said = bake_saying(project.path(), &cache_arg);
    fs::write(&recipe, RECIPE).unwrap();
    assert!(said.contains("in the cache is damaged: making it again"), "{said}");
    let repaired = bake(project.path(), &[&cache_arg[..], &["--qcow2"]].concat());
    assert_eq!(digest(&repaired), digest(&first));
    assert!(fs::read(&disk).unwrap() == whole, "the damage came through");
    let qcow2 = project.path().join("out/small.qcow2");
    run("qemu-img", &["compare", disk.to_str().unwrap(), qcow2.to_str().unwrap()]);
    let unchanged = bake(project.path(), &[&cache_arg[..], &["--qcow2"]].concat());
    assert_eq!(unchanged["outcome"], "unchanged");

    container(project.path(), cache_arg);
}

/// Whatever changes in the late part, few blocks of the disk change.
fn small_changes(project: &Path, cache: &[&str]) {
    let disk = project.join("out/small.raw");
    let bake_few = |what: &str, args: &[&str]| {
        let line = bake(project, &[cache, args].concat());
        let changed = &line["manifest"]["disk"]["changed"];
        let blocks = changed["blocks"].as_u64().unwrap();
        // 16 MiB.
        assert!((1..=32).contains(&blocks), "{what}: {changed}");
        eprintln!("{what}: {changed}");
    };
    bake_few("another content", &["--var", "place=there"]);
    assert_eq!(look(&disk, "cat /etc/motd"), "welcome to there\n");
    let place = "x".repeat(9000);
    bake_few("from one block to three", &["--var", &format!("place={place}")]);
    assert_eq!(look(&disk, "cat /etc/motd"), format!("welcome to {place}\n"));

    let recipe = project.join("image-recipes/small.toml");
    let more = "[[file]]\npath = '/etc/a new one'\ncontent = 'new'\n";
    fs::write(&recipe, RECIPE.to_owned() + more).unwrap();
    bake_few("a new file", &["--var", &format!("place={place}")]);
    assert_eq!(look(&disk, "cat \"/etc/a new one\""), "new");
    let less = "[[script]]\nname = 'less'\nhook = 'late'\nrun = 'rm -r /usr/share/doc'\n";
    fs::write(&recipe, RECIPE.to_owned() + more + less).unwrap();
    bake_few("a folder that is removed", &["--var", &format!("place={place}")]);
    assert!(!look(&disk, "ls -p /usr/share").contains("/doc/"));
    fs::write(&recipe, RECIPE).unwrap();
}

/// Offset of a block with content far behind the tables of the file system.
fn find_data(disk: &[u8]) -> u64 {
    let from = 100 << 20;
    let at = disk[from..]
        .chunks(4096)
        .position(|block| block.iter().filter(|b| **b != 0).count() > 3500);
    (from + at.unwrap() * 4096) as u64
}

/// The content of the disk, by debugfs, e2fsck, sfdisk and mtools.
fn look_into(disk: &Path) {
    assert_eq!(look(disk, "cat /etc/motd"), "welcome to here\n");
    assert_eq!(look(disk, "cat \"/opt/it is \"\"new\"\"/ő\""), "unusual");
    let home = look(disk, "stat /var/lib/jenkins");
    assert!(home.contains("Flags: 0x80010"), "{home}");
    assert!(look(disk, "stat /usr/bin/tac").contains("Mode:  04711"));
    assert!(!look(disk, "ls -p /usr/bin").contains("perl5."));
    let holes = look(disk, "stat /opt/holes");
    assert!(holes.contains("Links: 2") && holes.contains("Blockcount: 8\n"), "{holes}");
    let names = look(disk, "stat /opt/names/600");
    assert!(names.contains("Links: 601"), "{names}");
    let list = look(disk, "ea_list /opt/shared");
    assert!(list.contains("system.posix_acl_access ("), "{list}");
    let at = format!("{}?offset={}", disk.display(), 64 << 20);
    run("e2fsck", &["-fn", &at]);
    let table = run("sfdisk", &["--json", disk.to_str().unwrap()]);
    let table: Value = serde_json::from_str(&table).unwrap();
    assert_eq!(table["partitiontable"]["partitions"].as_array().unwrap().len(), 4);
    let esp = format!("{}@@{}", disk.display(), 2 << 20);
    assert!(run("mdir", &["-i", &esp, "-b", "::/EFI/BOOT"]).contains("BOOTX64.EFI"));
    let blocks = fs::metadata(disk.with_extension("blocks")).unwrap().len();
    assert_eq!(blocks * (512 << 10), fs::metadata(disk).unwrap().len() * 32);
}

/// The same recipe as a layout, twice; read by `umoci`.
fn container(project: &Path, cache: [&str; 2]) {
    let oci = [&cache[..], &["--target", "oci"]].concat();
    let first = bake(project, &oci);
    let layout = project.join("out/small.oci");
    let index = fs::read(layout.join("index.json")).unwrap();
    bake(project, &[&oci[..], &["--var", "place=there"]].concat());
    let again = bake(project, &oci);
    assert_eq!(first["manifest"]["oci"], again["manifest"]["oci"]);
    assert_eq!(fs::read(layout.join("index.json")).unwrap(), index);
    // Nothing of the image that it replaced is left in the folder.
    assert_eq!(fs::read_dir(layout.join("blobs/sha256")).unwrap().count(), 3);
    assert!(project.join("out/small.raw").exists(), "the disk is another image");

    let image = format!("{}:1.0", layout.display());
    let bundle = project.join("bundle");
    run("umoci", &["unpack", "--image", &image, bundle.to_str().unwrap()]);
    let tree = bundle.join("rootfs");
    assert_eq!(fs::read_to_string(tree.join("etc/motd")).unwrap(), "welcome to here\n");
    assert_eq!(fs::read_to_string(tree.join("opt/it is \"new\"/ő")).unwrap(), "unusual");
    assert!(!tree.join("etc/machine-id").metadata().is_ok_and(|meta| meta.len() > 0));
    let holes = fs::metadata(tree.join("opt/holes")).unwrap();
    assert_eq!(holes.ino(), fs::metadata(tree.join("opt/again")).unwrap().ino());
    assert_eq!(fs::metadata(tree.join("usr/bin/tac")).unwrap().mode() & 0o7777, 0o4711);
}
