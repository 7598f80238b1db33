//! A home that somebody brings back while a host boots.

use super::*;
use crate::boot::only::only;
use crate::boot::{history, records};
use crate::lease::barred::Barred;
use crate::lease::recovery::{JOURNAL, Journal, RECORDS, Stage, tests::journal};

impl World {
    /// A recovery gets so far.
    fn recovers(&self, stage: Stage) {
        let text = serde_json::to_string(&Journal { stage, ..journal() }).unwrap();
        self.lay_on_efs(JOURNAL, &text);
    }

    fn lay_on_efs(&self, path: &str, text: &str) {
        let path = self.root.join("var/lib/jenkins").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn closed(&self) {
        fs::remove_file(self.root.join("var/lib/jenkins").join(JOURNAL)).unwrap();
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn waits(&self) -> Option<Barred> {
        Barred::read(&self.root)
    }

    /// It was looked so often what becomes of the home.
    fn looks(&self) -> usize {
        self.count_of("hostkit inner home")
    }

    async fn until_it_has_looked_again(&self) {
        let before = self.looks();
        self.until(|world| world.looks() >= before + 3).await;
    }

    fn console(&self) -> String {
        fs::read_to_string(self.root.join("dev/ttyS0")).unwrap()
    }
}

/// `asg.on_failure` is `abandon`: the group would launch one host after the other.
#[tokio::test]
async fn a_boot_waits_for_a_recovery_tells_nobody_that_it_failed_and_goes_on_afterwards() {
    let world = World::new().await;
    world.recovers(Stage::Move);
    let mut console = String::new();
    let (end, ()) = tokio::join!(world.boot(), async {
        world.until(|world| world.waits().is_some()).await;
        console = world.console();
        let status = Status::read(&world.machine).unwrap();
        assert!(status.report.steps.iter().any(|it| it.step == "home" && it.outcome.is_none()));
        assert!(!world.has("run/hostkit/may-start"));
        let beats = world.cloud.lock().unwrap().balancer.beats;
        world.until(|world| world.cloud.lock().unwrap().balancer.beats > beats + 1).await;
        // How far it is, is told; and while Jenkins is only to be started, it is not over.
        world.recovers(Stage::Start);
        world.until(|world| world.waits().is_some_and(|it| it.why.contains("to be started"))).await;
        world.until_it_has_looked_again().await;
        assert!(!world.was_run("systemctl start --no-block jenkins"), "nobody has said so");
        assert_eq!(world.verdicts(), [""; 0]);
        world.closed();
    });
    end.unwrap();
    assert!(world.said("no recovery is under way any more: this boot goes on"));
    assert_eq!((world.waits(), world.verdicts()), (None, vec!["CONTINUE".to_owned()]));
    assert!(world.said("the launch hook launch is kept waiting for at most"));
    insta::assert_snapshot!(console.trim());
}

/// It was rebooted, or its boot begun again: its group believes it in service.
#[tokio::test]
async fn a_host_in_service_is_not_reported_unhealthy_and_says_how_to_keep_it() {
    let world = World::new().await;
    world.boot().await.unwrap();
    fs::remove_file(world.root.join("run/hostkit/report.json")).unwrap();
    world.lay_on_efs(JOURNAL, "{");
    let (end, ()) = tokio::join!(world.boot(), async {
        world.until(|world| world.waits().is_some()).await;
        world.until_it_has_looked_again().await;
        world.closed();
    });
    end.unwrap();
    assert_eq!(world.cloud.lock().unwrap().balancer.reported, 0);
    assert!(world.said("it is InService, and its group may still replace it"));
    assert!(world.said("suspend-processes --auto-scaling-group-name ci"));
    assert!(world.said("cannot be read"));
}

#[tokio::test]
async fn a_file_system_that_is_silent_meanwhile_is_told_and_waited_for() {
    let world = World::new().await;
    world.recovers(Stage::Move);
    let (end, ()) = tokio::join!(world.boot(), async {
        world.until(|world| world.waits().is_some()).await;
        world.systemd.lock().unwrap().child_fails = Some("it hangs");
        world.until_it_has_looked_again().await;
        world.systemd.lock().unwrap().child_fails = None;
        world.closed();
    });
    end.unwrap();
    assert!(world.said("the recovery cannot be looked at"));
}

/// What its predecessor waited for says nothing of this boot.
#[tokio::test]
async fn what_an_earlier_boot_waited_for_is_taken_back_first() {
    let world = World::new().await;
    let since = jiff::Timestamp::now();
    let barred = Barred { why: "long ago".to_owned(), hint: String::new(), since };
    fs::create_dir_all(world.root.join("run/hostkit")).unwrap();
    barred.say(&world.root).unwrap();
    world.cloud.lock().unwrap().parameters.clear();
    world.boot().await.unwrap_err();
    assert_eq!(world.waits(), None);
}

/// Who does the step by hand has not to wait.
#[tokio::test]
async fn by_hand_a_recovery_is_a_refusal() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.recovers(Stage::Lease);
    let work = only(world.machine.clone(), world.config(), Events::silent(), "home");
    let error = error::render(&work.await.unwrap_err());
    assert!(error.contains("by alice on i-0aaa") && error.contains("--undo"), "{error}");
    assert_eq!(world.waits(), None);
}

#[tokio::test]
async fn recoveries_are_in_the_history_beside_the_boots() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let ended = Some("2026-11-26T03:12:00Z".parse().unwrap());
    let begun = "2026-11-26T03:00:00Z".parse().unwrap();
    let id = "20261126T030000Z".to_owned();
    let done = Journal { id, begun, ended, stage: Stage::Resume, ..journal() };
    world
        .lay_on_efs(&format!("{RECORDS}/{}.json", done.id), &serde_json::to_string(&done).unwrap());
    world.lay_on_efs(&format!("{RECORDS}/20261125T030000Z.json"), "{");
    world.lay_on_efs(&format!("{RECORDS}/notes.txt"), "of a person");
    world.recovers(Stage::Move);
    let records = records::read(&world.machine).await.unwrap();
    assert_eq!(records.recoveries, [journal_at(Stage::Move), done]);
    assert_eq!((records.boots.len(), records.unreadable), (1, 1));
    let lines: Vec<_> = history::entries(&records).collect();
    assert_eq!(lines.len(), 3);
    assert!(history::render(&records).contains("under way"), "{}", history::render(&records));
}

fn journal_at(stage: Stage) -> Journal {
    Journal { stage, ..journal() }
}
