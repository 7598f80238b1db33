//! What an NFS server says to who only greets it, over a connection that is there: NULL, then
//! `EXCHANGE_ID`, then `DESTROY_CLIENTID`, so that nothing of it stays on the server. No session is
//! made, no file handle asked for, and the name is one of chance: what the kernel's own client has
//! there is not touched.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::reach::milliseconds;
use super::wire::{self, Caller, LARGEST, LAST_FRAGMENT, Rejection, Server};

/// Why a call was not answered as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hitch {
    /// The connection ended.
    #[error("it closed the connection without an answer")]
    Closed,
    /// Nothing came within so many milliseconds.
    #[error("it did not answer within {0} ms")]
    Silent(u64),
    /// What came is not NFS.
    #[error("what it answers is not NFS: {0}")]
    Alien(String),
    /// It is NFS, and it does not do what was asked.
    #[error("{0}")]
    Rejected(Rejection),
}

/// How far it came with a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// How long NULL took, in milliseconds, or why it was not answered.
    pub null: Result<u64, Hitch>,
    /// What `EXCHANGE_ID` told, or why it did not; nothing if it came not so far.
    pub exchange: Option<Result<Told, Hitch>>,
    /// Why the server was not made to forget the name again; it does so by itself after a minute or
    /// two, for no session was made.
    pub left: Option<Hitch>,
}

/// What a server told, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What it says of itself.
    pub server: Server,
    /// How long that took, in milliseconds.
    pub ms: u64,
}

/// Greets. `patience` is for each call.
pub async fn greet<S>(stream: &mut S, chance: [u8; 16], patience: Duration) -> Greeting
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut greeting = Greeting { null: Ok(0), exchange: None, left: None };
    greeting.null = null(stream, patience).await.map(milliseconds);
    if greeting.null.is_err() {
        return greeting;
    }
    let began = Instant::now();
    let call = |xid| wire::exchange_id(xid, Caller { chance });
    let exchange = ask(stream, 2, call, wire::exchanged, patience).await;
    let ms = milliseconds(began.elapsed());
    let client = exchange.as_ref().ok().map(|server| server.client);
    greeting.exchange = Some(exchange.map(|server| Told { server, ms }));
    if let Some(client) = client {
        let call = |xid| wire::destroy_client_id(xid, client);
        greeting.left = ask(stream, 3, call, wire::destroyed, patience).await.err();
    }
    greeting
}

/// The call that does nothing, and how long it took.
pub async fn null<S>(stream: &mut S, patience: Duration) -> Result<Duration, Hitch>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let began = Instant::now();
    ask(stream, 1, wire::null, wire::nothing, patience).await?;
    Ok(began.elapsed())
}

/// One call. `number` tells those of a connection apart.
async fn ask<S, T>(
    stream: &mut S,
    number: u32,
    call: impl Fn(u32) -> Vec<u8>,
    read: fn(u32, &[u8]) -> Result<wire::Answer<T>, wire::Flaw>,
    patience: Duration,
) -> Result<T, Hitch>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let xid = 0x686b_6900 + number;
    let exchange = async {
        stream.write_all(&call(xid)).await.map_err(|_broken| Hitch::Closed)?;
        stream.flush().await.map_err(|_broken| Hitch::Closed)?;
        record(stream).await
    };
    let record = timeout(patience, exchange)
        .await
        .unwrap_or_else(|_elapsed| Err(Hitch::Silent(milliseconds(patience))))?;
    match read(xid, &record) {
        Ok(answer) => answer.map_err(Hitch::Rejected),
        Err(flaw) => Err(Hitch::Alien(format!("{flaw} ({})", shown(&record)))),
    }
}

/// One record, put together from its fragments.
async fn record<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Hitch> {
    let mut record = Vec::new();
    loop {
        let mut mark = [0; 4];
        stream.read_exact(&mut mark).await.map_err(|_ended| Hitch::Closed)?;
        let word = u32::from_be_bytes(mark);
        let length = (word & !LAST_FRAGMENT) as usize;
        if record.len() + length > LARGEST || (length == 0 && word & LAST_FRAGMENT == 0) {
            return Err(Hitch::Alien(foreign(stream, mark).await));
        }
        let begin = record.len();
        record.resize(begin + length, 0);
        stream.read_exact(&mut record[begin..]).await.map_err(|_ended| Hitch::Closed)?;
        if word & LAST_FRAGMENT != 0 {
            return Ok(record);
        }
    }
}

/// What somebody says who speaks another language: its first words.
async fn foreign<S: AsyncRead + Unpin>(stream: &mut S, begin: [u8; 4]) -> String {
    let mut more = [0; 28];
    let read = timeout(Duration::from_millis(200), stream.read(&mut more)).await;
    let length = read.map_or(0, Result::unwrap_or_default);
    shown(&[&begin[..], &more[..length]].concat())
}

/// The first bytes, as text.
fn shown(bytes: &[u8]) -> String {
    let first = &bytes[..bytes.len().min(32)];
    format!("\"{}\"", first.escape_ascii())
}
