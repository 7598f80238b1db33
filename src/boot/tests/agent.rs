//! Boots of a build agent.

use super::cloud::LOGIN_KEY;
use super::*;

const PUBLIC: &str = "/devops-tools/jenkins/id_rsa.pub";
const LET_IN: &str = "etc/ssh/authorized_keys.d/jenkins";

impl World {
    async fn agent() -> Self {
        Self::told("role = \"agent\"\n").await
    }

    fn offers(&self, keys: &str) {
        self.cloud.lock().unwrap().parameters.insert(PUBLIC.to_owned(), keys.to_owned());
    }

    fn lets_in(&self) -> String {
        fs::read_to_string(self.root.join(LET_IN)).unwrap()
    }
}

#[tokio::test]
async fn the_controllers_key_is_let_in_and_the_group_told() {
    let world = World::agent().await;
    world.boot().await.unwrap();
    assert_eq!(
        world.outcomes(),
        "config changed, hook unchanged, host-key skipped, hostname changed, identity changed, keys changed, \
         lifecycle changed, login changed, mounts skipped, sshd unchanged"
    );
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    assert_eq!(world.lets_in(), format!("restrict {LOGIN_KEY}\n"));
    let mode = fs::metadata(world.root.join(LET_IN)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    assert!(world.status().render().starts_with("ready in "), "{}", world.status().render());
}

#[tokio::test]
async fn an_agent_never_asks_for_the_private_half() {
    let world = World::agent().await;
    world.boot().await.unwrap();
    assert_eq!(world.cloud.lock().unwrap().read, [PUBLIC]);
    assert!(!world.has("run/hostkit/secrets"));
}

#[tokio::test]
async fn a_second_boot_of_an_agent_changes_nothing() {
    let world = World::agent().await;
    world.boot().await.unwrap();
    world.boot().await.unwrap();
    assert_eq!(world.status().report.count("unchanged"), 8, "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn every_key_of_a_rotation_is_let_in_and_garbage_is_not() {
    let world = World::agent().await;
    let next = LOGIN_KEY.replace(" me", " next");
    world.offers(&format!("# the keys\n{LOGIN_KEY}\n\ncommand=\"id\" {next}\n{next}\r\nssh-rsa x"));
    world.boot().await.unwrap();
    assert_eq!(world.lets_in(), format!("restrict {LOGIN_KEY}\nrestrict {next}\n"));
}

#[tokio::test]
async fn what_was_let_in_stays_when_nothing_better_comes() {
    let world = World::agent().await;
    world.boot().await.unwrap();
    for (offered, hint) in [
        ("ssh-ed25519 AAAA\n<html>", "one a line, as `ssh-ed25519"),
        (PRIVATE_KEY, "it holds a private one"),
    ] {
        world.offers(offered);
        let error = world.boot().await.unwrap_err();
        assert!(error.contains("boot failed at `keys`") && error.contains(hint), "{error}");
        assert!(error.contains("holds no public key") && !error.contains("c2VjcmV0"), "{error}");
        assert_eq!(world.lets_in(), format!("restrict {LOGIN_KEY}\n"));
    }
}

#[tokio::test]
async fn a_missing_public_key_is_named_and_the_agent_abandoned() {
    let world = World::agent().await;
    world.cloud.lock().unwrap().parameters.clear();
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.has(LET_IN));
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_an_agent_the_keys_of_its_last_boot() {
    let world = World::agent().await;
    let silent = || vec![500; 100];
    world.cloud.lock().unwrap().hiccups.insert("GetParameters", silent());
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `keys`"), "{error}");
    world.cloud.lock().unwrap().hiccups.clear();
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().hiccups.insert("GetParameters", silent());
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("keys skipped"), "{}", world.outcomes());
    assert_eq!(world.lets_in(), format!("restrict {LOGIN_KEY}\n"));
}

#[tokio::test]
async fn an_agent_that_nobody_can_reach_is_not_put_into_service() {
    for greeting in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let mut world = World::agent().await;
        world.machine.step_limit = Duration::from_secs(2);
        world.machine.ssh = says(greeting.to_owned()).await;
        let error = world.boot().await.unwrap_err();
        assert!(error.contains("boot failed at `sshd`"), "{error}");
        assert_eq!(world.verdicts(), ["ABANDON"]);
    }
}
