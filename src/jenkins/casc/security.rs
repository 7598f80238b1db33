//! Whether what is configured keeps strangers out: a Jenkins without a realm lets everybody run
//! programs.

use serde_json::Value;

use super::Problem;

/// Strategies with which everybody may do everything.
const OPEN_STRATEGIES: &[&str] = &["unsecured"];

/// Realms that know nobody.
const EMPTY_REALMS: &[&str] = &["none"];

pub(super) fn check(merged: &Value) -> Vec<Problem> {
    let jenkins = &merged["jenkins"];
    let mut problems = Vec::new();
    let mut require = |key: &str, what: &str, refused: &[&str]| {
        let at = format!("`jenkins.{key}`");
        match chosen(&jenkins[key]) {
            Chosen::Nothing => problems.push(Problem::new(format!("no file says {what}: {at}"))),
            Chosen::Several(names) => {
                problems.push(Problem::new(format!("{at} has several: {}", names.join(", "))));
            }
            Chosen::One(name) if refused.contains(&name) => problems
                .push(Problem::new(format!("{at} is `{name}`, which opens Jenkins to everybody"))),
            Chosen::One(_) => {}
        }
    };
    require("securityRealm", "who the users are", EMPTY_REALMS);
    require("authorizationStrategy", "who may do what", OPEN_STRATEGIES);
    if anonymous_administers(&jenkins["authorizationStrategy"]) {
        problems.push(Problem::new(
            "`jenkins.authorizationStrategy` lets `anonymous` administer Jenkins",
        ));
    }
    problems
}

enum Chosen<'a> {
    Nothing,
    One(&'a str),
    Several(Vec<&'a str>),
}

/// One of several kinds is written as its name, or as a mapping with its name as the only key.
fn chosen(value: &Value) -> Chosen<'_> {
    match value {
        Value::String(name) => Chosen::One(name),
        Value::Object(map) => {
            let names: Vec<_> = map.keys().map(String::as_str).collect();
            match names.as_slice() {
                [] => Chosen::Nothing,
                [name] => Chosen::One(name),
                _ => Chosen::Several(names),
            }
        }
        _ => Chosen::Nothing,
    }
}

/// By a matrix, in its present form and in its older ones.
fn anonymous_administers(strategy: &Value) -> bool {
    let Value::Object(strategies) = strategy else { return false };
    let lists = |key: &'static str| {
        let all = strategies.values().filter_map(move |it| it[key].as_array());
        all.flatten()
    };
    let entry = |entry: &Value| {
        let who = ["user", "group"].map(|kind| &entry[kind]);
        who.iter().any(|who| {
            who["name"] == "anonymous"
                && who["permissions"].as_array().is_some_and(|all| {
                    all.iter().any(|permission| permission == "Overall/Administer")
                })
        })
    };
    let legacy = |line: &Value| {
        line.as_str().is_some_and(|line| line.ends_with("Overall/Administer:anonymous"))
    };
    lists("entries").any(entry)
        || lists("permissions").any(legacy)
        || lists("grantedPermissions").any(legacy)
}
