//! The whole table, as the real code: only systemd is scripted. The metadata service, AWS, the NFS
//! server and Jenkins are local servers that speak the wire.

mod cloud;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::inside::{self, Ground, Request};
use super::status::{State, Status};
use super::{Machine, boot, probe};
use crate::error;
use crate::event::Events;
use crate::sys::Runner;
use crate::sys::runner::Script;
use cloud::{Cloud, INSTANCE, PASSWORD, PRIVATE_KEY};

const HELD: &str = include_str!("../../../tests/fixtures/lease/head-held-v1.json");
const ROOT_MOUNT: &str = "22 1 259:3 / / rw shared:1 - ext4 /dev/root rw\n";
const HOME_MOUNT: &str = "30 22 0:26 / /var/lib/jenkins rw - nfs4 127.0.0.1:/ rw,vers=4.1\n";

/// A machine below a temporary root, in a cloud of its own.
struct World {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
    cloud: cloud::Shared,
    machine: Machine,
    script: Arc<Mutex<Script>>,
    systemd: SharedSystemd,
    web: SharedWeb,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let cloud = Arc::new(Mutex::new(Cloud::default()));
        let address = cloud::serve(Arc::clone(&cloud)).await;
        furnish(&root, &format!("http://{address}"));
        let state = SharedSystemd::default();
        let web = Arc::new(Mutex::new(Web { login: 200, front: 403, named: true }));
        let (runner, script) = systemd(&root, &state);
        let machine = Machine {
            root: root.clone(),
            runner,
            imds: Some(format!("http://{address}")),
            imds_budget: Duration::from_secs(1),
            jenkins: jenkins(Arc::clone(&web)).await,
            nfs_port: probe::tests::nfs_server().await.port(),
            mount_budget: Duration::from_millis(300),
            step_limit: Duration::from_secs(10),
            pause: Duration::from_millis(20),
        };
        Self { _directory: directory, root, cloud, machine, script, systemd: state, web }
    }

    async fn boot(&self) -> Result<(), String> {
        let config = self.root.join("etc/hostkit/host.toml");
        let work = boot(self.machine.clone(), config, Events::silent());
        let end = tokio::time::timeout(Duration::from_secs(20), work).await.expect("it ends soon");
        end.map_err(|error| {
            assert_eq!(error::blame(&error).exit_code(), 5);
            error::render(&error)
        })
    }

    fn status(&self) -> Status {
        let text = fs::read_to_string(self.root.join("run/hostkit/report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
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
        self.script.lock().unwrap().seen().iter().any(|call| call.starts_with(prefix))
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn verdicts(&self) -> Vec<String> {
        self.cloud.lock().unwrap().verdicts.clone()
    }
}

/// What an image and a kernel have.
fn furnish(root: &Utf8Path, endpoint: &str) {
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let config = format!(
        "role = \"controller\"\n[aws]\nendpoint_url = \"{endpoint}\"\n\
         [efs]\nid = \"fs-0123456789abcdef0\"\n"
    );
    put("etc/hostkit/host.toml", &config);
    put("proc/sys/kernel/random/boot_id", "7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f0002\n");
    put("proc/sys/kernel/hostname", "localhost\n");
    put("proc/meminfo", "MemTotal:        4194304 kB\n");
    put("proc/uptime", "23.10 40.00\n");
    put("proc/self/mountinfo", ROOT_MOUNT);
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
    /// Whether what it mounts is there afterwards.
    mount_appears: bool,
    /// The state of Jenkins' unit.
    unit: &'static str,
    /// What a start makes of it.
    start_leads_to: &'static str,
    /// The unit's `JENKINS_HOME`.
    home: &'static str,
    /// What the child does instead of its work.
    child_fails: Option<&'static str>,
}

impl Default for Systemd {
    fn default() -> Self {
        Self {
            mount_fails: None,
            mount_appears: true,
            unit: "inactive",
            start_leads_to: "active",
            home: "/var/lib/jenkins/home",
            child_fails: None,
        }
    }
}

type SharedSystemd = Arc<Mutex<Systemd>>;

/// A systemd whose mounts and units are seen by those who look afterwards.
fn systemd(root: &Utf8Path, state: &SharedSystemd) -> (Runner, Arc<Mutex<Script>>) {
    let mountinfo = root.join("proc/self/mountinfo");
    let hostname = root.join("proc/sys/kernel/hostname");
    let may_start = root.join("run/hostkit/may-start");
    let [mounts, starts, stops, resets, shows, children] = [(); 6].map(|()| Arc::clone(state));
    Script::default()
        .on("systemd-mount", move |_| {
            let mounts = mounts.lock().unwrap();
            if let Some(complaint) = mounts.mount_fails {
                return Err((1, complaint.to_owned()));
            }
            if mounts.mount_appears {
                fs::write(&mountinfo, format!("{ROOT_MOUNT}{HOME_MOUNT}")).unwrap();
            }
            Ok(String::new())
        })
        .on("hostnamectl", move |command| {
            fs::write(&hostname, command.args.last().unwrap()).unwrap();
            Ok(String::new())
        })
        .on("systemctl start", move |_| {
            assert!(may_start.exists(), "the unit asserts it");
            let mut state = starts.lock().unwrap();
            if state.unit == "failed" {
                return Err((1, "start request repeated too quickly".to_owned()));
            }
            state.unit = state.start_leads_to;
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
                "LoadState=loaded\nActiveState={}\nResult=success\nJob=\nStatusText=loading\n\
                 Environment=SECRETS=%d JENKINS_HOME={}\n",
                state.unit, state.home
            ))
        })
        .answer("journalctl", "the last words of the unit")
        .on("hostkit inner home", move |command| {
            if let Some(complaint) = children.lock().unwrap().child_fails {
                return Err((1, complaint.to_owned()));
            }
            let mut request: Request =
                serde_json::from_slice(command.stdin.as_ref().unwrap()).unwrap();
            if let Request::Prepare { user, .. } = &mut request {
                // The machine of the test has no user `jenkins`.
                *user = nix::unistd::User::from_uid(nix::unistd::Uid::current())
                    .unwrap()
                    .expect("every test machine knows its user")
                    .name;
            }
            Ok(serde_json::to_string(&inside::answer(&request, Ground::Any)).unwrap())
        })
        .runner()
}

