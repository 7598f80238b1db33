//! A host that serves: what it is told by tag, what is wrong with it, what it counts.

use super::*;

#[tokio::test]
async fn the_tag_makes_jenkins_quiet_and_takes_it_back_and_is_answered() {
    let world = World::controller();
    world.until(|world| world.answers("serving")).await;
    world.with(|cloud| cloud.jenkins.builds = 2);
    world.set("tags/instance/hostkit:drain", Some("quiet"));
    world.until(|world| world.answers("quiet")).await;
    assert!(world.with(|cloud| cloud.jenkins.quiet));
    // Fewer builds are told, by the next guard, too.
    world.with(|cloud| cloud.jenkins.builds = 0);
    world.until(|world| world.answer().is_some_and(|it| it["builds"] == 0)).await;
    world.set("tags/instance/hostkit:drain", Some("cancel"));
    world.until(|world| world.answers("serving")).await;
    assert!(!world.with(|cloud| cloud.jenkins.quiet));
    assert_eq!(world.unit("jenkins.service"), "active");
    let answer = world.answer().unwrap();
    assert_eq!((&answer["version"], &answer["instance"]), (&1.into(), &INSTANCE.into()));
}

#[tokio::test]
async fn a_jenkins_that_a_person_made_quiet_stays_quiet() {
    let world = World::controller();
    world.with(|cloud| cloud.jenkins.quiet = true);
    world.set("tags/instance/hostkit:drain", Some("cancel"));
    world.until(|world| world.answers("serving")).await;
    assert!(world.with(|cloud| cloud.jenkins.quiet));
}

#[tokio::test]
async fn a_tag_that_means_nothing_is_told_once() {
    let world = World::controller();
    world.set("tags/instance/hostkit:drain", Some("now!"));
    world.until(|world| world.answers("serving")).await;
    world.for_a_while(SECOND * 10).await;
    let told = world.told.lock().unwrap().clone();
    let lines: Vec<_> = told.iter().filter(|line| line.contains("now!")).collect();
    assert!(matches!(lines.as_slice(), [one] | [one, _] if one.contains("only quiet and cancel")));
}

#[tokio::test]
async fn parameter_store_that_says_no_hinders_nothing() {
    let world = World::controller();
    world.with(|cloud| cloud.denied = Some("PutParameter"));
    world.until(|world| world.heard("how this host stands cannot be answered")).await;
    assert!(world.heard("allow `ssm:PutParameter`"), "{}", world.story());
    world.terminate();
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.len()), 1);
}

#[tokio::test]
async fn a_host_that_does_not_serve_for_long_tells_its_group() {
    let world = World::told(
        "role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n\
         [guard]\nunhealthy_after = 30\n",
    );
    world.until(|world| world.answers("serving")).await;
    world.with(|cloud| cloud.jenkins.up = false);
    world.until(|world| world.with(|cloud| cloud.unhealthy > 0)).await;
    assert!(world.heard("the group is told that this host does not serve"));
    assert!(world.heard("jenkins: Jenkins answers 503") || world.heard("jenkins: /login"));
}

