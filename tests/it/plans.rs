//! What every shipped recipe comes to, on every base and processor: its steps, its packages, its
//! tests. Nothing is fetched: planning is pure.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{hostkit, scratch};

const BASES: [&str; 3] = ["debian:trixie", "ubuntu:noble", "amazon:2023"];

const PROCESSORS: [&str; 2] = ["amd64", "arm64"];

/// The lines of a plan made in an empty folder, where nothing of a project wins by name.
fn lines(recipe: &str, arguments: &[&str]) -> Vec<String> {
    let folder = scratch();
    let mut command = hostkit();
    command.current_dir(folder.path()).args(["plan", recipe, "--format", "json"]).args(arguments);
    let output = command.assert().code(10).get_output().stdout.clone();
    let plan: Value = serde_json::from_slice(&output).unwrap();
    let steps = plan["steps"].as_array().unwrap().iter();
    let tests = plan["tests"].as_array().unwrap().iter();
    let test = |test: &Value| format!("test ({}): {}", text(&test["on"]), text(&test["name"]));
    steps.flat_map(lines_of).chain(tests.map(test)).collect()
}

/// A step in one line; of packages and of what is done with a unit, a line for each.
fn lines_of(planned: &Value) -> Vec<String> {
    let (id, step) = (text(&planned["id"]), &planned["step"]);
    let list = |what: &str, of: &Value| -> Vec<String> {
        let all = of.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().map(|name| format!("{what} {}", text(name))).collect()
    };
    if let packages @ Value::Object(_) = &step["packages"] {
        return list("package:", &packages["install"]);
    }
    if let unit @ Value::Object(_) = &step["unit"] {
        let drop_ins = unit["drop_ins"].as_array().unwrap().iter();
        let drop_ins = drop_ins.map(|drop_in| format!("{id} has {}", text(&drop_in["name"])));
        let state = unit["state"].as_str().map(|state| format!("{id} {state}"));
        return state.into_iter().chain(drop_ins).collect();
    }
    if let Some(url) = step["fetch"]["url"].as_str() {
        return vec![format!("{id} from {url}")];
    }
    if let Some(uri) = step["repository"]["uri"].as_str() {
        return vec![format!("{id} at {uri}")];
    }
    vec![id.to_owned()]
}

fn text(value: &Value) -> &str {
    value.as_str().expect("the form of a plan")
}

/// What all plans of a recipe have, and then what only some have, with those that have it.
fn told(recipe: &str, arguments: &[&str]) -> String {
    let mut plans = Vec::new();
    for base in BASES {
        for processor in PROCESSORS {
            let os = format!("os={base}");
            let which = ["--var", &os, "--arch", processor];
            plans.push((
                format!("{base} {processor}"),
                lines(recipe, &[&which, arguments].concat()),
            ));
        }
    }
    let mut order: Vec<&String> = Vec::new();
    for line in plans.iter().flat_map(|(_, lines)| lines) {
        if !order.contains(&line) {
            order.push(line);
        }
    }
    let mut groups: Vec<(Vec<&str>, Vec<&String>)> = Vec::new();
    for line in order {
        let have = plans.iter().filter(|(_, lines)| lines.contains(line));
        let have: Vec<_> = have.map(|(name, _)| name.as_str()).collect();
        match groups.iter_mut().find(|(names, _)| *names == have) {
            Some((_, lines)) => lines.push(line),
            None => groups.push((have, vec![line])),
        }
    }
    groups.sort_by_key(|(names, _)| std::cmp::Reverse(names.len()));
    let mut out = String::new();
    for (names, lines) in groups {
        let all = names.len() == plans.len();
        let names = if all { "everywhere".to_owned() } else { names.join(", ") };
        writeln!(out, "{names}:").unwrap();
        for line in lines {
            writeln!(out, "  {line}").unwrap();
        }
    }
    out
}

#[test]
fn every_shipped_recipe_is_planned_for_every_base_and_processor() {
    for recipe in ["base", "jenkins-controller", "jenkins-agent", "ecs-node"] {
        insta::assert_snapshot!(recipe, told(recipe, &[]));
    }
}

#[test]
fn a_container_image_has_no_kernel_and_nothing_that_boots_it() {
    for base in BASES {
        let os = format!("os={base}");
        let lines = lines("jenkins-agent", &["--target", "oci", "--var", &os]);
        let boots = |line: &&String| {
            ["linux-image", "grub", "initramfs", "repart"].iter().any(|word| line.contains(word))
        };
        let found: Vec<_> = lines.iter().filter(boots).collect();
        assert!(found.is_empty(), "{base}: {found:?}");
    }
}

#[test]
fn the_tools_of_a_vendor_come_from_its_own_repository() {
    let is_there =
        |lines: &[String]| lines.iter().any(|line| line.starts_with("repository:hashicorp"));
    for base in BASES {
        let os = format!("os={base}");
        let with = ["--var", &os, "--var", "hashicorp=terraform,packer"];
        let with = lines("jenkins-agent", &with);
        assert!(is_there(&with) && with.contains(&"package: packer".to_owned()), "{with:?}");
        assert!(!is_there(&lines("jenkins-agent", &["--var", &os])));
    }
}

#[test]
fn a_container_host_without_the_agent_of_ecs_fetches_nothing() {
    for base in BASES {
        let os = format!("os={base}");
        let lines = lines("ecs-node", &["--var", "ecs_init=", "--var", &os]);
        let agent = |line: &&String| line.contains("ecs-init") || line.starts_with("fetch:");
        let found: Vec<_> = lines.iter().filter(agent).collect();
        assert!(found.is_empty(), "{base}: {found:?}");
    }
}
