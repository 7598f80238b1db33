//! Homes before and after a recovery: what lies where, and that nothing of it is lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::support::lay;

pub(crate) const FS: &str = "fs-0123456789abcdef0";
pub(crate) const CONFIG: &str = "<?xml version='1.1'?>\n<hudson>\n</hudson>\n";
pub(crate) const RESTORE: &str = "aws-backup-restore_2026-11-27T02-10-00Z";

/// A home whose files all say `of`.
pub(crate) fn home(root: &Path, top: &str, of: &str) {
    lay(
        root,
        &format!("{top}config.xml"),
        &CONFIG.replace("</hudson>", &format!("<!--{of}--></hudson>")),
    );
    for file in ["secrets/hudson.util.Secret", "identity.key.enc"] {
        lay(root, &format!("{top}{file}"), &format!("{of} {file}"));
    }
    for job in 0..4 {
        let job = format!("{top}jobs/job-{job}");
        lay(root, &format!("{job}/config.xml"), &format!("<project><!--{of}--></project>"));
        lay(root, &format!("{job}/builds/1/build.xml"), &format!("<build><!--{of}--></build>"));
    }
    lay(root, &format!("{top}secrets/master.key"), &"0123456789abcdef".repeat(16));
    lay(root, &format!("{top}users/users.xml"), "<hudson.model.UserIdMapper/>");
    lay(root, &format!("{top}jenkins.install.InstallUtil.lastExecVersion"), "2.500");
}

/// hostkit's own folder, of now and as it was restored.
fn own(root: &Path, top: &str, generation: u64) {
    lay(root, &format!("{top}.hostkit/fs-id"), &format!("{FS}\n"));
    let name = hostkit::lease::record::claim_file(generation);
    lay(root, &format!("{top}.hostkit/lease/{name}"), &format!("claim {generation}"));
    lay(root, &format!("{top}.hostkit/lease/head"), &format!("head {generation}"));
}

/// What lies where, before a recovery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scene {
    /// Both homes are in their folders.
    Folder,
    /// The restored home is of a time at which it was at the top of the file system.
    RestoredAtTop,
    /// Both are at the top; the present one is not hostkit's yet.
    BothAtTop,
    /// The present home is gone.
    Destroyed,
    /// Configuration and plugins of a set.
    Set,
}

pub(crate) const SCENES: [Scene; 5] =
    [Scene::Folder, Scene::RestoredAtTop, Scene::BothAtTop, Scene::Destroyed, Scene::Set];

impl Scene {
    pub(crate) fn lay(self, root: &Path) {
        let restored = format!("{RESTORE}/");
        if self != Self::BothAtTop {
            own(root, "", 7);
        }
        lay(root, "aws-backup-lost+found/fragment", "x");
        match self {
            Self::Folder => {
                home(root, "home/", "now");
                home(root, &format!("{restored}home/"), "then");
                own(root, &restored, 5);
            }
            Self::RestoredAtTop => {
                home(root, "home/", "now");
                home(root, &restored, "then");
                // Of the same names as what must stay.
                own(root, &restored, 5);
                lay(root, &format!("{restored}aws-backup-restore_2026-01-01T00-00-00Z/x"), "older");
                lay(root, &format!("{restored}lost+found/x"), "lost");
            }
            Self::BothAtTop => {
                home(root, "", "now");
                home(root, &restored, "then");
                lay(root, &format!("{restored}aws-backup-lost+found/x"), "lost");
            }
            Self::Destroyed => {
                home(root, &format!("{restored}home/"), "then");
                own(root, &restored, 9);
            }
            Self::Set => {
                home(root, "home/", "now");
                let set = ".hostkit/before/2.500-20261101T000000Z/";
                lay(root, &format!("{set}set.json"), "{}");
                lay(root, &format!("{set}release"), "then");
                lay(root, ".hostkit/release", "now");
                for file in ["config.xml", "jobs/job-0/config.xml", "jobs/gone/config.xml"] {
                    lay(root, &format!("{set}home/{file}"), &format!("then {file}"));
                }
                // The same file in both.
                lay(root, "home/same.xml", "same");
                fs::hard_link(root.join("home/same.xml"), root.join(format!("{set}home/same.xml")))
                    .unwrap();
            }
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        if matches!(self, Self::Set) { "2.500-20261101T000000Z" } else { RESTORE }
    }

    /// That the home of then is in its place, and nothing else has changed.
    pub(crate) fn is_back(self, root: &Path) {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        if self == Self::Set {
            assert_eq!(text("home/config.xml"), "then config.xml");
            assert_eq!(text("home/jobs/gone/config.xml"), "then jobs/gone/config.xml");
            assert_eq!(text(".hostkit/release"), "then");
            assert!(text("home/jobs/job-1/config.xml").contains("now"), "no part of the set");
            return;
        }
        assert!(text("home/config.xml").contains("then"));
        assert!(text("home/jobs/job-3/builds/1/build.xml").contains("then"));
        assert!(!root.join("home/.hostkit").exists() && !root.join("home/lost+found").exists());
        assert_eq!(text("aws-backup-lost+found/fragment"), "x");
        if self == Self::BothAtTop {
            assert!(!root.join("jobs").exists() && !root.join("config.xml").exists());
        } else {
            assert_eq!(text(".hostkit/lease/head"), "head 7", "a restored lease is never used");
        }
    }
}

/// What a file is: its inode and its content.
pub(crate) type Census = BTreeMap<String, (u64, String)>;

/// Everything on the file system that is not a folder, but the journal and its records.
pub(crate) fn census(root: &Path) -> Census {
    let mut all = Census::new();
    count(root, root, &mut all);
    all
}

fn count(root: &Path, folder: &Path, all: &mut Census) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if name.contains("recover.json") || name.starts_with(".hostkit/recoveries") {
            continue;
        }
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            count(root, &path, all);
        } else {
            all.insert(name, (meta.ino(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The same files, wherever they are.
pub(crate) fn things(census: &Census) -> Vec<(u64, String)> {
    let mut all: Vec<_> = census.values().cloned().collect();
    all.sort();
    // A second name is no second file.
    all.dedup();
    all
}
