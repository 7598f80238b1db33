//! `hostkit iam`: the policies against the calls that there are in this source, and against what whole
//! runs ask of AWS.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hostkit::iam::{self, Role, Scope};
use serde_json::Value;

use crate::support::{hostkit, repository};

/// What a policy of hostkit's is for, but what nobody needs a permission for.
const FREE: &str = "sts:GetCallerIdentity";

/// Calls that no verb makes yet: `Failure` names them, and no policy has to.
const UNUSED: [&str; 1] = ["ec2:DisableImageDeregistrationProtection"];

/// What AWS asks for by itself when hostkit calls something else.
const ASKED_BESIDE: [&str; 1] = ["iam:PassRole"];

fn allowed(roles: &[Role]) -> BTreeSet<String> {
    iam::actions(roles, &Scope::default()).into_iter().map(str::to_owned).collect()
}

/// Every request of hostkit's among these is allowed by the policies of these roles together.
pub(crate) fn covered(roles: &[Role], requests: &[Value]) {
    let allowed = allowed(roles);
    let text = |request: &Value, key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let ours = |request: &&Value| {
        let agent = request["headers"]["user-agent"].as_str().unwrap_or_default();
        agent.contains("aws-sdk-rust")
    };
    let asked: BTreeSet<_> = requests
        .iter()
        .filter(ours)
        .map(|request| format!("{}:{}", text(request, "service"), text(request, "action")))
        .collect();
    assert!(asked.len() > 3, "{asked:?}");
    let missing: Vec<_> = asked.iter().filter(|it| *it != FREE && !allowed.contains(*it)).collect();
    assert!(missing.is_empty(), "{roles:?} may not do {missing:?}");
}

/// `service:Operation` wherever the source names one.
fn calls(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            calls(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // Tests name calls that nobody makes.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_call = |word: &&str| {
            word.split_once(':').is_some_and(|(service, verb)| {
                service.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
                    && verb.bytes().next().is_some_and(|it| it.is_ascii_uppercase())
                    && verb.bytes().all(|it| it.is_ascii_alphanumeric())
            })
        };
        found.extend(text.split('"').filter(is_call).map(str::to_owned));
    }
}

#[test]
fn every_call_is_in_a_policy_and_every_action_is_called() {
    let mut called = BTreeSet::new();
    calls(&repository("src/aws"), &mut called);
    called.retain(|call| call != FREE && !UNUSED.contains(&call.as_str()));
    assert!(called.len() > 40, "{called:?}");
    let mut allowed = allowed(&Role::ALL);
    allowed.retain(|action| !ASKED_BESIDE.contains(&action.as_str()));
    assert_eq!(called.difference(&allowed).collect::<Vec<_>>(), [""; 0], "not in any policy");
    assert_eq!(allowed.difference(&called).collect::<Vec<_>>(), [""; 0], "nobody calls it");
}

#[test]
fn a_policy_is_printed_for_the_account_that_is_named() {
    let print = |line: &str| {
        let output = hostkit().args(line.split_whitespace()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = print("iam bake --account 123456789012 --region eu-west-1 --kms-key k-1");
    assert_eq!(code, Some(0));
    let policy: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    let statements = policy["Statement"].as_array().unwrap();
    let statement = |sid: &str| statements.iter().find(|it| it["Sid"] == sid).unwrap();
    let remove = statement("MarkAndRemove");
    assert_eq!(remove["Condition"]["Null"]["aws:ResourceTag/hostkit:build"], "false");
    assert_eq!(remove["Resource"][0], "arn:aws:ec2:eu-west-1::image/*");
    let key = statement("UseKey");
    assert_eq!(key["Resource"][0], "arn:aws:kms:eu-west-1:123456789012:key/k-1");

    let (_, line) = print("iam bake --format json");
    assert_eq!(line.lines().count(), 1);
    assert!(!line.contains("kms:"), "{line}");
    assert_eq!(print("iam bake --account 12345").0, Some(2));
    assert_eq!(print("iam nobody").0, Some(2));
    let (_, both) = print("iam bake prune");
    assert!(both.contains("RegisterImage") && both.contains("DescribeImageReferences"));
    let (_, why) = print("iam publish --explain");
    assert!(why.contains("what points to the newest image"), "{why}");
}
