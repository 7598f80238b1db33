use super::*;
use crate::aws::inventory::{Image, Instance, KeyPair, SecurityGroup, Snapshot, TemplateVersion};
use crate::teardown::KEPT;

const HOUR: i64 = 3600;
/// The hour that it is on AWS.
const NOW: i64 = 1000;

fn at(hour: i64) -> Option<Timestamp> {
    Timestamp::from_second(hour * HOUR).ok()
}

fn tags(build: &str, state: &str) -> Tags {
    [(BUILD_TAG, build), (STATE_TAG, state)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn snapshot(id: &str, build: &str, hour: i64) -> Snapshot {
    let tags = tags(build, BUILDING);
    Snapshot { id: id.into(), started: at(hour), tags, ..Snapshot::default() }
}

fn image(id: &str, build: &str, hour: i64, snapshot: &str) -> Image {
    let tags = tags(build, BUILDING);
    let snapshots = vec![snapshot.to_owned()];
    Image { id: id.into(), created: at(hour), tags, snapshots, ..Image::default() }
}

fn instance(id: &str, build: &str, hour: i64) -> Instance {
    Instance {
        id: id.into(),
        state: "running".into(),
        launched: at(hour),
        tags: tags(build, BUILDING),
        security_groups: vec![format!("sg-{build}")],
        ..Instance::default()
    }
}

fn key_pair(build: &str, hour: i64) -> KeyPair {
    let id = format!("key-{build}");
    KeyPair { id, created: at(hour), tags: tags(build, BUILDING), ..KeyPair::default() }
}

fn security_group(build: &str) -> SecurityGroup {
    let id = format!("sg-{build}");
    SecurityGroup { id, tags: tags(build, BUILDING), ..SecurityGroup::default() }
}

/// A region with these, and who uses them.
fn region(survey: Survey, key_pairs: Vec<KeyPair>, groups: Vec<SecurityGroup>) -> Region {
    let survey = Survey { now: at(NOW).unwrap(), ..survey };
    let references = References::of(&survey);
    let leftovers = Leftovers { key_pairs, security_groups: groups };
    Region { survey, leftovers, references, ..Region::default() }
}

fn day() -> Rule {
    Rule { older_than: SignedDuration::from_hours(24), build: None }
}

/// `id: what becomes of it`, a line each.
fn told(regions: &[Region], rule: &Rule, at_work: &[&str]) -> String {
    let at_work = at_work.iter().map(|&build| build.to_owned()).collect();
    let lines = decide(regions, rule, &at_work).into_iter().map(|it| match it.verdict {
        Verdict::Remove => format!("{}: goes", it.id),
        Verdict::Keep(reason) => format!("{}: {reason}", it.id),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn all_kinds_of_a_dead_build_go_in_the_order_in_which_they_can() {
    let survey = Survey {
        images: vec![image("ami-1", "a", 1, "snap-1")],
        snapshots: vec![snapshot("snap-1", "a", 1)],
        instances: vec![instance("i-1", "a", 1)],
        ..Survey::default()
    };
    let region = region(survey, vec![key_pair("a", 1)], vec![security_group("a")]);
    insta::assert_snapshot!(told(&[region], &day(), &[]), @r"
    i-1: goes
    ami-1: goes
    snap-1: goes
    sg-a: goes
    key-a: goes
    ");
}

#[test]
fn a_build_of_which_anything_is_young_is_left_alone_as_a_whole() {
    let mut kept = snapshot("snap-3", "b", NOW - 1);
    kept.tags = tags("b", KEPT);
    let survey = Survey {
        snapshots: vec![
            snapshot("snap-1", "a", 1),
            snapshot("snap-2", "b", 1),
            kept,
            snapshot("snap-4", "c", NOW + 3),
        ],
        instances: vec![instance("i-1", "a", NOW - 23)],
        ..Survey::default()
    };
    let groups = vec![security_group("a"), security_group("d")];
    let regions = [region(survey, Vec::new(), groups)];
    insta::assert_snapshot!(told(&regions, &day(), &[]), @r"
    i-1: its build had news at 1970-02-10 17:00 UTC
    snap-1: its build had news at 1970-02-10 17:00 UTC
    snap-2: its build had news at 1970-02-11 15:00 UTC
    snap-4: its build had news at 1970-02-11 19:00 UTC
    sg-a: its build had news at 1970-02-10 17:00 UTC
    sg-d: its age is not known: name it with --build
    ");
    let named = Rule { build: Some("d".into()), ..day() };
    assert_eq!(told(&regions, &named, &[]), "sg-d: goes");
    let named = Rule { build: Some("a".into()), ..day() };
    insta::assert_snapshot!(told(&regions, &named, &[]), @r"
    i-1: goes
    snap-1: goes
    sg-a: goes
    ");
    let at_work = told(&regions, &named, &["a"]);
    assert!(at_work.lines().all(|line| line.ends_with("works on the build")), "{at_work}");
}

#[test]
fn news_from_another_region_count() {
    let old = Survey { snapshots: vec![snapshot("snap-1", "a", 1)], ..Survey::default() };
    let new = Survey { snapshots: vec![snapshot("snap-2", "a", NOW - 1)], ..Survey::default() };
    let [old, new] = [old, new].map(|survey| region(survey, Vec::new(), Vec::new()));
    assert!(told(std::slice::from_ref(&old), &day(), &[]).ends_with("goes"));
    assert!(!told(&[old, new], &day(), &[]).contains("goes"));
}

#[test]
fn what_something_refers_to_stays_and_so_does_what_that_is_made_of() {
    let mut kept = image("ami-3", "old", 1, "snap-3");
    kept.tags = tags("old", KEPT);
    let mut grouped = instance("i-2", "a", 1);
    grouped.tags.insert(GROUP.into(), "ci".into());
    grouped.image = Some("ami-00000002".into());
    let survey = Survey {
        images: vec![
            image("ami-00000001", "a", 1, "snap-1"),
            image("ami-00000002", "a", 1, "snap-2"),
            kept,
        ],
        snapshots: vec![
            snapshot("snap-1", "a", 1),
            snapshot("snap-2", "a", 1),
            snapshot("snap-3", "a", 1),
            snapshot("snap-4", "a", 1),
            snapshot("snap-5", "a", 1),
        ],
        instances: vec![grouped],
        templates: vec![TemplateVersion {
            template: "lt-1".into(),
            name: "ci".into(),
            number: 1,
            is_default: true,
            image: Some("ami-00000001".into()),
            snapshots: vec!["snap-4".into()],
        }],
        ..Survey::default()
    };
    let region = region(survey, Vec::new(), vec![security_group("a")]);
    insta::assert_snapshot!(told(&[region], &day(), &[]), @r"
    i-2: in the group ci
    ami-00000001: used: launch template ci v1 ($Default, $Latest)
    ami-00000002: used: i-2 (running)
    snap-1: used: ami-00000001
    snap-2: used: ami-00000002
    snap-3: used: ami-3
    snap-4: used: launch template ci v1 ($Default, $Latest)
    snap-5: goes
    sg-a: used: i-2 (running)
    ");
}

#[test]
fn what_others_may_launch_or_a_person_protects_stays() {
    let mut protected = image("ami-1", "a", 1, "snap-1");
    protected.protection = Some("enabled".into());
    let mut public = image("ami-2", "a", 1, "snap-2");
    public.public = true;
    let shared = image("ami-3", "a", 1, "snap-3");
    let survey = Survey { images: vec![protected, public, shared], ..Survey::default() };
    let mut region = region(survey, Vec::new(), Vec::new());
    region.sharing.insert("ami-3".into(), vec!["111122223333".into()]);
    insta::assert_snapshot!(told(&[region], &day(), &[]), @r"
    ami-1: protected from deregistration (enabled)
    ami-2: shared: all
    ami-3: shared: 111122223333
    ");
}

#[test]
fn without_a_build_or_once_kept_nothing_is_ever_found() {
    let mut stray = snapshot("snap-1", "", 1);
    stray.tags.remove(BUILD_TAG);
    let mut empty = snapshot("snap-2", "", 1);
    empty.tags.insert(BUILD_TAG.into(), String::new());
    let mut kept = snapshot("snap-3", "a", 1);
    kept.tags = tags("a", KEPT);
    let survey = Survey { snapshots: vec![stray, empty, kept], ..Survey::default() };
    let all = Rule { older_than: SignedDuration::ZERO, build: None };
    assert_eq!(told(&[region(survey, Vec::new(), Vec::new())], &all, &[]), "");
}
