//! The language from outside: variables and secrets, a new project, what is generated from types.

use std::fs;
use std::path::Path;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::support::{hostkit, repository, scratch};

const RECIPE: &str = r#"
[recipe]
name = "own"

[base]
os = "debian:trixie"

[vars.uid]
type = "integer"
default = 700

[vars.tools]
type = "list"
default = ["git"]

[vars.debug]
type = "boolean"
default = false

[packages]
install = ["curl", "{{ tools }}"]

[[user]]
name = "build"
uid = "{{ uid }}"

[[file]]
path = "/etc/own"
content = "{% if debug %}debug {% endif %}{{ uid + 1 }} of {{ tools | join(sep=' ') }}"
"#;

/// A project with one recipe, `own`.
fn project(recipe: &str) -> tempfile::TempDir {
    let folder = scratch();
    fs::create_dir(folder.path().join("image-recipes")).unwrap();
    fs::write(folder.path().join("image-recipes/own.toml"), recipe).unwrap();
    folder
}

/// The plan of `own`, as data.
fn plan(folder: &Path, more: &[&str], environment: &[(&str, &str)]) -> Value {
    let output = hostkit()
        .current_dir(folder)
        .args(["plan", "own", "--format", "json"])
        .args(more)
        .envs(environment.iter().copied())
        .assert()
        .code(10);
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

/// The step with this id.
fn step<'a>(plan: &'a Value, id: &str) -> &'a Value {
    let steps = plan["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("{plan:#}"));
    step["step"].as_object().unwrap().values().next().unwrap()
}

#[test]
fn variables_have_types_and_come_from_four_places() {
    let folder = project(RECIPE);
    fs::write(folder.path().join("ci.toml"), "tools = ['jq', 'make']\nuid = 701\n").unwrap();
    let of = |more: &[&str], environment: &[(&str, &str)]| {
        let plan = plan(folder.path(), more, environment);
        let content = step(&plan, "file:/etc/own")["content"].as_str().unwrap().to_owned();
        (step(&plan, "user:build")["uid"].as_u64().unwrap(), content)
    };
    assert_eq!(of(&[], &[]), (700, "701 of git".into()));
    let environment = [("HOSTKIT_VAR_uid", "702"), ("HOSTKIT_VAR_debug", "true")];
    assert_eq!(of(&[], &environment), (702, "debug 703 of git".into()));
    assert_eq!(of(&["--var-file", "ci.toml"], &environment), (701, "debug 702 of jq make".into()));
    let both = ["--var", "uid=703", "--var-file", "ci.toml"];
    assert_eq!(of(&both, &[]), (703, "704 of jq make".into()));
    let packages = plan(folder.path(), &["--var-file", "ci.toml"], &[]);
    let install = &step(&packages, "packages")["install"];
    assert_eq!(*install, serde_json::json!(["curl", "jq", "make"]));
}

#[test]
fn a_value_of_the_wrong_type_is_refused_where_it_was_set() {
    let folder = project(RECIPE);
    fs::write(folder.path().join("ci.toml"), "# ours\nuid = 'many'\n").unwrap();
    let refused = |more: &[&str], says: &str| {
        let command =
            hostkit().current_dir(folder.path()).args(["plan", "own"]).args(more).assert();
        command.code(3).stderr(contains(says));
    };
    refused(&["--var", "uid=many"], "`uid` must be an integer, got `many` from --var");
    refused(&["--var-file", "ci.toml"], "ci.toml, line 2, column 7");
    refused(&["--var", "tols=x"], "did you mean `tools`?");
}

#[test]
fn a_misspelt_variable_file_is_an_error_of_usage() {
    let folder = project(RECIPE);
    hostkit()
        .current_dir(folder.path())
        .args(["plan", "own", "--var-file", "nowhere.toml"])
        .assert()
        .code(2)
        .stderr(contains("nowhere.toml"));
}

#[test]
fn a_secret_is_given_in_a_file_or_the_environment_and_never_as_an_argument() {
    let secret = "\n[vars.token]\nsecret = true\n";
    let folder = project(&format!("{RECIPE}{secret}"));
    hostkit()
        .current_dir(folder.path())
        .args(["plan", "own", "--var", "token=hunter2-hunter2"])
        .assert()
        .code(3)
        .stderr(contains("cannot be given with --var").and(contains("hunter2").not()));
    // A plan holds no secret, so it needs none; a bake does.
    plan(folder.path(), &[], &[]);
    hostkit()
        .current_dir(folder.path())
        .args(["bake", "own"])
        .assert()
        .code(3)
        .stderr(contains("the secret variable `token` has no value"));
}

#[test]
fn a_plan_refers_to_a_secret_and_never_holds_it() {
    let script = "\n[vars.token]\nsecret = true\n\
        [[script]]\nname = 'login'\nhook = 'late'\nrun = 'true'\nenv = { TOKEN = '{{ token }}' }\n";
    let folder = project(&format!("{RECIPE}{script}"));
    let planned = plan(folder.path(), &[], &[("HOSTKIT_VAR_token", "hunter2-hunter2")]);
    assert_eq!(step(&planned, "script:login")["env"]["TOKEN"], "secret:token");
    assert!(!planned.to_string().contains("hunter2"));
    // What looks like such a reference is not taken for one.
    let literal = project(&format!("{RECIPE}{}", script.replace("{{ token }}", "secret:token")));
    hostkit()
        .current_dir(literal.path())
        .args(["plan", "own"])
        .assert()
        .code(3)
        .stderr(contains("cannot begin with `secret:`"));
}

#[test]
fn a_new_project_is_right_and_is_not_overwritten() {
    let folder = scratch();
    let init = |folder: &Path, more: &[&str]| {
        hostkit().current_dir(folder).arg("init").args(more).assert()
    };
    init(folder.path(), &["acme", "--name", "acme-ci"]).success();
    let acme = folder.path().join("acme");
    for file in ["image-recipes/acme-ci.toml", "README.md", ".gitignore", ".taplo.toml"] {
        assert!(acme.join(file).exists(), "{file}");
    }
    hostkit().current_dir(&acme).arg("check").assert().success().stdout(contains("acme-ci: ok"));
    hostkit()
        .current_dir(&acme)
        .arg("recipes")
        .assert()
        .success()
        .stdout(contains("acme-ci").and(contains("project")));
    init(&acme, &["--name", "acme-ci"]).code(2).stderr(contains("is there already"));
    init(&acme, &["--name", "other", "--extends", "bse"]).code(2).stderr(contains("`base`"));
    init(&acme, &["--name", "agent", "--extends", "base"]).success();
    hostkit().current_dir(&acme).arg("check").assert().success().stdout(contains("agent: ok"));
}

#[test]
fn a_plan_tells_what_changed_since_the_last_image() {
    let folder = project(RECIPE);
    let manifest = |steps: Value| {
        fs::create_dir_all(folder.path().join("out")).unwrap();
        let manifest = serde_json::json!({
            "version": 2, "recipe": "own", "image_version": "", "arch": "amd64",
            "target": "disk", "digest": "another", "base": "debian:trixie",
            "created": "2026-11-20T00:00:00Z", "hostkit": "0", "packages": {},
            "phases": [], "steps": steps, "agent": false,
        });
        fs::write(folder.path().join("out/own.json"), manifest.to_string()).unwrap();
    };
    let run = || {
        let output = hostkit().current_dir(folder.path()).args(["plan", "own"]).assert().code(10);
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    };
    assert!(run().contains("there is no image of it in out"));
    manifest(serde_json::json!({ "user:build": "old", "packages.install:vim": "" }));
    let text = run();
    for line in
        ["~ user:build", "- packages.install:vim", "+ packages.install:curl", "+ file:/etc/own"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn an_image_for_another_processor_needs_a_hostkit_for_it() {
    let folder = project(&RECIPE.replace("[vars.uid]", "[host]\nrole = 'controller'\n[vars.uid]"));
    let other = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    hostkit()
        .current_dir(folder.path())
        .args(["bake", "own", "--arch", other])
        .assert()
        .code(3)
        .stderr(contains("--agent-binary"));
    let planned = plan(folder.path(), &["--arch", other], &[]);
    assert_eq!(planned["base"]["arch"], other);
}

#[test]
fn the_reference_in_the_repository_is_the_generated_one() {
    let output = hostkit().args(["docs", "reference"]).assert().success();
    let generated = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let kept = fs::read_to_string(repository("docs/reference.md")).unwrap();
    assert!(
        generated == kept,
        "docs/reference.md is old: hostkit docs reference > docs/reference.md"
    );
}

#[test]
fn schemas_man_pages_and_completions_are_generated() {
    let schema = |of: &[&str]| -> Value {
        let output = hostkit().args(["docs", "schema"]).args(of).assert().success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    };
    let recipe = schema(&[]);
    assert_eq!(recipe["additionalProperties"], false);
    assert!(recipe["properties"]["file"].is_object(), "{recipe:#}");
    assert!(schema(&["host"])["properties"]["efs"].is_object());
    assert_eq!(schema(&["upgrade"])["anyOf"].as_array().map(Vec::len), Some(3));
    let folder = scratch();
    hostkit().args(["docs", "man"]).arg(folder.path()).assert().success();
    let page = fs::read_to_string(folder.path().join("hostkit-bake.1")).unwrap();
    assert!(page.contains("\\-\\-var"), "{page}");
    hostkit().args(["docs", "completions", "bash"]).assert().success().stdout(contains("hostkit"));
}
