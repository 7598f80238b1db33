//! `hostkit check` on recipes that are wrong: each says what, where, and what to do, all at once.

use std::fs;

use predicates::str::contains;

use crate::support::{hostkit, repository};

/// What `hostkit check` says about a broken recipe.
fn check(name: &str) -> String {
    let output = hostkit()
        .current_dir(repository("tests/fixtures/broken"))
        .args(["check", &format!("{name}.toml")])
        .assert()
        .code(3);
    String::from_utf8(output.get_output().stdout.clone()).expect("problems are text")
}

#[test]
fn every_broken_recipe_says_all_that_is_wrong_with_it() {
    let folder = fs::read_dir(repository("tests/fixtures/broken")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let recipes = paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let mut names: Vec<_> =
        recipes.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    assert!(names.len() >= 30, "{names:?}");
    for name in names {
        insta::with_settings!({ snapshot_path => "snapshots/broken", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name.clone(), check(&name));
        });
    }
}

#[test]
fn programs_get_the_places_as_numbers() {
    let output = hostkit()
        .current_dir(repository("tests/fixtures/broken"))
        .args(["check", "misspelt-keys.toml", "--format", "json"])
        .assert()
        .code(3);
    let checked: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(checked["errors"], 3);
    let first = &checked["problems"][0];
    assert_eq!(first["severity"], "error");
    assert_eq!(first["file"], "misspelt-keys.toml");
    assert_eq!((&first["line"], &first["column"]), (&7.into(), &1.into()));
    assert_eq!(first["hint"], "did you mean `content`?");
}

#[test]
fn what_is_shipped_is_right() {
    let folder = crate::support::scratch();
    let output = hostkit().current_dir(folder.path()).arg("check").assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.contains("jenkins-controller: ok"), "{text}");
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn a_bake_and_a_plan_show_the_first_mistake_and_count_the_others() {
    for verb in ["plan", "bake"] {
        hostkit()
            .current_dir(repository("tests/fixtures/broken"))
            .args([verb, "misspelt-keys.toml"])
            .assert()
            .code(3)
            .stderr(contains("error: unknown key `contnet` in [[file]]"))
            .stderr(contains("misspelt-keys.toml, line 7, column 1"))
            .stderr(contains("did you mean `content`?"))
            .stderr(contains("there is more that is wrong (2): `hostkit check` shows all"));
    }
}
