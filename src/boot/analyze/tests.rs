//! The analysis of boots that went in known ways.

use super::Outcome::{Changed, Skipped, Unchanged};
use super::*;
use crate::boot::about::About;
use crate::host::Role;
use crate::report::StepReport;

fn step(name: &str, title: &str, at: f64, took: f64, outcome: Outcome) -> StepReport {
    let (step, title) = (name.to_owned(), title.to_owned());
    StepReport { step, title, outcome: Some(outcome), at, took }
}

/// A controller, as one of the tests' machines came up.
fn controller() -> Status {
    let mut status = Status::new("boot".to_owned(), Some(4.213));
    status.state = State::Ready;
    status.started = "2026-11-20T03:00:00Z".parse().unwrap();
    status.instance_id = Some("i-0bbbbbbbbbbbbbbbb".to_owned());
    status.about = Some(About {
        role: Some(Role::Controller),
        group: Some("ci-controller".to_owned()),
        file_system: Some("fs-0123456789abcdef0".to_owned()),
        image_id: Some("ami-0123456789abcdef0".to_owned()),
        zone: Some("eu-west-1a".to_owned()),
        hostname: Some("ip-10-0-2-15".to_owned()),
        ..About::default()
    });
    let skipped = |why: &str| Skipped(why.to_owned());
    let none = skipped("the image brings no plugins");
    status.report.steps = vec![
        step("identity", "asking the metadata service who this is", 0.004, 0.312, Changed),
        step("hostname", "naming this host as EC2 does", 0.317, 0.102, Changed),
        step("config", "reading what this host is to be", 0.317, 0.021, Changed),
        step("login", "installing the key pair of the instance", 0.317, 0.094, Changed),
        step("hook", "finding the launch hook", 0.317, 0.455, Unchanged),
        step("keys", "getting keys from Parameter Store", 0.339, 0.403, Changed),
        step("efs", "mounting the home", 0.339, 0.912, Changed),
        step("mounts", "mounting further file systems", 0.339, 0.0, skipped("there are none")),
        step("lease", "making sure that nobody else holds the home", 1.252, 0.281, Changed),
        step("home", "preparing the home", 1.534, 0.146, Changed),
        step("plugins", "putting the plugins of the image into the home", 1.681, 0.048, none),
        step("render", "rendering the configuration of Jenkins", 1.681, 0.087, Changed),
        step("jenkins", "starting Jenkins", 1.769, 6.402, Changed),
        step("ready", "proving that Jenkins serves from the home", 8.172, 0.388, Unchanged),
        step("target", "becoming a target", 8.561, 0.0, skipped("no load balancer is named")),
        step("lifecycle", "telling the group that this host is ready", 8.561, 0.133, Changed),
    ];
    status
}

fn failed() -> Status {
    let mut status = controller();
    status.state = State::Failed;
    status.report.steps.truncate(7);
    let why = "10.0.2.100:2049 refused the connection <from here>\n  hint: check the mount target";
    status.report.steps[6].outcome = Some(Outcome::Failed(why.to_owned()));
    let blocked = Outcome::Blocked("efs".to_owned());
    status.report.steps.push(step("lease", "lease", 1.25, 0.0, blocked));
    status
}

fn analysis(status: &Status) -> Analysis {
    Analysis::new(status, status.started)
}

#[test]
fn the_critical_path_is_what_decided_and_the_rest_has_slack() {
    let analysis = analysis(&controller());
    assert_eq!(
        analysis.critical_path,
        [
            "identity",
            "config",
            "efs",
            "lease",
            "home",
            "render",
            "jenkins",
            "ready",
            "target",
            "lifecycle"
        ]
    );
    let slack = |name: &str| {
        let line = analysis.steps.iter().find(|line| line.step == name).unwrap();
        format!("{:.1}", line.slack)
    };
    // The keys are not needed before the configuration is rendered.
    assert_eq!(slack("keys"), "0.9");
    assert_eq!(slack("jenkins"), "0.0");
    assert_eq!(slack("login"), "8.3");
}

#[test]
fn a_good_boot_reads_like_this() {
    let analysis = analysis(&controller());
    insta::assert_snapshot!("good.txt", analysis.text());
    insta::assert_snapshot!("good.svg", analysis.svg());
    insta::assert_snapshot!("good.json", serde_json::to_string_pretty(&analysis).unwrap());
}

#[test]
fn a_failed_boot_reads_like_this() {
    let analysis = analysis(&failed());
    insta::assert_snapshot!("failed.txt", analysis.text());
    insta::assert_snapshot!("failed.svg", analysis.svg());
}

#[test]
fn a_boot_under_way_and_one_that_has_hardly_begun_can_be_drawn() {
    let mut status = controller();
    status.state = State::Running;
    status.about = None;
    status.report.steps.truncate(13);
    status.report.steps[12].outcome = None;
    let later = status.started + Duration::from_secs(30);
    let analysis = Analysis::new(&status, later);
    assert!((analysis.steps[12].took - 28.231).abs() < 0.001, "{:?}", analysis.steps[12]);
    status.report.steps.clear();
    assert!(Analysis::new(&status, later).svg().ends_with("</svg>\n"));
}

#[test]
fn times_are_written_as_people_do() {
    let shown = [0.0, 0.0449, 0.9999, 12.34, 100.0, 7325.0].map(seconds);
    assert_eq!(shown, ["0 ms", "45 ms", "1.0 s", "12.3 s", "1 min 40 s", "2 h 02 min"]);
}
