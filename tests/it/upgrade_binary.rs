//! `hostkit upgrade` as people run it: the binary, against the rehearsal account with hosts that have a
//! script instead of a machine.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hostkit::sim::account::REGION;
use hostkit::sim::alarm::{Alarm, State};
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::endpoint::{Shared, with};
use hostkit::sim::hosts::scenery::{Plan, Scenery};
use hostkit::sim::hosts::script::Agents;
use hostkit::sim::hosts::{self, Does, Part, Players, Script, What};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{hostkit, pause, python};

/// AWS's time goes so much faster.
const SPEED: f64 = 30.0;

/// A controller on image A, and what image B does.
struct Stage {
    cloud: Cloud,
    scenery: Scenery,
    _players: Players,
}

impl Stage {
    /// Image B has this version of Jenkins.
    fn open(jenkins: &str, does: Does) -> Self {
        Self::with_build(jenkins, does, 60.0)
    }

    /// A build runs that takes so many seconds.
    fn with_build(jenkins: &str, does: Does, seconds: f64) -> Self {
        let cloud = Cloud::open(Options { speed: SPEED, ..Options::default() }).unwrap();
        let scenery = with(&cloud.account, |account| {
            let scenery = Plan::controller("ci").furnish(account);
            let images = &mut account.region(REGION).images;
            for (id, version) in [(&scenery.old, "2.516.1"), (&scenery.new, jenkins)] {
                let tags = &mut images.get_mut(id).unwrap().tags;
                tags.insert("hostkit:jenkins".to_owned(), version.to_owned());
            }
            scenery
        });
        let part = |jenkins: &str| Part {
            agents: Some(Agents { known: 2, online: 2 }),
            builds: vec![seconds],
            boot_seconds: 30.0,
            ..Part::controller(jenkins)
        };
        let new = part(jenkins).of_image(&scenery.new).that(does);
        let players = hosts::play(&cloud, Script::of([new, part("2.516.1")]));
        let stage = Self { cloud, scenery, _players: players };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !stage.is_in_service() {
            assert!(Instant::now() < deadline, "nobody serves");
            pause();
        }
        stage
    }

    /// The load balancer has found a host healthy, and its guard has said that it serves.
    fn is_in_service(&self) -> bool {
        let check = self.run(&["asg", "check", "--format", "json"]);
        let found: Value = serde_json::from_slice(&check.stdout).unwrap_or_default();
        let said = with(&self.cloud.account, |it| it.parameter(REGION, "/hostkit/asg/ci/host"));
        check.status.success() && !found.is_null() && said.is_some_and(|it| it.contains("serving"))
    }

