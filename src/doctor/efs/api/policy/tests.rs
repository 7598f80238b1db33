use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::request::Fact;
use super::*;
use crate::doctor::efs::api::sample::{asked, case, host, observed};
use crate::doctor::efs::observed::Cell;
use crate::doctor::efs::scene::Asked;
use crate::doctor::efs::table::Observed;
use crate::doctor::render;
use crate::host::Efs;

const POINT: &str = "fsap-0123456789abcdef0";

fn fixtures(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    let name = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|file| (name(file), fs::read_to_string(file).unwrap())).collect()
}

fn policy(name: &str) -> String {
    fixtures("policies").into_iter().find(|it| it.0 == name).unwrap().1
}

/// A controller that mounts like this.
fn mounting(tls: bool, iam: bool, point: bool) -> Asked {
    let efs = Efs { tls, iam, access_point: point.then(|| POINT.to_owned()), ..host().efs };
    asked(Some(Here { efs, ..host() }))
}

fn judged(name: &str, asked: &Asked) -> Finding {
    judge(&Seen { policy: Some(policy(name)) }, &case(asked, &observed()))
}

/// Every kind of client that there is, by its name.
fn clients() -> Vec<(&'static str, Client)> {
    let observed = observed();
    let made = |tls, iam, point| {
        let asked = mounting(tls, iam, point);
        client(asked.host.as_ref().unwrap(), &case(&asked, &observed)).unwrap()
    };
    let mut foreign = made(true, true, false);
    foreign.principal.as_mut().unwrap().account = "210987654321".into();
    vec![
        ("plain", made(false, false, false)),
        ("tls", made(true, false, false)),
        ("point", made(true, false, true)),
        ("role", made(true, true, false)),
        ("role by point", made(true, true, true)),
        ("foreign", foreign),
    ]
}

