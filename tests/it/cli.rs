//! The command line as people meet it: help that fits and says something, errors that exit right.

use predicates::str::contains;

use crate::support::hostkit;

/// What a terminal shows without wrapping.
const COLUMNS: usize = 80;

/// The help text of one command.
fn help(command: &[String]) -> String {
    let assert = hostkit().args(command).arg("--help").assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).expect("help is text")
}

/// Name and description of each sub-command that a help text lists.
fn listed(help: &str) -> Vec<(String, String)> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Deeper lines continue a long description.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| {
            let (name, about) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            (name.to_owned(), about.trim().to_owned())
        })
        .collect()
}

/// Calls `visit` with every command that people can see, and its help.
fn walk(command: &[String], visit: &mut impl FnMut(&[String], &str)) {
    let text = help(command);
    visit(command, &text);
    for (name, _) in listed(&text) {
        let deeper: Vec<_> = command.iter().cloned().chain([name]).collect();
        walk(&deeper, visit);
    }
}

#[test]
fn every_help_text_fits_into_eighty_columns() {
    walk(&[], &mut |command, text| {
        for line in text.lines() {
            let width = line.chars().count();
            assert!(width <= COLUMNS, "hostkit {} --help: {width}: {line}", command.join(" "));
        }
    });
}

#[test]
fn every_command_says_what_it_does() {
    walk(&[], &mut |command, text| {
        let name = command.join(" ");
        let first = text.lines().next().unwrap_or_default();
        assert!(
            !first.is_empty() && !first.starts_with("Usage:"),
            "hostkit {name} --help opens without a description: {first:?}"
        );
        for (child, about) in listed(text) {
            assert!(!about.is_empty(), "hostkit {name} --help lists {child} without a description");
        }
    });
}

#[test]
fn sub_commands_are_found_in_a_help_text() {
    let text =
        "Bakes.\n\nCommands:\n  bake  Makes an image\n        that boots\n  vm\n\nOptions:\n";
    let expected = [("bake", "Makes an image"), ("vm", "")];
    assert_eq!(listed(text), expected.map(|(name, about)| (name.to_owned(), about.to_owned())));
}

#[test]
fn an_unknown_command_is_an_error_of_usage() {
    hostkit().arg("bakee").assert().code(2).stderr(contains("bakee"));
}

/// What a shipped recipe comes to, and in which order.
#[test]
fn the_plan_of_the_shipped_controller_reads_like_this() {
    let plan = hostkit()
        .current_dir(crate::support::scratch().path())
        .args(["plan", "jenkins-controller", "--cache", "/nonexistent"])
        .assert()
        .code(10);
    let text = String::from_utf8(plan.get_output().stdout.clone()).expect("a plan is text");
    // The digest holds the binary's, which differs from build to build.
    insta::with_settings!({ filters => vec![(r"\([0-9a-f]{8}\)", "(DIGEST)")] }, {
        insta::assert_snapshot!(text);
    });
}

#[test]
fn the_help_of_every_command_reads_like_this() {
    let mut all = String::new();
    walk(&[], &mut |command, text| {
        let name = ["hostkit".to_owned()].iter().chain(command).cloned().collect::<Vec<_>>();
        all += &format!("$ {} --help\n{text}\n", name.join(" "));
    });
    insta::assert_snapshot!(all);
}
