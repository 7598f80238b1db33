//! A repository of RPM packages that are made and signed here, and a tree that dnf installs into.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Bench, make_key};
use crate::engine::run;
use crate::support::is_root;

/// With a root that says that it is Amazon Linux.
fn bench() -> Bench {
    let bench = Bench::new();
    let release = "ID=\"amzn\"\nVERSION_ID=\"2023\"\n";
    fs::write(bench.root().join("etc/os-release"), release).unwrap();
    bench
}

/// Builds a package into the folder `repository`.
fn package(folder: &Path, name: &str, version: &str) {
    let spec = folder.join(format!("{name}-{version}.spec"));
    let text = format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: a package of a test\nLicense: MIT\n\
         BuildArch: noarch\n%description\nA test.\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\n\
         echo {version} > %{{buildroot}}/usr/share/{name}/version\n%files\n/usr/share/{name}/version\n"
    );
    fs::write(&spec, text).unwrap();
    let define = |name: &str, to: &str| format!("{name} {}", folder.join(to).display());
    let mut command = Command::new("rpmbuild");
    command.args(["--quiet", "-bb", "--define", &define("_topdir", "build")]);
    run(command.args(["--define", &define("_rpmdir", "repository")]).arg(spec));
}

fn sign(folder: &Path, fingerprint: &str) {
    let home = format!("_gpg_path {}", folder.join("gnupg").display());
    let name = format!("_gpg_name {fingerprint}");
    let packages = fs::read_dir(folder.join("repository/noarch")).unwrap();
    let packages = packages.map(|entry| entry.unwrap().path());
    let mut command = Command::new("rpmsign");
    command.args(["--define", &name, "--define", &home, "--define", "__gpg /usr/bin/gpg"]);
    run(command.arg("--addsign").args(packages));
}

fn index(folder: &Path) {
    run(Command::new("createrepo_c").args(["--quiet", "repository"]).current_dir(folder));
}

fn recipe(folder: &Path, fingerprint: &str, packages: &str) -> String {
    let folder = folder.display();
    format!(
        "[recipe]\nname = 'mine'\n[base]\nos = 'amazon:2023'\n\
         [[repository]]\nname = 'mine'\nuri = 'file://{folder}/repository'\n\
         packages = ['tiny', 'other']\n\
         key = [{{ url = 'file://{folder}/key.asc', fingerprint = '{fingerprint}' }}]\n\
         [packages]\n{packages}\n"
    )
}

#[test]
fn packages_come_from_a_signed_repository_once_and_no_others() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let folder = bench.folder.path();
    let fingerprint = make_key(folder, &[]);
    for (name, version) in [("tiny", "1.0"), ("tiny", "1.2"), ("other", "1.0"), ("foreign", "1.0")]
    {
        package(folder, name, version);
    }
    index(folder);
    let plan = |packages: &str| bench.plan_whole(&recipe(folder, &fingerprint, packages));

    plan("install = ['tiny']");
    bench.apply(&[]).fails(5, &["not signed"]);
    assert!(!bench.root().join("usr/share/tiny").exists(), "an unsigned package does not get in");
    sign(folder, &fingerprint);
    index(folder);

    plan("install = ['tiny=1.0', 'other']\nhold = ['tiny']");
    assert_eq!(bench.apply(&["--check"]).code, 10);
    let first = bench.apply(&[]);
    assert_eq!(first.code, 0, "{first:#?}");
    assert_eq!(first.steps["packages"], "changed");
    assert_eq!(bench.read("usr/share/tiny/version"), "1.0\n");
    assert!(bench.read("etc/dnf/dnf.conf").contains("excludepkgs=tiny"));
    assert!(bench.read("etc/yum.repos.d/mine.repo").contains("gpgcheck=1"));
    assert!(bench.root().join("var/lib/rpm/rpmdb.sqlite").exists());
    bench.apply(&[]).all("unchanged");
    let check = bench.apply(&["--check", "--diff"]);
    assert_eq!(check.code, 0, "{check:#?}");

    plan("install = ['tiny=1.2-1']\nremove = ['other']");
    assert_eq!(bench.apply(&[]).steps["packages"], "changed");
    assert_eq!(bench.read("usr/share/tiny/version"), "1.2\n");
    assert!(!bench.root().join("usr/share/other/version").exists());
    bench.apply(&[]).all("unchanged");

    plan("install = ['tiny=9.9', 'nosuch']");
    bench.apply(&[]).fails(
        3,
        &[
            "no version 9.9 of the package `tiny`",
            "of `tiny` there is 1.2-1, 1.0-1",
            "no package `nosuch`",
        ],
    );
    plan("install = ['foreign']");
    bench.apply(&[]).fails(3, &["no package `foreign`"]);

    let file = folder.join("repository/noarch/foreign-1.0-1.noarch.rpm");
    plan(&format!("install = ['{}']", file.display()));
    assert_eq!(bench.apply(&[]).steps["packages"], "changed");
    assert_eq!(bench.read("usr/share/foreign/version"), "1.0\n");
    bench.apply(&[]).all("unchanged");
}
