//! The child, on folders of this machine.

use std::fs;

use super::*;

fn my_name() -> String {
    User::from_uid(geteuid()).unwrap().expect("every test machine knows its user").name
}

fn prepare_here(mount_point: &Utf8Path, file_system: &str) -> Answer {
    let request = Request::Prepare {
        mount_point: mount_point.to_owned(),
        file_system: file_system.to_owned(),
        user: my_name(),
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
    assert_eq!(prepare_here(&root, "fs-1"), Answer::Done { changed: true });
    assert_eq!(prepare_here(&root, "fs-1"), Answer::Done { changed: false });
    assert_eq!(fs::read_to_string(root.join(".hostkit/fs-id")).unwrap(), "fs-1\n");
    assert_eq!(fs::metadata(root.join("home")).unwrap().mode() & 0o777, 0o750);
}

#[test]
fn an_interrupted_first_boot_is_carried_on() {
    let (_directory, root) = empty();
    fs::create_dir_all(root.join(".hostkit")).unwrap();
    fs::create_dir(root.join("home")).unwrap();
    assert_eq!(prepare_here(&root, "fs-1"), Answer::Done { changed: true });
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
    assert_eq!(leave("fs-1"), Answer::Done { changed: true });
}
