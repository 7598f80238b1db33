//! A whole recovery: the real children on real files, the rehearsal account as AWS, and a systemd that
//! follows a script: its boot asks the real child whether it may have the home.

mod host;
mod units;

use std::fs;

use aws_config::SdkConfig;
use hostkit::aws::asg;
use hostkit::boot::inside as boot;
use hostkit::doctor::recover::{Course, Ended, Prospect, Wish};
use hostkit::lease::barred::Barred;
use hostkit::lease::order;
use hostkit::lease::record::claim_file;

use crate::efs_recover::scene::{FS, RESTORE};
use crate::rehearsal_account::Setting as Rehearsal;
use crate::rehearsal_group::config;
use crate::support::lay;
use host::{GROUP, Host, Machine};
use units::Lease;

fn from_backup() -> Wish {
    Wish { from: Some(RESTORE.to_owned()), ..Wish::default() }
}

fn undo() -> Wish {
    Wish { undo: true, ..Wish::default() }
}

fn again() -> Wish {
    Wish::default()
}

/// A host that booted while the recovery was open waits, and has the lease: it is where it is carried on,
/// and it boots again at the end.
#[tokio::test]
async fn a_boot_that_waits_for_it_is_none_that_is_in_the_way() {
    let (account, aws) = setting().await;
    let host = Host::new(Ok(aws), &account.ids[0]);
    // The child dies in the middle of the move.
    host.machine.lock().unwrap().die = Some((4, 1));
    host.run(&from_backup()).await.unwrap_err();
    {
        let mut machine = host.machine.lock().unwrap();
        (machine.die, machine.boot) = (None, ("activating", 2));
    }
    let error = host.run(&again()).await.unwrap_err();
    assert!(told(&error).contains("this host is booting"), "{}", told(&error));
    let boot::Answer::Barred { why, hint } = host.home_step() else { panic!("it may have it") };
    let since = jiff::Timestamp::now();
    Barred { why, hint, since }.say(&host.root).unwrap();
    let Ended::Done { .. } = host.run(&again()).await.unwrap() else { panic!("it is not over") };
    let machine = host.machine.lock().unwrap();
    assert!(machine.jenkins);
    assert_eq!(machine.boot, ("active", 3), "it was begun again, once");
    assert!(host.text("home/config.xml").contains("then"));
}

async fn setting() -> (Rehearsal, SdkConfig) {
    let account = Rehearsal::new().await;
    let keys = &account.keys;
    let aws = config(&account.url, &keys.access_key, &keys.secret_key, keys.session.clone());
    (account, aws)
}

fn told(error: &anyhow::Error) -> String {
    hostkit::error::render(error)
}

#[tokio::test]
async fn a_home_is_brought_back_and_that_is_taken_back() {
    let (account, aws) = setting().await;
    // What was suspended before stays so.
    let before = vec!["AZRebalance".to_owned()];
    asg::process::suspend(&aws, GROUP, &before).await.unwrap();
    let host = Host::new(Ok(aws), &account.ids[0]);
    let prospect = host.look(&from_backup()).await.unwrap();
    let plain = |prospect: &Prospect| prospect.text().replace(&prospect.journal.id, "TIME");
    let mut shown = vec![plain(&prospect)];
    assert!(matches!(prospect.course, Course::Begin));
    assert!(!host.mount.join(".hostkit/recover.json").exists(), "nothing is changed by looking");
    assert_eq!(host.suspended().await, before);

    let Ended::Done { record } = host.run(&from_backup()).await.unwrap() else { panic!() };
    assert!(host.text("home/config.xml").contains("then"));
    assert!(
        host.mount.join(&record).exists() && !host.mount.join(".hostkit/recover.json").exists()
    );
    assert!(host.machine.lock().unwrap().jenkins);
    assert_eq!(host.suspended().await, before, "resumed by exactly what was suspended");
    assert_eq!(host.memory().mine(), Some(2), "a generation later");

    let refused = host.look(&undo()).await.unwrap_err();
    assert!(told(&refused).contains("--stop-jenkins"), "{}", told(&refused));
    let stop = Wish { stop_jenkins: true, ..undo() };
    shown.push(plain(&host.look(&stop).await.unwrap()));
    host.run(&stop).await.unwrap();
    assert!(host.text("home/config.xml").contains("now"));
    assert!(host.text(&format!("{RESTORE}/home/config.xml")).contains("then"));
    assert_eq!((host.suspended().await, host.memory().mine()), (before, Some(3)));
    let once = told(&host.look(&undo()).await.unwrap_err());
    assert!(once.contains("taken back already"), "{once}");
    insta::assert_snapshot!(shown.join("\n---\n\n"));
}

