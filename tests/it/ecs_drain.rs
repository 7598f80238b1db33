//! The whole drain of a container host: the guard's own code, with its children that speak to AWS,
//! against the rehearsal account's metadata service, ECS and Auto Scaling. Only systemd is scripted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use hostkit::aws::ecs::MANAGED_HOOK;
use hostkit::event::{Event, Events, Outcome};
use hostkit::guard::envoy::{self, Question};
use hostkit::guard::{self, Post};
use hostkit::sim::account::{Account, GROUP, REGION};
use hostkit::sim::cluster::{CLUSTER, CapacityProvider, Cluster, Host, Standing};
use hostkit::sim::endpoint::{self, Shared, with};
use hostkit::sim::group::hook::{Hook, Transition};
use hostkit::sim::http;
use hostkit::sim::parameters::Parameters;
use hostkit::sim::record::Record;
use hostkit::sim::timeline::Recorder;
use hostkit::sys::Runner;
use hostkit::sys::runner::Script;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{python, repository, scratch};

/// What the guard calls a second.
const SECOND: Duration = Duration::from_millis(20);

/// A test that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(2);

const HOST: &str = "0123456789abcdef0123456789abcdef";

/// A container host in its group and its cluster.
struct Setting {
    folder: TempDir,
    account: Shared,
    instance: String,
    post: Post,
    /// The units that run.
    up: Arc<Mutex<BTreeSet<String>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Setting {
    fn new() -> Self {
        let folder = scratch();
        let root = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let mut account = Account::new(Parameters::default());
        account.conditions.speed = 100.0;
        account.record = Some(Arc::new(Record::open(&folder.path().join("record")).unwrap()));
        account.group.hooks.clear();
        let hour = Duration::from_hours(1);
        account.group.put(Hook::new("drain", Transition::Terminating, hour));
        let (now, world) = (account.now(), account.world());
        let instance = account.launch(Recorder::silent());
        instance.switched_on(now);
        let id = instance.id.clone();
        let host = Host {
            id: HOST.to_owned(),
            instance: id.clone(),
            standing: Standing::Active,
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
            resources: serde_json::json!([]),
            versions: serde_json::json!({}),
            registered: world,
            version: 1,
            heard: Some(now),
            cut: false,
        };
        let mut cluster = Cluster::new(CLUSTER);
        cluster.hosts.insert(HOST.to_owned(), host);
        account.region(REGION).clusters.insert(CLUSTER.to_owned(), cluster);
        let account = Arc::new(Mutex::new(account));
        let (url, imds) = serve(&account, &id);
        furnish(&root, &id, &url);
        let up = Arc::new(Mutex::new(BTreeSet::from(["ecs.service".to_owned()])));
        let post = Post {
            root,
            runner: systemd(&up),
            imds: Some(imds),
            second: SECOND,
            ..Post::default()
        };
        Self { folder, account, instance: id, post, up, told: Arc::default() }
    }

    /// What the cluster knows.
    fn cluster<T>(&self, look: impl FnOnce(&mut Cluster) -> T) -> T {
        with(&self.account, |account| {
            look(account.region(REGION).clusters.get_mut(CLUSTER).unwrap())
        })
    }

    fn task(&self, definition: &str, service: Option<&str>) -> String {
        let world = with(&self.account, |account| account.world());
        self.cluster(|cluster| cluster.start_task(HOST, definition, service, world))
    }

    /// A task of nobody ends by itself.
    fn end(&self, task: &str) {
        let due = with(&self.account, |account| account.due(Duration::ZERO));
        self.cluster(|cluster| {
            cluster.tasks.get_mut(task).unwrap().stop = Some((due, "done".to_owned()));
        });
    }

    fn standing(&self) -> Standing {
        self.cluster(|cluster| cluster.hosts[HOST].standing)
    }

    fn running(&self) -> usize {
        let now = with(&self.account, |account| account.now());
        self.cluster(|cluster| cluster.running_on(HOST, now))
    }

    fn tag(&self, value: Option<&str>) {
        with(&self.account, |account| {
            let tags = &mut account.instance_mut(&self.instance).unwrap().0.tags;
            match value {
                Some(value) => tags.insert("hostkit:drain".to_owned(), value.to_owned()),
                None => tags.remove("hostkit:drain"),
            };
        });
    }

    fn lifecycle(&self) -> String {
        with(&self.account, |account| {
            let (instance, now) = account.instance_mut(&self.instance).unwrap();
            instance.lifecycle_word(now)
        })
    }

    fn heard(&self, part: &str) -> bool {
        self.told.lock().unwrap().iter().any(|line| line.contains(part))
    }

    fn is_up(&self) -> bool {
        self.up.lock().unwrap().contains("ecs.service")
    }

    /// Runs a guard until something is so.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let so = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let end = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                end = guard::guard(self.post.clone(), self.events()) => panic!("it ended: {end:?}"),
                () = so => {}
            }
        });
        assert!(end.await.is_ok(), "it takes too long: {:#?}", self.told.lock().unwrap());
    }

    fn events(&self) -> Events {
        let (events, mut listener) = Events::channel();
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            while let Some(event) = listener.recv().await {
                let line = match event {
                    Event::Log { step, line } | Event::Milestone { step, line, .. } => {
                        format!("{step}: {line}")
                    }
                    Event::Finished { step, outcome: Outcome::Failed(why), .. } => {
                        format!("{step} was given up: {why}")
                    }
                    Event::Finished { step, outcome: Outcome::Skipped(why), .. } => {
                        format!("{step} is done: {why}")
                    }
                    Event::Finished { step, .. } => format!("{step} is done"),
                    _ => continue,
                };
                told.lock().unwrap().push(line);
            }
        });
        events
    }

    /// What was changed on AWS, in order; every request is one that AWS's own client could have sent.
    fn changes(&self) -> Vec<String> {
        let record = self.folder.path().join("record");
        let text = fs::read_to_string(&record).unwrap();
        let actions = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["action"].as_str().unwrap_or_default().to_owned()
        });
        let mut actions: Vec<_> = actions
            .filter(|action| {
                ["Update", "Deregister", "Complete"].iter().any(|verb| action.starts_with(verb))
            })
            .collect();
        actions.dedup();
        if let Some(python) = python() {
            let mut command = assert_cmd::Command::new(python);
            command.arg(repository("tests/fixtures/botocore_validate.py")).arg(record);
            command.assert().success();
        }
        actions
    }
}

