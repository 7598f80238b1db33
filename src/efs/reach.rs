//! Whether an address takes connections, and if not, in which way it does not.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The way in which a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Barrier {
    /// Somebody answered that nothing listens there.
    Refused,
    /// Nobody answered within so many milliseconds: packets are dropped.
    Dropped(u64),
    /// There is no way there, or somebody on the way says so.
    NoRoute,
    /// It was broken off.
    Reset,
    /// This host's own kernel does not let it out.
    Forbidden,
    /// Something else, in the kernel's words.
    Other(String),
}

impl Barrier {
    /// What an error of the kernel means here.
    pub fn of(error: &io::Error, waited: Duration) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Dropped(milliseconds(waited)),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::NoRoute,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// In whole milliseconds.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Connects, and tells how long that took.
pub async fn connect(
    address: SocketAddr,
    patience: Duration,
) -> Result<(TcpStream, Duration), Barrier> {
    let began = Instant::now();
    match timeout(patience, TcpStream::connect(address)).await {
        Err(_) => Err(Barrier::Dropped(milliseconds(patience))),
        Ok(Err(error)) => Err(Barrier::of(&error, began.elapsed())),
        Ok(Ok(stream)) => Ok((stream, began.elapsed())),
    }
}
