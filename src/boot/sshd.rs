//! Proves that the controller finds an SSH server on this host.
//!
//! It needs no restart for new keys: it reads them at every login.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::context::Context;
use crate::error::Fault;
use crate::event::Outcome;

const STEP: &str = "sshd";

/// What every server of the protocol says first.
const GREETING: &[u8] = b"SSH-2.0-";

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let address = context.machine.ssh;
    let until = Instant::now() + context.time_for(STEP);
    loop {
        let problem = match timeout(PATIENCE, greeting(address)).await {
            Ok(Ok(said)) if said == GREETING => return Ok(Outcome::Unchanged),
            Ok(Ok(_)) => anyhow::anyhow!("what answers on {address} is no SSH server"),
            Ok(Err(error)) => error,
            Err(_elapsed) => anyhow::anyhow!("{address} says nothing"),
        };
        if Instant::now() > until {
            let what = format!("SSH does not answer after {} s", context.time_for(STEP).as_secs());
            return Err(problem.context(
                Fault::step(what).hint("journalctl -u ssh -u sshd -u hostkit-ssh-host-keys"),
            ));
        }
        tokio::time::sleep(context.machine.pause).await;
    }
}

async fn greeting(address: SocketAddr) -> anyhow::Result<[u8; GREETING.len()]> {
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    let mut said = [0; GREETING.len()];
    stream.read_exact(&mut said).await.context("reading its greeting")?;
    Ok(said)
}
