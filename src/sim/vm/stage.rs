//! What stands around a machine: the account with its servers, and the file system.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener};

use super::command::KEY;
use super::machine::{IMDS_SOCKET, NFS_SOCKET};
use super::options::{Options, Trouble};
use super::run_dir::RunDir;
use crate::error::Fault;
use crate::sim::account::{Account, FileSystem};
use crate::sim::endpoint::{self, Shared, with};
use crate::sim::http::{Server, serve_tcp, serve_unix};
use crate::sim::nfs::{Export, Gate, open_gate};
use crate::sim::timeline::Recorder;
use crate::sim::{parameters, user_data};
use crate::sys::Runner;

/// The host's loopback interface as the guest's first network card sees it.
const HOST_FROM_GUEST: &str = "10.0.2.2";

/// Everything but the machine.
#[derive(Debug)]
pub struct Stage {
    /// The account.
    pub account: Shared,
    /// The port of its services, on the loopback interface.
    pub port: u16,
    export: Option<Export>,
    _servers: [Server; 2],
    _gate: Gate,
}

impl Stage {
    /// Makes the account, serves it, and serves the file system.
    pub async fn set(
        options: &Options,
        runner: &Runner,
        run_dir: &RunDir,
        recorder: &Recorder,
    ) -> anyhow::Result<Self> {
        let folder = efs_folder(options, run_dir)?;
        let parameters = match &options.parameters {
            Some(file) => parameters::load(file)?,
            None => parameters::generate(runner, run_dir.path()).await?,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.context("opening a loopback port")?;
        let port = listener.local_addr().context("reading the port's number")?.port();

        let file_system = FileSystem::of_folder(&folder);
        let mut account = Account::new(parameters, file_system, recorder.clone());
        let said = match &options.user_data {
            None => String::new(),
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| Fault::usage(format!("reading {}", file.display())))?,
        };
        let endpoint_url = format!("http://{HOST_FROM_GUEST}:{port}");
        account.user_data = user_data::merge(&said, &endpoint_url, &account.file_system.id)?;
        let (_, login_key) = parameters::key_pair(runner, run_dir.path(), KEY).await?;
        account.instance.public_key = login_key;
        let account = Arc::new(Mutex::new(account));

        let socket = |name: &str| {
            UnixListener::bind(run_dir.file(name)).with_context(|| format!("opening `{name}`"))
        };
        let servers = [
            serve_tcp(listener, endpoint::services(&account)),
            serve_unix(socket(IMDS_SOCKET)?, endpoint::metadata(&account)),
        ];
        let export = if options.faults.contains(&Trouble::EfsDown) {
            None
        } else {
            Some(Export::start(runner, run_dir.path(), Path::new(&folder)).await?)
        };
        let instance = with(&account, |account| account.instance.id.clone());
        let passage = export.as_ref().map(|export| export.passage(&instance, recorder));
        let gate = open_gate(socket(NFS_SOCKET)?, passage);
        Ok(Self { account, port, export, _servers: servers, _gate: gate })
    }

    /// The ids of the instance and of its file system.
    pub fn names(&self) -> (String, String) {
        with(&self.account, |account| (account.instance.id.clone(), account.file_system.id.clone()))
    }

    /// Ends what was started.
    pub async fn end(self) {
        if let Some(export) = self.export {
            export.stop().await;
        }
    }
}

/// The folder's canonical path: the same folder is the same file system.
fn efs_folder(options: &Options, run_dir: &RunDir) -> anyhow::Result<String> {
    let folder = options.efs.clone().unwrap_or_else(|| run_dir.file("efs"));
    let fault = || Fault::usage(format!("{} cannot be the file system", folder.display()));
    std::fs::create_dir_all(&folder).with_context(fault)?;
    let canonical = folder.canonicalize().with_context(fault)?;
    let text = canonical.to_str().filter(|path| !path.contains(['"', '\n'])).with_context(fault)?;
    Ok(text.to_owned())
}
