//! What is fetched is verified, or it does not get in.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use hostkit::digest::sha256;

use super::{Bench, make_key};
use crate::engine::{gpg, run};
use crate::support::is_root;

#[test]
fn a_file_with_the_right_digest_gets_in_once() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let file = bench.write("served/tool", "#!/bin/sh\n");
    let recipe = format!(
        "[[fetch]]\nurl = 'file://{}'\nsha256 = '{}'\npath = '/opt/tool'\nmode = 0o755\n",
        file.display(),
        sha256("#!/bin/sh\n")
    );
    bench.plan(&recipe);
    bench.apply(&[]).all("changed");
    assert_eq!(bench.read("opt/tool"), "#!/bin/sh\n");
    fs::remove_file(&file).unwrap();
    bench.apply(&[]).all("unchanged");
    bench.apply(&["--check"]).all("unchanged");

    fs::write(bench.root().join("opt/tool"), "tampered\n").unwrap();
    let check = bench.apply(&["--check"]);
    assert_eq!((check.code, check.count("differs")), (10, 1));
    bench.apply(&[]).fails(5, &["could not be fetched"]);
    fs::write(&file, "#!/bin/evil\n").unwrap();
    bench.apply(&[]).fails(5, &["is not what is pinned", "wanted sha256"]);
    assert_eq!(bench.read("opt/tool"), "tampered\n", "what is wrong does not get in");
}

/// A file and what was signed, in a folder with a key.
fn signed(bench: &Bench, name: &str, more: &[&str]) -> (std::path::PathBuf, String) {
    let folder = bench.folder.path().join(name);
    let print = make_key(&folder, more);
    fs::write(folder.join("tool"), "signed\n").unwrap();
    run(gpg(&folder).args(more).args(["--detach-sign", "--output", "tool.sig", "tool"]));
    (folder, print)
}

fn recipe(folder: &Path, key: &Path, print: &str) -> String {
    let (folder, key) = (folder.display(), key.display());
    format!(
        "[[fetch]]\nurl = 'file://{folder}/tool'\nsignature = 'file://{folder}/tool.sig'\n\
         key = {{ url = 'file://{key}', fingerprint = '{print}' }}\npath = '/opt/tool'\n"
    )
}

#[test]
fn only_what_the_pinned_key_signed_gets_in() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let (folder, print) = signed(&bench, "good", &[]);
    let (other, other_print) = signed(&bench, "other", &[]);
    let key = folder.join("key.asc");
    let refused = |recipe: &str, says: &str| {
        bench.plan(recipe);
        bench.apply(&[]).fails(5, &[says]);
        assert!(!bench.root().join("opt/tool").exists(), "{says}");
    };

    refused(&recipe(&folder, &key, &other_print), "its fingerprint is");
    refused(&recipe(&folder, &other.join("key.asc"), &other_print), "is refused");
    refused(&recipe(&folder, &folder.join("tool"), &print), "is no key");
    let two = [fs::read(&key).unwrap(), fs::read(other.join("key.asc")).unwrap()].concat();
    fs::write(folder.join("two.asc"), two).unwrap();
    refused(&recipe(&folder, &folder.join("two.asc"), &print), "holds 2 keys");
    fs::write(folder.join("tool"), "tampered\n").unwrap();
    refused(&recipe(&folder, &key, &print), "does not verify");
    fs::write(folder.join("tool"), "signed\n").unwrap();
    fs::rename(folder.join("tool.sig"), folder.join("kept.sig")).unwrap();
    refused(&recipe(&folder, &key, &print), "could not be fetched");
    fs::write(folder.join("tool.sig"), "").unwrap();
    refused(&recipe(&folder, &key, &print), "does not verify");
    fs::rename(folder.join("kept.sig"), folder.join("tool.sig")).unwrap();

    bench.plan(&recipe(&folder, &key, &print));
    bench.apply(&[]).all("changed");
    assert_eq!(bench.read("opt/tool"), "signed\n");
    fs::remove_file(folder.join("tool")).unwrap();
    bench.apply(&[]).all("unchanged");
}

#[test]
fn a_key_that_has_expired_opens_nothing() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let (folder, print) = signed(&bench, "old", &["--faked-system-time", "20200101T000000"]);
    bench.plan(&recipe(&folder, &folder.join("key.asc"), &print));
    bench.apply(&[]).fails(5, &["it expired", "days ago"]);
    assert!(!bench.root().join("opt/tool").exists());
}

/// What every archive here holds: two files and a link below a folder, one of them set-user-id.
fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("tool-1.0/bin")).unwrap();
    fs::write(folder.join("tool-1.0/bin/tool"), "run\n").unwrap();
    fs::write(folder.join("tool-1.0/README"), "read\n").unwrap();
    std::os::unix::fs::symlink("bin/tool", folder.join("tool-1.0/link")).unwrap();
    let mode = fs::Permissions::from_mode(0o4755);
    fs::set_permissions(folder.join("tool-1.0/bin/tool"), mode).unwrap();
}

