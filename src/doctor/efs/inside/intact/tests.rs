//! Homes that are whole, and homes that are damaged in each way that is known.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::doctor::efs::inside::sample::{Tree, home};

fn examined(tree: &Tree) -> Intact {
    examine(&tree.root(), "home".into())
}

#[test]
fn a_home_that_is_whole_has_no_damage() {
    let found = examined(&home());
    assert_eq!(found.damage, []);
    assert_eq!(found.last.as_deref(), Some("2.555.3"));
    assert_eq!(
        (found.jobs, found.builds, found.users, found.nodes, found.plugins),
        (4, 3, 1, 1, 2)
    );
    assert!(found.fatal().is_empty() && found.unreached.is_empty() && !found.fresh);
}

/// A way in which a home is damaged.
type Way = (&'static str, fn(&Path));

fn gone(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn cut(path: &Path) {
    let text = fs::read(path).unwrap();
    fs::write(path, &text[..text.len() / 2]).unwrap();
}

fn empty(path: &Path) {
    fs::write(path, "").unwrap();
}

const WAYS: &[Way] = &[
    ("config.xml is gone", |home| gone(&home.join("config.xml"))),
    ("config.xml is empty", |home| empty(&home.join("config.xml"))),
    ("config.xml is cut off", |home| cut(&home.join("config.xml"))),
    ("config.xml is zeros", |home| fs::write(home.join("config.xml"), [0; 4096]).unwrap()),
    ("config.xml is another's", |home| fs::write(home.join("config.xml"), "<project/>").unwrap()),
    ("config.xml is a folder", |home| {
        gone(&home.join("config.xml"));
        fs::create_dir(home.join("config.xml")).unwrap();
    }),
    ("config.xml leads out", |home| {
        gone(&home.join("config.xml"));
        symlink("/etc/hostname", home.join("config.xml")).unwrap();
    }),
    ("config.xml is a pipe", |home| {
        gone(&home.join("config.xml"));
        nix::unistd::mkfifo(&home.join("config.xml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }),
    ("secrets are gone", |home| gone(&home.join("secrets"))),
    ("master.key is gone", |home| gone(&home.join("secrets/master.key"))),
    ("master.key is empty", |home| empty(&home.join("secrets/master.key"))),
    ("master.key is garbled", |home| fs::write(home.join("secrets/master.key"), "x").unwrap()),
    ("the secret is gone", |home| gone(&home.join("secrets/hudson.util.Secret"))),
    ("the secret is zeros", |home| {
        fs::write(home.join("secrets/hudson.util.Secret"), [0; 272]).unwrap();
    }),
    ("credentials are empty", |home| empty(&home.join("credentials.xml"))),
    ("settings of a plugin are cut off", |home| cut(&home.join("hudson.tasks.Mailer.xml"))),
    ("a job is empty", |home| empty(&home.join("jobs/build/config.xml"))),
    ("a job in a folder is cut off", |home| cut(&home.join("jobs/team/jobs/deploy/config.xml"))),
    ("a branch has no configuration", |home| {
        gone(&home.join("jobs/team/jobs/deploy/branches/main/config.xml"));
    }),
    ("jobs are gone", |home| gone(&home.join("jobs"))),
    ("jobs lead out", |home| {
        gone(&home.join("jobs"));
        symlink("/etc", home.join("jobs")).unwrap();
    }),
    ("the newest build is empty", |home| empty(&home.join("jobs/build/builds/12/build.xml"))),
    ("users are empty", |home| empty(&home.join("users/users.xml"))),
    ("a user is empty", |home| empty(&home.join("users/admin_1/config.xml"))),
    ("an agent is gone", |home| gone(&home.join("nodes/linux-1/config.xml"))),
    ("plugins are gone", |home| gone(&home.join("plugins"))),
    ("a plugin is empty", |home| empty(&home.join("plugins/git.jpi"))),
    ("a plugin is a page of errors", |home| {
        fs::write(home.join("plugins/git.jpi"), "<html>503").unwrap();
    }),
    ("the identity is gone", |home| gone(&home.join("identity.key.enc"))),
    ("the version is empty", |home| {
        empty(&home.join("jenkins.install.InstallUtil.lastExecVersion"));
    }),
    ("starts have failed", |home| {
        fs::write(home.join("failed-boot-attempts.txt"), "Fri\nFri\nFri\n").unwrap();
    }),
    ("all is gone", |home| {
        for entry in fs::read_dir(home).unwrap() {
            gone(&entry.unwrap().path());
        }
    }),
    ("the home is gone", gone),
];

#[test]
fn each_damage_is_named() {
    let told = WAYS.iter().map(|(way, damage)| {
        let tree = home();
        damage(&tree.path("home"));
        let found = examined(&tree);
        let lines = found.damage.iter().map(|it| format!("  {:?}: {}\n", it.gravity, it.told()));
        let mut text = format!("{way}\n{}", lines.collect::<String>());
        if found.failed_boots > 0 {
            text += &format!("  {} starts have failed\n", found.failed_boots);
        }
        if found.fresh {
            text += "  it is empty\n";
        }
        assert_ne!(text.lines().count(), 1, "{way}");
        text
    });
    insta::assert_snapshot!(told.collect::<String>());
}

#[test]
fn what_cannot_be_reached_in_time_is_said() {
    let tree = home();
    let found = examine_within(&tree.root(), "home".into(), Duration::ZERO, &Notebook::default());
    assert_eq!(found.damage, []);
    assert_eq!(
        found.unreached,
        ["plugins: 2 of 2", "nodes: 1 of 1", "users: 1 of 1", "jobs: 2 of 2"]
    );
}

#[test]
fn a_home_may_lie_at_the_top_and_much_damage_is_counted() {
    let tree = home();
    for number in 0..50 {
        tree.put(&format!("home/jobs/j{number}/config.xml"), "");
    }
    let root = tree.root().below("home").unwrap();
    let found = examine(&root, "".into());
    assert_eq!((found.damage.len(), found.more, found.jobs), (20, 30, 54));
}