/// Serves the account by a thread of its own: children that speak to AWS are threads here, and hold
/// the test up.
fn serve(account: &Shared, instance: &str) -> (String, String) {
    let (sender, receiver) = mpsc::channel();
    let (account, instance) = (Arc::clone(account), instance.to_owned());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut servers = Vec::new();
            for handler in [endpoint::services(&account), endpoint::metadata(&account, &instance)] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
                servers.push(http::serve_tcp(listener, handler));
            }
            std::future::pending::<()>().await;
        });
    });
    (receiver.recv().unwrap(), receiver.recv().unwrap())
}

/// What the boot has left.
fn furnish(root: &Utf8PathBuf, instance: &str, url: &str) {
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let boot = "7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f0002";
    put(
        "run/hostkit/host.toml",
        &format!(
            "role = \"ecs\"\n[ecs]\ncluster = \"{CLUSTER}\"\n[aws]\nendpoint_url = \"{url}\"\n\
             [drain]\npatience = 5000\n[guard]\nreport_unhealthy = false\n"
        ),
    );
    put("proc/sys/kernel/random/boot_id", &format!("{boot}\n"));
    put("proc/self/mountinfo", "22 1 259:3 / / rw shared:1 - ext4 /dev/root rw\n");
    put("run/hostkit/may-start", "");
    let identity = serde_json::json!({
        "instance_id": instance, "account_id": "123456789012", "region": REGION,
        "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1",
        "image_id": "ami-1", "private_ip": "10.0.2.15", "hostname": "ip-10-0-2-15",
        "boot_id": boot,
    });
    put("run/hostkit/identity.json", &identity.to_string());
    let report = serde_json::json!({
        "version": 1, "state": "ready", "started": "2026-11-20T00:00:00Z",
        "report": {"version": 1, "steps": []},
    });
    put("run/hostkit/report.json", &report.to_string());
}

