//! The guard, whole: only systemd is scripted. The metadata service, AWS and Jenkins are local servers
//! that speak the wire. A second is a twentieth of one.

mod cloud;
mod drains;
mod watches;

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::envoy::{Answer, Errand, Question};
use super::post::Post;
use super::{envoy, guard, pulse};
use crate::event::{Event, Events, Outcome};
use crate::lease::ground::Ground;
use crate::lease::memory::{Memory, Phase, Standing};
use crate::sys::dialogue::Reply;
use crate::sys::runner::Script;
use cloud::{Cloud, INSTANCE};

const SECOND: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_mins(1);

const BOOT_ID: &str = "7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f0002";
const ROOT_MOUNT: &str = "22 1 259:3 / / rw shared:1 - ext4 /dev/root rw\n";
const HOME_MOUNT: &str = "30 22 0:26 / /var/lib/jenkins rw - nfs4 127.0.0.1:/ rw,vers=4.1\n";

/// A host below a temporary root, in a cloud of its own.
struct World {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
    cloud: cloud::Shared,
    systemd: Arc<Mutex<Systemd>>,
    script: Arc<Mutex<Script>>,
    post: Post,
    /// What was told.
    told: Arc<Mutex<Vec<String>>>,
    memory: Memory,
}

/// The units of the host, and how they behave.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that goes well or does not")]
struct Systemd {
    units: BTreeMap<String, &'static str>,
    /// Jenkins ends when it is asked to.
    stops: bool,
    /// It ends when it is killed.
    dies: bool,
    /// The lease can be released.
    releases: bool,
    /// The home can be unmounted.
    unmounts: bool,
    /// The file system does not answer.
    hangs: bool,
    /// When Jenkins was asked to end, and was killed.
    stopped: Option<Instant>,
    killed: Option<Instant>,
}

impl World {
    /// A controller that serves.
    fn controller() -> Self {
        Self::told("role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n")
    }

    fn told(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let cloud = Arc::new(Mutex::new(Cloud::default()));
        let (aws, jenkins) = cloud::serve(&cloud);
        furnish(&root, &format!("{config}[aws]\nendpoint_url = \"http://{aws}\"\n"));
        let memory = Memory::new(&root, BOOT_ID);
        memory.take(7).unwrap();
        memory.tell(&standing(Phase::Held, "this host holds the home (generation 7)")).unwrap();
        let units = ["jenkins", "hostkit-lease", "hostkit-boot", "ecs"];
        let systemd = Systemd {
            units: units.iter().map(|unit| (format!("{unit}.service"), "active")).collect(),
            stops: true,
            dies: true,
            releases: true,
            unmounts: true,
            hangs: false,
            stopped: None,
            killed: None,
        };
        let systemd = Arc::new(Mutex::new(systemd));
        let (runner, script) = script(&root, &systemd, &cloud, &memory);
        let post = Post {
            root: root.clone(),
            runner,
            imds: Some(format!("http://{aws}")),
            jenkins,
            ssh: jenkins,
            second: SECOND,
        };
        let told = Arc::default();
        Self { _directory: directory, root, cloud, systemd, script, post, told, memory }
    }

