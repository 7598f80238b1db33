//! The whole tables, as the real code: only systemd is scripted. The metadata service, AWS, the NFS
//! server, Jenkins, SSH and the ECS agent are local servers that speak the wire.

mod agent;
mod agents;
mod balancer;
mod barred;
mod casc;
mod cloud;
mod container_service;
mod ecs;
mod efs;
mod group;
mod home;
mod keys;
mod killed;
mod masked;
mod mounts;
mod only;
mod plan;
mod pools;
mod refresh;
mod refused;
mod served;
mod speed;
mod sshd;
mod target;
mod told;
mod web;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::inside::{self, Answer, Ground, Request};
use super::status::{State, Status};
use super::{Machine, boot};
use crate::efs::name::Names;
use crate::efs::probe;
use crate::error;
use crate::event::{Event, Events};
use crate::group::ledger;
use crate::lease::memory::{Memory, Standing};
use crate::sys::Runner;
use crate::sys::runner::Script;
use cloud::{Cloud, INSTANCE, PASSWORD, PRIVATE_KEY};
use web::{SharedWeb, Web, jenkins};

const ROOT_MOUNT: &str = "22 1 259:3 / / rw shared:1 - ext4 /dev/root rw\n\
    23 22 0:22 / /run rw shared:2 - tmpfs tmpfs rw\n";
const HOME_MOUNT: &str = "30 22 0:26 / /var/lib/jenkins rw - nfs4 127.0.0.1:/ rw,vers=4.1\n";

/// What the image of a controller says.
const CONTROLLER: &str = "role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n\
                          [jenkins.security]\nmode = \"local\"\n";

/// The line of a mount that systemd has made.
fn mount_line(point: &str) -> String {
    HOME_MOUNT.replace("/var/lib/jenkins", point)
}

/// A machine below a temporary root, in a cloud of its own.
struct World {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
    cloud: cloud::Shared,
    machine: Machine,
    script: Arc<Mutex<Script>>,
    systemd: SharedSystemd,
    web: SharedWeb,
    /// What the last boot said while it ran.
    lines: Mutex<Vec<String>>,
}

impl World {
    /// A controller.
    async fn new() -> Self {
        Self::told(CONTROLLER).await
    }

    /// A host whose image tells it what to be.
    async fn told(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let cloud = Arc::new(Mutex::new(Cloud::default()));
        let address = cloud::serve(Arc::clone(&cloud)).await;
        furnish(&root, &format!("{config}[aws]\nendpoint_url = \"http://{address}\"\n"));
        let state = SharedSystemd::default();
        let web = Arc::new(Mutex::new(Web::default()));
        let (runner, script) = systemd(&root, &state);
        let machine = Machine {
            root: root.clone(),
            runner,
            imds: Some(format!("http://{address}")),
            imds_budget: Duration::from_secs(1),
            jenkins: jenkins(Arc::clone(&web)).await,
            ssh: says("SSH-2.0-OpenSSH_test\r\n".to_owned()).await,
            ecs: says(registered("builds")).await,
            nfs_port: probe::tests::nfs_server().await.port(),
            names: Names::Table(Arc::default()),
            probe_patience: probe::PATIENCE,
            mount_budget: Duration::from_millis(300),
            step_limit: Duration::from_secs(10),
            pause: Duration::from_millis(20),
        };
        Self {
            _directory: directory,
            root,
            cloud,
            machine,
            script,
            systemd: state,
            web,
            lines: Mutex::default(),
        }
    }

    async fn boot(&self) -> Result<(), String> {
        let config = self.root.join("etc/hostkit/host.toml");
        let (events, mut receiver) = Events::channel();
        let work = boot(self.machine.clone(), config, events);
        let end = tokio::time::timeout(Duration::from_secs(20), work).await.expect("it ends soon");
        let mut lines = Vec::new();
        while let Some(Some(event)) = receiver.recv().now_or_never() {
            if let Event::Log { line, .. } = event {
                lines.push(line);
            }
        }
        *self.lines.lock().unwrap() = lines;
        end.map_err(|error| {
            let text = error::render(&error);
            // What is wrong with the configuration is for another person than what failed on the way.
            let expected = if text.contains("boot failed at `config`") { 3 } else { 5 };
            assert_eq!(error::blame(&error).exit_code(), expected, "{text}");
            text
        })
    }

