use super::*;

fn tree() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
    (dir, root)
}

#[test]
fn a_planted_link_does_not_lead_out_of_the_tree() {
    let (dir, root) = tree();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("/", dir.path().join("up")).unwrap();

    assert!(root.write("/etc/passwd", b"gotcha", 0o644, Owner::me()).is_err());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(root.read("/../../../../../../etc/hostname").unwrap(), None);

    // `/` is the tree's own top, as it would be after a change of root.
    assert!(root.write("/up/file", b"inside", 0o644, Owner::me()).unwrap());
    assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"inside");
}

#[test]
fn a_strict_root_follows_no_link_whatever_it_leads_to() {
    let (dir, _) = tree();
    let root = Root::strict(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
    root.make_dir("/real", 0o755, Owner::me()).unwrap();
    root.write("real/file", b"x", 0o600, Owner::me()).unwrap();
    for (name, to) in [("dir", "real"), ("file", "real/file"), ("out", "/etc")] {
        root.link(name, to).unwrap();
    }
    let looped = |error: io::Error| error.raw_os_error() == Some(nix::libc::ELOOP);
    assert!(looped(root.read("dir/file").unwrap_err()));
    assert!(looped(root.read("file").unwrap_err()));
    assert!(looped(root.list("out").unwrap_err()));
    assert!(looped(root.write("dir/new", b"", 0o600, Owner::me()).unwrap_err()));
    assert!(root.make_dir("out", 0o700, Owner::me()).is_err());
    assert!(root.write("file", b"new", 0o600, Owner::me()).unwrap(), "a link itself is replaced");
    assert_eq!(root.read("real/file").unwrap().unwrap(), b"x");
    assert!(root.read("../etc/hostname").is_err());
}

#[test]
fn a_second_write_changes_nothing_and_a_new_mode_changes_something() {
    let (_dir, root) = tree();
    assert!(root.write("/a", b"one", 0o644, Owner::me()).unwrap());
    assert!(!root.write("/a", b"one", 0o644, Owner::me()).unwrap());
    assert!(root.write("/a", b"one", 0o600, Owner::me()).unwrap());
    assert!(root.write("/a", b"two", 0o600, Owner::me()).unwrap());
    assert_eq!(root.list("/").unwrap(), ["a"], "no temporary file is left");
}

#[test]
fn a_write_replaces_a_link_and_leaves_its_target_alone() {
    let (_dir, root) = tree();
    root.write("/target", b"keep", 0o644, Owner::me()).unwrap();
    assert!(root.link("/name", "target").unwrap());
    assert!(!root.link("/name", "target").unwrap());
    assert!(root.write("/name", b"new", 0o644, Owner::me()).unwrap());
    assert_eq!(root.read("/target").unwrap().unwrap(), b"keep");
}

#[test]
fn a_link_that_a_user_planted_is_not_followed_and_one_of_root_is() {
    if !nix::unistd::getuid().is_root() {
        return;
    }
    let (dir, root) = tree();
    let bob = Owner { uid: 1000, gid: 1000 };
    root.make_dir("/etc", 0o755, Owner::ROOT).unwrap();
    root.make_dir("/home/bob/deep", 0o755, bob).unwrap();
    root.make_dir("/home/bob", 0o755, bob).unwrap();
    root.make_dir("/tmp", 0o1777, Owner::ROOT).unwrap();
    for (link, to) in [
        ("home/bob/.config", "/etc"),
        ("home/bob/deep/up", "../../../etc"),
        ("tmp/x", "/etc"),
        ("srv", "/home/bob/.config"),
        ("usr", "home/bob/deep"),
    ] {
        std::os::unix::fs::symlink(to, dir.path().join(link)).unwrap();
    }
    for path in ["/home/bob/.config/a", "/home/bob/deep/up/a", "/tmp/x/a", "/srv/a"] {
        let error = root.write(path, b"x", 0o644, bob).unwrap_err().to_string();
        assert!(error.contains("is a link, and others than root"), "{path}: {error}");
        assert!(root.make_dir(path, 0o755, bob).is_err(), "{path}");
        assert!(root.remove(path).is_err() && root.link(path, "x").is_err(), "{path}");
    }
    assert!(root.below("/home/bob/.config").is_err());
    assert!(root.make_dir("/home/bob/.config", 0o755, bob).is_err(), "the target stays root's");
    assert_eq!(root.list("/etc").unwrap(), [""; 0]);
    assert_eq!(root.metadata("/etc").unwrap().unwrap().uid(), 0);
    assert!(root.write("/usr/file", b"x", 0o644, bob).unwrap(), "root's own link is followed");
    assert_eq!(root.read("/home/bob/deep/file").unwrap().unwrap(), b"x");
    root.link("/loop", "loop").unwrap();
    assert!(root.write("/loop/a", b"", 0o644, bob).is_err());
}

#[test]
fn a_link_to_nothing_is_named() {
    let (_dir, root) = tree();
    root.link("/lib", "usr/lib").unwrap();
    for end in
        [root.make_parents("/lib/x"), root.make_dir("/lib/x/y", 0o755, Owner::me()).map(drop)]
    {
        let error = end.unwrap_err().to_string();
        assert_eq!(error, "/lib is a link to usr/lib, and that is not there");
    }
}

#[test]
fn directories_come_with_their_parents_once() {
    if !nix::unistd::getuid().is_root() {
        return;
    }
    let (_dir, root) = tree();
    assert!(root.make_dir("/a/b/c", 0o750, Owner { uid: 5, gid: 6 }).unwrap());
    assert!(!root.make_dir("/a/b/c", 0o750, Owner { uid: 5, gid: 6 }).unwrap());
    let meta = root.metadata("/a/b").unwrap().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o755, 0));
}
