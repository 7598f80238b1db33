//! `hostkit upgrade` as people run it: the binary, against the rehearsal account with hosts that have a
//! script instead of a machine.

use std::process::{Output, Stdio};

use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::endpoint::with;
use hostkit::sim::hosts::scenery::{Plan, Scenery};
use hostkit::sim::hosts::script::Agents;
use hostkit::sim::hosts::{self, Does, Part, Players, Script};
use serde_json::Value;

use crate::support::{hostkit, scratch};

/// AWS's time goes so much faster.
const SPEED: f64 = 30.0;

/// A controller on image A, and what image B does.
struct Stage {
    cloud: Cloud,
    scenery: Scenery,
    _players: Players,
}

impl Stage {
    fn open(does: Does) -> Self {
        let cloud = Cloud::open(Options { speed: SPEED, ..Options::default() }).unwrap();
        let scenery = with(&cloud.account, |account| Plan::controller("ci").furnish(account));
        let part = |jenkins| Part {
            agents: Some(Agents { known: 2, online: 2 }),
            builds: vec![60.0],
            boot_seconds: 30.0,
            ..Part::controller(jenkins)
        };
        let new = part("2.516.2").of_image(&scenery.new).that(does);
        let players = hosts::play(&cloud, Script::of([new, part("2.516.1")]));
        let stage = Self { cloud, scenery, _players: players };
        stage.wait_until_it_serves();
        stage
    }

    /// The first host has booted, and says so.
    fn wait_until_it_serves(&self) {
        let said = || {
            with(&self.cloud.account, |account| {
                account.hosts.homes.values().any(|home| home.holder.is_some())
            })
        };
        while !said() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = hostkit();
        command.args(arguments).args(["--asg", "ci"]).envs(self.cloud.environment());
        command.current_dir(scratch().path()).stdin(Stdio::null()).output().unwrap()
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
fn from_a_to_b_and_back_again() {
    let stage = Stage::open(Does::Healthy);
    let new = stage.scenery.new.clone();
    let plan = stage.run(&["upgrade", "--image", &new, "--plan"]);
    assert_eq!(plan.status.code(), Some(10), "{}", String::from_utf8_lossy(&plan.stderr));
    let unasked = stage.run(&["upgrade", "--image", &new]);
    assert_eq!(unasked.status.code(), Some(2), "nobody agreed");
    let done = stage.run(&["upgrade", "--image", &new, "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    insta::assert_snapshot!("upgrade", stage.told(&done.stdout));
    let again = stage.run(&["upgrade", "--image", &new, "--yes"]);
    assert_eq!(again.status.code(), Some(0), "it serves already");
    let back = stage.run(&["rollback", "--yes", "--format", "json"]);
    let text = String::from_utf8_lossy(&back.stdout).into_owned();
    assert_eq!(back.status.code(), Some(0), "{text}");
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["ended"], &last["to"]["image"]), (&"done".into(), &stage.scenery.old.as_str().into()));
    assert!(last["times"]["down"].as_f64().unwrap() > 0.0, "{last}");
    let history = stage.run(&["history"]);
    assert_eq!(history.status.code(), Some(0));
    let history = stage.told(&history.stdout);
    assert_eq!(history.lines().count(), 3, "{history}");
    assert!(history.contains("ami-OLD") && history.contains("rolled back"), "{history}");
    assert_eq!(stage.violations(), Vec::<String>::new());
    with(&stage.cloud.account, |account| assert_eq!(account.hosts.lost(), 0, "builds are waited for"));
}

#[test]
fn what_never_gets_ready_is_put_back_with_its_cause() {
    let stage = Stage::open(Does::WrongVersion);
    let new = stage.scenery.new.clone();
    let ended = stage.run(&["upgrade", "--image", &new, "--yes", "--patience", "60s"]);
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(5), "{error}");
    let told = stage.told(&ended.stdout);
    assert!(told.contains("again"), "{told}");
    assert!(error.contains("error: "), "{error}");
    assert_eq!(stage.violations(), Vec::<String>::new());
}