    /// As [`World::boot`], with every line that was said, and the step that said it.
    async fn boot_and_hear(&self) -> (Result<(), String>, Vec<String>) {
        let (events, mut receiver) = Events::channel();
        let work = boot(self.machine.clone(), self.config(), events);
        let end = tokio::time::timeout(Duration::from_secs(20), work).await.expect("it ends soon");
        let mut lines = Vec::new();
        while let Some(event) = receiver.recv().await {
            if let Event::Log { step, line } = event {
                lines.push(format!("{step}: {line}"));
            }
        }
        (end.map_err(|error| error::render(&error)), lines)
    }

    /// The image's `host.toml`.
    fn config(&self) -> Utf8PathBuf {
        self.root.join("etc/hostkit/host.toml")
    }

    /// What a person reads, without what differs from run to run.
    fn plain(&self, text: &str) -> String {
        let endpoint = self.machine.imds.as_deref().expect("every world has one");
        text.replace(self.root.as_str(), "").replace(endpoint, "[endpoint]")
    }

    fn status(&self) -> Status {
        let text = fs::read_to_string(self.root.join("run/hostkit/report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The only record of a boot in a folder.
    fn record_text(&self, folder: &str) -> String {
        let mut files = self.root.join(folder).read_dir_utf8().unwrap();
        let file = files.next().expect("there is a record").unwrap();
        assert!(files.next().is_none(), "{folder}");
        fs::read_to_string(file.path()).unwrap()
    }

    fn record(&self, folder: &str) -> Status {
        Status::parse(&self.record_text(folder)).unwrap()
    }

    /// The outcome of every step, in one line.
    fn outcomes(&self) -> String {
        let mut steps = self.status().report.steps;
        steps.sort_by(|a, b| a.step.cmp(&b.step));
        let word = |step: &crate::report::StepReport| {
            format!("{} {}", step.step, step.outcome.as_ref().expect("every step ended").word())
        };
        steps.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    fn was_run(&self, prefix: &str) -> bool {
        self.count_of(prefix) > 0
    }

    fn count_of(&self, prefix: &str) -> usize {
        let seen = self.script.lock().unwrap().seen();
        seen.iter().filter(|call| call.starts_with(prefix)).count()
    }

    /// Whether the last boot said this.
    fn said(&self, text: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line.contains(text))
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn verdicts(&self) -> Vec<String> {
        self.cloud.lock().unwrap().verdicts.clone()
    }
}

/// What an image and a kernel have.
fn furnish(root: &Utf8Path, config: &str) {
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("etc/hostkit/host.toml", config);
    put("proc/sys/kernel/random/boot_id", "7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f0002\n");
    put("proc/sys/kernel/hostname", "localhost\n");
    put("proc/meminfo", "MemTotal:        4194304 kB\n");
    put("proc/uptime", "23.10 40.00\n");
    put("proc/self/mountinfo", ROOT_MOUNT);
    let status = "Package: jenkins\nStatus: install ok installed\nVersion: 2.541+fixture\n";
    put("var/lib/dpkg/status", status);
    put("sys/class/tty/console/active", "ttyS0\n");
    put("dev/ttyS0", "");
    put("sys/fs/nfs/net/nfs_client/identifier", "");
    put("etc/ssh/sshd_config", "");
    fs::create_dir_all(root.join("var/lib/jenkins")).unwrap();
    for (name, text) in [
        ("jenkins.yaml.tera", include_str!("../../../templates/jenkins.yaml.tera")),
        ("jenkins.env.tera", include_str!("../../../templates/jenkins.env.tera")),
    ] {
        put(&format!("usr/share/hostkit/templates/{name}"), text);
    }
}

/// What systemd does on this machine; a test changes it before a boot.
#[derive(Debug)]
struct Systemd {
    /// What `systemd-mount` complains with, if it fails.
    mount_fails: Option<&'static str>,
    /// The service that sets the host name does not answer.
    is_nameless: bool,
    /// What the mount units say in the journal.
    journal: &'static str,
    /// What is mounted by it.
    mounted: Vec<String>,
    /// As whom Jenkins runs; as whoever runs the tests if absent.
    user: Option<&'static str>,
    /// So often the child says that what is mounted is not there any more.
    stale: u32,
    /// Whether what it mounts is there afterwards.
    mount_appears: bool,
    /// The state of Jenkins' unit.
    unit: &'static str,
    /// Its result.
    result: &'static str,
    /// How often systemd has started it again by itself.
    restarts: u32,
    /// What a start makes of it.
    start_leads_to: &'static str,
    /// What the next starts make of it, the last one first; then it is as above.
    next_starts: Vec<&'static str>,
    /// What a start makes of the lease's unit, which waits until this host may have the home.
    lease_leads_to: &'static str,
    /// How the lease's unit says that it stands, when it is started.
    lease_tells: Option<(Memory, Standing)>,
    /// The other units that there are, and their states; `queued` is one whose start waits for
    /// another, `given up` one that ended with status 5.
    others: BTreeMap<&'static str, &'static str>,
    /// The unit's `JENKINS_HOME`.
    home: &'static str,
    /// What the child does instead of its work.
    child_fails: Option<&'static str>,
}

impl Default for Systemd {
    fn default() -> Self {
        Self {
            mount_fails: None,
            is_nameless: false,
            journal: "the last words of the unit",
            mounted: Vec::new(),
            user: None,
            stale: 0,
            mount_appears: true,
            unit: "inactive",
            result: "success",
            restarts: 0,
            start_leads_to: "active",
            next_starts: Vec::new(),
            lease_leads_to: "active",
            lease_tells: None,
            others: [("hostkit-lease.service", "inactive")].into(),
            home: "/var/lib/jenkins/home",
            child_fails: None,
        }
    }
}

impl Systemd {
    fn mount(&mut self, mountinfo: &Utf8Path, point: &str) {
        if self.mount_appears {
            // systemd makes the mount point.
            let root = mountinfo.ancestors().nth(3).expect("proc/self/mountinfo is below it");
            fs::create_dir_all(root.join(point.trim_start_matches('/'))).unwrap();
            self.mounted.push(point.to_owned());
            self.tell(mountinfo);
        }
    }

    fn unmount(&mut self, mountinfo: &Utf8Path, point: &str) {
        self.mounted.retain(|mounted| mounted != point);
        self.tell(mountinfo);
    }

    fn tell(&self, mountinfo: &Utf8Path) {
        let lines: Vec<_> = self.mounted.iter().map(|point| mount_line(point)).collect();
        fs::write(mountinfo, format!("{ROOT_MOUNT}{}", lines.concat())).unwrap();
    }
}

type SharedSystemd = Arc<Mutex<Systemd>>;

/// A systemd whose mounts and units are seen by those who look afterwards.
fn systemd(root: &Utf8Path, state: &SharedSystemd) -> (Runner, Arc<Mutex<Script>>) {
    systemd_and(root, state, |script| script)
}

/// The same, and what `more` says comes first.
#[expect(clippy::too_many_lines, reason = "one program after another, each of a few lines")]
fn systemd_and(
    root: &Utf8Path,
    state: &SharedSystemd,
    more: impl FnOnce(Script) -> Script,
) -> (Runner, Arc<Mutex<Script>>) {
    let mountinfo = root.join("proc/self/mountinfo");
    let hostname = root.join("proc/sys/kernel/hostname");
    let may_start = root.join("run/hostkit/may-start");
    let [forgotten_mountinfo, helped_mountinfo] = [(); 2].map(|()| mountinfo.clone());
    let [mounts, helped, forgets, journals, starts, stops, resets, shows, known, children, names] =
        [(); 11].map(|()| Arc::clone(state));
    more(Script::default())
        .on("systemd-mount", move |command| {
            let mut mounts = mounts.lock().unwrap();
            if let Some(complaint) = mounts.mount_fails {
                return Err((1, complaint.to_owned()));
            }
            mounts.mount(&mountinfo, command.args.last().unwrap());
            Ok(String::new())
        })
        // The call that makes a mount of amazon-efs-utils: only the home is mounted so in tests.
        .on("busctl", move |_| {
            let mut helped = helped.lock().unwrap();
            if helped.mount_fails.is_none() {
                helped.mount(&helped_mountinfo, "/var/lib/jenkins");
            }
            Ok(String::new())
        })
        .on("systemd-run --no-ask-password --quiet --wait --collect umount", move |command| {
            forgets.lock().unwrap().unmount(&forgotten_mountinfo, command.args.last().unwrap());
            Ok(String::new())
        })
        .on("hostnamectl", move |command| {
            if names.lock().unwrap().is_nameless {
                return Err((1, "Could not set hostname: Connection timed out".to_owned()));
            }
            fs::write(&hostname, command.args.last().unwrap()).unwrap();
            Ok(String::new())
        })
        .on("systemctl start", move |command| {
            let mut state = starts.lock().unwrap();
            let unit = command.args.last().unwrap().as_str();
            let of_lease = unit == "hostkit-lease.service";
            let leads_to = if of_lease { state.lease_leads_to } else { state.start_leads_to };
            let guarded = ["jenkins.service", "ecs.service"].contains(&unit);
            assert!(!guarded || may_start.exists(), "the unit asserts it");
            if let Some((memory, standing)) = state.lease_tells.as_ref().filter(|_| of_lease) {
                memory.tell(standing).unwrap();
            }
            if let Some(other) = state.others.get_mut(unit) {
                *other = leads_to;
                return Ok(String::new());
            }
            if state.unit == "failed" {
                return Err((1, "start request repeated too quickly".to_owned()));
            }
            state.unit = state.next_starts.pop().unwrap_or(state.start_leads_to);
            Ok(String::new())
        })
        .on("systemctl stop", move |_| {
            stops.lock().unwrap().unit = "inactive";
            Ok(String::new())
        })
        .on("systemctl reset-failed", move |_| {
            resets.lock().unwrap().unit = "inactive";
            Ok(String::new())
        })
        .on("systemctl show jenkins.service", move |_| {
            let state = shows.lock().unwrap();
            Ok(format!(
                "LoadState=loaded\nActiveState={}\nResult={}\nJob=\nStatusText=loading\n\
                 NRestarts={}\nEnvironment=SECRETS=%d JENKINS_HOME={}\n",
                state.unit, state.result, state.restarts, state.home
            ))
        })
        .on("systemctl show", move |command| {
            let others = &known.lock().unwrap().others;
            Ok(match others.get(command.args[1].as_str()) {
                Some(&"queued") => "LoadState=loaded\nActiveState=inactive\nJob=7\n".to_owned(),
                Some(&"given up") => {
                    "LoadState=loaded\nActiveState=failed\nJob=\nResult=exit-code\n\
                    ExecMainStatus=5\n"
                        .to_owned()
                }
                Some(state) => format!("LoadState=loaded\nActiveState={state}\nJob=\n"),
                None => "LoadState=not-found\nActiveState=inactive\n".to_owned(),
            })
        })
        .answer("systemctl daemon-reload", "")
        .answer(
            "systemctl list-jobs",
            "11 hostkit-boot.service start running\n12 cloud-final.service start running\n\
             13 ecs.service start waiting\n",
        )
        .answer("systemctl reboot", "")
        .on("hostkit inner ledger", |command| {
            let request = serde_json::from_slice(command.stdin.as_ref().unwrap()).unwrap();
            Ok(serde_json::to_string(&ledger::answer(&request, Ground::Any)).unwrap())
        })
        .on("journalctl", move |_| Ok(journals.lock().unwrap().journal.to_owned()))
        .on("hostkit inner home", move |command| {
            let mut children = children.lock().unwrap();
            if let Some(complaint) = children.child_fails {
                return Err((1, complaint.to_owned()));
            }
            if children.stale > 0 {
                children.stale -= 1;
                let answer = Answer::Stale { why: "opening the home".to_owned() };
                return Ok(serde_json::to_string(&answer).unwrap());
            }
            let mut request: Request =
                serde_json::from_slice(command.stdin.as_ref().unwrap()).unwrap();
            if let Request::Prepare { user, .. }
            | Request::Plugins { user, .. }
            | Request::Script { user, .. } = &mut request
            {
                // The machine of the test has no user `jenkins`.
                let me = || {
                    nix::unistd::User::from_uid(nix::unistd::Uid::current())
                        .unwrap()
                        .expect("every test machine knows its user")
                        .name
                };
                *user = children.user.map_or_else(me, str::to_owned);
            }
            Ok(serde_json::to_string(&inside::answer(&request, Ground::Any)).unwrap())
        })
        .runner()
}

/// A server that says `text` to everybody who connects.
async fn says(text: String) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(text.as_bytes()).await;
            // Closed while the other side still writes, what was said could be lost.
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    address
}

/// What an ECS agent says that is in `cluster`.
fn registered(cluster: &str) -> String {
    let arn = format!("arn:aws:ecs:eu-west-1:123456789012:container-instance/{cluster}/0a1b");
    introspection(cluster, &format!("\"{arn}\""))
}

/// The same of one that is not registered yet: its name is `null`.
fn introspection(cluster: &str, arn: &str) -> String {
    let body = format!("{{\"Cluster\":\"{cluster}\",\"ContainerInstanceArn\":{arn}}}");
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