    /// Runs a guard until something is so.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let so = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let end = tokio::time::timeout(LONG, async {
            tokio::select! {
                end = guard(self.post.clone(), self.events()) => panic!("it ended: {end:?}"),
                () = so => {}
            }
        });
        assert!(end.await.is_ok(), "it takes too long: {:#?}", self.told.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    /// Runs a guard for a while, and kills it.
    async fn for_a_while(&self, time: Duration) {
        let _ = tokio::time::timeout(time, guard(self.post.clone(), self.events())).await;
    }

    /// Where things are said, and how they are remembered.
    fn events(&self) -> Events {
        let (events, mut listener) = Events::channel();
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            while let Some(event) = listener.recv().await {
                let line = match event {
                    Event::Started { step, title } => format!("{step}: {title}"),
                    Event::Log { step, line } | Event::Milestone { step, line, .. } => {
                        format!("{step}: | {line}")
                    }
                    Event::Finished { step, outcome: Outcome::Failed(why), .. } => {
                        format!("{step}: GIVEN UP: {why}")
                    }
                    Event::Finished { step, outcome: Outcome::Skipped(why), .. } => {
                        format!("{step}: done: {why}")
                    }
                    Event::Finished { step, .. } => format!("{step}: done"),
                    Event::Progress { .. } | Event::Stands { .. } => continue,
                };
                told.lock().unwrap().push(line);
            }
        });
        events
    }

    /// What was told, without what differs between two runs.
    fn story(&self) -> String {
        let told = self.told.lock().unwrap();
        // What the machine of the test lacks is not this host's.
        let other = |line: &&String| !line.contains("| disk:") && !line.contains("| memory:");
        let told: Vec<_> = told.iter().filter(other).map(String::as_str).collect();
        let told = told.join("\n");
        told.replace(self.root.as_str(), "").replace(&self.post.jenkins.to_string(), "JENKINS")
    }

    fn heard(&self, part: &str) -> bool {
        self.told.lock().unwrap().iter().any(|line| line.contains(part))
    }

    fn is_drained(&self) -> bool {
        self.heard("this host is drained")
    }

    fn set(&self, path: &str, value: Option<&str>) {
        let mut cloud = self.cloud.lock().unwrap();
        match value {
            Some(value) => cloud.metadata.insert(format!("meta-data/{path}"), value.to_owned()),
            None => cloud.metadata.remove(&format!("meta-data/{path}")),
        };
    }

    /// The group terminates this host.
    fn terminate(&self) {
        self.set("autoscaling/target-lifecycle-state", Some("Terminated"));
        self.cloud.lock().unwrap().lifecycle = Some("Terminating:Wait");
    }

    /// EC2 takes this host back in so many of the test's seconds.
    fn interrupt(&self, seconds: u32) {
        // It tells by the clock on the wall, of which the test's seconds know nothing.
        let time = Timestamp::now() + Duration::from_secs(u64::from(seconds));
        let action = serde_json::json!({"action": "terminate", "time": time.to_string()});
        self.set("spot/instance-action", Some(&action.to_string()));
    }

    fn unit(&self, name: &str) -> &'static str {
        self.systemd.lock().unwrap().units[name]
    }

    fn with<T>(&self, change: impl FnOnce(&mut Cloud) -> T) -> T {
        change(&mut self.cloud.lock().unwrap())
    }

    /// What stands in Parameter Store last.
    fn answer(&self) -> Option<serde_json::Value> {
        let cloud = self.cloud.lock().unwrap();
        let (name, text) = cloud.parameters.last()?;
        assert_eq!(name, "/hostkit/asg/ci/host");
        Some(serde_json::from_str(text).unwrap())
    }

    fn answers(&self, state: &str) -> bool {
        self.answer().is_some_and(|answer| answer["state"] == state)
    }
}

fn standing(phase: Phase, why: &str) -> Standing {
    let (why, since) = (why.to_owned(), Timestamp::now());
    Standing { version: 1, phase, generation: Some(7), why, hint: None, since }
}

/// What the boot has left.
fn furnish(root: &Utf8Path, config: &str) {
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("run/hostkit/host.toml", config);
    put("proc/sys/kernel/random/boot_id", &format!("{BOOT_ID}\n"));
    put("proc/self/mountinfo", &format!("{ROOT_MOUNT}{HOME_MOUNT}"));
    put("run/hostkit/may-start", "");
    put(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\njenkins:x:650:650::/var/lib/jenkins:/bin/sh\n",
    );
    put("run/hostkit/secrets/hostkit_token", "110123456789abcdef0123456789abcdef");
    put(
        "run/hostkit/secrets/jenkins.env",
        "CASC_RELOAD_TOKEN=110123456789abcdef0123456789abcdef\n",
    );
    let identity = serde_json::json!({
        "instance_id": INSTANCE, "account_id": "123456789012", "region": "eu-west-1",
        "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1",
        "image_id": "ami-1", "private_ip": "10.0.2.15", "hostname": "ip-10-0-2-15",
        "boot_id": BOOT_ID,
    });
    put("run/hostkit/identity.json", &identity.to_string());
    let report = serde_json::json!({
        "version": 1, "state": "ready", "started": "2026-11-20T00:00:00Z",
        "report": {"version": 1, "steps": [{"step": "ready", "at": 4.0, "took": 2.25}]},
    });
    put("run/hostkit/report.json", &report.to_string());
    put("var/lib/jenkins/.hostkit/fs-id", "fs-0123456789abcdef0\n");
}

