//! The child, on folders of this machine.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use nix::unistd::{User, geteuid};

use super::*;

fn my_name() -> String {
    User::from_uid(geteuid()).unwrap().expect("every test machine knows its user").name
}

fn prepare_here(mount_point: &Utf8Path, file_system: &str) -> Answer {
    let request = Request::Prepare {
        mount_point: mount_point.to_owned(),
        file_system: file_system.to_owned(),
        user: my_name(),
        jenkins: None,
        allow_downgrade: false,
        image: "ami-1".to_owned(),
        former: Former::Tell,
    };
    answer(&request, Ground::Any)
}

fn empty() -> (tempfile::TempDir, Utf8PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(directory.path()).unwrap().to_owned();
    (directory, path)
}

#[test]
fn an_empty_file_system_is_initialised_once() {
    let (_directory, root) = empty();
    assert_eq!(prepare_here(&root, "fs-1"), Answer::done(true));
    assert_eq!(prepare_here(&root, "fs-1"), Answer::done(false));
    assert_eq!(fs::read_to_string(root.join(".hostkit/fs-id")).unwrap(), "fs-1\n");
    assert_eq!(fs::metadata(root.join("home")).unwrap().mode() & 0o777, 0o750);
}

#[test]
fn an_interrupted_first_boot_is_carried_on() {
    let (_directory, root) = empty();
    fs::create_dir_all(root.join(".hostkit")).unwrap();
    fs::create_dir(root.join("home")).unwrap();
    assert_eq!(prepare_here(&root, "fs-1"), Answer::done(true));
}

#[test]
fn a_home_that_is_being_brought_back_is_nobodys_to_start() {
    use crate::lease::recovery::{JOURNAL, Journal, Stage, tests::journal};
    let (_directory, root) = empty();
    let file_system = journal().file_system;
    assert_eq!(prepare_here(&root, &file_system), Answer::done(true));
    for stage in [Stage::Prepare, Stage::Move, Stage::Lease, Stage::Start, Stage::Resume] {
        let text = serde_json::to_vec(&Journal { stage, ..journal() }).unwrap();
        fs::write(root.join(JOURNAL), text).unwrap();
        // Also where the home is out already.
        match prepare_here(&root, &file_system) {
            Answer::Barred { why, hint } => {
                assert!(stage < Stage::Start && why.contains("by alice on i-0aaa"), "{why}");
                assert!(hint.contains("hostkit efs recover ") && hint.contains("--undo"), "{hint}");
            }
            answer => assert!(stage >= Stage::Start && answer == Answer::done(false), "{stage:?}"),
        }
    }
    fs::write(root.join(JOURNAL), "{").unwrap();
    let Answer::Barred { why, .. } = prepare_here(&root, &file_system) else { panic!() };
    assert!(why.contains("cannot be read"), "{why}");
}

