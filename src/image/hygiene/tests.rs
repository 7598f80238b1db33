//! Trees that were used, and what becomes of what is in them.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A tree with these files. Its owner is whoever runs the test.
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("etc")).unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let root = Root::open(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
    (dir, root)
}

/// Files in an image are root's, and only root can make them so.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn error_of(root: &Root, terms: &Terms) -> String {
    format!("{:#}", clean(root, terms).unwrap_err())
}

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n";

#[test]
fn what_packages_and_programs_left_is_removed_and_the_rest_stays() {
    if !is_root() {
        return;
    }
    let (dir, root) = tree(&[
        ("etc/machine-id", "uninitialized\n"),
        ("etc/ssh/ssh_host_ed25519_key", KEY),
        ("etc/ssh/sshd_config", "Port 22"),
        ("etc/resolv.conf", "nameserver 192.0.2.1"),
        ("var/log/apt/history.log", "installed"),
        ("var/log/journal/0123/system.journal", "x"),
        ("var/lib/apt/lists/mirror_Packages", "x"),
        ("var/lib/cloud/instances/i-1/sem/x", "x"),
        ("var/lib/ecs/data/agent.db", "x"),
        ("var/lib/ecs/hostkit-instance", "i-0123456789abcdef0"),
        ("var/lib/docker/engine-id", "x"),
        ("var/cache/dnf/updates/repodata/repomd.xml", "x"),
        ("var/lib/systemd/credential.secret", "x"),
        ("root/.ssh/authorized_keys", "ssh-ed25519 A"),
        ("home/admin/.bash_history", "passwd"),
        ("srv/tool/.wget-hsts", "x"),
        ("swapfile", "x"),
        ("tmp/.hidden/x", "x"),
        ("usr/share/doc/keys.txt", "BEGIN RSA PRIVATE KEY"),
    ]);
    clean(&root, &Terms::default()).unwrap();
    let mut left: Vec<_> = walkdir::WalkDir::new(dir.path())
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(dir.path()).unwrap().display().to_string())
        .collect();
    left.sort();
    let kept = ["etc/machine-id", "etc/resolv.conf", "etc/ssh/sshd_config"];
    assert_eq!(left, [&kept[..], &["usr/share/doc/keys.txt"]].concat());
    assert_eq!(root.read("/etc/resolv.conf").unwrap().unwrap(), b"");
    assert_eq!(root.read("/etc/machine-id").unwrap().unwrap(), b"");
    assert_eq!(root.mode("/etc/machine-id").unwrap(), Some(0o444));
    assert!(root.exists("/var/log/apt").unwrap(), "services expect their folders");
    assert!(!root.exists("/var/log/journal/0123").unwrap(), "it names the build's machine id");
}

