//! Homes that are large in every way that is looked for.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::doctor::efs::inside::sample::{Tree, home};

const LONG: Duration = Duration::from_mins(1);

fn scanned(tree: &Tree, folder: &str) -> Scan {
    let found = scan(&tree.root(), folder.into(), LONG, &Arc::new(Notebook::default()));
    Scan { took: 0, ..found }
}

#[test]
fn what_makes_a_home_large_is_named() {
    let tree = home();
    for number in 0..30 {
        tree.put(&format!("home/workspace/build/file-{number}"), "x");
        tree.put(&format!("home/jobs/old/workspace/dir/file-{number}"), "x");
        tree.put(&format!("home/caches/git-1/objects/{number}"), "x");
        tree.put(&format!("home/fingerprints/aa/{number}.xml"), "");
    }
    for number in 0..1001 {
        tree.put(&format!("home/jobs/many/builds/{number}/log"), "");
    }
    for number in 0..=10_000 {
        std::fs::write(tree.path("home/secrets").join(number.to_string()), "").unwrap();
    }
    tree.put("home/caches/git-1/objects/pack/tmp_pack_a1", "unfinished");
    tree.put("home/workspace/build/config.xml", "");
    tree.put("home/jobs/many/config.xml", "");
    tree.put("home/jobs/workspace/config.xml", "<project/>");
    symlink("/", tree.path("home/jobs/many/out")).unwrap();
    symlink("..", tree.path("home/userContent")).unwrap();
    let found = scanned(&tree, "home");
    assert!(found.is_whole());
    assert_eq!(found.others, 2, "no link is followed");
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap());
}

#[test]
fn a_home_at_the_top_does_not_count_what_is_not_its_own() {
    let tree = Tree::empty();
    tree.put("config.xml", "<hudson/>");
    tree.put(".hostkit/boots/x", "");
    tree.put("aws-backup-restore_2026/config.xml", "");
    tree.put("jobs/a/config.xml", "<project/>");
    let found = scanned(&tree, "");
    assert_eq!((found.files, found.folders, found.empty.count), (2, 2, 0));
}

#[test]
fn what_is_not_reached_in_time_is_said() {
    let tree = home();
    let notes = Arc::new(Notebook::default());
    let found = scan(&tree.root(), "home".into(), Duration::ZERO, &notes);
    assert_eq!((found.files, found.late.count), (0, 1));
    assert!(!found.is_whole());
}

#[test]
fn more_folders_than_may_wait_are_looked_at_all_the_same() {
    let tree = Tree::empty();
    let many = 10 * queue::MOST as u64;
    for number in 0..many {
        std::fs::create_dir_all(tree.path("home/jobs").join(number.to_string()).join("a/b"))
            .unwrap();
    }
    let found = scanned(&tree, "home");
    assert_eq!((found.folders, found.is_whole()), (1 + 3 * many, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_entry_is_counted_once(paths in proptest::collection::vec("[a-c]{1,2}(/[a-c]{1,2}){0,4}", 0..60)) {
        let tree = Tree::empty();
        std::fs::create_dir_all(tree.path("home")).unwrap();
        for path in &paths {
            std::fs::create_dir_all(tree.path("home").join(path)).unwrap();
            std::fs::write(tree.path("home").join(path).join("file.txt"), "").unwrap();
        }
        let found = scanned(&tree, "home");
        let all: Vec<_> = walkdir::WalkDir::new(tree.path("home")).min_depth(1).into_iter().flatten().collect();
        let folders = all.iter().filter(|entry| entry.file_type().is_dir()).count() as u64;
        prop_assert_eq!((found.files, found.folders), (all.len() as u64 - folders, folders));
    }
}
