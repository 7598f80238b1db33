//! A real SSH server on loopback, with the files of a world.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAM: &str = "/usr/sbin/sshd";

/// Ends with the value.
pub(super) struct Sshd {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key pair, made by OpenSSH.
#[expect(clippy::disallowed_methods, reason = "a test's own program")]
pub(super) fn pair(file: &Utf8Path) -> (String, String) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "made", "-f", file.as_str()])
        .status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(format!("{file}.pub")).unwrap();
    (fs::read_to_string(file).unwrap(), public.trim().to_owned())
}

impl Sshd {
    /// A server whose host key and list of keys are those below `root`, for the user that runs the
    /// test. None where there is no OpenSSH server, which is said.
    #[expect(clippy::disallowed_methods, reason = "a test's own program")]
    pub(super) async fn start(root: &Utf8Path) -> Option<Self> {
        if !Utf8Path::new(PROGRAM).exists() {
            eprintln!("SKIPPED: there is no {PROGRAM} (.ci/setup --test)");
            return None;
        }
        // It wants an empty folder of root's.
        if nix::unistd::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = root.join("sshd_config");
        let text = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {root}/etc/ssh/ssh_host_ed25519_key\n\
             AuthorizedKeysFile {root}/etc/ssh/authorized_keys.d/jenkins\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             UsePAM no\nPidFile none\n",
            port.port()
        );
        fs::write(&config, text).unwrap();
        let log = fs::File::create(root.join("sshd.log")).unwrap();
        let child = Command::new(PROGRAM)
            .args(["-D", "-e", "-f", config.as_str()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { child, address: port };
        for _ in 0..100 {
            if tokio::net::TcpStream::connect(port).await.is_ok() {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{}", fs::read_to_string(root.join("sshd.log")).unwrap());
    }

    /// As `systemctl reload` does it.
    pub(super) fn reloader(&self) -> impl Fn() + Send + 'static {
        let process = Pid::from_raw(self.child.id().cast_signed());
        move || kill(process, Signal::SIGHUP).unwrap()
    }

    /// Whether the private key in `file` gets in, where the host key must be the one that
    /// `known_hosts` has for `pool`.
    #[expect(clippy::disallowed_methods, reason = "a test's own program")]
    pub(super) async fn lets_in(&self, file: &Utf8Path, known_hosts: &Utf8PathBuf) -> bool {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap();
        let login = crate::sys::ssh::Login {
            host: "127.0.0.1".to_owned(),
            port: self.address.port(),
            user: user.name,
            identity: file.to_owned(),
            known_hosts: known_hosts.clone(),
            alias: "pool".to_owned(),
            proxy: None,
        };
        let command = login.command(Duration::from_secs(20)).arg("true");
        let status =
            tokio::process::Command::new("ssh").args(&command.args).output().await.unwrap();
        status.status.success()
    }
}