#[tokio::test]
async fn what_is_wrong_is_told_and_when_it_is_well_again() {
    let world = World::controller();
    world.systemd.lock().unwrap().hangs = true;
    let mut trouble = standing(Phase::Held, "this host holds the home; it does not answer");
    trouble.hint = Some("check the mount target".to_owned());
    world.memory.tell(&trouble).unwrap();
    world.set(
        "events/maintenance/scheduled",
        Some(
            r#"[{"Code":"system-reboot","State":"active","NotBefore":"21 Jan 2027 09:00:43 GMT"}]"#,
        ),
    );
    let all = |world: &World| {
        ["mount: /var/lib/jenkins", "lease: this host", "maintenance: EC2 has planned"]
            .iter()
            .all(|part| world.story().contains(part))
    };
    world.until(all).await;
    world.systemd.lock().unwrap().hangs = false;
    world.memory.tell(&standing(Phase::Held, "this host holds the home")).unwrap();
    let metrics = || fs::read_to_string(world.root.join("run/hostkit/metrics.prom"));
    world
        .until(|_| metrics().is_ok_and(|text| text.contains("hostkit_well{part=\"lease\"} 1")))
        .await;
    let text = metrics().unwrap();
    for line in [
        "hostkit_boot_seconds 6.25",
        "hostkit_info{role=\"controller\"} 1",
        "hostkit_lease_generation 7",
        "hostkit_mount_ok{path=\"/",
        "hostkit_state{state=\"serving\"} 1",
        "hostkit_well{part=\"maintenance\"} 0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn a_silent_metadata_service_is_told() {
    let world = World::controller();
    world.until(|world| world.answers("serving")).await;
    world.with(|cloud| cloud.broken = Some(403));
    world.until(|world| world.heard("metadata: the metadata service does not answer")).await;
}

#[tokio::test]
async fn it_waits_for_a_boot_that_has_not_come_far() {
    let world = World::controller();
    let identity = world.root.join("run/hostkit/identity.json");
    let text = fs::read_to_string(&identity).unwrap();
    fs::remove_file(&identity).unwrap();
    world.until(|world| world.heard("waiting for the boot")).await;
    fs::write(&identity, text).unwrap();
    world.until(|world| world.answers("serving")).await;
}

#[tokio::test]
async fn no_secret_is_told_or_written() {
    let world = World::controller();
    world.until(|world| world.answers("serving")).await;
    world.terminate();
    world.until(World::is_drained).await;
    let secret = "110123456789abcdef0123456789abcdef";
    assert!(!world.story().contains(secret));
    let metrics = fs::read_to_string(world.root.join("run/hostkit/metrics.prom")).unwrap();
    assert!(!metrics.contains(secret));
    let seen = world.script.lock().unwrap().seen().join("\n");
    assert!(!seen.contains(secret));
    assert!(!world.with(|cloud| format!("{:?}", cloud.parameters)).contains(secret));
}

#[tokio::test]
async fn its_first_word_proves_what_it_serves() {
    let world = World::controller();
    world.until(|world| world.answers("serving")).await;
    let mut answer = world.answer().unwrap();
    answer["since"] = "…".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer).unwrap());
    assert_eq!(world.with(|cloud| cloud.parameters.len()), 1);
    // One that goes proves nothing.
    world.terminate();
    world.until(|world| world.answers("drained")).await;
    assert!(world.answer().unwrap()["proof"].is_null());
}

#[tokio::test]
async fn who_cannot_make_jenkins_quiet_says_why() {
    let world = World::controller();
    let token = world.root.join("run/hostkit/secrets/hostkit_token");
    let text = fs::read_to_string(&token).unwrap();
    fs::remove_file(&token).unwrap();
    world.set("tags/instance/hostkit:drain", Some("quiet"));
    world.until(|world| world.answer().is_some_and(|it| it["cannot"].is_string())).await;
    let answer = world.answer().unwrap();
    assert_eq!(answer["state"], "serving");
    let cannot = answer["cannot"].as_str().unwrap();
    assert!(cannot.contains("hostkit's token cannot be read"), "{cannot}");
    fs::write(&token, text).unwrap();
    world.until(|world| world.answers("quiet")).await;
    assert!(world.answer().unwrap()["cannot"].is_null());
}

#[tokio::test]
async fn who_serves_says_so_again_and_promises_how_often() {
    let world = World::controller();
    let repeats = |world: &World| {
        world.with(|cloud| cloud.parameters.windows(2).any(|words| words[0] == words[1]))
    };
    world.until(repeats).await;
    assert_eq!(world.answer().unwrap()["again"], 60);
    // One that goes promises nothing.
    world.terminate();
    world.until(|world| world.answers("drained")).await;
    assert!(world.answer().unwrap()["again"].is_null());
}

#[tokio::test]
async fn a_host_that_never_served_does_not_deny_the_one_that_does() {
    let world = World::controller();
    let report = world.root.join("run/hostkit/report.json");
    let ready = fs::read_to_string(&report).unwrap();
    fs::write(&report, ready.replace("\"state\":\"ready\"", "\"state\":\"booting\"")).unwrap();
    world.memory.give_up().unwrap();
    world.terminate();
    world.until(World::is_drained).await;
    assert_eq!(world.with(|cloud| cloud.verdicts.len()), 1, "{}", world.story());
    assert_eq!(world.answer(), None);
}
