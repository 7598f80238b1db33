//! The way from one machine to the server. Bytes are handed on as they are; what they say is
//! recorded on the way.

use std::sync::{Mutex, PoisonError};

use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::change::Machine;
use super::conversation::Conversation;
use super::decode::stream::{Stream, Way};
use super::record::Record;
use crate::sim::timeline::{Milestone, Recorder};

/// An NFS write of 1 MiB passes in a few pieces.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whether anything passes to and from a server at all. Closed, it holds every piece back and loses
/// none: a server that does not answer, until it does again. Cheap to clone: it stays one.
#[derive(Clone, Debug)]
pub struct Valve(watch::Sender<bool>);

impl Default for Valve {
    fn default() -> Self {
        Self(watch::channel(true).0)
    }
}

impl Valve {
    /// From now on pieces pass, or are held back.
    pub fn set(&self, open: bool) {
        self.0.send_replace(open);
    }

    /// Waits until pieces pass.
    async fn passes(&self) {
        let mut open = self.0.subscribe();
        // Its sender is here, so that it cannot be closed.
        let _ = open.wait_for(|open| *open).await;
    }
}

/// The way from the relay's socket to the server. Dropping it closes every connection.
#[derive(Debug)]
pub struct Gate(JoinHandle<()>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a gate leads, whose it is, and who wants to know what passes.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The server's port on the loopback interface.
    pub port: u16,
    /// The instance.
    pub machine: Machine,
    /// Gets what it does to the file system.
    pub record: Record,
    /// Hears of its first connection.
    pub recorder: Recorder,
    /// Where everything can be held back.
    pub valve: Valve,
}

/// Hands connections on; without a server they are closed at once.
pub fn open_gate(listener: UnixListener, passage: Option<Passage>) -> Gate {
    Gate(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((guest, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            let Some(passage) = passage.clone() else { continue };
            passage.recorder.mark(Milestone::FileSystem);
            connections.spawn(async move {
                if let Err(error) = hand_on(guest, passage).await {
                    tracing::debug!(%error, "an NFS connection broke");
                }
            });
        }
    }))
}

/// One connection, until both sides have closed it or it breaks.
async fn hand_on(mut guest: UnixStream, passage: Passage) -> io::Result<()> {
    passage.valve.passes().await;
    let mut server = TcpStream::connect(("127.0.0.1", passage.port)).await?;
    let _ = server.set_nodelay(true);
    let conversation = Mutex::new(Conversation::new(passage.record, passage.machine));
    let valve = passage.valve;
    let (from_guest, to_guest) = guest.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pass(from_guest, to_server, (Way::Calls, &valve), &conversation),
        pass(from_server, to_guest, (Way::Answers, &valve), &conversation),
    )?;
    Ok(())
}

/// One direction. What a piece completes is recorded before the piece is handed on: nobody can have
/// acted on it earlier.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (way, valve): (Way, &Valve),
    conversation: &Mutex<Conversation>,
) -> io::Result<()> {
    let mut stream = Stream::new(way);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut chunk).await?;
        valve.passes().await;
        let piece = &chunk[..length];
        if piece.is_empty() {
            return to.shutdown().await;
        }
        stream.feed(piece, |message| {
            conversation.lock().unwrap_or_else(PoisonError::into_inner).hear(message);
        });
        to.write_all(piece).await?;
    }
}
