//! The rehearsal account for programs that act on AWS from outside: a server on loopback with an
//! operator's keys.
//!
//! It runs on a thread of its own, so that whoever rehearses may block. Without a folder for its
//! state it begins empty and leaves nothing; with one, the next that is opened there goes on.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::account::{Account, REGION};
use super::autoscaling::engine;
use super::conditions::Conditions;
use super::elb::health;
use super::endpoint::{self, Shared, with};
use super::faults;
use super::http;
use super::instance::Credentials;
use super::keep::Keeper;
use super::parameters::Parameters;
use super::record::Record;
use crate::error::Fault;

/// How often what has changed is written down.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How an account is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 chooses a free one.
    pub port: u16,
    /// The folder that its state is kept in; none: it ends with the account.
    pub state: Option<PathBuf>,
    /// How many times faster than AWS all is that takes time.
    pub speed: f64,
    /// A file that says what is to go wrong.
    pub faults: Option<PathBuf>,
    /// A file to record every request in.
    pub record: Option<PathBuf>,
    /// The Parameter Store's content at the beginning, in every region.
    pub parameters: Parameters,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            state: None,
            speed: Conditions::default().speed,
            faults: None,
            record: None,
            parameters: Parameters::default(),
        }
    }
}

/// A running account. Dropping it ends it.
#[derive(Debug)]
pub struct Cloud {
    /// Where it answers: `http://127.0.0.1:PORT`.
    pub url: String,
    /// The keys of its operator.
    pub credentials: Credentials,
    /// What there is, for who looks or meddles from inside.
    pub account: Shared,
    folder: PathBuf,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    _temporary: Option<TempDir>,
}

impl Cloud {
    /// Opens an account, or goes on with the one in `options.state`.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        let (folder, temporary) = folder(options.state.as_deref())?;
        let mut account = Account::new(options.parameters);
        account.conditions.speed = options.speed;
        let keeper = options.state.is_some().then(|| Keeper::open(&folder)).transpose()?;
        if let Some(keeper) = &keeper {
            keeper.load(&mut account)?;
            account.keep_blocks(&folder).context("opening the blocks")?;
        }
        if let Some(faults) = &options.faults {
            let faults = faults::load(faults, &account.conditions)?;
            (account.conditions, account.disturbances) = (faults.conditions, faults.disturbances);
            account.shortages = faults.shortages;
        }
        let record = options.record.as_deref().map(Record::open).transpose()?;
        account.record = record.map(Arc::new);
        let credentials = account.operator.get_or_insert_with(Credentials::of_an_operator).clone();
        let (listener, url) = listen(options.port)?;
        let account = Arc::new(Mutex::new(account));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the rehearsal account")?;
        let handle = runtime.handle().clone();
        let shared = Arc::clone(&account);
        let thread = std::thread::Builder::new()
            .name("rehearsal".to_owned())
            .spawn(move || runtime.block_on(serve(listener, &shared, keeper.as_ref(), stopped)))
            .context("starting the rehearsal account")?;
        Ok(Self {
            url,
            credentials,
            account,
            folder,
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
            _temporary: temporary,
        })
    }

    /// The folder of its state, for what is too large to be kept in memory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The port of its services.
    pub fn port(&self) -> u16 {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok());
        port.expect("its address ends with a port")
    }

    /// The runtime that serves it, for what has to live as long as it does.
    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// What a program's environment must have to act on this account and no other.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_ACCESS_KEY_ID", self.credentials.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.credentials.secret_key.clone()),
            ("AWS_REGION", REGION.to_owned()),
            // What AWS's client for Python reads instead.
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ]
    }

    /// Ends it once what it keeps is written down.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        drop(self.stop.take());
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(ended) => ended.unwrap_or_else(|_| anyhow::bail!("the rehearsal account broke")),
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(error = format!("{error:#}"), "the rehearsal account is not kept");
        }
    }
}

fn folder(state: Option<&Path>) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    if let Some(state) = state {
        let fault = || Fault::usage(format!("{} cannot keep the account", state.display()));
        std::fs::create_dir_all(state).with_context(fault)?;
        return Ok((state.canonicalize().with_context(fault)?, None));
    }
    let made = TempDir::with_prefix("hostkit-sim-");
    let folder = made.with_context(|| Fault::environment("making a temporary folder"))?;
    Ok((folder.path().to_owned(), Some(folder)))
}

fn listen(port: u16) -> anyhow::Result<(TcpListener, String)> {
    let fault = || Fault::environment(format!("opening port {port} of 127.0.0.1"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(fault)?;
    listener.set_nonblocking(true).with_context(fault)?;
    let url = format!("http://{}", listener.local_addr().with_context(fault)?);
    Ok((listener, url))
}

/// Serves until `stopped`, or until the other end of that is gone.
async fn serve(
    listener: TcpListener,
    account: &Shared,
    keeper: Option<&Keeper>,
    mut stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("serving the account")?;
    let server =
        http::serve_tcp_behind(listener, endpoint::gate(account), endpoint::services(account));
    let mut saved = with(account, |account| account.changes);
    let mut asking = std::pin::pin!(health::watch(Arc::clone(account)));
    let mut groups = std::pin::pin!(engine::watch(Arc::clone(account)));
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = &mut asking => {}
            () = &mut groups => {}
            () = tokio::time::sleep(SAVE_EVERY) => {}
        }
        let changes = with(account, |account| account.changes);
        if let Some(keeper) = keeper.filter(|_| changes != saved) {
            keeper.save(account)?;
            saved = changes;
        }
    }
    drop(server);
    keeper.map_or(Ok(()), |keeper| keeper.save(account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { state: Some(folder.path().join("new")), ..Options::default() };
        let cloud = Cloud::open(options.clone()).unwrap();
        let first = cloud.credentials.access_key.clone();
        assert!(first.starts_with("AKIA"), "{first}");
        with(&cloud.account, |account| {
            account.region("eu-west-1").tokens.insert(
                ("StartSnapshot".into(), "token".into()),
                ("snap-1".into(), "digest".into()),
            )
        });
        let busy = Cloud::open(options.clone()).unwrap_err();
        assert!(format!("{busy:#}").contains("another"), "{busy:#}");
        cloud.close().unwrap();

        let again = Cloud::open(options).unwrap();
        assert_eq!(again.credentials.access_key, first);
        let tokens = with(&again.account, |account| account.region("eu-west-1").tokens.len());
        assert_eq!(tokens, 1);
    }

    #[test]
    fn without_a_folder_nothing_is_left() {
        let cloud = Cloud::open(Options::default()).unwrap();
        let folder = cloud.folder().to_owned();
        assert!(folder.is_dir());
        cloud.close().unwrap();
        assert!(!folder.exists());
    }
}
