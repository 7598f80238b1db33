//! Every kind of step on a Debian tree, with packages from a repository that the tree itself holds.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use hostkit::digest::sha256;

use super::{Bench, TOKEN};
use crate::engine::run;
use crate::support::is_root;

/// A kind each, and what a name or number of it is.
const EVERY_KIND: &str = r#"
[packages]
install = ["tiny=1.0", "bulky"]
remove = ["procps"]
hold = ["tiny"]
[[packages.group]]
when = { family = "redhat" }
install = ["nosuch"]
[[group]]
name = "docker"
gid = 950
[[user]]
name = "jenkins"
uid = 650
gid = 651
home = "/var/lib/jenkins"
shell = "/bin/bash"
groups = ["docker", "more"]
[sysctl]
"net.ipv4.ip_forward" = 1
"kernel.core_pattern" = "|/bin/false"
[kernel]
modules = ["nfs"]
blacklist = ["pcspkr"]
command_line = ["nosmt", "audit=0"]
[[directory]]
path = "/srv/dir"
owner = "jenkins"
group = "docker"
mode = 0o750
[[file]]
path = "/srv/a file"
content = "one\ntwo\n"
[[link]]
path = "/srv/link"
to = "../etc"
[[unit]]
name = "tiny.service"
state = "enabled"
drop_in = [{ name = "10-nice.conf", content = "[Service]\nNice=1\n" }]
[[unit]]
name = "tiny@one.service"
state = "enabled"
[[unit]]
name = "apt-daily.timer"
state = "masked"
[[unit]]
name = "systemd-pstore.service"
state = "disabled"
[[script]]
name = "first"
hook = "early"
run = "touch /srv/first"
creates = "/srv/first"
[[script]]
name = "then"
hook = "installed"
run = "cat > /srv/then; test -e /usr/share/tiny/version; test ! -e '/srv/a file'"
input = "list.txt"
unless = "test -e /srv/then"
[[script]]
name = "last"
hook = "late"
source = "last.sh"
creates = "/srv/last"
"#;

/// A package of version `version`, put into the tree's own repository.
fn package(bench: &Bench, name: &str, version: &str) {
    let folder = bench.folder.path().join("package");
    let _ = fs::remove_dir_all(&folder);
    let put = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(
        "DEBIAN/control",
        &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nProvides: {name}-api\n\
             Maintainer: A Test <t@example.com>\nDescription: a package of a test\n"
        ),
    );
    put(&format!("usr/share/{name}/version"), version);
    let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    put(&format!("usr/lib/systemd/system/{name}.service"), unit);
    put(&format!("usr/lib/systemd/system/{name}@.service"), unit);
    let repository = bench.root().join("srv/repository");
    fs::create_dir_all(&repository).unwrap();
    let deb = repository.join(format!("{name}_{version}_all.deb"));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&folder).arg(deb));
    index(&repository);
}

fn index(repository: &Path) {
    let mut packages = String::new();
    for entry in fs::read_dir(repository).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let control = run(Command::new("dpkg-deb").arg("--field").arg(&path));
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            packages += &String::from_utf8(control).unwrap();
            packages += &format!(
                "Filename: ./{name}\nSize: {}\nSHA256: {}\n\n",
                bytes.len(),
                sha256(&bytes)
            );
        }
    }
    fs::write(repository.join("Packages"), packages).unwrap();
}

/// A Debian tree with a repository of its own and no other.
fn bench() -> Bench {
    let bench = Bench::debian();
    for (name, version) in [("tiny", "1.0"), ("tiny", "1.2"), ("bulky", "3")] {
        package(&bench, name, version);
    }
    let _ = fs::remove_file(bench.root().join("etc/apt/sources.list"));
    let list = "deb [trusted=yes] file:/srv/repository ./\n";
    fs::write(bench.root().join("etc/apt/sources.list.d/mine.list"), list).unwrap();
    bench.write("list.txt", "given\n");
    bench.write("last.sh", "echo the last one\ntouch /srv/last\n");
    bench
}

