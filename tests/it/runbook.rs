//! Whether what the runbook has a person type at night is there.

use std::fs;

use clap::Parser as _;

use crate::support::repository;

#[test]
fn every_command_of_the_runbook_is_a_command() {
    let page = fs::read_to_string(repository("docs/recovery.md")).unwrap();
    let mut count = 0;
    for line in page.lines().map(str::trim).filter(|line| line.starts_with("hostkit ")) {
        let line = line.split(" #").next().unwrap_or_default();
        // Words between single quotes are one.
        let words: Vec<String> = line
            .split('\'')
            .enumerate()
            .flat_map(|(at, part)| match at % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            })
            .collect();
        if let Err(error) = hostkit::cli::Cli::try_parse_from(&words) {
            panic!("{line}\n{error}");
        }
        let only = words.iter().position(|word| word == "--only").map(|at| &words[at + 1]);
        for id in only.into_iter().flat_map(|ids| ids.split(',')) {
            assert!(hostkit::doctor::efs::table::Id::find(id).is_some(), "{line}");
        }
        count += 1;
    }
    assert!(count > 30, "{count}");
}