/// How Jenkins answers; a test changes it before a boot.
#[derive(Clone, Copy, Debug)]
struct Web {
    /// The status of `/login`.
    login: u16,
    /// The status of `/`.
    front: u16,
    /// Whether it says that it is Jenkins.
    named: bool,
}

type SharedWeb = Arc<Mutex<Web>>;

/// Answers every connection as `web` says.
async fn jenkins(web: SharedWeb) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let Web { login, front, named } = *web.lock().unwrap();
            let status = if request.starts_with(b"GET /login ") { login } else { front };
            let name = if named { "X-Jenkins: 2.541\r\n" } else { "" };
            let page = format!("HTTP/1.1 {status} X\r\n{name}Content-Length: 0\r\n\r\n");
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_first_boot_serves_and_tells_the_group() {
    let world = World::new().await;
    world.boot().await.unwrap();
    assert_eq!(
        world.outcomes(),
        "config unchanged, efs changed, guard unchanged, home changed, hook unchanged, identity changed, \
         jenkins changed, keys changed, lifecycle changed, login changed, plugins skipped, \
         ready unchanged, render changed"
    );
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    let status = world.status();
    assert_eq!((status.state, status.instance_id.as_deref()), (State::Ready, Some(INSTANCE)));
    assert!(status.render().starts_with("ready in "), "{}", status.render());

    let read = |path: &str| fs::read_to_string(world.root.join(path)).unwrap();
    assert!(read("etc/ssh/authorized_keys.d/admin").starts_with("ssh-ed25519 AAAA"));
    assert_eq!(read("sys/fs/nfs/net/nfs_client/identifier"), INSTANCE);
    assert_eq!(read("var/lib/jenkins/.hostkit/fs-id"), "fs-0123456789abcdef0\n");
    assert!(world.was_run("hostnamectl --no-ask-password hostname ip-10-0-2-15"));
    assert!(world.was_run("systemctl start --no-block jenkins.service"));
}

