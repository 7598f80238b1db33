//! Hosts that read their keys again while they serve, and who gets in.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8Path;
use hostkit::boot::Machine;
use hostkit::boot::refresh::{News, refresh};
use hostkit::event::Events;
use hostkit::keys::PublicKey;
use hostkit::sim::cloud::Cloud;
use tempfile::TempDir;

use super::{LIST, REGION, Stage};
use crate::account::words;
use crate::support::scratch;

/// A metadata service that knows one thing: the credentials of the account's operator.
fn metadata(cloud: &Cloud) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let keys = serde_json::json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": cloud.credentials.access_key,
        "SecretAccessKey": cloud.credentials.secret_key, "LastUpdated": "2026-11-20T00:00:00Z",
        "Expiration": "2099-01-01T00:00:00Z",
    })
    .to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let keys = keys.clone();
            std::thread::spawn(move || serve(stream, &keys));
        }
    });
    url
}

fn serve(mut stream: TcpStream, keys: &str) {
    loop {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => request.push(byte[0]),
                _ => return,
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path {
            "/latest/api/token" => (200, "TOKEN"),
            "/latest/meta-data/iam/security-credentials/" => (200, "ci"),
            "/latest/meta-data/iam/security-credentials/ci" => (200, keys),
            _ => (404, ""),
        };
        let head = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
        let answer =
            format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A Jenkins that reads its configuration again whenever it is told to, and counts that.
fn jenkins() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reloads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reloads);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let got = stream.read(&mut request).unwrap_or(0);
            if request[..got].starts_with(b"POST /reload-configuration-as-code/") {
                count.fetch_add(1, Ordering::Relaxed);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, reloads)
}

/// A host as its boot has left it: what it was told, and who it is.
struct Host {
    _folder: TempDir,
    machine: Machine,
}

impl Host {
    fn new(stage: &Stage, imds: &str, config: &str, jenkins: SocketAddr) -> Self {
        let folder = scratch();
        let root = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let boot_id = "7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f0002";
        put("proc/sys/kernel/random/boot_id", boot_id);
        put("proc/self/mountinfo", "23 22 0:22 / /run rw shared:2 - tmpfs tmpfs rw\n");
        let aws = format!("[aws]\nendpoint_url = \"{}\"\n", stage.cloud.url);
        put("run/hostkit/host.toml", &format!("{config}{aws}"));
        let identity = serde_json::json!({
            "instance_id": "i-0aaaaaaaaaaaaaaaa", "account_id": "123456789012", "region": REGION,
            "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1",
            "image_id": "ami-1", "private_ip": "10.0.2.15", "hostname": "ip-10-0-2-15",
            "boot_id": boot_id,
        });
        put("run/hostkit/identity.json", &identity.to_string());
        let (uid, gid) = (nix::unistd::Uid::current(), nix::unistd::Gid::current());
        put("etc/passwd", &format!("jenkins:x:{uid}:{gid}::/:/bin/sh\n"));
        put("run/hostkit/jenkins/casc/hostkit.yaml", "privateKey: \"${agent_key}\"\n");
        put("run/hostkit/secrets/hostkit_token", "11aa");
        put("run/hostkit/secrets/jenkins.env", "CASC_RELOAD_TOKEN=bb\n");
        let secrets = fs::Permissions::from_mode(0o700);
        fs::set_permissions(root.join("run/hostkit/secrets"), secrets).unwrap();
        let (runner, _) = hostkit::sys::runner::Script::default()
            .answer("systemctl show jenkins.service", "ActiveState=active\n")
            .runner();
        let imds = Some(imds.to_owned());
        let machine = Machine { root, imds, runner, jenkins, ..Machine::default() };
        Self { _folder: folder, machine }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.machine.root.join(path).into()
    }

    async fn refresh(&self) -> News {
        refresh(&self.machine, &Events::silent()).await.unwrap()
    }
}