/// Has a recovery die at every change of every one of its children, and then `next` done.
async fn killed_everywhere(next: impl Fn() -> Wish, text: &str) {
    let mut deaths = 0;
    'children: for number in 1.. {
        for moment in 1.. {
            let (account, aws) = setting().await;
            let host = Host::new(Ok(aws), &account.ids[0]);
            host.machine.lock().unwrap().die = Some((number, moment));
            let end = host.run(&from_backup()).await;
            let (died, children) = {
                let machine = host.machine.lock().unwrap();
                (machine.died, machine.children)
            };
            if !died {
                assert!(end.is_ok(), "{number} {moment}: {end:?}");
                if number > children {
                    break 'children;
                }
                break;
            }
            deaths += 1;
            // Meanwhile no boot has Jenkins start, unless all is moved.
            let open = host.text(".hostkit/recover.json");
            let moved = ["\"start\"", "\"resume\""].iter().any(|stage| open.contains(stage));
            let may = matches!(host.home_step(), boot::Answer::Done { .. });
            assert_eq!(may, open.is_empty() || moved, "{number} {moment}: {open}");
            let wish = Wish { stop_jenkins: true, ..next() };
            match host.run(&wish).await {
                Ok(Ended::Done { .. }) => {}
                // The child that closes it has died when all was done, or the one that begins it
                // before it was written.
                Err(_) if open.is_empty() => continue,
                other => panic!("{number} {moment}: {other:?}"),
            }
            let config = host.text("home/config.xml");
            assert!(config.contains(text), "{number} {moment}: {config}");
            let then = if text == "now" { format!("{RESTORE}/home") } else { "home".to_owned() };
            assert!(host.text(&format!("{then}/jobs/job-3/config.xml")).contains("then"));
            assert!(host.machine.lock().unwrap().jenkins, "{number} {moment}");
            assert_eq!(host.suspended().await, Vec::<String>::new(), "{number} {moment}");
            assert!(host.memory().mine() > Some(1), "{number} {moment}: a generation later");
            assert!(!host.mount.join(".hostkit/recover.json").exists());
        }
    }
    assert!(deaths >= 20, "{deaths}");
}

#[tokio::test]
async fn one_that_is_killed_anywhere_is_carried_on() {
    killed_everywhere(again, "then").await;
}

#[tokio::test]
async fn one_that_is_killed_anywhere_is_taken_back() {
    killed_everywhere(undo, "now").await;
}