/// A systemd that has the ECS agent's unit.
fn systemd(up: &Arc<Mutex<BTreeSet<String>>>) -> Runner {
    let [shows, stops] = [(); 2].map(|()| Arc::clone(up));
    let script = Script::default()
        .on("systemctl show", move |command| {
            let state = if shows.lock().unwrap().contains(&command.args[1]) {
                "active"
            } else {
                "inactive"
            };
            Ok(format!("LoadState=loaded\nActiveState={state}\n"))
        })
        .on("systemctl stop --no-block", move |command| {
            stops.lock().unwrap().remove(&command.args[2]);
            Ok(String::new())
        })
        .on("hostkit inner envoy", |command| {
            let question: Question =
                serde_json::from_slice(command.stdin.as_ref().unwrap()).unwrap();
            let child = std::thread::spawn(move || envoy::answer(&question));
            Ok(serde_json::to_string(&child.join().unwrap()).unwrap())
        });
    script.runner().0
}

#[tokio::test]
async fn tasks_are_moved_away_the_cluster_forgets_the_host_and_then_the_group_may_have_it() {
    let setting = Setting::new();
    setting.task("web:7", Some("web"));
    setting.task("web:7", Some("web"));
    let report = setting.task("report:3", None);
    with(&setting.account, |account| account.let_go(&setting.instance));
    assert_eq!(setting.lifecycle(), "Terminating:Wait");
    // Those of services ECS moves; one of nobody goes on, and is waited for.
    setting.until(|setting| setting.heard("tasks: 1 task that ECS does not stop")).await;
    assert_eq!((setting.standing(), setting.running()), (Standing::Draining, 1));
    assert!(setting.is_up(), "tasks need the agent until they have ended");
    assert_eq!(setting.lifecycle(), "Terminating:Wait");
    // The guard that was killed here is carried on by the next.
    setting.end(&report);
    setting.until(|setting| setting.heard("this host is drained")).await;
    assert_eq!((setting.standing(), setting.running()), (Standing::Inactive, 0));
    assert!(!setting.is_up());
    assert_eq!(setting.lifecycle(), "Terminating:Proceed");
    assert_eq!(
        setting.changes(),
        ["UpdateContainerInstancesState", "DeregisterContainerInstance", "CompleteLifecycleAction"]
    );
}

#[tokio::test]
async fn where_ecs_drains_its_hosts_itself_the_host_waits_and_keeps_its_agent_running() {
    let setting = Setting::new();
    with(&setting.account, |account| {
        let hour = Duration::from_hours(1);
        account.group.put(Hook::new(MANAGED_HOOK, Transition::Terminating, hour));
        let region = account.region(REGION);
        let provider = CapacityProvider {
            name: "nodes".to_owned(),
            group: GROUP.to_owned(),
            managed_draining: true,
            termination_protection: false,
        };
        region.capacity_providers.insert(provider.name.clone(), provider);
        region.clusters.get_mut(CLUSTER).unwrap().providers = vec!["nodes".to_owned()];
    });
    let web = setting.task("web:7", Some("web"));
    with(&setting.account, |account| account.let_go(&setting.instance));
    setting.until(|setting| setting.heard("1 task of services (web)")).await;
    assert!(setting.heard("ECS drains this host itself"));
    // What ECS does in its own time.
    setting.end(&web);
    setting.until(|setting| setting.heard("this host is drained")).await;
    assert!(setting.is_up(), "by it ECS sees that nothing is left");
    assert_eq!(setting.standing(), Standing::Active, "that is for ECS to change");
    assert_eq!(setting.changes(), ["CompleteLifecycleAction"], "of hostkit's hook alone");
    assert_eq!(setting.lifecycle(), "Terminating:Wait", "ECS's own hook holds it");
}

#[tokio::test]
async fn the_tag_has_ecs_place_nothing_here_and_taken_back_the_host_is_active_again() {
    let setting = Setting::new();
    let report = setting.task("report:3", None);
    setting.tag(Some("quiet"));
    setting.until(|setting| setting.standing() == Standing::Draining).await;
    assert!(setting.is_up());
    assert_eq!((setting.running(), setting.lifecycle()), (1, "InService".to_owned()));
    setting.tag(Some("cancel"));
    setting.until(|setting| setting.standing() == Standing::Active).await;
    // What is to go for good is not taken back by a tag.
    with(&setting.account, |account| account.let_go(&setting.instance));
    setting.until(|setting| setting.standing() == Standing::Draining).await;
    setting.end(&report);
    setting.until(|setting| setting.heard("this host is drained")).await;
    assert_eq!(setting.standing(), Standing::Inactive);
}
