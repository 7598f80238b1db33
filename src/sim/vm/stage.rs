//! What stands around machines: the account with its services, file systems, and for each machine
//! its own metadata service and its own way to its file system.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::command::KEY;
use super::machine::{IMDS_SOCKET, NFS_SOCKET};
use super::run_dir::RunDir;
use crate::error::Fault;
use crate::sim::account::{Account, FileSystem};
use crate::sim::elb::health;
use crate::sim::endpoint::{self, Shared, with};
use crate::sim::http::{Server, serve_tcp, serve_unix};
use crate::sim::nfs::gate::Passage;
use crate::sim::nfs::{Export, Gate, open_gate};
use crate::sim::timeline::Recorder;
use crate::sim::{parameters, user_data};
use crate::sys::Runner;

/// The host's loopback interface as a guest's first network card sees it.
pub const HOST_FROM_GUEST: &str = "10.0.2.2";

/// The account and its services.
#[derive(Debug)]
pub struct Stage {
    /// The account.
    pub account: Shared,
    /// The port of its services, on the loopback interface.
    pub port: u16,
    login_key: String,
    _services: Server,
    _balancer: Task,
}

/// Ends a task when it is dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage {
    /// Makes the account, with the parameters of a file or made-up ones, and serves it.
    pub async fn open(
        parameters: Option<&Path>,
        runner: &Runner,
        run_dir: &RunDir,
    ) -> anyhow::Result<Self> {
        let parameters = match parameters {
            Some(file) => parameters::load(file)?,
            None => parameters::generate(runner, run_dir.path()).await?,
        };
        let (_, login_key) = parameters::key_pair(runner, run_dir.path(), KEY).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("opening a loopback port")?;
        let port = listener.local_addr().context("reading the port's number")?.port();
        let account = Arc::new(Mutex::new(Account::new(parameters)));
        let services = serve_tcp(listener, endpoint::services(&account));
        let balancer = Task(tokio::spawn(health::watch(Arc::clone(&account))));
        Ok(Self { account, port, login_key, _services: services, _balancer: balancer })
    }

    /// Makes a folder a file system of the account. Nothing serves it yet.
    pub fn file_system(&self, folder: &Path) -> anyhow::Result<(FileSystem, String)> {
        let folder = canonical(folder)?;
        let file_system = FileSystem::of_folder(&folder);
        with(&self.account, |account| account.file_systems.push(file_system.clone()));
        Ok((file_system, folder))
    }

    /// Launches an instance whose machine has its files in `run_dir`. Without an export there is
    /// nobody behind the file system's address. `said` is what the user wants as user-data.
    pub fn launch(
        &self,
        run_dir: &RunDir,
        recorder: &Recorder,
        said: &str,
        file_system: &FileSystem,
        export: Option<&Export>,
    ) -> anyhow::Result<Place> {
        let endpoint_url = format!("http://{HOST_FROM_GUEST}:{}", self.port);
        let user_data = user_data::merge(said, &endpoint_url, &file_system.id)?;
        let (instance, mac) = with(&self.account, |account| {
            let instance = account.launch(recorder.clone());
            instance.user_data = user_data;
            instance.public_key.clone_from(&self.login_key);
            (instance.id.clone(), instance.mac.clone())
        });
        let files = export.map(|one| one.passage(&instance, recorder));
        Place::around(&self.account, run_dir, (&instance, &mac), files)
    }
}

/// What one instance has for itself. Dropping it takes it away.
#[derive(Debug)]
pub struct Place {
    /// The instance.
    pub instance: String,
    /// The hardware address of its first network card.
    pub mac: String,
    _metadata: Server,
    _gate: Gate,
}

impl Place {
    /// Serves what an instance (its id, and the hardware address of its card) has for itself, at
    /// sockets in `run_dir`. Without a way to files there is nobody behind the file system's address.
    pub fn around(
        account: &Shared,
        run_dir: &RunDir,
        (instance, mac): (&str, &str),
        files: Option<Passage>,
    ) -> anyhow::Result<Self> {
        let socket = |name: &str| {
            UnixListener::bind(run_dir.file(name)).with_context(|| format!("opening `{name}`"))
        };
        let (for_metadata, for_files) = (socket(IMDS_SOCKET)?, socket(NFS_SOCKET)?);
        let metadata = serve_unix(for_metadata, endpoint::metadata(account, instance));
        Ok(Self {
            instance: instance.to_owned(),
            mac: mac.to_owned(),
            _metadata: metadata,
            _gate: open_gate(for_files, files),
        })
    }
}

/// The canonical path of a folder, which is made if need be: the same folder is the same file
/// system.
pub fn canonical(folder: &Path) -> anyhow::Result<String> {
    let fault = || Fault::usage(format!("{} cannot be the file system", folder.display()));
    std::fs::create_dir_all(folder).with_context(fault)?;
    let canonical = folder.canonicalize().with_context(fault)?;
    let text = canonical.to_str().filter(|path| !path.contains(['"', '\n'])).with_context(fault)?;
    Ok(text.to_owned())
}