    /// EC2 takes its time to end the one that was given up.
    fn serves_again(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.is_in_service() {
            assert!(Instant::now() < deadline, "the one before does not serve");
            pause();
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.args(arguments).args(["--asg", "ci"]).envs(self.cloud.environment());
        command.env_remove("HOSTKIT_FORMAT").env_remove("RUST_LOG").env("NO_COLOR", "1");
        command.current_dir(std::env::temp_dir());
        command
    }

    /// What the journal says of itself.
    fn journal(&self) -> Value {
        let text = with(&self.cloud.account, |it| it.parameter(REGION, "/hostkit/asg/ci/journal"));
        text.map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default()
    }

    /// An upgrade that waits for builds.
    fn waiting(&self, url: &str) -> Upgrade {
        let mut command = self.command(&["upgrade", "--image", &self.scenery.new, "--yes"]);
        command.env("AWS_ENDPOINT_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let upgrade = Upgrade(Some(command.spawn().unwrap()));
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.journal()["phase"] != "quiet" {
            assert!(Instant::now() < deadline, "{}", self.journal());
            pause();
        }
        upgrade
    }

    /// How often a host has put its home back.
    fn put_back(&self) -> usize {
        with(&self.cloud.account, |account| {
            let entries = account.hosts.homes.values().flat_map(|home| &home.log);
            entries.filter(|entry| entry.what == What::PutBack).count()
        })
    }

    fn violations(&self) -> Vec<String> {
        with(&self.cloud.account, |account| account.hosts.violations())
    }

    /// A text without what differs between two runs.
    fn told(&self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text).into_owned();
        let text = text.replace(&self.scenery.old, "ami-OLD").replace(&self.scenery.new, "ami-NEW");
        let text = text.replace(&self.scenery.template, "lt-1");
        let mut told = String::new();
        for line in text.lines() {
            let words = line.split_whitespace().map(|word| {
                let bare = word.trim_start_matches('(').trim_end_matches([',', '.', ')', ';', ':']);
                let is_number = bare.parse::<f64>().is_ok() && bare.contains('.');
                let is_id = bare.starts_with("i-0") || bare.contains("-2026");
                if is_number || is_id { word.replace(bare, "…") } else { word.to_owned() }
            });
            let line: Vec<_> = words.filter(|word| !word.starts_with('█')).collect();
            told += line.join(" ").trim_end();
            told.push('\n');
        }
        told
    }
}

#[test]
fn from_a_to_b_is_shown_agreed_to_carried_out_and_proven() {
    let stage = Stage::open("2.516.2", Does::Healthy);
    let new = stage.scenery.new.clone();
    let plan = stage.run(&["upgrade", "--image", &new, "--plan"]);
    assert_eq!(plan.status.code(), Some(10), "{}", String::from_utf8_lossy(&plan.stdout));
    let unasked = stage.run(&["upgrade", "--image", &new]);
    assert_eq!(unasked.status.code(), Some(2), "nobody agreed");
    let done = stage.run(&["upgrade", "--image", &new, "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let told = stage.told(&done.stdout);
    for part in [
        "jenkins 2.516.1 -> 2.516.2",
        "ci serves jenkins-controller",
        "Jenkins 2.516.2",
        "quiet",
        "release",
        "claim",
        "proof",
        "nobody was served for",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let again = stage.run(&["upgrade", "--image", &new, "--yes"]);
    assert_eq!(again.status.code(), Some(0), "it serves already");
    // The gate between versions is looked at before anything is done.
    let back = stage.run(&["rollback", "--yes"]);
    let told = stage.told(&back.stdout);
    assert_eq!(back.status.code(), Some(5), "{told}");
    assert!(told.contains("home.downgrade"), "{told}");
    assert!(told.contains("--restore-home"), "{told}");
    let back = stage.run(&["rollback", "--yes", "--restore-home"]);
    let told = stage.told(&back.stdout);
    assert_eq!(back.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&back.stderr));
    assert!(told.contains("home configuration and plugins as this image had left them"), "{told}");
    assert_eq!(stage.put_back(), 1);
    assert_eq!(stage.violations(), Vec::<String>::new());
    with(&stage.cloud.account, |account| {
        assert_eq!(account.hosts.lost(), 0, "builds are waited for");
    });
}

#[test]
fn what_served_before_serves_again_and_the_history_has_both() {
    let stage = Stage::open("2.516.1", Does::Healthy);
    let new = stage.scenery.new.clone();
    let done = stage.run(&["upgrade", "--image", &new, "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let back = stage.run(&["rollback", "--yes", "--soak", "3s", "--format", "json"]);
    let text = String::from_utf8_lossy(&back.stdout).into_owned();
    assert_eq!(back.status.code(), Some(0), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stands = |line: &&Value| line["event"]["stands"]["facts"].is_array();
    assert!(lines.iter().any(|line| stands(&line)), "{text}");
    let begun: Vec<_> =
        lines.iter().filter_map(|line| line["event"]["started"]["step"].as_str()).collect();
    let at = |step| begun.iter().position(|begun| *begun == step);
    assert!(
        at("proof").is_some() && at("proof") < at("soak") && at("soak") < at("promote"),
        "{begun:?}"
    );
    let last = lines.last().unwrap();
    assert_eq!(last["ended"], "done", "{text}");
    assert_eq!(last["to"]["image"], stage.scenery.old.as_str());
    assert!(last["times"]["down"].as_f64().unwrap() > 0.0, "{last}");
    let spans = last["times"]["spans"].as_array().unwrap();
    let soak = spans.iter().find(|span| span["name"] == "soak").unwrap();
    assert!(soak["seconds"].as_f64().unwrap() >= 3.0, "{last}");
    agree_with_the_schema(&text);
    let history = stage.run(&["history"]);
    assert_eq!(history.status.code(), Some(0));
    let history = stage.told(&history.stdout);
    assert_eq!(history.lines().count(), 3, "{history}");
    assert!(history.contains("done") && history.contains("rolled back"), "{history}");
    assert_eq!(stage.violations(), Vec::<String>::new());
}

/// Each line of what programs are told is as `hostkit docs schema upgrade` says, by a validator of other
/// people.
fn agree_with_the_schema(lines: &str) {
    const CHECK: &str = "
import json, sys, jsonschema
schema, lines = sys.argv[1:3]
check = jsonschema.Draft202012Validator(json.loads(schema))
for line in lines.splitlines():
    wrong = [error.message for error in check.iter_errors(json.loads(line))]
    assert not wrong, (line, wrong)
assert list(check.iter_errors({'version': 1, 'ended': 'well'})), 'anything will do'
";
    let schema = hostkit().args(["docs", "schema", "upgrade"]).output().unwrap();
    let schema = String::from_utf8(schema.stdout).unwrap();
    assert!(schema.contains("\"Summary\""), "{schema}");
    let Some(python) = python() else { return };
    let output = Command::new(python).arg("-c").arg(CHECK).args([&schema, lines]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_does_not_prove_itself_is_put_back_with_its_cause() {
    let stage = Stage::open("2.516.2", Does::WrongHome);
    let new = stage.scenery.new.clone();
    let ended = stage.run(&["upgrade", "--image", &new, "--yes"]);
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(5), "{error}");
    let told = stage.told(&ended.stdout);
    assert!(told.contains("again"), "{told}");
    assert!(error.contains("error: At `") && error.contains("another file system"), "{error}");
    assert_eq!(stage.violations(), Vec::<String>::new());
}

/// An alarm is so from now on.
fn set(account: &Shared, name: &str, state: State, reason: &str) {
    with(account, |account| {
        let now = account.world();
        let alarm = account.region(REGION).alarms.entry(name.to_owned());
        alarm.or_insert_with(|| Alarm::new(false, now)).set(state, reason, now);
    });
}

#[test]
fn an_alarm_that_fires_meanwhile_has_aws_put_the_former_version_back() {
    let stage = Stage::open("2.516.1", Does::NeverReady);
    set(&stage.cloud.account, "ci-slow", State::Ok, "all is well");
    let (new, account) = (stage.scenery.new.clone(), stage.cloud.account.clone());
    let ended = std::thread::scope(|scope| {
        // Once the new host is there, what it serves is slow.
        scope.spawn(|| {
            let deadline = Instant::now() + Duration::from_mins(2);
            let comes = |image: &str| {
                with(&account, |it| it.instances().iter().any(|one| one.image == image))
            };
            while !comes(&new) && Instant::now() < deadline {
                pause();
            }
            set(&account, "ci-slow", State::Alarm, "Threshold Crossed");
        });
        stage.run(&["upgrade", "--image", &new, "--yes", "--alarm", "ci-slow"])
    });
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    let told = stage.told(&ended.stdout);
    assert_eq!(ended.status.code(), Some(5), "{told}{error}");
    assert!(error.contains("error: At `refresh`"), "{error}");
    assert!(
        error.contains("AWS rolls the refresh back by itself: An automatic rollback"),
        "{error}"
    );
    assert!(error.contains("alarms are in the ALARM state: ci-slow"), "{error}");
    assert!(told.contains("again"), "{told}");
    assert_eq!(stage.violations(), Vec::<String>::new());
    assert!(stage.is_in_service());
}

/// AWS watches no more once the new host is in service: who asked for it to go on serving is heard.
#[test]
fn an_alarm_that_fires_before_the_new_image_counts_has_the_former_one_put_back() {
    let stage = Stage::open("2.516.1", Does::Healthy);
    set(&stage.cloud.account, "ci-errors", State::Ok, "all is well");
    let (new, account) = (stage.scenery.new.clone(), stage.cloud.account.clone());
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Instant::now() + Duration::from_mins(2);
            let is_proven = || {
                let journal = with(&account, |it| it.parameter(REGION, "/hostkit/asg/ci/journal"));
                journal.is_some_and(|text| text.contains("\"proven\":"))
            };
            while !is_proven() && Instant::now() < deadline {
                pause();
            }
            set(&account, "ci-errors", State::Alarm, "Threshold Crossed");
        });
        let watched = ["--soak", "10m", "--alarm", "ci-errors"];
        stage.run(&[&["upgrade", "--image", &new, "--yes"], &watched[..]].concat())
    });
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    let told = stage.told(&ended.stdout);
    assert_eq!(ended.status.code(), Some(5), "{told}{error}");
    let says = "was given up: an alarm fires: ci-errors is ALARM: Threshold Crossed.";
    assert!(error.contains("error: At `proof`") && error.contains(says), "{error}");
    assert!(told.contains("again"), "{told}");
    assert_eq!(stage.violations(), Vec::<String>::new());
    stage.serves_again();
}

/// The newer Jenkins came up and has served the home before it is found wrong.
#[test]
fn a_newer_jenkins_that_came_up_and_is_not_proven_makes_way_for_the_one_before() {
    let stage = Stage::open("2.516.3", Does::WrongVersion);
    let new = stage.scenery.new.clone();
    with(&stage.cloud.account, |account| {
        let tags = &mut account.region(REGION).images.get_mut(&new).unwrap().tags;
        tags.insert("hostkit:jenkins".to_owned(), "2.516.2".to_owned());
    });
    let ended = stage.run(&["upgrade", "--image", &new, "--yes"]);
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(5), "{error}");
    assert!(error.contains("2.516.3") && error.contains("serves: i-"), "{error}");
    assert!(stage.told(&ended.stdout).contains("again"), "{error}");
    assert_eq!((stage.put_back(), stage.violations()), (1, Vec::new()));
    stage.serves_again();
}

/// A process that is under way, and that no test leaves behind.
struct Upgrade(Option<Child>);

impl Upgrade {
    /// Somebody presses Ctrl-C.
    fn interrupt(&self) {
        let id = self.0.as_ref().unwrap().id();
        kill(Pid::from_raw(id.try_into().unwrap()), Signal::SIGINT).unwrap();
    }

    fn ended(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn ctrl_c_stops_where_it_is_safe_and_it_is_carried_on_with_less_patience() {
    let stage = Stage::with_build("2.516.2", Does::Healthy, 900.0);
    let new = stage.scenery.new.clone();
    let upgrade = stage.waiting(&stage.cloud.url);
    upgrade.interrupt();
    let ended = upgrade.ended();
    let told = stage.told(&ended.stdout);
    assert_eq!(ended.status.code(), Some(130), "{told}");
    assert!(told.contains("stopped at quieting Jenkins") && told.contains("--resume"), "{told}");
    assert_eq!(stage.journal()["stopped"], true);
    // Another one is not begun beside it, and it is not done either.
    for image in [&new, &stage.scenery.old] {
        let second = stage.run(&["upgrade", "--image", image, "--yes"]);
        let told = stage.told(&second.stdout);
        assert_eq!(second.status.code(), Some(5), "{told}");
        assert!(told.contains("upgrade.lock") && !told.contains("nothing is to be done"), "{told}");
    }
    let on = ["upgrade", "--resume", "--builds", "force", "--patience", "15m"];
    let done = stage.run(&on);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let order = &stage.journal()["order"];
    assert_eq!((&order["builds"], &order["patience"]), (&"force".into(), &900.into()), "{order}");
    assert_eq!(stage.violations(), Vec::<String>::new());
}

/// A way to the account that may fall silent: what is sent then arrives nowhere.
struct Wire {
    url: String,
    is_silent: Arc<AtomicBool>,
}

impl Wire {
    fn open(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_silent = Arc::new(AtomicBool::new(false));
        let silent = Arc::clone(&is_silent);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&there) else { continue };
                let (back, forth) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                for (from, to) in [(near, far), (forth, back)] {
                    let silent = Arc::clone(&silent);
                    thread::spawn(move || carry(from, to, &silent));
                }
            }
        });
        Self { url, is_silent }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !silent.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn a_second_ctrl_c_ends_it_at_once_though_aws_is_silent() {
    let stage = Stage::with_build("2.516.2", Does::Healthy, 900.0);
    let wire = Wire::open(&stage.cloud.url);
    let upgrade = stage.waiting(&wire.url);
    wire.is_silent.store(true, Ordering::SeqCst);
    upgrade.interrupt();
    thread::sleep(Duration::from_secs(1));
    upgrade.interrupt();
    let ended = upgrade.ended();
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{error}");
    assert!(error.contains("`hostkit upgrade --asg ci --resume` carries it on"), "{error}");
    assert!(!stage.told(&ended.stdout).contains("stopped at"), "it does not wait for a last word");
    assert_ne!(stage.journal()["stopped"], true);
    let back = stage.run(&["upgrade", "--resume", "--back"]);
    assert_eq!(back.status.code(), Some(5), "{}", String::from_utf8_lossy(&back.stderr));
    assert!(stage.is_in_service());
}

#[test]
fn what_cannot_be_changed_any_more_is_refused_with_resume() {
    for (option, value) in [
        ("--strategy", "rolling"),
        ("--role", "agent"),
        ("--controller-asg", "ci"),
        ("--image", "ami-0"),
        ("--manifests", "out"),
    ] {
        let refused =
            hostkit().args(["upgrade", "--asg", "ci", "--resume", option, value]).output();
        let refused = refused.unwrap();
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{option}: {error}");
        assert!(error.contains("cannot be used with"), "{option}: {error}");
    }
}
