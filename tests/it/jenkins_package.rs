//! The package that stands in for Jenkins keeps the contract that hostkit relies on: tests of a
//! fixture, so that what passes with it says something.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

use crate::support::{repository, scratch};

/// How long a start takes here; the default is for people who watch.
const LOAD_SECONDS: &str = "0.4";
/// How long a test waits for a message before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// One home, with a Java that says what version it is, a port, and an ear for notifications.
pub(crate) struct Setting {
    folder: TempDir,
    port: u16,
    notifications: UnixDatagram,
}

/// A started stand-in; it is killed when the test ends.
pub(crate) struct Jenkins(Child);

impl Drop for Jenkins {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Setting {
    pub(crate) fn new(configuration: &str) -> Self {
        let folder = scratch();
        let path = folder.path();
        fs::create_dir(path.join("home")).unwrap();
        fs::create_dir(path.join("secrets")).unwrap();
        fs::write(path.join("secrets/agent_key"), "KEY\n").unwrap();
        fs::write(path.join("jenkins.yaml"), configuration).unwrap();
        let notifications = UnixDatagram::bind(path.join("notify")).unwrap();
        notifications.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let setting = Self { folder, port, notifications };
        setting.install_java(21);
        setting
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    fn install_java(&self, version: u32) {
        let java = self.path("java");
        let text = format!("#!/bin/sh\necho 'openjdk version \"{version}.0.1\"' >&2\n");
        fs::write(&java, text).unwrap();
        fs::set_permissions(&java, Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self) -> Jenkins {
        self.start_with(|_| {})
    }

    #[expect(clippy::disallowed_methods, reason = "the test watches this process while it runs")]
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut std::process::Command)) -> Jenkins {
        let program = repository("tests/fixtures/jenkins-package/root/usr/bin/jenkins");
        let mut command = std::process::Command::new("perl");
        command
            .arg(program)
            .env("JENKINS_HOME", self.path("home"))
            .env("JENKINS_PORT", self.port.to_string())
            .env("JENKINS_LISTEN_ADDRESS", "127.0.0.1")
            .env("JENKINS_JAVA_CMD", self.path("java"))
            .env("JENKINS_FIXTURE_LOAD_SECONDS", LOAD_SECONDS)
            .env("JAVA_OPTS", "-Djenkins.install.runSetupWizard=false")
            .env("CASC_JENKINS_CONFIG", self.path("jenkins.yaml"))
            .env("SECRETS", self.path("secrets"))
            .env("NOTIFY_SOCKET", self.path("notify"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        change(&mut command);
        Jenkins(command.spawn().expect("every Debian has perl"))
    }

    /// Reads notifications up to the first that has `word` in it; gives what came before, and it.
    pub(crate) fn notified(&self, word: &str) -> String {
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains(word) {
            let length = self.notifications.recv(&mut buffer);
            let length = length.unwrap_or_else(|e| panic!("no {word} ({e}) after:\n{seen}"));
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
            seen.push('\n');
        }
        seen
    }

    /// The status line and the headers of an answer.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

const GOOD: &str = "jenkins:\n  securityRealm:\n    local: {}\n  \
                    systemMessage: \"${agent_key} ${absent} ^${not_a_reference}\"\n# ${nor_this}\n";
/// `printf KEY | sha256sum`
const DIGEST_OF_KEY: &str = "5ca24005b740717ba4f3f6bc48a230700e68c2a4b11ecedb96f169f4efaf1f21";

#[test]
fn it_is_up_only_when_it_says_so() {
    let setting = Setting::new(GOOD);
    let _jenkins = setting.start();

    setting.notified("EXTEND_TIMEOUT_USEC=15000000");
    let loading = setting.get("/login");
    assert!(loading.starts_with("HTTP/1.1 503 ") && !loading.contains("X-Jenkins"), "{loading}");

    setting.notified("READY=1");
    assert!(setting.get("/login").starts_with("HTTP/1.1 200 "));
    assert!(setting.get("/health").contains("application/json"));
    let front = setting.get("/");
    assert!(front.starts_with("HTTP/1.1 403 ") && front.contains("X-Jenkins: 2.568.2"), "{front}");
}

#[test]
fn without_a_configuration_it_is_up_and_open_to_everybody() {
    let setting = Setting::new(GOOD);
    let _jenkins = setting.start_with(|command| {
        command.env_remove("CASC_JENKINS_CONFIG");
    });
    setting.notified("READY=1");
    assert!(setting.get("/login").starts_with("HTTP/1.1 200 "));
    assert!(setting.get("/").starts_with("HTTP/1.1 200 "), "what `ready` must not accept");
}

#[test]
fn it_records_what_it_was_given_and_no_secret() {
    let setting = Setting::new(GOOD);
    let _jenkins = setting.start();
    setting.notified("READY=1");

    assert_eq!(fs::read_to_string(setting.home("casc-received.yaml")).unwrap(), GOOD);
    let secrets = fs::read_to_string(setting.home("casc-secrets.json")).unwrap();
    let expected = format!("{{\n  \"absent\": null,\n  \"agent_key\": \"{DIGEST_OF_KEY}\"\n}}\n");
    assert_eq!(secrets, expected);
    let key = fs::metadata(setting.home("secrets/master.key")).unwrap();
    assert_eq!((key.mode() & 0o777, key.len()), (0o600, 256));
}

#[test]
fn a_second_start_finds_what_the_first_one_left() {
    let setting = Setting::new(GOOD);
    {
        let _first = setting.start();
        setting.notified("READY=1");
    }
    let key = fs::read(setting.home("secrets/master.key")).unwrap();
    let _second = setting.start();
    setting.notified("READY=1");

    assert!(setting.home("builds-of-the-fixture/boot-2").exists());
    assert_eq!(fs::read(setting.home("secrets/master.key")).unwrap(), key);
}

#[test]
fn it_has_the_jobs_that_were_there_when_it_started() {
    let setting = Setting::new(GOOD);
    for (name, text) in
        [("whole", "<?xml version='1.1'?>\n<project>\n</project>\n"), ("torn", "<?xml")]
    {
        fs::create_dir_all(setting.home("jobs").join(name)).unwrap();
        fs::write(setting.home("jobs").join(name).join("config.xml"), text).unwrap();
    }
    let _jenkins = setting.start_with(|command| {
        command.env_remove("CASC_JENKINS_CONFIG");
    });
    setting.notified("READY=1");
    let answer = setting.get("/api/json");
    assert!(answer.contains("\"name\":\"whole\"") && !answer.contains("torn"), "{answer}");
}

#[test]
fn a_bad_configuration_leaves_it_alive_but_not_ready() {
    let bad =
        ["jenkins:\n\tnumExecutors: 0\n", "jenkinz:\n  numExecutors: 0\n", "just words\n", ""];
    for configuration in bad {
        let setting = Setting::new(configuration);
        let mut jenkins = setting.start();
        let seen = setting.notified("Failed to initialize Jenkins");

        assert!(!seen.contains("READY=1"), "{configuration:?}: {seen}");
        assert!(setting.get("/login").starts_with("HTTP/1.1 500 "), "{configuration:?}");
        assert!(setting.home("failed-boot-attempts.txt").exists());
        assert!(jenkins.0.try_wait().unwrap().is_none(), "it is gone");
    }
}

#[test]
fn a_missing_configuration_is_a_bad_one() {
    let setting = Setting::new("");
    fs::remove_file(setting.path("jenkins.yaml")).unwrap();
    let _jenkins = setting.start();
    assert!(!setting.notified("Failed to initialize Jenkins").contains("READY=1"));
}

#[test]
fn it_refuses_the_java_that_jenkins_refuses() {
    let setting = Setting::new(GOOD);
    setting.install_java(17);
    assert_eq!(setting.start().0.wait().unwrap().code(), Some(1));
}

#[test]
fn it_says_that_it_stops() {
    let setting = Setting::new(GOOD);
    let mut jenkins = setting.start();
    setting.notified("READY=1");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(jenkins.0.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();

    setting.notified("STOPPING=1");
    assert_eq!(jenkins.0.wait().unwrap().code(), Some(143));
}

fn build(output: &Path) {
    let script = repository("tests/fixtures/jenkins-package/build.sh");
    Command::new(script).arg(output).assert().success();
}

#[test]
fn the_package_is_the_same_bytes_every_time() {
    let folder = scratch();
    let (one, two) = (folder.path().join("one.deb"), folder.path().join("two.deb"));
    build(&one);
    build(&two);
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "the packages differ");

    let fields = Command::new("dpkg-deb").arg("--field").arg(&one).assert().success();
    let fields = String::from_utf8_lossy(&fields.get_output().stdout).into_owned();
    assert!(fields.contains("Package: jenkins\nVersion: 2.568.2+fixture\n"), "{fields}");
}
