//! Both passes with the real programs: what comes out is whole, is the tree, repeats byte for byte,
//! and changes as little as the tree did.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::image::blocks::{self, Table};
use crate::image::layout::Layout;

const EPOCH: i64 = 1_700_000_000;

/// A foundation, a tree that was made from it, and a folder to work in.
struct Lab {
    _dir: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let lab = Self { _dir: dir, path };
        for folder in [
            "work",
            "foundation/old",
            "foundation/etc/many",
            "foundation/usr/bin",
            "foundation/srv/home",
        ] {
            fs::create_dir_all(lab.path.join(folder)).unwrap();
        }
        for n in 0..400 {
            // Some larger than a block, so that they would all move if one of them grew.
            let text = format!("number {n}\n").repeat(n * 13 % 5000);
            fs::write(lab.path.join(format!("foundation/etc/many/{n:03}")), text).unwrap();
        }
        fs::write(lab.path.join("foundation/etc/config"), "one").unwrap();
        fs::write(lab.path.join("foundation/etc/gone"), "gone").unwrap();
        fs::write(lab.path.join("foundation/old file"), "gone").unwrap();
        let long = "long-".repeat(40);
        fs::write(lab.path.join(format!("foundation/etc/ő {long}")), "unusual").unwrap();
        fs::hard_link(lab.path.join("foundation/etc/config"), lab.path.join("foundation/etc/same"))
            .unwrap();
        symlink("config", lab.path.join("foundation/etc/link")).unwrap();
        xattr::set(lab.path.join("foundation/etc/config"), "user.note", b"\0kept").unwrap();
        lab.copy("tree");
        fs::write(lab.path.join("tree/usr/bin/agent"), random(20 << 20, 1)).unwrap();
        lab
    }

    fn copy(&self, to: &str) {
        let (from, to) = (self.path.join("foundation"), self.path.join(to));
        let copy = Cmd::new(Tool::Shell).args(["-c", "exec cp -a \"$0\" \"$1\""]);
        block_on(Runner::Direct.run(&copy.args([from.as_str(), to.as_str()]))).unwrap();
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.path.join("tree").join(path), bytes).unwrap();
    }

    /// Packs the tree into a disk, both passes; looks at it with `e2fsck`.
    fn pack(&self, disk: &str) -> Place {
        let (work, tree) = (self.path.join("work"), self.path.join("tree"));
        let foundation = Contents::of(&self.path.join("foundation"), EPOCH, None).unwrap();
        let contents = Contents::of(&tree, EPOCH, None).unwrap();
        let part = Layout::for_content(foundation.room(BLOCK), contents.room(BLOCK)).root;
        let uuid = "11111111-2222-8333-8444-555555555555".to_owned();
        let place = Place { disk: self.path.join(disk), part, uuid, epoch: EPOCH };
        let file = fs::File::create(&place.disk).unwrap();
        file.set_len((part.start + part.bytes).next_multiple_of(1 << 20)).unwrap();
        let immutable = ["/srv/home".to_owned()];
        block_on(async {
            make(&place, &self.path.join("foundation"), &foundation, &work).await.unwrap();
            let difference = Difference::between(&foundation, &contents);
            change(&place, &difference, &tree, &immutable, &work).await.unwrap();
            check(&place, &work).await.unwrap();
        });
        place
    }

    /// How many blocks the disk has that the other one has not.
    fn changed(&self, now: &str, then: &str) -> usize {
        let table = |disk: &str| Table::of(&self.path.join(disk)).unwrap();
        table(now).changed_since(&table(then))
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

/// Bytes without a pattern, the same for the same seed.
fn random(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn look(place: &Place, request: &str) -> String {
    let disk = format!("{}?offset={}", place.disk, place.part.start);
    let cmd = Cmd::new(Tool::Debugfs).args(["-R", request, &disk]);
    block_on(Runner::Direct.run(&cmd)).unwrap().text()
}

#[test]
fn the_file_system_is_the_tree_and_repeats() {
    let lab = Lab::new();
    lab.write("etc/config", b"two");
    fs::remove_file(lab.path.join("tree/etc/gone")).unwrap();
    fs::create_dir_all(lab.path.join("tree/opt/a \"new\" one")).unwrap();
    lab.write("opt/a \"new\" one/it's", b"quoted");
    fs::set_permissions(
        lab.path.join("tree/opt/a \"new\" one/it's"),
        fs::Permissions::from_mode(0o4711),
    )
    .unwrap();
    // At the top, where `debugfs` is special.
    fs::create_dir(lab.path.join("tree/top")).unwrap();
    lab.write("a file", b"on top");
    fs::hard_link(lab.path.join("tree/a file"), lab.path.join("tree/top/linked")).unwrap();
    symlink("nowhere", lab.path.join("tree/on top")).unwrap();
    fs::remove_dir(lab.path.join("tree/old")).unwrap();
    fs::remove_file(lab.path.join("tree/old file")).unwrap();
    fs::remove_file(lab.path.join("tree/etc/link")).unwrap();
    symlink("/a/long/target/".repeat(9), lab.path.join("tree/etc/link")).unwrap();
    xattr::set(lab.path.join("tree/usr/bin/agent"), "user.made", b"by \0 us").unwrap();
    let place = lab.pack("one.raw");

    // Everything comes back as it is in the tree, by the program that made it...
    let out = lab.path.join("out");
    fs::create_dir(&out).unwrap();
    look(&place, &format!("rdump / \"{out}\""));
    let _ = fs::remove_dir(out.join("lost+found"));
    let [mut packed, mut tree] =
        [&out, &lab.path.join("tree")].map(|tree| Contents::of(tree, EPOCH, None).unwrap());
    // ...except what it does not bring back: names of one file, times, and attributes.
    for contents in [&mut packed, &mut tree] {
        for entry in &mut contents.entries {
            entry.mtime = 0;
            entry.attributes.clear();
            if let crate::image::contents::Kind::HardLink { .. } = entry.kind {
                entry.kind = crate::image::contents::Kind::Pipe;
            }
        }
    }
    packed.entries.retain(|entry| {
        !["etc/same", "top/linked", "a file"].contains(&entry.path.as_str())
            && !entry.path.is_empty()
    });
    tree.entries.retain(|entry| {
        !["etc/same", "top/linked", "a file"].contains(&entry.path.as_str())
            && !entry.path.is_empty()
    });
    assert_eq!(packed.entries, tree.entries);
    assert_eq!(
        look(&place, "ea_get /usr/bin/agent user.made"),
        "user.made (7) = 62 79 20 00 20 75 73 "
    );
    let same = look(&place, "stat /etc/same");
    assert!(same.contains("Links: 2") && look(&place, "cat /etc/same") == "two", "{same}");
    assert!(same.contains("user.note (5)"), "{same}");
    assert_eq!(look(&place, "cat /top/linked"), "on top");
    assert!(look(&place, "stat \"/a file\"").contains("Links: 2"));
    let time = format!("mtime: 0x{EPOCH:08x}:00000000");
    for path in ["/etc/config", "/etc/many/007", "/usr/bin/agent", "/etc", "/"] {
        let stat = look(&place, &format!("stat {path}"));
        assert!(stat.contains(&time), "{path}: {stat}");
    }
    assert!(look(&place, "stat /srv/home").contains("Flags: 0x80010"), "immutable");

    lab.pack("two.raw");
    assert_eq!(lab.changed("two.raw", "one.raw"), 0);
}

#[test]
fn a_small_change_of_the_tree_is_a_small_change_of_the_disk() {
    // Of what may change: 16 MiB.
    const FEW: usize = (16 << 20) / blocks::BLOCK;
    let lab = Lab::new();
    lab.write("etc/config", b"a template");
    lab.write("etc/large", &random(9 << 20, 2));
    lab.pack("before.raw");
    let after = |what: &str| {
        lab.pack("after.raw");
        let changed = lab.changed("after.raw", "before.raw");
        assert!(changed > 0 && changed <= FEW, "{what}: {changed} blocks");
    };
    lab.write("etc/config", b"another template");
    after("another content");
    lab.write("etc/config", "from one block to three".repeat(500).as_bytes());
    after("growth");
    lab.write("etc/a new file", b"new");
    after("a new file");
    fs::remove_file(lab.path.join("tree/etc/many/100")).unwrap();
    after("a removed file");
    fs::remove_dir_all(lab.path.join("tree/etc/many")).unwrap();
    fs::create_dir(lab.path.join("tree/etc/many")).unwrap();
    fs::copy(lab.path.join("foundation/etc/many/399"), lab.path.join("tree/etc/many/399")).unwrap();
    after("a folder that is emptied");
}

#[test]
fn what_debugfs_cannot_do_is_an_error() {
    let lab = Lab::new();
    let place = lab.pack("disk.raw");
    let (work, tree) = (lab.path.join("work"), lab.path.join("tree"));
    // The same changes once more: names that are there already, and one that is gone.
    let foundation = Contents::of(&lab.path.join("foundation"), EPOCH, None).unwrap();
    let contents = Contents::of(&tree, EPOCH, None).unwrap();
    let difference = Difference::between(&foundation, &contents);
    let end = block_on(change(&place, &difference, &tree, &[], &work));
    let error = format!("{:#}", end.unwrap_err());
    assert!(error.contains("did not get into the root file system"), "{error}");

    // A file that does not fit.
    fs::File::create(tree.join("etc/huge")).unwrap().set_len(0).unwrap();
    lab.write("etc/huge", &random(4 << 20, 3));
    let small = Place { part: Partition { bytes: 8 << 20, ..place.part }, ..place };
    fs::write(&small.disk, "").unwrap();
    let end = block_on(make(&small, &tree, &Contents::of(&tree, EPOCH, None).unwrap(), &work));
    assert!(format!("{:#}", end.unwrap_err()).contains("was not made"));
}