#[test]
fn cleaning_a_clean_tree_changes_nothing() {
    if !is_root() {
        return;
    }
    let (dir, root) = tree(&[("etc/machine-id", "x"), ("var/log/a/b", "x")]);
    clean(&root, &Terms::default()).unwrap();
    let times = || {
        let entries = walkdir::WalkDir::new(dir.path()).sort_by_file_name().into_iter().flatten();
        entries.map(|entry| entry.metadata().unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    let before = times();
    clean(&root, &Terms::default()).unwrap();
    assert_eq!(times(), before);
}

#[test]
fn what_the_recipe_planted_is_refused_by_name() {
    if !is_root() {
        return;
    }
    let planted = [
        ("etc/ssh/ssh_host_rsa_key", "secret", "a host key"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n", "an identity"),
        ("root/.ssh/authorized_keys", "ssh-ed25519 A", "log in"),
        ("srv/build/.netrc", "machine x", "a credential"),
        ("home/a/.aws/credentials", "[default]", "a credential"),
        ("root/.docker/config.json", "{}", "a credential"),
        ("etc/app/tls.pem", KEY, "a private key"),
        ("usr/local/etc/deploy", KEY, "a private key"),
        ("var/lib/x/secrets/master.key", "x", "a secret of a controller"),
        ("data/ci/.ssh/authorized_keys", "ssh-ed25519 A", "log in"),
        ("etc/ssl/certs/server.key", KEY, "a private key"),
        ("etc/shadow", "root:$y$j9T$x$y:20000:0:99999:7:::\n", "the same password"),
        ("etc/pip.conf", "[global]\nindex-url = https://ci:pw@x/simple\n", "with a password"),
        ("etc/apt/apt.conf.d/90proxy", "Acquire::http::Proxy \"http://u:p@x\";", "with a password"),
        ("etc/NetworkManager/system-connections/w", "[wifi]\npsk=pw\n", "of a network"),
        ("etc/profile.d/aws.sh", "export AWS_SECRET_ACCESS_KEY=wJalr\n", "in a variable"),
        ("var/spool/cron/crontabs/root", "@daily true\n", "a job"),
        ("srv/key.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\n", "a private key"),
    ];
    for (path, text, why) in planted {
        let (_dir, root) = tree(&[(path, text)]);
        let error = error_of(&root, &Terms::default().made(Identities::default()));
        assert!(error.contains(&format!("/{path}: ")) && error.contains(why), "{error}");
        assert_eq!(root.read(path).unwrap().unwrap(), text.as_bytes(), "it is still there to see");
    }
}

#[test]
fn a_key_below_usr_is_refused_where_the_recipe_put_it_and_not_where_a_package_did() {
    if !is_root() {
        return;
    }
    let files = [("usr/share/x/test.pem", KEY)];
    let (upper, _root) = tree(&files);
    let (_dir, root) = tree(&files);
    clean(&root, &Terms::default()).unwrap();
    let upper = Utf8Path::from_path(upper.path()).unwrap().to_owned();
    let error = error_of(&root, &Terms::default().ours([upper]));
    assert!(error.contains("/usr/share/x/test.pem: a private key"), "{error}");
}

#[test]
fn an_identity_that_a_package_made_is_removed_and_its_replacement_refused() {
    if !is_root() {
        return;
    }
    let files = [("etc/ssh/ssh_host_rsa_key", "made"), ("etc/machine-id", "made")];
    let (_dir, root) = tree(&files);
    let terms = Terms::default().made(identities(&root).unwrap());
    clean(&root, &terms).unwrap();

    let (dir, root) = tree(&files);
    for (path, _) in files {
        std::fs::write(dir.path().join(path), "replaced").unwrap();
    }
    let error = error_of(&root, &terms);
    assert!(error.contains("/etc/ssh/ssh_host_rsa_key: ") && error.contains("/etc/machine-id: "));
}

#[test]
fn a_crashed_programs_memory_is_refused_and_other_cores_are_not() {
    if !is_root() {
        return;
    }
    let (dir, root) = tree(&[("srv/core", "a file about cores"), ("etc/core", "")]);
    std::fs::create_dir_all(dir.path().join("usr/src/core")).unwrap();
    clean(&root, &Terms::default()).unwrap();
    let mut core = b"\x7fELF\x02\x01\x01".to_vec();
    core.resize(16, 0);
    core.extend([4, 0, 62, 0]);
    std::fs::write(dir.path().join("srv/core.4711"), core).unwrap();
    assert!(error_of(&root, &Terms::default()).contains("/srv/core.4711: the memory of a program"));
}

#[test]
fn a_mount_point_must_be_empty() {
    if !is_root() {
        return;
    }
    let terms = Terms::default().mount_points(["/var/lib/jenkins".to_owned()]);
    let (dir, root) = tree(&[]);
    std::fs::create_dir_all(dir.path().join("var/lib/jenkins")).unwrap();
    clean(&root, &terms).unwrap();
    let (_dir, root) = tree(&[("var/lib/jenkins/config.xml", "x")]);
    assert!(error_of(&root, &terms).contains("/var/lib/jenkins/config.xml: something is mounted"));
}

#[test]
fn links_do_not_lead_cleaning_out_of_the_tree() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("history.log"), "mine").unwrap();
    std::fs::set_permissions(outside.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let (dir, root) = tree(&[("var/x", "")]);
    for link in ["var/log", "run", "root", "var/lib"] {
        std::os::unix::fs::symlink(outside.path(), dir.path().join(link)).unwrap();
    }
    clean(&root, &Terms::default()).unwrap();
    assert!(outside.path().join("history.log").exists());
}

#[test]
fn a_recipe_cannot_ask_for_what_no_image_may_hold() {
    for path in [
        "/etc/machine-id",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root/.netrc",
        "/tmp/x",
        "/run/app",
        "/var/log/app/log",
        "/var/lib/cloud/data/instance-id",
        "/home/a/.ssh/authorized_keys",
    ] {
        assert!(forbids(path, false).is_some(), "{path}");
    }
    for path in ["/etc/hostname", "/etc/resolv.conf", "/etc/ssh/sshd_config.d/10.conf", "/var/tmp"]
    {
        assert!(forbids(path, false).is_none(), "{path}");
    }
    assert!(forbids("/var/log/app", true).is_none(), "a folder for logs is fine");
    assert!(forbids("/run/app", true).is_some(), "it would be gone at boot");
}