#[tokio::test]
async fn a_second_boot_changes_nothing_and_starts_nothing() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.boot().await.unwrap();
    assert_eq!(world.status().report.count("unchanged"), 12, "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
    let calls = world.script.lock().unwrap().seen();
    let times = |prefix: &str| calls.iter().filter(|call| call.starts_with(prefix)).count();
    assert_eq!((times("systemctl start"), times("systemd-mount"), times("hostnamectl")), (1, 1, 1));
}

#[tokio::test]
async fn a_boot_asks_little() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let asked = world.cloud.lock().unwrap().asked.clone();
    let metadata = asked.iter().filter(|it| it.starts_with("/latest/")).count();
    assert!(metadata <= 10, "{asked:?}");
    assert_eq!(asked.iter().filter(|it| *it == "GetParameters").count(), 1);
}

#[tokio::test]
async fn secrets_are_where_they_belong_and_nowhere_else() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let mut holders = Vec::new();
    let mut folders = vec![world.root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path().to_owned());
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            if text.contains(PASSWORD) || text.contains(PRIVATE_KEY.lines().nth(1).unwrap()) {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
                let path = entry.path().strip_prefix(&world.root).unwrap();
                holders.push(format!("{path} {mode:o}"));
            }
        }
    }
    holders.sort();
    assert_eq!(
        holders,
        ["run/hostkit/secrets/admin_password 400", "run/hostkit/secrets/agent_key 400"]
    );
    let folder = fs::metadata(world.root.join("run/hostkit/secrets")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o700);
}

#[tokio::test]
async fn a_missing_parameter_is_named_and_the_instance_abandoned() {
    let world = World::new().await;
    world.cloud.lock().unwrap().parameters.remove("/devops-tools/jenkins/id_rsa");
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(
        world.outcomes(),
        "config unchanged, efs changed, guard unchanged, home changed, hook unchanged, identity changed, \
         jenkins blocked, keys failed, lifecycle blocked, login changed, plugins skipped, ready blocked, \
         render blocked"
    );
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.was_run("systemctl start"));
    assert_eq!(world.status().state, State::Failed);
    assert!(world.status().headline().starts_with("failed at keys: the parameter"));
    // The host is about to go: the cause is on its console and on the home.
    let console = fs::read_to_string(world.root.join("dev/ttyS0")).unwrap();
    assert!(console.contains("`keys` failed") && console.contains("id_rsa"), "{console}");
    let left = format!("var/lib/jenkins/.hostkit/boots/{INSTANCE}.json");
    assert!(fs::read_to_string(world.root.join(left)).unwrap().contains("\"failed\": \"keys\""));
}

#[tokio::test]
async fn a_dead_nfs_server_is_told_by_what_was_probed() {
    let mut world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.machine.nfs_port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `efs`") && error.contains("refused"), "{error}");
    assert!(error.contains("hint: nothing listens there"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.was_run("systemd-mount") && !world.was_run("systemctl start"));
    assert!(!world.root.join("var/lib/jenkins/.hostkit").exists(), "nothing below the mount");
}

#[tokio::test]
async fn a_metadata_service_that_refuses_ends_the_boot_at_once() {
    for status in [401, 403] {
        let world = World::new().await;
        world.cloud.lock().unwrap().token_status = status;
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(&format!("HTTP {status}")), "{error}");
        assert!(error.contains("hint: set HttpEndpoint=enabled"), "{error}");
        assert_eq!(world.status().report.count("blocked"), 12);
        assert_eq!(world.verdicts(), [""; 0]);
    }
}

#[tokio::test]
async fn a_metadata_service_that_is_late_is_waited_for() {
    let world = World::new().await;
    world.cloud.lock().unwrap().token_status = 503;
    let cloud = Arc::clone(&world.cloud);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(250)).await;
        cloud.lock().unwrap().token_status = 200;
    });
    world.boot().await.unwrap();
}

