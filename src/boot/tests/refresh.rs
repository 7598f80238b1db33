//! Keys while a host serves: what is read again, and who is told.

use super::cloud::LOGIN_KEY;
use super::keys::*;
use super::sshd::pair;
use super::*;
use crate::boot::refresh::{News, refresh};
use crate::jenkins::Tokens;
use crate::keys::private::tests::PUBLIC;

/// A controller that serves, as far as a refresh sees it.
async fn serving() -> World {
    let world = World::new().await;
    world.boot().await.unwrap();
    Tokens::keep(&world.root.join("run/hostkit/secrets")).unwrap();
    let (uid, gid) = (nix::unistd::Uid::current(), nix::unistd::Gid::current());
    fs::write(world.root.join("etc/passwd"), format!("jenkins:x:{uid}:{gid}::/:/bin/sh\n"))
        .unwrap();
    world
}

impl World {
    fn reloads(&self) -> usize {
        let asked = &self.web.lock().unwrap().asked;
        asked.iter().filter(|line| line.starts_with("POST /reload-configuration-as-code/")).count()
    }

    fn configuration(&self) -> String {
        self.text("run/hostkit/jenkins/casc/00-hostkit.yaml")
    }
}

#[tokio::test]
async fn jenkins_is_given_a_new_key_without_a_restart() {
    let world = serving().await;
    let before = world.reloads();
    assert_eq!(world.refresh().await.unwrap(), News::None);
    assert_eq!(world.reloads(), before);

    let (private, public) = pair(&world.root.join("made/next"));
    world.put(PRIVATE, &private);
    world.put(LIST, &format!("{PUBLIC}\n{public}"));
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    assert_eq!(world.reloads(), before + 1);
    assert!(!world.was_run("systemctl restart") && !world.was_run("systemctl stop"));
    assert_eq!(world.text("run/hostkit/secrets/agent_key"), private);
    let copy = "run/hostkit/jenkins/fresh/agent_key";
    assert_eq!(world.text(copy), private);
    let mode = fs::metadata(world.root.join(copy)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o400);
    let there = "${readFile:/run/hostkit/jenkins/fresh/agent_key}";
    assert!(
        world.configuration().contains(there)
            && world.configuration().contains("${admin_password}")
    );

    assert_eq!(world.refresh().await.unwrap(), News::None);
    // A boot that is run again leaves Jenkins what it has.
    world.boot().await.unwrap();
    assert!(world.configuration().contains(there));
    assert_eq!(world.refresh().await.unwrap(), News::None);
}

#[tokio::test]
async fn a_jenkins_that_does_not_take_a_key_is_given_it_again() {
    let world = serving().await;
    let (private, _) = pair(&world.root.join("made/next"));
    world.put(PRIVATE, &private);
    world.web.lock().unwrap().reload = (500, "broken");
    let error = world.refresh().await.unwrap_err();
    assert!(error.contains("Jenkins did not take them"), "{error}");
    // The files are new, and so is the next attempt.
    let before = world.reloads();
    world.web.lock().unwrap().reload = (200, "");
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    assert_eq!(world.reloads(), before + 1);
    assert_eq!(world.refresh().await.unwrap(), News::None);
}