fn in_tree(bench: &Bench, program: &[&str]) -> String {
    let output = Command::new("chroot").arg(bench.root()).args(program).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_second_apply_of_every_kind_changes_nothing() {
    if !is_root() {
        return;
    }
    let bench = bench();
    bench.plan(EVERY_KIND);
    let check = bench.apply(&["--check", "--diff"]);
    assert_eq!(check.code, 10, "{check:#?}");
    check.all("differs");
    assert!(!bench.root().join("srv/first").exists(), "a check changes nothing");
    assert!(check.text.contains("would be installing tiny=1.0 bulky"), "{}", check.text);
    assert!(check.text.contains("+two"), "{}", check.text);

    bench.apply(&[]).all("changed");
    made(&bench);
    let second = bench.apply(&[]);
    second.all("unchanged");
    let check = bench.apply(&["--check"]);
    assert_eq!(check.code, 0, "{check:#?}");
    check.all("unchanged");
    drift(&bench);
}

/// What the plan says is there.
fn made(bench: &Bench) {
    let root = bench.root();
    assert!(bench.read("etc/passwd").contains("jenkins:x:650:651::/var/lib/jenkins:/bin/bash"));
    assert!(bench.read("etc/group").contains("docker:x:950:jenkins"));
    assert!(bench.read("etc/shadow").contains("jenkins:!:"), "no password opens it");
    assert_eq!(bench.read("usr/share/tiny/version"), "1.0");
    assert_eq!(in_tree(bench, &["apt-mark", "showhold"]), "tiny");
    assert!(!root.join("usr/bin/pgrep").exists(), "procps is removed");
    assert_eq!(
        bench.read("etc/sysctl.d/60-hostkit.conf"),
        "kernel.core_pattern = |/bin/false\nnet.ipv4.ip_forward = 1\n"
    );
    assert_eq!(bench.read("usr/share/hostkit/kernel-command-line"), "nosmt audit=0\n");
    assert_eq!(bench.read("etc/modprobe.d/60-hostkit.conf"), "blacklist pcspkr\n");
    let meta = fs::metadata(root.join("srv/dir")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o750, 650, 950));
    assert_eq!(fs::read_link(root.join("srv/link")).unwrap(), Path::new("../etc"));
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    assert!(wants.join("tiny.service").is_symlink() && wants.join("tiny@one.service").is_symlink());
    assert_eq!(bench.read("etc/systemd/system/tiny.service.d/10-nice.conf"), "[Service]\nNice=1\n");
    let masked = fs::read_link(root.join("etc/systemd/system/apt-daily.timer")).unwrap();
    assert_eq!(masked, Path::new("/dev/null"));
    assert_eq!(bench.read("srv/then"), "given\n");
    assert!(
        !root.join("usr/sbin/policy-rc.d").exists()
            && !root.join("var/lib/hostkit-script").exists()
    );
}

/// What a person changes by hand is told step by step, and put right.
fn drift(bench: &Bench) {
    fs::write(bench.root().join("srv/a file"), "one\n2\n").unwrap();
    in_tree(bench, &["apt-mark", "unhold", "tiny"]);
    in_tree(bench, &["apt-get", "-qq", "install", "--yes", "tiny=1.2"]);
    in_tree(bench, &["usermod", "--shell", "/bin/sh", "jenkins"]);
    fs::remove_file(bench.root().join("etc/systemd/system/apt-daily.timer")).unwrap();
    let check = bench.apply(&["--check", "--diff"]);
    assert_eq!(check.code, 10);
    let differ: Vec<_> = check
        .steps
        .iter()
        .filter(|(_, word)| *word == "differs")
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(differ, ["file:/srv/a file", "packages", "unit:apt-daily.timer", "user:jenkins"]);
    assert!(check.text.contains("-2") && check.text.contains("+two"), "{}", check.text);
    assert_eq!(bench.read("srv/a file"), "one\n2\n", "a check changes nothing");
    let put_right = bench.apply(&[]);
    assert_eq!((put_right.code, put_right.count("changed")), (0, 4), "{put_right:#?}");
    made(bench);
    bench.apply(&["--check"]).all("unchanged");
}