#[test]
fn the_data_of_somebody_else_is_not_touched() {
    let (_directory, root) = empty();
    fs::write(root.join("config.xml"), "<jenkins/>").unwrap();
    let Answer::Refused { why, .. } = prepare_here(&root, "fs-1") else { panic!() };
    assert!(why.contains("config.xml"), "{why}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_copy_and_a_lost_home_are_refused() {
    let (_directory, root) = empty();
    prepare_here(&root, "fs-1");
    assert!(matches!(prepare_here(&root, "fs-2"), Answer::Refused { .. }));
    fs::remove_dir(root.join("home")).unwrap();
    assert!(matches!(prepare_here(&root, "fs-1"), Answer::Refused { .. }));
}

#[test]
fn what_is_no_network_file_system_is_not_even_read() {
    let (_directory, root) = empty();
    let request = Request::ReadMark { mount_point: root };
    let Answer::Refused { why, .. } = answer(&request, Ground::Nfs) else { panic!() };
    assert!(why.contains("no network file system"), "{why}");
}

#[test]
fn no_link_on_the_file_system_is_followed() {
    let (_elsewhere, elsewhere) = empty();
    let before = fs::metadata(&elsewhere).unwrap();
    for name in ["home", ".hostkit"] {
        let (_directory, root) = empty();
        std::os::unix::fs::symlink(&elsewhere, root.join(name)).unwrap();
        let Answer::Refused { hint, .. } = prepare_here(&root, "fs-1") else { panic!() };
        assert!(hint.contains("symbolic link"), "{name}: {hint}");
    }
    let (_directory, root) = empty();
    prepare_here(&root, "fs-1");
    fs::remove_dir(root.join("home")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, root.join("home")).unwrap();
    assert!(matches!(prepare_here(&root, "fs-1"), Answer::Refused { .. }));
    let after = fs::metadata(&elsewhere).unwrap();
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!((before.uid(), before.mode()), (after.uid(), after.mode()));
}

#[test]
fn a_record_is_left_on_the_own_file_system_only() {
    let (_directory, root) = empty();
    let leave = |file_system: &str| {
        let request = Request::Record {
            mount_point: root.clone(),
            file_system: file_system.to_owned(),
            name: "i-1.json".to_owned(),
            text: "{}".to_owned(),
        };
        answer(&request, Ground::Any)
    };
    assert!(matches!(leave("fs-1"), Answer::Refused { .. }), "nobody has marked it");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    prepare_here(&root, "fs-1");
    assert!(matches!(leave("fs-2"), Answer::Refused { .. }));
    assert!(!root.join(".hostkit/boots").exists());
    assert_eq!(leave("fs-1"), Answer::done(true));
}

const CONFIG: &str = "<?xml version='1.1'?>\n<hudson/>\n";

/// Lays files below a folder.
fn lay(root: &Utf8Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_home_that_is_half_moved_is_moved_on() {
    let (_directory, root) = empty();
    // As an interrupted boot leaves it: the configuration goes last.
    lay(
        &root,
        &[
            (".hostkit/moving-in", "fs-1\n"),
            (".hostkit/lease/head", "{}"),
            ("home/jobs/a/config.xml", "<project/>"),
            ("secrets/master.key", "x"),
            ("config.xml", CONFIG),
            ("aws-backup-restore_1/x", ""),
        ],
    );
    let Answer::Done { changed: true, told } = prepare_here(&root, "fs-1") else { panic!() };
    assert_eq!(told.len(), 2, "{told:?}");
    let names: Vec<_> = fs::read_dir(&root).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for path in ["home/config.xml", "home/secrets/master.key", "home/jobs/a/config.xml"] {
        assert!(root.join(path).exists(), "{path}");
    }
    assert!(!root.join(".hostkit/moving-in").exists());
    assert_eq!(prepare_here(&root, "fs-1"), Answer::done(false));
}

#[test]
fn nothing_is_moved_over_what_is_there_already() {
    let (_directory, root) = empty();
    lay(
        &root,
        &[
            (".hostkit/moving-in", "fs-1\n"),
            ("home/jobs/a", "new"),
            ("jobs/a", "old"),
            ("config.xml", CONFIG),
        ],
    );
    let Answer::Refused { why, hint } = prepare_here(&root, "fs-1") else { panic!() };
    assert!(why.contains("`jobs` is at the top") && hint.contains("move the one away"), "{why}");
    assert_eq!(fs::read_to_string(root.join("home/jobs/a")).unwrap(), "new");
    assert!(!root.join(".hostkit/fs-id").exists());
}

/// A boot of an image with these, as far as the home is concerned.
fn serve(root: &Utf8Path, jenkins: &str, plugin: &str) -> Answer {
    let image = root.join("../image");
    fs::create_dir_all(&image).unwrap();
    fs::write(image.join("git.jpi"), plugin).unwrap();
    let request = Request::Plugins {
        from: Some(image),
        mount_point: root.to_owned(),
        user: my_name(),
        jenkins: Some(jenkins.parse().unwrap()),
        image: format!("ami-{jenkins}"),
    };
    answer(&request, Ground::Any)
}

fn sets(root: &Utf8Path) -> Vec<String> {
    let Ok(entries) = root.join(".hostkit/before").read_dir_utf8() else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().to_owned()).collect();
    names.sort();
    names
}

fn used() -> (tempfile::TempDir, Utf8PathBuf) {
    let (directory, path) = empty();
    let root = path.join("efs");
    lay(
        &root,
        &[
            (".hostkit/fs-id", "fs-1\n"),
            ("home/config.xml", CONFIG),
            ("home/credentials.xml", "<c/>"),
            ("home/jenkins.install.InstallUtil.lastExecVersion", "2.500"),
            ("home/jobs/a/config.xml", "<a/>"),
            ("home/jobs/a/builds/1/build.xml", "<build/>"),
            ("home/jobs/folder/jobs/b/config.xml", "<b/>"),
            ("home/users/users.xml", "<users/>"),
            ("home/users/me_1/config.xml", "<me/>"),
            ("home/nodes/n/config.xml", "<n/>"),
            ("home/secrets/master.key", "secret"),
            ("home/plugins/git.jpi", "git 1"),
            ("home/plugins/git/META-INF/MANIFEST.MF", ""),
        ],
    );
    (directory, root)
}

#[test]
fn what_is_kept_aside_is_what_the_way_back_needs_and_takes_no_room() {
    let (_directory, root) = used();
    std::os::unix::fs::symlink("/etc", root.join("home/jobs/link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("home/link.xml")).unwrap();
    let Answer::Done { changed: true, told } = serve(&root, "2.510", "git 2") else { panic!() };
    assert!(told[0].contains("from Jenkins 2.500 to Jenkins 2.510"), "{told:?}");
    let [name] = sets(&root).try_into().unwrap();
    let set = root.join(".hostkit/before").join(&name);
    let mut kept = Vec::new();
    let mut folders = vec![set.join("home")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path().to_owned());
            } else {
                kept.push(entry.path().strip_prefix(set.join("home")).unwrap().to_string());
            }
        }
    }
    kept.sort();
    assert_eq!(
        kept,
        [
            "config.xml",
            "credentials.xml",
            "jenkins.install.InstallUtil.lastExecVersion",
            "jobs/a/config.xml",
            "jobs/folder/jobs/b/config.xml",
            "nodes/n/config.xml",
            "plugins/git.jpi",
            "users/me_1/config.xml",
            "users/users.xml",
        ]
    );
    let of = |path: Utf8PathBuf| fs::metadata(path).unwrap().ino();
    assert_eq!(of(set.join("home/config.xml")), of(root.join("home/config.xml")), "one file");
    assert_eq!(fs::read_to_string(set.join("home/plugins/git.jpi")).unwrap(), "git 1");
    assert_eq!(fs::read_to_string(root.join("home/plugins/git.jpi")).unwrap(), "git 2");
    assert_eq!(fs::metadata(&set).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn the_last_three_are_kept() {
    let (_directory, root) = used();
    for (at, version) in ["2.510", "2.520", "2.530", "2.540", "2.550"].into_iter().enumerate() {
        assert!(matches!(serve(&root, version, &format!("git {at}")), Answer::Done { .. }));
        assert_eq!(sets(&root).len(), (at + 1).min(3));
    }
    let kept: Vec<_> = sets(&root).iter().map(|name| name[..5].to_owned()).collect();
    assert_eq!(kept, ["2.520", "2.530", "2.540"]);
}

#[test]
fn whoever_was_interrupted_while_keeping_aside_carries_on() {
    let (_directory, root) = used();
    serve(&root, "2.510", "git 2");
    let [name] = sets(&root).try_into().unwrap();
    // As a boot leaves it that was killed half-way: no name yet, something missing, nothing done.
    let before = root.join(".hostkit/before");
    fs::rename(before.join(&name), before.join(".unfinished")).unwrap();
    fs::remove_file(before.join(".unfinished/home/credentials.xml")).unwrap();
    fs::remove_file(root.join(".hostkit/release")).unwrap();
    fs::write(root.join("home/plugins/git.jpi"), "git 1").unwrap();
    serve(&root, "2.510", "git 2");
    assert_eq!(sets(&root), std::slice::from_ref(&name), "by the name that it would have had");
    assert!(before.join(&name).join("home/credentials.xml").exists());

    // As one leaves it that was killed while it installed: what is new already is not kept as old.
    fs::remove_file(root.join(".hostkit/release")).unwrap();
    serve(&root, "2.510", "git 2");
    assert_eq!(sets(&root), std::slice::from_ref(&name));
    assert_eq!(
        fs::read_to_string(before.join(&name).join("home/plugins/git.jpi")).unwrap(),
        "git 1"
    );

    // What was begun for another image is begun anew.
    fs::rename(before.join(&name), before.join(".unfinished")).unwrap();
    serve(&root, "2.520", "git 3");
    assert_eq!(sets(&root).len(), 1);
    assert!(!before.join(".unfinished").exists());
}
