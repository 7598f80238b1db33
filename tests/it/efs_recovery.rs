//! A whole recovery: the real children on real files, the rehearsal account as AWS, and a systemd that
//! follows a script: its boot asks the real child whether it may have the home.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use hostkit::aws::asg;
use hostkit::boot::inside as boot;
use hostkit::doctor::recover::{Course, Ended, Prospect, Setting, Wish, carry_out, prepare};
use hostkit::event::Events;
use hostkit::host::LeasePolicy;
use hostkit::lease::barred::Barred;
use hostkit::lease::claim::Head;
use hostkit::lease::clerk::{Answer, Clerk, Request};
use hostkit::lease::ground::Ground;
use hostkit::lease::memory::{Memory, Phase, Standing};
use hostkit::lease::order::{self, Order};
use hostkit::lease::record::{Holder, Record, State as Held, VERSION, claim_file};
use hostkit::sys::Runner;
use hostkit::sys::dialogue::Reply;
use hostkit::sys::runner::Script;

use crate::efs_recover::{FS, home, lay, me};
use crate::rehearsal_account::Setting as Rehearsal;
use crate::rehearsal_group::config;
use crate::support::scratch;

const GROUP: &str = "hostkit-vm";
const BOOT_ID: &str = "boot-1";
const RESTORE: &str = "aws-backup-restore_2026-11-27T02-10-00Z";
const SECOND: Duration = Duration::from_millis(2);

/// What this machine is at.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
struct Machine {
    jenkins: bool,
    lease: bool,
    /// The state of the boot's unit, and how often it was started.
    boot: (&'static str, u32),
    /// Another host has the home.
    elsewhere: bool,
    /// The child of this number dies at this moment.
    die: Option<(u32, u32)>,
    children: u32,
    died: bool,
}

/// A controller: its own files, and its file system.
struct Host {
    _folders: [tempfile::TempDir; 2],
    root: Utf8PathBuf,
    mount: Utf8PathBuf,
    order: Order,
    machine: Arc<Mutex<Machine>>,
    runner: Runner,
    aws: Result<SdkConfig, String>,
}

fn utf8(folder: &tempfile::TempDir) -> Utf8PathBuf {
    Utf8Path::from_path(folder.path()).unwrap().to_owned()
}

/// Runs the real child.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn child(arguments: &[&str], input: &[u8]) -> Result<String, (i32, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if output.status.success() { Ok(text) } else { Err((137, "killed".to_owned())) }
}

impl Host {
    fn new(aws: Result<SdkConfig, String>, instance: &str) -> Self {
        let folders = [scratch(), scratch()];
        let (root, mount) = (utf8(&folders[0]), utf8(&folders[1]));
        let me = Holder {
            fs_id: FS.to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            instance_id: Some(instance.to_owned()),
            task: None,
            boot_id: BOOT_ID.to_owned(),
            launched: None,
            ami: None,
            hostkit: None,
            since: None,
        };
        let order = Order {
            me,
            mount_point: mount.clone(),
            policy: LeasePolicy::Wait,
            patience: 60,
            group: None,
            endpoint_url: None,
            imds: None,
        };
        fs::create_dir_all(root.join("run/hostkit/lease")).unwrap();
        fs::write(root.join(order::PATH), serde_json::to_vec(&order).unwrap()).unwrap();
        fs::write(root.join("run/hostkit/may-start"), "").unwrap();
        lay(mount.as_std_path(), ".hostkit/fs-id", &format!("{FS}\n"));
        home(mount.as_std_path(), "home/", "now");
        home(mount.as_std_path(), &format!("{RESTORE}/home/"), "then");
        let machine = Arc::new(Mutex::new(Machine { boot: ("active", 1), ..Machine::default() }));
        let runner = script(&root, &order, &machine).runner().0;
        let host = Self { _folders: folders, root, mount, order, machine, runner, aws };
        Lease::of(&host.root, &host.order).start(&mut host.machine.lock().unwrap());
        host
    }

    fn memory(&self) -> Memory {
        Memory::new(&self.root, BOOT_ID)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.mount.join(path)).unwrap_or_default()
    }

    async fn look(&self, wish: &Wish) -> anyhow::Result<Prospect> {
        prepare(&self.setting(&Events::silent()), wish).await
    }

    async fn run(&self, wish: &Wish) -> anyhow::Result<Ended> {
        let events = Events::silent();
        let setting = self.setting(&events);
        let prospect = prepare(&setting, wish).await?;
        carry_out(&setting, prospect, true).await
    }

    fn setting<'a>(&'a self, events: &'a Events) -> Setting<'a> {
        Setting {
            root: &self.root,
            runner: &self.runner,
            order: &self.order,
            user: Box::leak(me().into_boxed_str()),
            aws: self.aws.clone(),
            by: "alice",
            events,
            second: SECOND,
        }
    }

    /// What a boot makes of the home.
    fn home_step(&self) -> boot::Answer {
        home_step(&self.mount)
    }

    async fn suspended(&self) -> Vec<String> {
        let group = asg::describe(self.aws.as_ref().unwrap(), GROUP).await.unwrap().unwrap();
        let mut all = group.suspended;
        all.sort();
        all
    }
}

fn home_step(mount: &Utf8Path) -> boot::Answer {
    let request = boot::Request::Prepare {
        mount_point: mount.to_owned(),
        file_system: FS.to_owned(),
        user: me(),
        jenkins: None,
        allow_downgrade: false,
        image: "ami-1".to_owned(),
        former: boot::Former::Tell,
    };
    let json = serde_json::to_vec(&request).unwrap();
    serde_json::from_str(&child(&["inner", "home", "--anywhere"], &json).unwrap()).unwrap()
}