#[test]
fn a_package_that_nobody_has_is_named_with_what_there_is() {
    if !is_root() {
        return;
    }
    let bench = bench();
    bench.plan("[packages]\ninstall = ['tiny=9.9', 'bulkie']\n");
    bench.apply(&[]).fails(
        3,
        &[
            "no version 9.9 of the package `tiny`",
            "of `tiny` there is 1.2, 1.0",
            "no package `bulkie`",
            "did you mean `bulky`?",
        ],
    );
    assert!(!bench.root().join("usr/sbin/policy-rc.d").exists());

    // What another package stands for, and a package file, are there as well.
    let deb = bench.root().join("srv/repository/tiny_1.2_all.deb");
    bench.plan(&format!("[packages]\ninstall = ['bulky-api', '{}']\n", deb.display()));
    bench.apply(&[]).all("changed");
    assert_eq!(bench.read("usr/share/tiny/version"), "1.2");
    bench.apply(&["--check"]).all("unchanged");
    bench.plan("[packages]\nremove = ['tiny', 'was-never-there']\n");
    bench.apply(&[]).all("changed");
    assert!(!bench.root().join("usr/share/tiny/version").exists());
    bench.apply(&[]).all("unchanged");
}

#[test]
fn units_that_cannot_be_as_wanted_are_named_and_the_others_are_done() {
    if !is_root() {
        return;
    }
    let bench = bench();
    bench.plan(
        "[[unit]]\nname = 'systemd-pstore.service'\nstate = 'disabled'\n\
         [[unit]]\nname = 'nosuch.service'\nstate = 'enabled'\n",
    );
    let end = bench.apply(&[]);
    end.fails(5, &["nosuch.service cannot be enabled", "there is no such unit"]);
    assert_eq!(end.steps["unit:systemd-pstore.service"], "changed");
    bench.plan("[[unit]]\nname = 'dbus.socket'\nstate = 'enabled'\n[[unit]]\nname = 'rescue.service'\nstate = 'enabled'\n");
    bench.apply(&[]).fails(5, &["cannot be enabled"]);
    // From one state to another, also out of a mask.
    for state in ["masked", "enabled", "disabled", "masked", "disabled"] {
        bench.plan(&format!("[[unit]]\nname = 'fstrim.timer'\nstate = '{state}'\n"));
        bench.apply(&[]);
        assert_eq!(in_tree(&bench, &["systemctl", "is-enabled", "fstrim.timer"]), state);
        bench.apply(&[]).all("unchanged");
    }
}

#[test]
fn a_script_shows_its_last_words_and_no_secret() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let secret = "[vars.token]\nsecret = true\n";
    let script = |run: &str, more: &str| {
        format!(
            "{secret}[[script]]\nname = 'mine'\nhook = 'late'\nrun = '''{run}'''\n\
             env = {{ TOKEN = '{{{{ token }}}}' }}\n{more}\n"
        )
    };
    bench.plan(&script("echo to the log: $TOKEN; echo and to the end: $TOKEN >&2; exit 7", ""));
    let plan = fs::read_to_string(bench.folder.path().join("plan.json")).unwrap();
    assert!(plan.contains("secret:token") && !plan.contains(TOKEN), "{plan}");
    let end = bench.apply(&[]);
    end.fails(5, &["the script `mine` ended with 7", "and to the end: [secret]"]);
    assert!(!end.text.contains(TOKEN), "{}", end.text);
    assert!(!bench.root().join("var/lib/hostkit-script").exists());

    bench.plan(&script("printf %s \"$TOKEN\" | sha256sum > /srv/digest", ""));
    bench.apply(&[]).all("changed");
    assert!(bench.read("srv/digest").starts_with(&sha256(TOKEN)), "the script has the value");
    let check = bench.apply(&["--check"]);
    assert_eq!(check.code, 0, "what is unknown is no difference");
    check.all("skipped");

    bench.plan(&script("unset nothing; echo \"$nothing\"; echo never", ""));
    bench.apply(&[]).fails(5, &["parameter not set"]);
    bench.plan(&script("echo begun; sleep 600 & sleep 600", "timeout = 1"));
    bench.apply(&[]).fails(5, &["did not end within 1 s and was killed", "begun"]);
    assert!(!lives(&bench), "what it started is gone too");
}

/// Whether any process lives in the tree.
fn lives(bench: &Bench) -> bool {
    let roots = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("root"));
    roots.filter_map(|root| fs::read_link(root).ok()).any(|root| root.starts_with(bench.root()))
}
