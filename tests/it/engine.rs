//! The bake engine on a small recipe: every kind of step, a signed repository of the test's own,
//! and what is in the finished disk.
//!
//! Debian's packages come from its mirror. The signed repository and its package are made here,
//! with a key of their own, and served on loopback: what the recipe does with the real host of
//! Jenkins, it does here with this one. The disk is read with `debugfs`: nothing is mounted.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use camino::Utf8Path;
use hostkit::digest::sha256;
use hostkit::image::blocks::Table;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{hostkit, is_root, scratch};

/// Where the root file system begins on a disk.
const ROOT_OFFSET: u64 = 64 << 20;

/// A signed package repository on loopback, with one package.
struct Repository {
    folder: TempDir,
    port: u16,
    fingerprint: String,
}

impl Repository {
    fn new() -> Self {
        let folder = scratch();
        let fingerprint = make_key(folder.path());
        make_package(folder.path(), &fingerprint);
        sign(folder.path());
        let port = serve(folder.path().to_owned());
        Self { folder, port, fingerprint }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A recipe's section for it, with this fingerprint pinned.
    fn section(&self, fingerprint: &str) -> String {
        let key = self.folder.path().join("key.asc");
        format!(
            "[[repository]]\nname = 'mine'\nuri = '{}'\nsuite = './'\npackages = ['tiny']\n\
             key = [{{ url = 'file://{}', fingerprint = '{fingerprint}' }}]\n",
            self.url(),
            key.display()
        )
    }
}

pub(crate) fn gpg(folder: &Path) -> Command {
    let home = folder.join("gnupg");
    fs::create_dir_all(&home).unwrap();
    let mut command = Command::new("gpg");
    command.args(["--batch", "--quiet", "--homedir"]).arg(home).current_dir(folder);
    command
}

pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn make_key(folder: &Path) -> String {
    let who = "A Test <test@example.com>";
    run(gpg(folder).args(["--passphrase", "", "--quick-gen-key", who, "ed25519", "sign", "never"]));
    run(gpg(folder).args(["--armor", "--output", "key.asc", "--export"]));
    let listing = String::from_utf8(run(gpg(folder).args(["--with-colons", "-k"]))).unwrap();
    let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
    line.split(':').nth(9).unwrap().to_owned()
}

/// The package of every repository has the same name, version and size, and another content.
fn make_package(folder: &Path, mark: &str) {
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/share/tiny")).unwrap();
    fs::write(tree.join("usr/share/tiny/hello"), "from the repository\n").unwrap();
    let control = "Package: tiny\nVersion: 1.2\nArchitecture: all\nMaintainer: A Test <t@example.com>\n\
                   Description: a package of a test\n";
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    fs::write(tree.join("usr/share/tiny/mark"), mark).unwrap();
    // It would start a service: policy must keep it from doing so.
    let postinst = "#!/bin/sh\nset -e\n\
        if [ -x /usr/sbin/policy-rc.d ]; then /usr/sbin/policy-rc.d tiny start && touch /started || true; \
        else touch /started; fi\n";
    fs::write(tree.join("DEBIAN/postinst"), postinst).unwrap();
    run(Command::new("chmod").arg("0755").arg(tree.join("DEBIAN/postinst")));
    let build = ["--root-owner-group", "--build", "tree", "tiny_1.2_all.deb"];
    run(Command::new("dpkg-deb").args(build).current_dir(folder));
    let deb = fs::read(folder.join("tiny_1.2_all.deb")).unwrap();
    let entry = format!(
        "{control}Filename: ./tiny_1.2_all.deb\nSize: {}\nSHA256: {}\n",
        deb.len(),
        sha256(&deb)
    );
    fs::write(folder.join("Packages"), entry).unwrap();
}

fn sign(folder: &Path) {
    let packages = fs::read(folder.join("Packages")).unwrap();
    let release = format!(
        "Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {} {} Packages\n",
        sha256(&packages),
        packages.len()
    );
    fs::write(folder.join("Release"), release).unwrap();
    run(gpg(folder).args(["--output", "InRelease", "--clearsign", "Release"]));
}

/// Serves a folder on loopback until the test process ends.
fn serve(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &folder);
        }
    });
    port
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or("/");
    let name = path.rsplit('/').next().unwrap_or_default();
    let (status, body) = match fs::read(folder.join(name)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

/// A project whose recipe has one of each kind. What it builds boots nothing: it has no kernel.
fn project(sections: &str) -> TempDir {
    let dir = scratch();
    fs::create_dir_all(dir.path().join("image-recipes")).unwrap();
    fs::create_dir_all(dir.path().join("templates")).unwrap();
    fs::write(dir.path().join("templates/motd.tera"), "welcome to {{ place }}\n").unwrap();
    fs::write(dir.path().join("fetched"), "fetched\n").unwrap();
    let recipe = "[recipe]\nname = 'small'\nversion = '1.0'\n[base]\nos = 'debian:trixie'\n\
        [vars.place]\ndefault = 'nowhere'\n\
        [packages]\ninstall = ['grub-common', 'grub-pc-bin', 'grub-efi-amd64-bin', 'tiny=1.2']\n\
        [[link]]\npath = '/vmlinuz'\nto = 'boot/none'\n\
        [[link]]\npath = '/initrd.img'\nto = 'boot/none'\n\
        [[user]]\nname = 'worker'\nuid = 777\nhome = '/home/worker'\ngroups = ['makers']\n\
        [[directory]]\npath = '/srv/deep/er'\nowner = 'worker'\ngroup = 'worker'\nmode = 0o750\n\
        [[file]]\npath = '/etc/motd'\ntemplate = 'templates/motd.tera'\n\
        [[file]]\npath = '/etc/secret'\ncontent = 'x'\nmode = 0o600\nowner = 'worker'\n\
        [[link]]\npath = '/etc/work'\nto = '/srv/deep'\n\
        [[script]]\nname = 'late'\nhook = 'late'\nrun = 'cat /etc/motd > /srv/motd; hostname > /srv/name'\n";
    fs::write(dir.path().join("image-recipes/small.toml"), format!("{recipe}{sections}")).unwrap();
    dir
}

fn bake(project: &Path) -> assert_cmd::Command {
    let mut command = hostkit();
    command.current_dir(project).args(["bake", "small"]).timeout(Duration::from_mins(10));
    command
}

/// Runs one `debugfs` request on a disk's root.
fn look(disk: &Path, request: &str) -> String {
    let at = format!("{}?offset={ROOT_OFFSET}", disk.display());
    let mut command = Command::new("debugfs");
    let output = command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").args(["-R", request, &at]);
    String::from_utf8(run(output)).unwrap()
}

#[test]
fn a_recipe_with_one_of_each_kind_becomes_the_disk_that_it_describes() {
    if !is_root() {
        return;
    }
    let repository = Repository::new();
    let fetch = |project: &Path, digest: &str| {
        format!(
            "{}[[fetch]]\nurl = 'file://{}/fetched'\nsha256 = '{digest}'\npath = '/opt/new/fetched'\n",
            repository.section(&repository.fingerprint),
            project.display()
        )
    };
    let project = project("");
    let recipe = project.path().join("image-recipes/small.toml");
    let sections = fetch(project.path(), &sha256("fetched\n"));
    fs::write(&recipe, fs::read_to_string(&recipe).unwrap() + &sections).unwrap();

    let first = bake(project.path()).args(["--var", "place=here", "--format", "json"]).output();
    let first = first.unwrap();
    let said = String::from_utf8(first.stdout).unwrap();
    assert!(first.status.success(), "{said}");
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["outcome"], "changed");
    let manifest = last["manifest"].clone();
    let disk = project.path().join("out/small.raw");

    assert_eq!(manifest["recipe"], "small");
    assert_eq!(manifest["packages"]["tiny"], "1.2");
    let table = Table::of(Utf8Path::from_path(&disk).unwrap()).unwrap();
    assert_eq!(manifest["disk"]["digest"], table.digest());
    let on_disk = fs::read(project.path().join("out/small.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&on_disk).unwrap(), manifest);

    assert_eq!(look(&disk, "cat /usr/share/tiny/hello"), "from the repository\n");
    // And not the namesake that another test has left in the package cache.
    assert_eq!(look(&disk, "cat /usr/share/tiny/mark"), repository.fingerprint);
    assert_eq!(look(&disk, "cat /srv/motd"), "welcome to here\n");
    assert_eq!(look(&disk, "cat /srv/name"), "hostkit-bake\n", "a name space of its own");
    assert_eq!(look(&disk, "cat /opt/new/fetched"), "fetched\n");
    assert!(look(&disk, "stat /etc/work").contains("/srv/deep"));
    let directory = look(&disk, "stat /srv/deep/er");
    assert!(directory.contains("Mode:  0750") && directory.contains("User:   777"), "{directory}");
    let secret = look(&disk, "stat /etc/secret");
    assert!(secret.contains("Mode:  0600") && secret.contains("User:   777"), "{secret}");
    assert!(look(&disk, "cat /etc/group").contains("makers:"));
    // No service was started, and nothing of the build is left.
    let top = look(&disk, "ls -p /");
    assert!(!top.contains("started") && top.contains("/etc/"), "{top}");
    assert_eq!(look(&disk, "cat /etc/machine-id"), "");
    assert!(!look(&disk, "ls -p /usr/sbin").contains("policy-rc.d"));
    assert!(!look(&disk, "ls -p /var/cache/apt/archives").contains(".deb"));

    // The same inputs again: there is nothing to do, and nothing is touched.
    let before = fs::metadata(&disk).unwrap().modified().unwrap();
    bake(project.path())
        .args(["--var", "place=here"])
        .assert()
        .success()
        .stdout(contains("unchanged"));
    assert_eq!(fs::metadata(&disk).unwrap().modified().unwrap(), before);
}

#[test]
fn what_is_not_as_pinned_never_gets_in() {
    if !is_root() {
        return;
    }
    let repository = Repository::new();
    let other = "0000 1111 2222 3333 4444 5555 6666 7777 8888 9999";
    let project_of_another = project(&repository.section(other));
    bake(project_of_another.path()).assert().code(5).stderr(
        contains("the key of the repository mine is refused")
            .and(contains(&repository.fingerprint))
            .and(contains("hint: pinned is 0000111122223333")),
    );

    let tampered = project(&repository.section(&repository.fingerprint));
    // A package that is not the one whose digest was signed.
    fs::write(repository.folder.path().join("tiny_1.2_all.deb"), "something else").unwrap();
    bake(tampered.path()).assert().code(5).stderr(contains("installing packages failed"));

    let wrong = format!(
        "[[fetch]]\nurl = 'file:///etc/hostname'\nsha256 = '{}'\npath = '/opt/x'\n",
        "0".repeat(64)
    );
    let recipe = format!("[recipe]\nname = 'small'\n[base]\nos = 'debian:trixie'\n{wrong}");
    let project = scratch();
    fs::create_dir_all(project.path().join("image-recipes")).unwrap();
    fs::write(project.path().join("image-recipes/small.toml"), recipe).unwrap();
    bake(project.path()).assert().code(5).stderr(
        contains("what came from file:///etc/hostname is not what is pinned")
            .and(contains("wanted sha256 0000000")),
    );
    assert!(!project.path().join("out/small.raw").exists());
}