/// A systemd that does what the units of the image would.
fn script(
    root: &Utf8Path,
    systemd: &Arc<Mutex<Systemd>>,
    cloud: &cloud::Shared,
    memory: &Memory,
) -> (crate::sys::Runner, Arc<Mutex<Script>>) {
    let [shows, stops, kills, starts, pulses] = [(); 5].map(|()| Arc::clone(systemd));
    let [stop_cloud, kill_cloud, told_cloud] = [(); 3].map(|()| Arc::clone(cloud));
    let (root, memory) = (root.to_owned(), memory.clone());
    Script::default()
        .on("systemctl show", move |command| {
            Ok(match shows.lock().unwrap().units.get(&command.args[1]) {
                Some(state) => format!("LoadState=loaded\nActiveState={state}\n"),
                None => "LoadState=not-found\nActiveState=inactive\n".to_owned(),
            })
        })
        .on("systemctl stop --no-block", move |command| {
            let unit = command.args[2].clone();
            let mut systemd = stops.lock().unwrap();
            let mut cloud = stop_cloud.lock().unwrap();
            match unit.as_str() {
                "jenkins.service" => {
                    assert!(!root.join("run/hostkit/may-start").exists(), "nobody starts it again");
                    systemd.stopped.get_or_insert_with(Instant::now);
                    let state = if systemd.stops { "inactive" } else { "deactivating" };
                    cloud.jenkins.up &= !systemd.stops;
                    systemd.units.insert(unit, state);
                }
                "hostkit-lease.service" => {
                    let down = ["inactive", "failed"].contains(&systemd.units["jenkins.service"]);
                    systemd.units.insert(unit, "inactive");
                    if down && systemd.releases {
                        memory.give_up().unwrap();
                        let why = "this host has released the home (generation 7)";
                        memory.tell(&standing(Phase::Released, why)).unwrap();
                        cloud.released = true;
                        cloud.released_at.get_or_insert_with(Instant::now);
                    } else {
                        let why = "the home stays held: the file system does not answer";
                        memory.tell(&standing(Phase::Held, why)).unwrap();
                    }
                }
                "var-lib-jenkins.mount" if systemd.unmounts => {
                    assert!(cloud.released, "first the home is released");
                    fs::write(root.join("proc/self/mountinfo"), ROOT_MOUNT).unwrap();
                }
                _ => _ = systemd.units.insert(unit, "inactive"),
            }
            Ok(String::new())
        })
        .on("systemctl kill --signal=SIGKILL jenkins.service", move |_| {
            let mut systemd = kills.lock().unwrap();
            systemd.killed.get_or_insert_with(Instant::now);
            if systemd.dies {
                (systemd.stops, kill_cloud.lock().unwrap().jenkins.up) = (true, false);
                systemd.units.insert("jenkins.service".to_owned(), "inactive");
            }
            Ok(String::new())
        })
        .on("systemctl start --no-block", move |command| {
            starts.lock().unwrap().units.insert(command.args[2].clone(), "active");
            Ok(String::new())
        })
        .on("hostkit inner envoy", move |command| {
            let question: Question =
                serde_json::from_slice(command.stdin.as_ref().unwrap()).unwrap();
            // It would start a child of its own, to count.
            if matches!(question.errand, Errand::Unhealthy { .. }) {
                told_cloud.lock().unwrap().unhealthy += 1;
                return Ok(serde_json::to_string(&Answer::Done(None)).unwrap());
            }
            let child = std::thread::spawn(move || envoy::answer(&question));
            Ok(serde_json::to_string(&child.join().unwrap()).unwrap())
        })
        .converse("hostkit inner pulse", move |_| {
            let hangs = pulses.lock().unwrap().hangs;
            Box::new(move |line: &str| {
                if hangs {
                    return Reply::Ended;
                }
                Reply::Line(serde_json::to_string(&pulse::answer(line, Ground::Any)).unwrap())
            })
        })
        .runner()
}
