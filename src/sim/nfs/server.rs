//! nfs-ganesha on a loopback port.
//!
//! It needs root, because it opens files by handle; it keeps nothing outside the run folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use tokio::net::{TcpListener, TcpStream};

use super::change::Machine;
use super::gate::{Passage, Valve};
use super::interleave::HEAD;
use super::record::Record;
use crate::error::Fault;
use crate::sim::timeline::Recorder;
use crate::sys::{Cmd, Process, Runner, Tool};

/// Ganesha answers in about a second; a loaded machine gets more.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to write down its state at the end.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How much of its log an error shows.
const LOG_LINES: usize = 15;

/// A running NFS server.
#[derive(Debug)]
pub struct Export {
    process: Process,
    port: u16,
    /// What machines do to the file system, and every version of its lease's record.
    pub record: Record,
    /// Where all that machines send it, and it answers, can be held back.
    pub valve: Valve,
}

impl Export {
    /// Serves `folder`, and waits until connections are accepted.
    pub async fn start(runner: &Runner, run_dir: &Path, folder: &Path) -> anyhow::Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            let fault = Fault::environment("serving the file system needs root")
                .hint("run it with sudo; nfs-ganesha opens files by handle");
            return Err(fault.into());
        }
        let port = free_port().await?;
        let config = run_dir.join("ganesha.conf");
        std::fs::create_dir_all(run_dir.join("v4recov"))
            .and_then(|()| std::fs::write(&config, configuration(port, folder, run_dir)))
            .context("writing the NFS server's configuration")?;
        let log = path_text(&run_dir.join("ganesha.log"))?;
        let pid_file = path_text(&run_dir.join("ganesha.pid"))?;
        let serve = Cmd::new(Tool::Ganesha)
            .args(["-F", "-N", "EVENT", "-L", "STDERR", "-f"])
            .arg(path_text(&config)?)
            .args(["-p".to_owned(), pid_file.to_string()]);
        let mut process = runner.spawn(&serve, &log)?;
        let wait = tokio::time::timeout(START_TIMEOUT, answers(port, &mut process));
        if wait.await == Ok(true) {
            let record = Record::default();
            record.watch(HEAD, folder.join(HEAD));
            return Ok(Self { process, port, record, valve: Valve::default() });
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        let fault = Fault::environment("the NFS server did not start")
            .hint("nfs-ganesha and nfs-ganesha-vfs are both needed: its last lines say more");
        Err(anyhow::anyhow!("nfs-ganesha said:\n{tail}").context(fault))
    }

    /// The way of one instance to it.
    pub fn passage(&self, machine: &str, recorder: &Recorder) -> Passage {
        let machine = Machine::new(machine);
        let (record, recorder) = (self.record.clone(), recorder.clone());
        Passage { port: self.port, machine, record, recorder, valve: self.valve.clone() }
    }

    /// Ends the server.
    pub async fn stop(self) {
        self.process.stop(STOP_GRACE).await;
    }
}

/// True when the port accepts; false when the server has ended.
async fn answers(port: u16, process: &mut Process) -> bool {
    loop {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return true;
        }
        if process.ended().is_some() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("finding a free port")?;
    Ok(listener.local_addr().context("finding a free port")?.port())
}

/// What ganesha is told: to serve `folder` on loopback, and to keep what it must in `run_dir`.
///
/// Without `Enable_UDP` and `Enable_RQUOTA` off, ganesha ends where no rpcbind runs. It is an
/// NFSv4.1 server as EFS is, and has no grace period: nobody held a lock before it started. Owners are
/// numbers, as EFS tells them: the name of one whom this machine happens to know is nobody in a guest.
pub fn configuration(port: u16, folder: &Path, run_dir: &Path) -> String {
    format!(
        "NFS_CORE_PARAM {{
  Protocols = 4;
  NFS_Port = {port};
  Bind_addr = 127.0.0.1;
  Enable_NLM = false;
  Enable_UDP = false;
  Enable_RQUOTA = false;
}}
NFSV4 {{
  Minor_Versions = 1;
  Only_Numeric_Owners = true;
  Graceless = true;
  Lease_Lifetime = 10;
  RecoveryBackend = fs;
  RecoveryRoot = \"{recovery}\";
}}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{
  Export_Id = 1;
  # Others write into the folder, too: they are seen at once.
  Attr_Expiration_Time = 1;
  Path = \"{folder}\";
  Pseudo = \"/\";
  Access_Type = RW;
  Squash = No_Root_Squash;
  SecType = sys;
  Transports = TCP;
  FSAL {{ Name = VFS; }}
}}
",
        recovery = run_dir.display(),
        folder = folder.display(),
    )
}

fn path_text(path: &Path) -> anyhow::Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(PathBuf::from(path))
        .map_err(|path| Fault::usage(format!("{} is not UTF-8", path.display())).into())
}
