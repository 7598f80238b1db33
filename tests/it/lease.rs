//! `hostkit lease` where there is no lease, and asked for what it must not do.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::support::{hostkit, is_root, repository};

const BREAK: [&str; 4] = ["lease", "break", "--generation", "7"];

#[test]
fn what_is_no_controller_is_told_so_and_nothing_is_asked() {
    if std::path::Path::new("/run/hostkit").exists() || !is_root() {
        return;
    }
    let with_reason = [&BREAK[..], &["--reason", "zone b is down"]].concat();
    for command in [&["lease", "status"][..], &with_reason] {
        let told = contains("has not booted this machine").and(contains("hint:"));
        hostkit().args(command).assert().code(4).stderr(told);
    }
    let json = hostkit().args(["lease", "status", "--format", "json"]).assert().code(4);
    let line = String::from_utf8(json.get_output().stdout.clone()).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["exit-code"], 4, "{line}");
}

#[test]
fn a_break_without_a_reason_or_with_a_bad_one_is_a_mistake_of_usage() {
    hostkit().args(BREAK).assert().code(2).stderr(contains("--reason"));
    let long = "x".repeat(501);
    for (reason, told) in [("", "empty"), ("two\nlines", "single line"), (&long, "501")] {
        for flag in ["--reason", "--i-have-proof"] {
            let other = if flag == "--reason" { "--i-have-proof" } else { "--reason" };
            let command = hostkit().args(BREAK).args([flag, reason, other, "fine"]).assert();
            command.code(2).stderr(contains(told));
        }
    }
}

#[test]
fn the_commands_of_the_page_are_commands() {
    let page = std::fs::read_to_string(repository("docs/lease.md")).unwrap();
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with("hostkit lease ")) {
        let line = line.split(" #").next().unwrap_or_default();
        // Words between single quotes are one.
        let words = line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        // Understood: it then fails because this is no controller, or not root.
        if !std::path::Path::new("/run/hostkit").exists() {
            hostkit().args(words.skip(1)).assert().code(4);
            count += 1;
        }
    }
    assert!(count >= 3 || std::path::Path::new("/run/hostkit").exists(), "{count} commands");
}