#[tokio::test]
async fn a_home_that_another_host_holds_is_left_alone() {
    let world = World::new().await;
    let lease = world.root.join("var/lib/jenkins/.hostkit/lease");
    fs::create_dir_all(&lease).unwrap();
    fs::write(lease.join("head"), HELD).unwrap();
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(world.verdicts(), ["ABANDON"]);
    assert!(!world.was_run("systemctl start"));
    assert_eq!(fs::read_to_string(lease.join("head")).unwrap(), HELD, "it is never written");
    assert!(!world.root.join("var/lib/jenkins/home").exists());
}

#[tokio::test]
async fn outside_a_group_there_is_nobody_to_tell() {
    let world = World::new().await;
    world.cloud.lock().unwrap().lifecycle_state = None;
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("hook skipped"), "{}", world.outcomes());
    assert!(world.outcomes().contains("lifecycle skipped"), "{}", world.outcomes());
}

#[tokio::test]
async fn a_role_without_a_permission_is_told_which() {
    let world = World::new().await;
    world.cloud.lock().unwrap().denied = Some("DescribeAutoScalingInstances");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("allow `autoscaling:DescribeAutoScalingInstances`"), "{error}");
}

#[tokio::test]
async fn user_data_with_an_unknown_key_is_refused_with_its_line() {
    let world = World::new().await;
    world.cloud.lock().unwrap().user_data = Some("[efs]\nmount = \"/x\"\n".into());
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("user-data") && error.contains("line 2"), "{error}");
    assert!(error.contains("boot failed at `config`"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_never_repeated() {
    const MARKER: &str = "c2VjcmV0";
    let world = World::new().await;
    {
        let mut cloud = world.cloud.lock().unwrap();
        cloud.parameters.insert("/devops-tools/jenkins/admin_password".into(), "a (b".into());
        cloud.truncated = true;
    }
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `keys`"), "{error}");
    assert!(error.contains("cannot be read") && error.contains("endpoint_url"), "{error}");
    let console = fs::read_to_string(world.root.join("dev/ttyS0")).unwrap();
    let left = world.root.join(format!("var/lib/jenkins/.hostkit/boots/{INSTANCE}.json"));
    let left = fs::read_to_string(left).unwrap();
    let report = format!("{:?}", world.status());
    for said in [error, console, left, report] {
        assert!(!said.contains(MARKER) && !said.contains("a (b"), "{said}");
    }
}

#[tokio::test]
async fn a_mount_that_does_not_appear_is_not_written_to() {
    let world = World::new().await;
    world.systemd.lock().unwrap().mount_appears = false;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("/var/lib/jenkins has no such mount"), "{error}");
    assert!(!world.has("var/lib/jenkins/.hostkit") && !world.has("var/lib/jenkins/home"));
    assert!(!world.was_run("hostkit inner home"));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_host_that_gives_up_stops_the_jenkins_that_it_started() {
    let world = World::new().await;
    world.web.lock().unwrap().named = false;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("is not Jenkins"), "{error}");
    assert!(world.was_run("systemctl stop --no-block jenkins.service"));
    assert!(!world.has("run/hostkit/may-start"), "it does not come back by itself");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_that_another_run_started_is_not_stopped() {
    let world = World::new().await;
    world.boot().await.unwrap();
    assert!(world.has("run/hostkit/may-start"));
    world.cloud.lock().unwrap().parameters.clear();
    world.boot().await.unwrap_err();
    assert!(!world.was_run("systemctl stop"));
    assert!(!world.has("run/hostkit/may-start"));
}

#[tokio::test]
async fn nobody_may_start_jenkins_before_the_guard_has_judged() {
    let world = World::new().await;
    fs::create_dir_all(world.root.join("run/hostkit")).unwrap();
    fs::write(world.root.join("run/hostkit/may-start"), "").unwrap();
    let lease = world.root.join("var/lib/jenkins/.hostkit/lease");
    fs::create_dir_all(&lease).unwrap();
    fs::write(lease.join("head"), HELD).unwrap();
    world.boot().await.unwrap_err();
    assert!(!world.has("run/hostkit/may-start"));
}

#[tokio::test]
async fn nothing_is_left_on_a_file_system_of_somebody_else() {
    let world = World::new().await;
    let mark = world.root.join("var/lib/jenkins/.hostkit/fs-id");
    fs::create_dir_all(mark.parent().unwrap()).unwrap();
    fs::write(&mark, "fs-0aaaaaaaaaaaaaaaa\n").unwrap();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("is marked as fs-0aaaaaaaaaaaaaaaa"), "{error}");
    assert!(!world.has("var/lib/jenkins/.hostkit/boots"));
}

#[tokio::test]
async fn user_data_that_is_not_text_is_refused_at_once() {
    let mut world = World::new().await;
    world.machine.imds_budget = Duration::from_secs(15);
    world.cloud.lock().unwrap().user_data = Some(vec![0x1f, 0x8b, 8, 0, 0xff, 0xfe]);
    let began = std::time::Instant::now();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("user-data is not text"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn hiccups_of_the_metadata_service_and_of_aws_are_lived_through() {
    let mut world = World::new().await;
    world.machine.imds_budget = Duration::from_secs(10);
    world.machine.mount_budget = Duration::from_secs(10);
    let role = "/latest/meta-data/iam/security-credentials/";
    world.cloud.lock().unwrap().hiccups.extend([
        // Not attached yet, then a hiccup.
        (role, vec![500, 404, 404]),
        ("/latest/meta-data/iam/security-credentials/role", vec![500, 200, 404]),
        ("DescribeMountTargets", vec![503]),
        ("CompleteLifecycleAction", vec![503]),
    ]);
    world.cloud.lock().unwrap().inactive = 2;
    world.boot().await.unwrap();
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn an_instance_without_a_role_is_told_so_by_every_step_that_needs_one() {
    let world = World::new().await;
    let role = "/latest/meta-data/iam/security-credentials/";
    world.cloud.lock().unwrap().hiccups.insert(role, vec![404; 100]);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("has no IAM role") && error.contains("instance profile"), "{error}");
    assert!(world.outcomes().contains("login changed"), "people can still log in");
}

#[tokio::test]
async fn a_group_that_is_not_ready_to_be_told_is_told_later() {
    let world = World::new().await;
    world.cloud.lock().unwrap().inactive = 3;
    world.cloud.lock().unwrap().parameters.clear();
    world.cloud.lock().unwrap().hiccups.insert("CompleteLifecycleAction", vec![503]);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("was told to abandon this host"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn the_group_is_kept_waiting_while_the_boot_runs() {
    let mut world = World::new().await;
    world.machine.step_limit = Duration::from_secs(2);
    world.web.lock().unwrap().login = 503;
    let error = world.boot().await.unwrap_err();
    // The cause is there although the time ran out.
    assert!(error.contains("does not serve after 1 s: /login answers 503"), "{error}");
    let asked = world.cloud.lock().unwrap().asked.clone();
    assert!(asked.iter().any(|it| it == "RecordLifecycleActionHeartbeat"), "{asked:?}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn an_open_jenkins_is_not_put_into_service() {
    let world = World::new().await;
    world.web.lock().unwrap().front = 200;
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("open to everybody"), "{error}");
    assert!(world.was_run("systemctl stop --no-block jenkins.service"));
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_whose_home_is_elsewhere_is_not_put_into_service() {
    let world = World::new().await;
    world.systemd.lock().unwrap().home = "/srv/jenkins";
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("/srv/jenkins is on /dev/root"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_that_does_not_start_is_told_with_its_last_words() {
    for (state, told) in [
        ("failed", "the unit is failed (success)"),
        ("inactive", "an assertion or its mount"),
        ("activating", "not up within 1 s: the unit is activating and says loading"),
    ] {
        let mut world = World::new().await;
        world.machine.step_limit = Duration::from_secs(2);
        world.systemd.lock().unwrap().start_leads_to = state;
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(told), "{state}: {error}");
        assert!(error.contains("the last words of the unit"), "{state}: {error}");
        assert_eq!(world.verdicts(), ["ABANDON"]);
    }
}

#[tokio::test]
async fn a_unit_that_was_started_too_often_is_started_again() {
    let world = World::new().await;
    world.systemd.lock().unwrap().unit = "failed";
    world.boot().await.unwrap();
    assert!(world.was_run("systemctl reset-failed jenkins.service"));
}

#[tokio::test]
async fn a_mount_that_fails_is_told_with_what_the_unit_said() {
    let world = World::new().await;
    world.systemd.lock().unwrap().mount_fails = Some("Job failed");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("the last words of the unit"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_child_that_fails_is_told_and_the_group_too() {
    let world = World::new().await;
    world.systemd.lock().unwrap().child_fails = Some("killed");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("boot failed at `guard`") && error.contains("killed"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_serving_controller_does_not_depend_on_what_efs_says_today() {
    let world = World::new().await;
    world.boot().await.unwrap();
    world.cloud.lock().unwrap().hiccups.insert("DescribeMountTargets", vec![500; 100]);
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("efs unchanged"), "{}", world.outcomes());
}

#[tokio::test]
async fn something_else_that_is_mounted_is_named() {
    let world = World::new().await;
    let other = HOME_MOUNT.replace("nfs4 127.0.0.1:/", "ext4 /dev/sdb");
    fs::write(world.root.join("proc/self/mountinfo"), format!("{ROOT_MOUNT}{other}")).unwrap();
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("/var/lib/jenkins has /dev/sdb (ext4) mounted"), "{error}");
    assert!(error.contains("umount /var/lib/jenkins"), "{error}");
}

#[tokio::test]
async fn a_new_secret_is_not_called_done_while_jenkins_has_the_old_one() {
    let world = World::new().await;
    world.boot().await.unwrap();
    let password = "/devops-tools/jenkins/admin_password".to_owned();
    world.cloud.lock().unwrap().parameters.insert(password, "another horse".to_owned());
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("jenkins skipped"), "{}", world.outcomes());
    assert!(world.status().render().contains("systemctl restart jenkins"));
}

#[tokio::test]
async fn a_login_that_fails_does_not_fail_the_boot() {
    let world = World::new().await;
    fs::write(world.root.join("etc/ssh/authorized_keys.d"), "a file in the way").unwrap();
    world.boot().await.unwrap();
    assert!(world.outcomes().contains("login failed"), "{}", world.outcomes());
    assert_eq!(world.verdicts(), ["CONTINUE"]);
}

#[tokio::test]
async fn a_password_that_is_missing_is_named_with_its_own_key() {
    let world = World::new().await;
    world.cloud.lock().unwrap().parameters.remove("/devops-tools/jenkins/admin_password");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("in `jenkins.admin_password` of host.toml"), "{error}");
}

#[tokio::test]
async fn a_file_system_that_hangs_is_told_and_so_is_the_group() {
    let world = World::new().await;
    world.script.lock().unwrap().hang("hostkit inner home");
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("the file system did not answer within 45 s"), "{error}");
    assert!(error.contains("hint: the mount hangs"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_jenkins_that_does_not_say_that_it_is_one_or_serves_nothing_is_not_put_into_service() {
    for (web, told) in [
        (Web { login: 200, front: 403, named: false }, "is not Jenkins"),
        (Web { login: 503, front: 503, named: false }, "/login answers 503"),
        (Web { login: 200, front: 302, named: true }, "/ answers 302, and not 403"),
    ] {
        let mut world = World::new().await;
        world.machine.step_limit = Duration::from_secs(1);
        *world.web.lock().unwrap() = web;
        let error = world.boot().await.unwrap_err();
        assert!(error.contains(told), "{error}");
        assert_eq!(world.verdicts(), ["ABANDON"]);
    }
}