#[test]
fn every_policy_answers_every_kind_of_client() {
    let all = fixtures("policies");
    assert!(all.len() > 30, "{}", all.len());
    let mut text = String::new();
    for (name, policy) in all {
        let policy = document::read(&policy).unwrap();
        text += &format!("{name}\n");
        for (kind, client) in clients() {
            text += &format!("    {kind:<14}{}\n", words::may(&Access::of(&policy, &client)));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_no_policy_is_told_by_what_is_wrong_with_it() {
    let all = fixtures("policies/broken");
    let whys: Vec<_> = all
        .iter()
        .map(|(name, text)| format!("{name}: {}", document::read(text).unwrap_err()))
        .collect();
    insta::assert_snapshot!(whys.join("\n"));
    let asked = asked(None);
    let finding = judge(&Seen { policy: Some("{".into()) }, &case(&asked, &observed()));
    assert_eq!(finding.verdict, Verdict::Skip);
}

#[test]
fn a_host_that_comes_as_the_policy_demands_passes() {
    let (plain, tls, role) =
        (mounting(false, false, false), mounting(true, false, false), mounting(true, true, false));
    let none = judge(&Seen::default(), &case(&plain, &observed()));
    assert_eq!(none.verdict, Verdict::Pass);
    for (name, asked) in [
        ("everybody", &plain),
        ("enforce-tls", &tls),
        ("deny-anonymous", &role),
        ("role-read-write", &role),
        ("role-with-path", &role),
        ("session", &role),
        ("access-point-of-role", &mounting(true, true, true)),
    ] {
        let finding = judged(name, asked);
        assert_eq!(finding.verdict, Verdict::Pass, "{name}: {finding:?}");
    }
}

#[test]
fn whatever_a_policy_forbids_is_told_with_the_least_that_mends_it() {
    let (plain, tls, role) =
        (mounting(false, false, false), mounting(true, false, false), mounting(true, true, false));
    let findings = [
        judged("enforce-tls", &plain),
        judged("deny-anonymous", &plain),
        judged("access-point-only", &tls),
        judged("access-point-of-role", &plain),
        judged("read-only", &plain),
        judged("no-root", &plain),
        judged("deny-all", &role),
        judged("other-role", &tls),
        judged("deleted-role", &role),
        judged("own-account", &role),
        judged("organisation", &role),
        judged("source-vpc", &plain),
    ];
    let verdicts: Vec<_> = findings.iter().map(|it| it.verdict.word()).collect();
    assert_eq!(
        verdicts,
        [
            "fail", "fail", "fail", "fail", "fail", "warn", "fail", "fail", "warn", "warn", "skip",
            "skip"
        ]
    );
    insta::assert_snapshot!(render(&findings));
}

#[test]
fn from_outside_it_is_said_what_the_policy_demands() {
    let asked = asked(None);
    let told = |name: &str| {
        let finding = judged(name, &asked);
        assert_eq!(finding.verdict, Verdict::Pass, "{name}");
        format!("{}\n    {}\n", finding.says, finding.evidence.join("\n    "))
    };
    let names = ["everybody", "enforce-tls", "access-point-only", "deny-anonymous", "read-only"];
    insta::assert_snapshot!(names.map(told).concat());
    assert_eq!(judged("source-vpc", &asked).verdict, Verdict::Skip);
}

#[test]
fn without_a_role_nobody_knows_whether_a_host_that_proves_itself_is_let_in() {
    let asked = mounting(true, true, false);
    let seen = Seen { policy: Some(policy("role-read-write")) };
    let nobody = Observed {
        exists: Cell::of(observed().exists.seen().unwrap().clone()),
        ..Observed::default()
    };
    assert_eq!(judge(&seen, &case(&asked, &nobody)).verdict, Verdict::Skip);
}

#[test]
fn a_star_reaches_as_far_as_it_may() {
    use condition::glob;
    for (pattern, text, fits) in [
        ("*", "", true),
        ("a*c", "abbbc", true),
        ("a*c", "abbbd", false),
        ("?", "", false),
        ("a?c*", "abc", true),
        ("*a*b*", "xxaxxbxx", true),
        ("", "a", false),
    ] {
        assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
    }
    // No pattern takes for ever.
    assert!(!glob(&"a*".repeat(200), &("a".repeat(2000) + "b").replace('b', "\u{1}")[..199]));
}

#[test]
fn what_nobody_proves_is_absent_and_what_is_elsewhere_is_unknown() {
    let clients = clients();
    let of = |kind: &str, key: &str| clients.iter().find(|it| it.0 == kind).unwrap().1.fact(key);
    assert_eq!(of("plain", "AWS:SecureTransport"), Fact::Is("false".into()));
    assert_eq!(of("plain", "aws:PrincipalOrgID"), Fact::Absent);
    assert_eq!(of("role", "aws:PrincipalOrgID"), Fact::Unknown);
    let arn = "arn:aws:iam::123456789012:role/ci-controller";
    assert_eq!(of("role", "aws:PrincipalArn"), Fact::Is(arn.into()));
    assert_eq!(of("role", "elasticfilesystem:AccessPointArn"), Fact::Absent);
}

/// Any JSON, and much of it nearly a policy.
fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "Statement",
        "Effect",
        "Allow",
        "Deny",
        "Principal",
        "AWS",
        "Action",
        "*",
        "Condition",
        "Bool",
        "aws:SecureTransport",
        "${x}",
        "NotAction",
        "ForAnyValue:",
        "ForAllValues:ArnLike",
        "IfExists",
        "elasticfilesystem:AccessPointArn",
        "arn:aws:iam::1:root",
        "::::::",
        "é?*",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(words.to_vec()), inner.clone(), 0..6)
                .prop_map(|map| json!(map)),
            (inner.clone(), inner.clone(), inner).prop_map(|(who, what, when)| json!({
                "Statement": [{
                    "Effect": "Deny", "Principal": who, "Action": what, "Condition": { "Bool": when },
                }],
            })),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_there_is_a_finding(value in anything()) {
        let seen = Seen { policy: Some(value.to_string()) };
        for asked in [asked(None), mounting(false, false, false), mounting(true, true, true)] {
            let finding = judge(&seen, &case(&asked, &observed()));
            prop_assert!(!finding.says.is_empty());
        }
    }

    /// A denial of everything cannot be undone by what else is said.
    #[test]
    fn what_is_denied_stays_denied(index in any::<prop::sample::Index>()) {
        let all = fixtures("policies");
        let mut policy = document::read(&index.get(&all).1).unwrap();
        policy.statements.extend(document::read(&super::tests::policy("deny-all")).unwrap().statements);
        for (_, client) in clients() {
            let denied = matches!(answer(&policy, &client, MOUNT), Answer::Denied(_));
            prop_assert!(denied);
        }
    }

    #[test]
    fn a_text_fits_itself(text in "[a-z:/]{0,12}") {
        prop_assert!(condition::glob(&text, &text));
        let ends = format!("*{text}*");
        prop_assert!(condition::glob(&ends, &text));
    }
}
