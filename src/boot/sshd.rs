//! Proves that the controller finds an SSH server on this host, and knows it.
//!
//! It needs no restart for new keys: it reads them at every login.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::context::Context;
use super::host_key;
use crate::error::Fault;
use crate::event::Outcome;
use crate::keys::{PublicKey, handshake};

const STEP: &str = "sshd";

/// What every server of the protocol says first.
const GREETING: &[u8] = b"SSH-2.0-";

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let address = context.machine.ssh;
    let expected = host_key::expected(&context)?;
    let until = Instant::now() + context.time_for(STEP);
    loop {
        let problem = match timeout(PATIENCE, look(address, expected.as_ref())).await {
            Ok(Ok(())) => return Ok(Outcome::Unchanged),
            Ok(Err(error)) => error,
            Err(_elapsed) => anyhow!("{address} says nothing"),
        };
        if Instant::now() > until {
            let what = format!("SSH does not answer after {} s", context.time_for(STEP).as_secs());
            return Err(problem.context(
                Fault::step(what).hint("journalctl -u ssh -u sshd -u hostkit-ssh-host-keys"),
            ));
        }
        // Not sooner: a server penalises who connects again and again and does not log in.
        tokio::time::sleep(context.machine.pause).await;
    }
}

/// What is wrong with the server at `address`, if anything is.
async fn look(address: SocketAddr, expected: Option<&PublicKey>) -> anyhow::Result<()> {
    if greeting(address).await? != GREETING {
        return Err(anyhow!("what answers on {address} is no SSH server"));
    }
    let Some(expected) = expected else { return Ok(()) };
    let shown = handshake::host_key(address).await.context("asking for its host key")?;
    if shown.is(expected) {
        return Ok(());
    }
    let (shown, expected) = (shown.fingerprint(), expected.fingerprint());
    Err(anyhow!("it shows the host key {shown}, and that of its pool is {expected}"))
}

async fn greeting(address: SocketAddr) -> anyhow::Result<[u8; GREETING.len()]> {
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    let mut said = [0; GREETING.len()];
    stream.read_exact(&mut said).await.context("reading its greeting")?;
    Ok(said)
}