/// Whatever a run that is killed has done: the next one has the secrets right, and Jenkins told.
#[tokio::test]
async fn a_refresh_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let world = serving().await;
    // Between the note that something is pending and anything else.
    let before = world.reloads();
    fs::write(world.root.join("run/hostkit/keys-pending"), "admin_password\n").unwrap();
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    assert_eq!(world.reloads(), before + 1);

    let (mut killed, mut moment) = (0, 0);
    loop {
        let before = world.reloads();
        let secret = format!("horse number {moment}");
        world.put(ADMIN, &secret);
        let events = Events::silent();
        let mut work = Box::pin(refresh(&world.machine, &events));
        let mut ended = false;
        for _ in 0..moment {
            ended = futures::poll!(work.as_mut()).is_ready();
            if ended {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(work);
        world.refresh().await.unwrap();
        assert_eq!(world.text("run/hostkit/secrets/admin_password"), secret, "at {moment}");
        assert!(world.reloads() > before, "Jenkins has an older one, at {moment}");
        assert_eq!(world.refresh().await.unwrap(), News::None, "at {moment}");
        if ended {
            break;
        }
        (killed, moment) = (killed + 1, moment + 1);
    }
    assert!(killed > 3, "it was killed {killed} times");
}

#[tokio::test]
async fn a_jenkins_that_is_down_reads_its_secrets_when_it_starts() {
    for (state, news) in [("inactive", News::Taken), ("activating", News::Later)] {
        let world = serving().await;
        let before = world.reloads();
        world.systemd.lock().unwrap().unit = state;
        world.put(ADMIN, "another horse");
        assert_eq!(world.refresh().await.unwrap(), news);
        assert_eq!(world.text("run/hostkit/secrets/admin_password"), "another horse");
        assert_eq!(world.reloads(), before);
        world.systemd.lock().unwrap().unit = "active";
        let later = world.refresh().await.unwrap();
        assert_eq!(later == News::Taken, state == "activating");
    }
}

#[tokio::test]
async fn a_controller_never_uses_a_private_key_of_the_past_for_want_of_another() {
    let mut world = World::new().await;
    world.boot().await.unwrap();
    world.machine.step_limit = Duration::from_secs(2);
    world.cloud.lock().unwrap().hiccups.insert("GetParameters", vec![500; 100]);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `keys`"), "{error}");
    let error = world.refresh().await.unwrap_err();
    assert!(error.contains("ssm:GetParameters"), "{error}");
}

#[tokio::test]
async fn an_agent_takes_what_the_list_says_now_and_never_nothing() {
    let world = World::told("role = \"agent\"\n").await;
    let error = world.refresh().await.unwrap_err();
    assert!(error.contains("this host has not booted yet"), "{error}");
    world.boot().await.unwrap();
    let (_, next) = pair(&world.root.join("made/next"));
    world.put(LIST, &format!("{LOGIN_KEY}\n{next}"));
    assert_eq!(world.refresh().await.unwrap(), News::Taken);
    let both = format!("restrict {LOGIN_KEY}\nrestrict {next}\n");
    assert_eq!(world.text(LET_IN), both);
    assert_eq!(world.refresh().await.unwrap(), News::None);
    for nothing in ["# soon\n", "ssh-ed25519 AAAA", PRIVATE_KEY] {
        world.put(LIST, nothing);
        let error = world.refresh().await.unwrap_err();
        assert!(error.contains("holds no public key"), "{error}");
        assert_eq!(world.text(LET_IN), both);
    }
    let mut world = world;
    world.machine.step_limit = Duration::from_secs(1);
    world.cloud.lock().unwrap().hiccups.insert("GetParameters", vec![503; 100]);
    assert_eq!(world.refresh().await.unwrap(), News::Kept);
    assert_eq!(world.text(LET_IN), both);
}

#[tokio::test]
async fn keys_that_are_never_to_be_read_again_are_not() {
    let world = World::told("role = \"agent\"\n[keys]\nrefresh = 0\n").await;
    world.boot().await.unwrap();
    world.put(LIST, PUBLIC);
    assert_eq!(world.refresh().await.unwrap(), News::None);
    assert!(!world.has("run/systemd/system/hostkit-keys.timer.d"));
}

#[tokio::test]
async fn another_interval_is_told_to_systemd_once() {
    let world = World::told("role = \"agent\"\n[keys]\nrefresh = 3600\n").await;
    world.boot().await.unwrap();
    let timer = world.text("run/systemd/system/hostkit-keys.timer.d/50-hostkit.conf");
    assert!(timer.contains("OnUnitInactiveSec=3240s"), "{timer}");
    world.boot().await.unwrap();
    assert_eq!(world.count_of("systemctl daemon-reload"), 1);
    assert_eq!(world.count_of("systemctl restart --no-block hostkit-keys.timer"), 1);
}