#[test]
fn every_form_of_archive_is_unpacked_the_same_way_and_once() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let folder = bench.folder.path().join("served");
    fill(&folder);
    let tar = |how: &[&str], name: &str| {
        run(Command::new("tar").args(how).args(["-cf", name, "tool-1.0"]).current_dir(&folder));
    };
    tar(&[], "a.tar");
    tar(&["--gzip"], "a.tgz");
    tar(&["--xz"], "a.txz");
    tar(&["--zstd"], "a.tzst");
    let zip = "import os, sys, zipfile\nwith zipfile.ZipFile('a.zip', 'w') as z:\n  \
               z.write('tool-1.0/bin/tool'); z.write('tool-1.0/README')\n";
    run(Command::new("python3").args(["-c", zip]).current_dir(&folder));

    for name in ["a.tar", "a.tgz", "a.txz", "a.tzst", "a.zip"] {
        let digest = sha256(fs::read(folder.join(name)).unwrap());
        bench.plan(&format!(
            "[[fetch]]\nurl = 'file://{}/{name}'\nsha256 = '{digest}'\npath = '/opt/{name}'\n\
             unpack = true\nstrip = 1\n",
            folder.display()
        ));
        bench.apply(&[]).all("changed");
        let made = |path: &str| bench.root().join("opt").join(name).join(path);
        assert_eq!(fs::read_to_string(made("bin/tool")).unwrap(), "run\n", "{name}");
        assert_eq!(fs::metadata(made("bin/tool")).unwrap().mode() & 0o7777, 0o755, "{name}");
        assert_eq!(fs::metadata(made("README")).unwrap().uid(), 0);
        assert_eq!(made("link").is_symlink(), name != "a.zip");
        bench.apply(&[]).all("unchanged");

        fs::write(made("README"), "other\n").unwrap();
        assert_eq!(bench.apply(&["--check"]).code, 10, "{name}");
        bench.apply(&[]).all("changed");
        assert_eq!(fs::read_to_string(made("README")).unwrap(), "read\n", "{name}");
    }
}

#[test]
fn what_is_unpacked_does_not_depend_on_who_calls() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let folder = bench.folder.path().join("served");
    fill(&folder);
    run(Command::new("tar").args(["-cf", "a.tar", "tool-1.0"]).current_dir(&folder));
    let digest = sha256(fs::read(folder.join("a.tar")).unwrap());
    let plan = bench.plan(&format!(
        "[[fetch]]\nurl = 'file://{}/a.tar'\nsha256 = '{digest}'\npath = '/opt/a'\n\
         unpack = true\nstrip = 1\n",
        folder.display()
    ));
    let mut command = assert_cmd::Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_hostkit"), "apply"]);
    super::end(command.arg(plan).arg("--root").arg(bench.root())).all("changed");
    let mode = |path: &str| fs::metadata(bench.root().join("opt/a").join(path)).unwrap().mode();
    assert_eq!((mode("README") & 0o7777, mode("bin") & 0o7777), (0o644, 0o755));
}

#[test]
fn what_is_in_an_archive_stays_in_its_folder() {
    if !is_root() {
        return;
    }
    // The paths and the links of an archive that means harm.
    let script = "import io, sys, tarfile\n\
        def add(t, name, link=None, kind=None):\n  \
          i = tarfile.TarInfo(name)\n  \
          i.type = kind or (tarfile.SYMTYPE if link else tarfile.REGTYPE)\n  \
          i.linkname = link or ''\n  \
          i.size = 0 if link or kind else 5\n  \
          t.addfile(i, io.BytesIO(b'evil\\n'))\n\
        for n, entries in enumerate([[('../../evil',)], [('/evil',)], [('out', '/'), ('out/evil',)],\n    \
            [('up', '../..'), ('up/evil',)], [('sub', '/'), ('ok',)], [('dev', None, tarfile.CHRTYPE)]]):\n  \
          with tarfile.open(f'{n}.tar', 'w') as t:\n    \
            [add(t, *e) for e in entries]\n";
    let bench = Bench::new();
    let folder = bench.folder.path().join("served");
    fs::create_dir_all(&folder).unwrap();
    run(Command::new("python3").args(["-c", script]).current_dir(&folder));
    for n in 0..6 {
        let digest = sha256(fs::read(folder.join(format!("{n}.tar"))).unwrap());
        bench.plan(&format!(
            "[[fetch]]\nurl = 'file://{}/{n}.tar'\nsha256 = '{digest}'\npath = '/opt/x/{n}'\n\
             unpack = true\n",
            folder.display()
        ));
        let end = bench.apply(&[]);
        let found = Command::new("find").arg(bench.folder.path()).args(["-name", "evil"]).output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        let inside = format!("{}/opt/x/", bench.root().display());
        assert!(found.lines().all(|path| path.starts_with(&inside)), "{n}: {found}{end:#?}");
        assert!(!Path::new("/evil").exists());
        let devices = bench.root().join(format!("opt/x/{n}/dev"));
        assert!(!devices.exists(), "{end:#?}");
        // The next archive goes where this one has planted a link.
        if n == 4 {
            assert_eq!(end.code, 0, "{end:#?}");
        }
    }
    // A link that lies in the folder already is not followed either.
    fs::create_dir_all(folder.join("in/sub")).unwrap();
    fs::write(folder.join("in/sub/file"), "x\n").unwrap();
    run(Command::new("tar").args(["-C", "in", "-cf", "in.tar", "sub"]).current_dir(&folder));
    let digest = sha256(fs::read(folder.join("in.tar")).unwrap());
    bench.plan(&format!(
        "[[fetch]]\nurl = 'file://{}/in.tar'\nsha256 = '{digest}'\npath = '/opt/x/4'\nunpack = true\n",
        folder.display()
    ));
    bench.apply(&[]).fails(5, &["cannot be unpacked"]);
    assert!(!bench.root().join("file").exists());
}
