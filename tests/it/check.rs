//! `hostkit check` on recipes that are wrong: each says what, where, and what to do, all at once.

use std::fs;

use predicates::prelude::PredicateBooleanExt as _;
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
fn its_help_says_that_it_looks_at_every_processor() {
    let help = hostkit().args(["check", "--help"]).assert().success();
    help.stdout(contains("The processor that is looked at; all if not given"));
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

/// Makes a key that was made `made` (as gpg's own clock had it) and lives for `life`.
fn key(folder: &std::path::Path, made: &str, life: &str) -> String {
    let home = folder.join(format!("home-{life}"));
    fs::create_dir(&home).unwrap();
    let gpg = |args: &[&str]| {
        let home = home.to_str().unwrap();
        let output = assert_cmd::Command::new("gpg")
            .args(["--batch", "--quiet", "--no-options", "--homedir", home, "--passphrase", ""])
            .args(args)
            .assert()
            .success();
        String::from_utf8_lossy(&output.get_output().stdout).into_owned()
    };
    let clock = ["--faked-system-time", made];
    gpg(&[&clock[..], &["--quick-gen-key", "Acme", "ed25519", "sign", life]].concat());
    let file = folder.join(format!("{life}.asc"));
    gpg(&["--armor", "--output", file.to_str().unwrap(), "--export"]);
    let listing = gpg(&["--with-colons", "--list-keys"]);
    let print = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
    print.split(':').nth(9).unwrap().to_owned()
}

#[test]
fn a_key_in_a_file_that_expires_is_a_warning_and_one_that_has_expired_an_error() {
    let folder = crate::support::scratch();
    let year = jiff::Timestamp::now().to_string();
    let now: String = year.chars().filter(char::is_ascii_digit).take(14).collect();
    let now = format!("{}T{}", &now[..8], &now[8..]);
    let (old, soon) =
        (key(folder.path(), "20200101T000000", "30d"), key(folder.path(), &now, "20d"));
    let repository = |name: &str, key: &str, print: &str| {
        format!(
            "[[repository]]\nname = '{name}'\nuri = 'https://example.com'\nsuite = 'x/'\n\
             key = [{{ url = 'file:{key}', fingerprint = '{print}' }}]\n"
        )
    };
    let head = "[recipe]\nname = 'x'\n[base]\nos = 'debian:trixie'\n";
    let check = |text: &str| {
        fs::write(folder.path().join("x.toml"), format!("{head}{text}")).unwrap();
        hostkit().current_dir(folder.path()).args(["check", "x.toml"]).assert()
    };
    check(&repository("soon", "20d.asc", &soon))
        .success()
        .stdout(contains("warning: this key expires in").and(contains("x.toml:9:16")));
    check(&repository("old", "30d.asc", &old)).code(3).stdout(contains("it expired"));
    check(&repository("other", "20d.asc", &old)).code(3).stdout(contains("its fingerprint is"));
    check(&repository("none", "no.asc", &old)).code(3).stdout(contains("there is no file no.asc"));
}

#[test]
fn no_secret_is_shown_however_its_file_is_wrong() {
    let folder = crate::support::scratch();
    let recipe = "[recipe]\nname = 'x'\n[base]\nos = 'debian:trixie'\n[vars.tok]\nsecret = true\n\
        [vars.mode]\nsecret = true\nallowed = ['allowed-value']\n";
    fs::write(folder.path().join("x.toml"), recipe).unwrap();
    for line in [
        "tok = 31415926",
        "tok = 3.1415926",
        "tok = ['a', 31415926]",
        "tok = ['31415926']",
        "tok = [{ a = '31415926' }]",
        "tok = '314159'",
        "tok = x31415926",
        "tok = '31415926",
        "tok = '31415926' '31415926'",
        "tokk = '31415926'",
        "mode = '31415926'",
    ] {
        fs::write(folder.path().join("vars.toml"), line).unwrap();
        for verb in [&["check"][..], &["check", "--format", "json"], &["plan"]] {
            let output = hostkit()
                .current_dir(folder.path())
                .args(verb)
                .args(["x.toml", "--var-file", "vars.toml"])
                .assert()
                .code(3);
            let output = output.get_output();
            let said = [&output.stdout[..], &output.stderr[..]].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains("vars.toml") && !said.contains("14159"), "{line}: {said}");
        }
    }
    hostkit()
        .current_dir(folder.path())
        .args(["check", "x.toml"])
        .env("HOSTKIT_VAR_mode", "31415926")
        .assert()
        .code(3)
        .stdout(contains("`mode` has a value that is not allowed from the environment"))
        .stdout(contains("31415926").not());
}
