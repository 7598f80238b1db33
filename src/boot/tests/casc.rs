//! The configuration of Jenkins: broken, and put right.

use super::*;
use crate::event::Outcome;

const TEMPLATE: &str = "usr/share/hostkit/templates/jenkins.yaml.tera";
const OWN: &str = "etc/hostkit/casc.d/own.yaml";
const RENDERED: &str = "run/hostkit/jenkins/casc/00-hostkit.yaml";

fn put(world: &World, path: &str, text: &str) {
    let path = world.root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(world: &World, path: &str) -> String {
    fs::read_to_string(world.root.join(path)).unwrap()
}

/// As a replacement finds it: a fresh machine, and the home of the last one.
fn replace(world: &World) {
    fs::remove_dir_all(world.root.join("run/hostkit")).unwrap();
    world.systemd.lock().unwrap().unit = "inactive";
    world.systemd.lock().unwrap().others.insert("hostkit-lease.service", "inactive");
}

#[tokio::test]
async fn a_broken_template_is_replaced_by_the_last_known_good() {
    let world = World::new().await;
    put(&world, OWN, "jenkins:\n  systemMessage: \"good\"\n");
    world.boot().await.unwrap();
    let good = read(&world, RENDERED);
    let kept = world.root.join("var/lib/jenkins/.hostkit/casc/last-good.json");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    replace(&world);
    put(&world, TEMPLATE, "jenkins:\n  numExecutors: {{ executors }}\n");
    put(&world, OWN, "jenkins:\n  systemMessage: \"new\"\n");
    world.boot().await.unwrap();
    assert_eq!(read(&world, RENDERED), good);
    // The set is used as it was: half of it might not fit the other half.
    assert!(read(&world, "run/hostkit/jenkins/casc/own.yaml").contains("good"));
    let status = world.status();
    assert!(status.headline().ends_with("degraded: render"), "{}", status.headline());
    insta::assert_snapshot!(why(&world));
    assert!(read(&world, "dev/ttyS0").contains("last known good configuration"));
    // What it was degraded to does not become the last known good once more, and stays it.
    assert!(fs::read_to_string(&kept).unwrap().contains("good"));
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn without_a_last_known_good_a_broken_template_fails_the_boot() {
    let world = World::new().await;
    put(&world, TEMPLATE, "jenkins:\n  numExecutors: [\n");
    insta::assert_snapshot!(world.boot().await.unwrap_err());
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.was_run("systemctl start --no-block jenkins"));
}

#[tokio::test]
async fn a_broken_file_of_the_users_and_a_contradiction_fall_back_too() {
    for (name, text) in [
        ("broken", "jenkins:\n  systemMessage: \"unended\n"),
        ("contradiction", "jenkins:\n  numExecutors: 2\n"),
        ("unknown reference", "unclassified:\n  x: \"${SMTP_PASSWORD}\"\n"),
    ] {
        let world = World::new().await;
        world.boot().await.unwrap();
        replace(&world);
        put(&world, OWN, text);
        world.boot().await.unwrap();
        assert!(!world.has("run/hostkit/jenkins/casc/own.yaml"), "{name}");
        insta::assert_snapshot!(name, why(&world));
    }
}

#[tokio::test]
async fn a_last_known_good_that_does_not_fit_any_more_is_not_used() {
    let world = World::told(&format!("{CONTROLLER}[secrets]\nSMTP = \"/smtp\"\n")).await;
    world.cloud.lock().unwrap().parameters.insert("/smtp".into(), "swordfish".into());
    put(&world, OWN, "unclassified:\n  x: \"${SMTP}\"\n");
    world.boot().await.unwrap();
    replace(&world);
    let config = read(&world, "etc/hostkit/host.toml").replace("[secrets]\nSMTP = \"/smtp\"\n", "");
    put(&world, "etc/hostkit/host.toml", &config);
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_secret_in_plain_text_is_told_and_not_copied_to_the_file_system() {
    let world = World::new().await;
    put(&world, OWN, "unclassified:\n  mailer:\n    password: \"hunter2\"\n");
    world.boot().await.unwrap();
    assert!(!world.has("var/lib/jenkins/.hostkit/casc/last-good.json"));
    assert!(world.outcomes().contains("ready degraded"), "{}", world.outcomes());
    assert!(!format!("{:?}", world.status()).contains("hunter2"));
}

#[tokio::test]
async fn a_host_that_nobody_told_who_may_use_jenkins_does_not_start_it() {
    let world = World::told("role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n").await;
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error.replace(world.root.as_str(), ""));
    assert!(!world.was_run("systemctl start --no-block jenkins"));
}

#[tokio::test]
async fn with_casc_the_users_own_files_must_say_who_may_what() {
    let casc = CONTROLLER.replace("local", "casc");
    let world = World::told(&casc).await;
    insta::assert_snapshot!(world.boot().await.unwrap_err());
    let world = World::told(&casc).await;
    let own = "jenkins:\n  securityRealm:\n    saml:\n      x: 1\n  authorizationStrategy:\n    \
               loggedInUsersCanDoAnything:\n      allowAnonymousRead: false\n";
    put(&world, OWN, own);
    // A realm of somebody else's sends people to its own login.
    world.web.lock().unwrap().front = 302;
    world.boot().await.unwrap();
    assert!(!read(&world, RENDERED).contains("securityRealm"));
}

#[tokio::test]
async fn what_a_plugin_does_not_take_is_replaced_by_the_last_known_good() {
    let world = World::new().await;
    put(&world, OWN, "unclassified:\n  mailer:\n    smtpHost: \"a\"\n");
    world.boot().await.unwrap();
    replace(&world);
    put(&world, OWN, "unclassified:\n  mailer:\n    smtpHosst: \"b\"\n");
    let words = "INFO: Started all plugins\nio.jenkins.plugins.casc.ConfiguratorException: Invalid \
                 configuration elements for type: class Mailer : smtpHosst\n\tat java.base";
    {
        let mut systemd = world.systemd.lock().unwrap();
        systemd.journal = words;
        systemd.next_starts = vec!["failed"];
    }
    world.boot().await.unwrap();
    assert!(read(&world, "run/hostkit/jenkins/casc/own.yaml").contains("smtpHost:"));
    assert!(world.outcomes().contains("jenkins degraded"), "{}", world.outcomes());
    insta::assert_snapshot!(why_of(&world, "jenkins"));
    assert!(read(&world, "var/lib/jenkins/.hostkit/casc/last-good.json").contains("smtpHost:"));
    // Where it is the last known good one that it does not take, there is nothing else to try.
    replace(&world);
    put(&world, OWN, "unclassified:\n  mailer:\n    smtpHost: \"a\"\n");
    world.systemd.lock().unwrap().start_leads_to = "failed";
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("the unit is failed") && error.contains("smtpHosst"), "{error}");
}

#[tokio::test]
async fn another_start_timeout_is_told_to_systemd() {
    let world = World::told(&format!("{CONTROLLER}[jenkins]\nstart_timeout = 1800\n")).await;
    world.boot().await.unwrap();
    insta::assert_snapshot!(read(&world, "run/systemd/system/jenkins.service.d/30-start.conf"));
    assert_eq!(world.count_of("systemctl daemon-reload"), 1);
    let world = World::new().await;
    world.boot().await.unwrap();
    assert!(!world.was_run("systemctl daemon-reload"), "it takes seconds");
}

/// Why the configuration is not that of this image.
fn why(world: &World) -> String {
    why_of(world, "render")
}

/// Why a step is degraded.
pub(super) fn why_of(world: &World, step: &str) -> String {
    let steps = world.status().report.steps;
    let step = steps.into_iter().find(|it| it.step == step).unwrap();
    match step.outcome {
        Some(Outcome::Degraded(why)) => why,
        other => panic!("{other:?}"),
    }
}