/// A real SSH server that lets in whom a host's file says.
struct Sshd(Child, u16);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sshd {
    fn start(host: &Host) -> Option<Self> {
        if !Path::new("/usr/sbin/sshd").exists() {
            eprintln!("SKIPPED: there is no OpenSSH server (.ci/setup --test)");
            return None;
        }
        if nix::unistd::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let root = &host.machine.root;
        let key = root.join("host_key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", key.as_str()])
            .status();
        assert!(made.unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\n\
             AuthorizedKeysFile {root}/etc/ssh/authorized_keys.d/jenkins\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             UsePAM no\nPidFile none\nMaxStartups 100\n"
        );
        let config = root.join("sshd_config");
        fs::write(&config, text).unwrap();
        let log = fs::File::create(root.join("sshd.log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", config.as_str()])
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self(child, port);
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            crate::support::pause();
        }
        panic!("{}", fs::read_to_string(root.join("sshd.log")).unwrap());
    }

    /// Logs in with this key, and runs a command.
    async fn login(&self, key: &Path) -> Result<(), String> {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap();
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        ssh.args(["-o", "LogLevel=ERROR", "-o", "IdentityAgent=none", "-i"]).arg(key);
        ssh.args(["-p", &self.1.to_string(), &format!("{}@127.0.0.1", user.name), "true"]);
        let output = ssh.output().await.unwrap();
        if output.status.success() { Ok(()) } else { Err(words(&output)) }
    }
}

#[tokio::test]
async fn a_rotation_while_agents_are_logged_in_on_loses_no_login() {
    let stage = Stage::empty();
    stage.said("generate");
    let (jenkins, reloads) = jenkins();
    let imds = metadata(&stage.cloud);
    let agent = Host::new(&stage, &imds, "role = \"agent\"\n", jenkins);
    let controller = "role = \"controller\"\n[efs]\nid = \"fs-0123456789abcdef0\"\n\
                      [jenkins.security]\nmode = \"casc\"\n";
    let controller = Host::new(&stage, &imds, controller, jenkins);
    assert_eq!(agent.refresh().await, News::Taken);
    controller.refresh().await;
    let Some(server) = Sshd::start(&agent) else { return };
    let key = controller.path("run/hostkit/secrets/agent_key");
    let old = stage.folder.path().join("old");
    fs::copy(&key, &old).unwrap();
    server.login(&key).await.unwrap();
    let before = reloads.load(Ordering::Relaxed);

    let mut rotation = stage.command("rotate --refresh 3 --yes");
    let mut rotation = rotation.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut logins = 0;
    let mut both = 0;
    // Both read again more often than every three seconds, and the controller logs in all the time.
    while rotation.try_wait().unwrap().is_none() {
        for host in [&agent, &controller] {
            host.refresh().await;
            if let Err(why) = server.login(&key).await {
                panic!("login {logins} failed: {why}\n{}", stage.value(LIST));
            }
            logins += 1;
        }
        let text = fs::read_to_string(agent.path("etc/ssh/authorized_keys.d/jenkins")).unwrap();
        both += usize::from(text.lines().count() == 2);
    }
    assert!(rotation.wait().unwrap().success());
    assert!(logins > 4 && both > 0, "{logins} {both}");
    agent.refresh().await;
    server.login(&key).await.unwrap();
    assert!(server.login(&old).await.is_err(), "the old key is out");
    assert_ne!(fs::read(&key).unwrap(), fs::read(&old).unwrap());
    assert_eq!(reloads.load(Ordering::Relaxed), before + 1, "Jenkins was told once");
    let yaml =
        fs::read_to_string(controller.path("run/hostkit/jenkins/casc/hostkit.yaml")).unwrap();
    assert!(yaml.contains("${readFile:/run/hostkit/jenkins/fresh/agent_key}"), "{yaml}");
}

#[tokio::test]
async fn a_host_is_asked_which_keys_it_lets_in_without_a_login() {
    let stage = Stage::empty();
    stage.said("generate");
    let imds = metadata(&stage.cloud);
    let (jenkins, _) = jenkins();
    let agent = Host::new(&stage, &imds, "role = \"agent\"\n", jenkins);
    agent.refresh().await;
    let Some(server) = Sshd::start(&agent) else { return };
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name;
    let line = format!("status --host 127.0.0.1 --port {} --user {user}", server.1);
    let said = stage.said(&line);
    assert!(said.contains("127.0.0.1") && said.contains("all"), "{said}");
    let shown = fs::read_to_string(agent.path("host_key.pub")).unwrap();
    let shown = PublicKey::parse(&shown).unwrap().fingerprint();
    assert!(said.contains(&shown), "{said}");
    // Another key is in use, which this host does not let in yet.
    fs::write(agent.path("etc/ssh/authorized_keys.d/jenkins"), "# nobody\n").unwrap();
    let output = stage.run(&line);
    assert_eq!(output.status.code(), Some(5), "{}", words(&output));
    assert!(words(&output).contains("none of these keys"), "{}", words(&output));
    drop(server);
    let output = stage.run(&line);
    assert_eq!(output.status.code(), Some(5));
    assert!(words(&output).contains("connecting"), "{}", words(&output));
}
