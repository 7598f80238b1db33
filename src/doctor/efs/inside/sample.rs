//! File systems for tests, on a folder of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use camino::Utf8Path;

use crate::sys::Root;

/// A file system.
#[derive(Debug)]
pub(in crate::doctor::efs) struct Tree(tempfile::TempDir);

impl Tree {
    pub(in crate::doctor::efs) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(in crate::doctor::efs) fn top(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    pub(in crate::doctor::efs) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(in crate::doctor::efs) fn root(&self) -> Root {
        Root::strict(self.top()).unwrap()
    }

    pub(in crate::doctor::efs) fn put(&self, path: &str, text: &str) {
        put(&self.path(path), text.as_bytes());
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn xml(element: &str) -> String {
    format!(
        "<?xml version='1.1' encoding='UTF-8'?>\n<{element}>\n  <description>&#x1b;[0m</description>\n\
         </{element}>\n"
    )
}

/// A controller's file system, with a home that is whole.
pub(in crate::doctor::efs) fn home() -> Tree {
    let tree = Tree::empty();
    tree.put(".hostkit/fs-id", "fs-0123456789abcdef0\n");
    for (path, element) in [
        ("config.xml", "hudson"),
        ("credentials.xml", "com.cloudbees.plugins.credentials.SystemCredentialsProvider"),
        ("hudson.tasks.Mailer.xml", "hudson.tasks.Mailer_-DescriptorImpl"),
        ("jobs/build/config.xml", "project"),
        ("jobs/build/builds/9/build.xml", "build"),
        ("jobs/build/builds/10/build.xml", "build"),
        ("jobs/build/builds/12/build.xml", "build"),
        ("jobs/team/config.xml", "com.cloudbees.hudson.plugins.folder.Folder"),
        ("jobs/team/jobs/deploy/config.xml", "flow-definition"),
        ("jobs/team/jobs/deploy/branches/main/config.xml", "flow-definition"),
        ("jobs/team/jobs/deploy/branches/main/builds/1/build.xml", "flow-build"),
        ("users/users.xml", "hudson.model.UserIdMapper"),
        ("users/admin_1/config.xml", "user"),
        ("nodes/linux-1/config.xml", "slave"),
    ] {
        tree.put(&format!("home/{path}"), &xml(element));
    }
    for plugin in ["git", "instance-identity"] {
        tree.put(&format!("home/plugins/{plugin}.jpi"), "PK\u{3}\u{4}");
    }
    tree.put("home/secrets/master.key", &"0af9".repeat(64));
    put(&tree.path("home/secrets/hudson.util.Secret"), &[0xa5; 272]);
    tree.put("home/identity.key.enc", "encrypted");
    tree.put("home/jenkins.install.InstallUtil.lastExecVersion", "2.555.3");
    tree
}
