//! What must not be in an image: identities, secrets, logs, leftovers.
//!
//! Done offline on the finished tree, where nothing runs that would write it again, and then
//! asserted: an image that still has one of these is not made.

use anyhow::Context as _;

use crate::error::Fault;
use crate::sys::{Owner, Root};

/// Directories that are emptied.
const EMPTIED: &[&str] =
    &["/var/lib/apt/lists", "/tmp", "/var/tmp", "/run", "/var/log/journal", "/root/.ssh"];

/// Files that are removed: each would be the same on every instance, or belongs to the build.
const REMOVED: &[&str] = &[
    "/etc/hostname",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/etc/machine-info",
    "/root/.bash_history",
    "/root/.wget-hsts",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_rsa_key.pub",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ecdsa_key.pub",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/.pwd.lock",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/subuid-",
    "/etc/subgid-",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/cache/ldconfig/aux-cache",
    "/usr/sbin/policy-rc.d",
];

/// Cleans the tree and then proves that it is clean.
pub(super) fn clean(root: &Root) -> anyhow::Result<()> {
    for path in EMPTIED {
        root.empty_dir(path).with_context(|| format!("emptying {path}"))?;
    }
    for path in REMOVED {
        root.remove(path).with_context(|| format!("removing {path}"))?;
    }
    remove_logs(root, "/var/log")?;
    // An empty file, never the word `uninitialized`: that makes systemd preset every unit at the
    // first boot, which would enable Jenkins. The file must be there for a read-only /etc.
    root.write("/etc/machine-id", b"", 0o444, Owner::ROOT).context("clearing the machine id")?;
    let left = left_behind(root)?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Fault::step(format!("the tree is not clean: {}", left.join(", "))).into())
}

/// Removes every log file and keeps the directories, which services expect.
fn remove_logs(root: &Root, folder: &str) -> anyhow::Result<()> {
    for name in root.list(folder)? {
        let path = format!("{folder}/{name}");
        match root.metadata(&path)? {
            Some(meta) if meta.is_dir() => remove_logs(root, &path)?,
            _ => drop(root.remove(&path).with_context(|| format!("removing {path}"))?),
        }
    }
    Ok(())
}

/// What is still there and must not be.
fn left_behind(root: &Root) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for path in REMOVED {
        if root.exists(path)? {
            left.push((*path).to_owned());
        }
    }
    for path in EMPTIED {
        left.extend(root.list(path)?.into_iter().map(|name| format!("{path}/{name}")));
    }
    for name in root.list("/etc/ssh")? {
        if name.starts_with("ssh_host_") {
            left.push(format!("/etc/ssh/{name}"));
        }
    }
    for home in root.list("/home")? {
        let keys = format!("/home/{home}/.ssh/authorized_keys");
        if root.exists(&keys)? {
            left.push(keys);
        }
    }
    // The home of the controller is on the shared file system; here it is an empty mount point.
    for name in root.list("/var/lib/jenkins")? {
        left.push(format!("/var/lib/jenkins/{name}"));
    }
    if root.read("/etc/machine-id")?.as_deref() != Some(b"") {
        left.push("/etc/machine-id".to_owned());
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        let root = Root::open(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        (dir, root)
    }

    #[test]
    fn a_used_tree_comes_out_clean() {
        let (_dir, root) = tree(&[
            ("etc/machine-id", "uninitialized\n"),
            ("etc/ssh/ssh_host_ed25519_key", "secret"),
            ("var/log/apt/history.log", "installed"),
            ("var/lib/apt/lists/mirror_Packages", "x"),
            ("root/.ssh/authorized_keys", "ssh-ed25519 A"),
        ]);
        if !nix::unistd::geteuid().is_root() {
            return; // Files in an image are root's.
        }
        clean(&root).unwrap();
        assert_eq!(root.read("/etc/machine-id").unwrap().unwrap(), b"");
        assert!(root.exists("/var/log/apt").unwrap());
        assert!(!root.exists("/var/log/apt/history.log").unwrap());
        assert_eq!(root.list("/var/lib/apt/lists").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_jenkins_home_in_the_image_is_refused() {
        let (_dir, root) = tree(&[("var/lib/jenkins/secrets/master.key", "x")]);
        let left = left_behind(&root).unwrap();
        assert!(left.contains(&"/var/lib/jenkins/secrets".to_owned()), "{left:?}");
    }
}