#[tokio::test]
async fn another_host_carries_it_on() {
    let (account, aws) = setting().await;
    let host = Host::new(Ok(aws), &account.ids[0]);
    // Its child dies between the two renames.
    host.machine.lock().unwrap().die = Some((4, 3));
    host.run(&from_backup()).await.unwrap_err();
    assert!(host.machine.lock().unwrap().died && !host.mount.join("home").exists());
    // The next one of the group has another memory, and the same file system.
    Lease::of(&host.root, &host.order).stop(&mut host.machine.lock().unwrap());
    let boot::Answer::Barred { why, hint } = host.home_step() else { panic!() };
    assert!(why.contains("by alice on") && hint.contains("--undo"), "{why}\n{hint}");
    host.machine.lock().unwrap().boot = ("failed", 7);
    let other = host.followed_by(&account.ids[1]);
    let Ended::Done { .. } = other.run(&again()).await.unwrap() else { panic!() };
    assert!(other.text("home/config.xml").contains("then"));
    assert_eq!(other.suspended().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_lease_that_came_with_the_restore_is_passed_and_not_used() {
    let (account, aws) = setting().await;
    let host = Host::new(Ok(aws), &account.ids[0]);
    let restored = format!("{RESTORE}/.hostkit/lease");
    lay(host.mount.as_std_path(), &format!("{restored}/{}", claim_file(41)), "whatever");
    host.run(&from_backup()).await.unwrap();
    assert_eq!(host.memory().mine(), Some(42));
    let head = host.text(".hostkit/lease/head");
    assert!(head.contains("\"generation\": 42") && head.contains("held"), "{head}");
    assert!(host.text(&format!(".hostkit/lease/{}", claim_file(41))).contains("brought back"));
    assert_eq!(host.text(&format!("{restored}/{}", claim_file(41))), "whatever");
}

#[tokio::test]
async fn a_host_that_was_called_unhealthy_is_kept_when_its_group_goes_on() {
    let (account, aws) = setting().await;
    // As a boot does that finds no home, while nobody replaces it yet.
    asg::process::suspend(&aws, GROUP, &["ReplaceUnhealthy".to_owned()]).await.unwrap();
    asg::set_unhealthy(&aws, &account.ids[0]).await.unwrap();
    let host = Host::new(Ok(aws.clone()), &account.ids[0]);
    let healthy = async || {
        let group = asg::describe(&aws, GROUP).await.unwrap().unwrap();
        group.members.iter().find(|it| it.id == account.ids[0]).unwrap().healthy
    };
    assert!(!healthy().await);
    host.run(&from_backup()).await.unwrap();
    assert!(healthy().await);
}

#[tokio::test]
async fn what_must_not_be_done_is_refused_and_says_what_to_do() {
    let (account, aws) = setting().await;
    let mut all = Vec::new();
    let host = Host::new(Ok(aws.clone()), &account.ids[0]);
    let mut refuse = |what: &str, error: anyhow::Error| {
        all.push(format!("# {what}\n{}", told(&error)));
    };
    refuse("nothing asked", host.look(&again()).await.unwrap_err());
    refuse("nothing to undo", host.look(&undo()).await.unwrap_err());
    let odd = Wish { accept_missing: vec!["secrets".to_owned()], ..from_backup() };
    refuse("nothing is missing", host.look(&odd).await.unwrap_err());
    let key = host.mount.join(format!("{RESTORE}/home/secrets/master.key"));
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    refuse("it is not whole", host.look(&from_backup()).await.unwrap_err());
    let accepted = vec!["secrets/master.key".to_owned()];
    let wish = Wish { accept_missing: accepted, ..from_backup() };
    assert!(host.look(&wish).await.unwrap().text().contains("missing, and accepted"));
    fs::write(&key, kept).unwrap();
    host.machine.lock().unwrap().jenkins = true;
    refuse("Jenkins runs", host.look(&from_backup()).await.unwrap_err());
    *host.machine.lock().unwrap() = Machine { boot: ("activating", 2), ..Machine::default() };
    refuse("it boots", host.look(&from_backup()).await.unwrap_err());
    host.machine.lock().unwrap().boot = ("failed", 2);
    // Somebody else has the home.
    host.memory().give_up().unwrap();
    host.machine.lock().unwrap().elsewhere = true;
    refuse("another holds it", host.run(&from_backup()).await.unwrap_err());
    assert!(host.suspended().await.is_empty(), "nothing was begun");
    fs::remove_file(host.root.join(order::PATH)).unwrap();
    host.machine.lock().unwrap().lease = false;
    refuse("no lease yet", host.run(&from_backup()).await.unwrap_err());

    let denied = Host::new(Err("AccessDenied: no".to_owned()), &account.ids[0]);
    refuse("AWS is silent", denied.look(&from_backup()).await.unwrap_err());
    let left = Wish { leave_group: true, ..from_backup() };
    denied.run(&left).await.unwrap();
    assert!(denied.suspended_by_nobody(&aws).await);

    let host = Host::new(Ok(aws), &account.ids[0]);
    host.machine.lock().unwrap().die = Some((4, 3));
    refuse("it is killed", host.run(&from_backup()).await.unwrap_err());
    refuse("one is open", host.look(&from_backup()).await.unwrap_err());
    let open = host.text(".hostkit/recover.json");
    lay(host.mount.as_std_path(), ".hostkit/recover.json", &open.replace(FS, "fs-0fed"));
    refuse("one of a copy", host.look(&again()).await.unwrap_err());
    lay(host.mount.as_std_path(), ".hostkit/recover.json", "{}");
    refuse("one that cannot be read", host.look(&undo()).await.unwrap_err());
    let text = all.join("\n").replace(&account.ids[0], "i-0aaaaaaaaaaaaaaaa");
    let id = regex_of_time(&text);
    insta::assert_snapshot!(id);
}

/// Times are another one in every run.
fn regex_of_time(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n', ':']);
    let mut since = 0;
    words
        .map(|word| {
            let is_date = word.len() > 10 && word.starts_with("20") && word.as_bytes()[4] == b'-';
            since = if is_date { 3 } else { since };
            if since > 0 {
                since -= 1;
                let end = if word.ends_with(':') { ":" } else { " " };
                return format!("…{end}");
            }
            word.to_owned()
        })
        .collect()
}
