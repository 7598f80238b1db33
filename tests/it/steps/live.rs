//! A plan on the machine itself: here a tree in which hostkit is told that it is the machine.

use std::fs;
use std::process::Command;

use super::{Bench, end};
use crate::support::is_root;

/// hostkit inside the tree, with `/proc` and nothing else of this machine.
fn inside(bench: &Bench, args: &[&str]) -> super::End {
    let root = bench.root();
    fs::copy(env!("CARGO_BIN_EXE_hostkit"), root.join("usr/local/bin/hostkit")).unwrap();
    fs::copy(bench.folder.path().join("plan.json"), root.join("plan.json")).unwrap();
    let script = "mount -t proc proc \"$1/proc\" && exec chroot \"$@\"";
    let mut command = assert_cmd::Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script, "sh"]);
    end(command.arg(root).args(["/usr/local/bin/hostkit", "apply", "/plan.json"]).args(args))
}

#[test]
fn a_live_host_takes_the_same_plan_and_a_second_time_nothing_changes() {
    if !is_root() {
        return;
    }
    let bench = Bench::debian();
    bench.plan(
        "[[group]]\nname = 'docker'\ngid = 950\n\
         [[user]]\nname = 'jenkins'\nuid = 650\ngroups = ['docker']\n\
         [[file]]\npath = '/srv/file'\nowner = 'jenkins'\ncontent = 'x'\n\
         [[unit]]\nname = 'fstrim.timer'\nstate = 'masked'\n\
         [[script]]\nname = 'once'\nhook = 'late'\nrun = 'touch /srv/once'\ncreates = '/srv/once'\n",
    );
    assert_eq!(inside(&bench, &["--check"]).code, 10);
    inside(&bench, &[]).all("changed");
    inside(&bench, &[]).all("unchanged");
    let check = inside(&bench, &["--check", "--diff"]);
    assert_eq!(check.code, 0, "{check:#?}");
    assert!(bench.root().join("srv/once").exists());
}

#[test]
fn a_script_that_is_given_up_goes_with_all_that_it_started() {
    if !is_root() {
        return;
    }
    let bench = Bench::debian();
    bench.plan(
        "[[script]]\nname = 'mine'\nhook = 'late'\ntimeout = 1\n\
         run = 'sleep 1234.5 & sleep 600'\n",
    );
    let root = bench.root();
    // Not in a pid namespace of its own: nothing but hostkit ends what the script has started.
    fs::copy(env!("CARGO_BIN_EXE_hostkit"), root.join("usr/local/bin/hostkit")).unwrap();
    fs::copy(bench.folder.path().join("plan.json"), root.join("plan.json")).unwrap();
    let script = "mount -t proc proc \"$1/proc\" && exec chroot \"$@\"";
    let mut command = assert_cmd::Command::new("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(&root);
    let end = end(command.args(["/usr/local/bin/hostkit", "apply", "/plan.json"]));
    end.fails(5, &["did not end within 1 s"]);
    let listing = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&listing.stdout).contains("sleep 1234.5"));
}

#[test]
fn a_plan_for_another_distribution_is_refused_and_so_is_what_is_no_plan() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    bench.plan("[[file]]\npath = '/srv/file'\ncontent = 'x'\n");
    fs::write(bench.root().join("etc/os-release"), "NAME=x\nID=\"amzn\"\n").unwrap();
    bench.apply(&[]).fails(3, &["the plan is for debian", "is amazon"]);
    let release = |text: &str| fs::write(bench.root().join("etc/os-release"), text).unwrap();
    release("ID=debian\nVERSION_CODENAME=bookworm\n");
    bench.apply(&[]).fails(3, &["the plan is for debian trixie", "is bookworm"]);
    release(super::TRIXIE);
    fs::create_dir(bench.root().join("bin")).unwrap();
    let header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0";
    fs::write(bench.root().join("bin/sh"), header).unwrap();
    bench.apply(&[]).fails(3, &["the plan is for amd64", "is arm64"]);
    fs::remove_file(bench.root().join("etc/os-release")).unwrap();
    bench.apply(&["--check"]).fails(2, &["no tree of a system"]);
    bench.write("plan.json", "{}");
    bench.apply(&[]).fails(3, &["is no plan", "hostkit plan RECIPE --format json"]);
    fs::remove_file(bench.folder.path().join("plan.json")).unwrap();
    bench.apply(&[]).fails(2, &["cannot be read"]);
}