/// The lease's unit, as far as it matters here.
struct Lease {
    order: Order,
    memory: Memory,
    clerk: Clerk,
}

impl Lease {
    fn of(root: &Utf8Path, order: &Order) -> Self {
        let mut clerk = Clerk::new(Ground::Any);
        let mount_point = order.mount_point.clone();
        clerk.answer(&Request::Open { mount_point, fs_id: FS.to_owned() });
        Self { order: order.clone(), memory: Memory::new(root, BOOT_ID), clerk }
    }

    fn record(&self, generation: u64, state: Held) -> Box<Record> {
        let holder = self.order.me.clone();
        Box::new(Record { version: VERSION, generation, state, holder, broken: None })
    }

    fn tell(&self, phase: Phase, generation: Option<u64>, why: &str) {
        let since = jiff::Timestamp::now();
        let (why, hint) = (why.to_owned(), None);
        self.memory.tell(&Standing { version: 1, phase, generation, why, hint, since }).unwrap();
    }

    fn start(mut self, machine: &mut Machine) {
        machine.lease = true;
        if machine.elsewhere {
            self.tell(Phase::Waiting, None, "i-0bbbbbbbbbbbbbbbb holds the home, and runs");
            return;
        }
        let generation = if let Some(generation) = self.memory.mine() {
            generation
        } else {
            let next = match self.clerk.answer(&Request::Look) {
                Answer::Head(Head::Record(head)) => head.generation + 1,
                // A home that had one before.
                Answer::Head(_) => 1,
                other => panic!("{other:?}"),
            };
            let claim = self.record(next, Held::Held);
            assert_eq!(self.clerk.answer(&Request::Claim(claim)), Answer::Claimed);
            assert_eq!(self.clerk.answer(&Request::Announce), Answer::Done);
            self.memory.take(next).unwrap();
            next
        };
        self.tell(Phase::Held, Some(generation), "it is held");
    }

    fn stop(mut self, machine: &mut Machine) {
        machine.lease = false;
        let Some(generation) = self.memory.mine() else { return };
        self.memory.give_up().unwrap();
        let released = self.record(generation, Held::Released);
        assert_eq!(self.clerk.answer(&Request::Replace(released)), Answer::Done);
        self.tell(Phase::Released, Some(generation), "it is released");
    }
}

fn script(root: &Utf8Path, order: &Order, machine: &Arc<Mutex<Machine>>) -> Script {
    let shared = || (Arc::clone(machine), root.to_owned(), order.clone());
    let [recover, jenkins, booted, held] = [(); 4].map(|()| Arc::clone(machine));
    let ((start, its_root, its_order), (stop, other_root, other_order)) = (shared(), shared());
    let (again, boot_root, boot_order) = shared();
    let halt = Arc::clone(machine);
    Script::default()
        .on("hostkit inner recover", move |command| {
            let mut machine = recover.lock().unwrap();
            machine.children += 1;
            let mut arguments = vec!["inner", "recover", "--anywhere"];
            let moment = machine.die.filter(|(at, _)| *at == machine.children);
            let moment = moment.map(|(_, moment)| moment.to_string());
            if let Some(moment) = &moment {
                arguments.extend(["--die-at", moment]);
            }
            let end = child(&arguments, command.stdin.as_deref().unwrap());
            machine.died |= end.is_err();
            end
        })
        .on("systemctl show jenkins.service", move |_| {
            let state = if jenkins.lock().unwrap().jenkins { "active" } else { "inactive" };
            Ok(format!("LoadState=loaded\nActiveState={state}\nControlGroup=\n"))
        })
        .on("systemctl stop --no-block jenkins.service", move |_| {
            halt.lock().unwrap().jenkins = false;
            Ok(String::new())
        })
        .on("systemctl show hostkit-boot.service", move |_| {
            let (state, run) = booted.lock().unwrap().boot;
            Ok(format!("ActiveState={state}\nInvocationID={run}\n"))
        })
        .on("systemctl show hostkit-lease.service", move |_| {
            let state = if held.lock().unwrap().lease { "active" } else { "inactive" };
            Ok(format!("ActiveState={state}\n"))
        })
        .on("systemctl start --no-block hostkit-lease.service", move |_| {
            Lease::of(&its_root, &its_order).start(&mut start.lock().unwrap());
            Ok(String::new())
        })
        .on("systemctl stop --no-block hostkit-lease.service", move |_| {
            Lease::of(&other_root, &other_order).stop(&mut stop.lock().unwrap());
            Ok(String::new())
        })
        .on("systemctl restart --no-block hostkit-boot.service", move |_| {
            let mut machine = again.lock().unwrap();
            Lease::of(&boot_root, &boot_order).start(&mut machine);
            let may = matches!(home_step(&boot_order.mount_point), boot::Answer::Done { .. });
            machine.jenkins = may;
            machine.boot = (if may { "active" } else { "failed" }, machine.boot.1 + 1);
            if !may {
                Lease::of(&boot_root, &boot_order).stop(&mut machine);
            }
            Ok(String::new())
        })
        .converse("hostkit inner clerk", |_| {
            let mut clerk = Clerk::new(Ground::Any);
            Box::new(move |line| Reply::Line(clerk.answer_line(line)))
        })
}

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
    let mut order = host.order.clone();
    order.me.instance_id = Some(account.ids[1].clone());
    host.machine.lock().unwrap().boot = ("failed", 7);
    let other = Host { order, ..host };
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

impl Host {
    async fn suspended_by_nobody(&self, aws: &SdkConfig) -> bool {
        asg::describe(aws, GROUP).await.unwrap().unwrap().suspended.is_empty()
    }
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
