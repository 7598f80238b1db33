//! A boot that fails with secrets in its words: they are in none of the places where those end up.

use super::*;

/// What a unit may say that has read its credentials.
const SAID: &str = "cannot log in as admin:correct horse, Authorization: Basic YWRtaW46Y29ycmVjdA==\n\
                    key -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n\
                    -----END OPENSSH PRIVATE KEY-----\nhttps://u:correct horse@ci/ AKIAIOSFODNN7EXAMPLE";

/// All that must not be seen.
fn secrets() -> Vec<String> {
    let mut secrets = vec![PASSWORD.to_owned(), "YWRtaW46Y29ycmVjdA".to_owned()];
    secrets.push("AKIAIOSFODNN7EXAMPLE".to_owned());
    secrets.push("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU".to_owned());
    secrets.extend(PRIVATE_KEY.lines().filter(|line| !line.starts_with("---")).map(str::to_owned));
    secrets
}

#[tokio::test]
async fn a_failure_that_holds_secrets_shows_none_of_them_anywhere() {
    let world = World::new().await;
    {
        let mut systemd = world.systemd.lock().unwrap();
        systemd.start_leads_to = "failed";
        systemd.journal = SAID;
    }
    let (end, said) = world.boot_and_hear().await;
    let error = end.unwrap_err();
    assert!(error.contains("[secret]"), "{error}");
    let read = |path: &str| fs::read_to_string(world.root.join(path)).unwrap();
    let status = world.status();
    let analysis = super::super::analyze::Analysis::new(&status, status.started);
    let sinks = [
        ("the error", error),
        ("the events", said.join("\n")),
        ("the console", read("dev/ttyS0")),
        ("the report", read("run/hostkit/report.json")),
        ("status", status.render()),
        ("the record here", world.record_text("var/lib/hostkit/boots")),
        ("the record on the home", world.record_text("var/lib/jenkins/.hostkit/boots")),
        ("the analysis", analysis.text()),
        ("the picture", analysis.svg()),
    ];
    for (sink, text) in &sinks {
        assert!(!text.is_empty(), "{sink}");
        for secret in secrets() {
            assert!(!text.contains(&secret), "{sink}: {secret}\n{text}");
        }
    }
}

#[tokio::test]
async fn every_boot_leaves_a_record_and_history_reads_it() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let records = super::super::records::read(&world.machine).await.unwrap();
    assert_eq!(records.source, super::super::records::Source::Home);
    let [boot] = &records.boots[..] else { panic!("{records:?}") };
    assert_eq!((boot.state, boot.instance_id.as_deref()), (State::Ready, Some(INSTANCE)));
    let about = boot.about.as_ref().unwrap();
    assert_eq!(about.file_system.as_deref(), Some("fs-0123456789abcdef0"));
    assert!(about.line().starts_with("controller · ip-10-0-2-15 · "), "{}", about.line());
    assert_eq!(boot.report, world.status().report);

    // A home that does not answer: the records of the host itself are there.
    world.systemd.lock().unwrap().child_fails = Some("it hangs");
    let records = super::super::records::read(&world.machine).await.unwrap();
    let super::super::records::Source::Host(Some(why)) = &records.source else { panic!() };
    assert!(why.contains("it hangs"), "{why}");
    assert_eq!(records.boots.len(), 1);
}

#[tokio::test]
async fn the_journal_is_shipped_where_a_group_is_set_and_nowhere_else() {
    let config = "role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n[jenkins.security]\nmode = \"local\"\n[logs]\ngroup = \"ci\"\n";
    for (config, shipped) in [(config, true), (&config[..config.find("[logs]").unwrap()], false)] {
        let world = World::told(config).await;
        world.systemd.lock().unwrap().others.insert("hostkit-logs.service", "inactive");
        let _ = world.boot().await;
        assert_eq!(world.was_run("systemctl start --no-block hostkit-logs.service"), shipped);
    }
}
