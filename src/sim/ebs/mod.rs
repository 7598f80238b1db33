//! EBS's direct APIs, REST JSON: snapshots that are written and read block by block.
//!
//! [`answer`] is what is done while the account is held; what takes long (hashing and moving the
//! contents of blocks) is [`Work`], done while others go on. Nothing here makes volumes.

mod complete;
mod error;
mod get;
mod list;
mod put;
mod start;
#[cfg(test)]
mod tests;
mod token;

use serde_json::Value;

pub use self::error::{error, throttled};
use self::error::{invalid, no_snapshot};
pub use self::get::Reading;
pub use self::put::Putting;
use super::account::Account;
use super::call::Call;
use super::endpoint::Shared;
use super::http::{Reply, Request};
use super::region::Region;
use super::snapshot::{BLOCK_BYTES, Snapshot};

/// How many blocks are in a GiB.
const BLOCKS_A_GIB: u64 = (1 << 30) / BLOCK_BYTES as u64;
/// Why a snapshot ends in error that was to.
const DOOM: &str = "An internal error has occurred.";
const ALGORITHM: &str = "SHA256";
const CHECKSUM: &str = "x-amz-checksum";
const CHECKSUM_ALGORITHM: &str = "x-amz-checksum-algorithm";
const DATA_LENGTH: &str = "x-amz-data-length";

/// Whether a path is one of this service's.
pub fn is_path(path: &str) -> bool {
    path == "/snapshots" || path.starts_with("/snapshots/")
}

/// What a request asks for, by the name that policies give it; nothing if no such operation is here.
pub fn action(request: &Request) -> &'static str {
    match (request.method.as_str(), parts(request).as_slice()) {
        ("POST", []) => "StartSnapshot",
        ("PUT", [_, "blocks", _]) => "PutSnapshotBlock",
        ("POST", ["completion", _]) => "CompleteSnapshot",
        ("GET", [_, "blocks"]) => "ListSnapshotBlocks",
        ("GET", [_, "changedblocks"]) => "ListChangedBlocks",
        ("GET", [_, "blocks", _]) => "GetSnapshotBlock",
        _ => "",
    }
}

/// The block that a request is about.
pub fn block(request: &Request) -> Option<u32> {
    match parts(request).as_slice() {
        [_, "blocks", index] => index.parse().ok(),
        _ => None,
    }
}

/// What remains to be done, or the answer.
#[derive(Debug)]
pub enum Turn {
    /// All is done.
    Done(Reply),
    /// There is [`Work`] to do.
    Work(Work),
}

/// What is done without holding the account.
#[derive(Debug)]
pub enum Work {
    /// Keeping a block.
    Put(Putting),
    /// Finding a block.
    Get(Reading),
}

impl Work {
    /// Does it.
    pub fn run(self, account: &Shared, request: &Request) -> Reply {
        let done = match self {
            Self::Put(putting) => putting.run(account, request),
            Self::Get(reading) => reading.run(),
        };
        done.unwrap_or_else(|refusal| refusal)
    }
}

/// Answers one signed request.
pub fn answer(account: &mut Account, call: &Call<'_>) -> Turn {
    let done = match call.action.as_str() {
        "StartSnapshot" => start::answer(account, call).map(Turn::Done),
        "PutSnapshotBlock" => put::answer(account, call).map(|put| Turn::Work(Work::Put(put))),
        "CompleteSnapshot" => complete::answer(account, call).map(Turn::Done),
        "ListSnapshotBlocks" => list::all(account, call).map(Turn::Done),
        "ListChangedBlocks" => list::changed(account, call).map(Turn::Done),
        "GetSnapshotBlock" => get::answer(account, call).map(|get| Turn::Work(Work::Get(get))),
        _ => Err(error(404, "UnknownOperationException", "", None)),
    };
    done.unwrap_or_else(Turn::Done)
}

fn parts(request: &Request) -> Vec<&str> {
    let rest = request.path.strip_prefix("/snapshots").unwrap_or_default();
    rest.split('/').filter(|part| !part.is_empty()).collect()
}

/// The part of the path that is a snapshot's id, well formed.
fn snapshot_id<'a>(call: &Call<'a>, position: usize) -> Result<&'a str, Reply> {
    let id = parts(call.request).get(position).copied().unwrap_or_default();
    well_formed(id)?;
    Ok(id)
}

fn well_formed(id: &str) -> Result<(), Reply> {
    let digits = id.strip_prefix("snap-").unwrap_or_default();
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.is_empty() || id.len() > 64 || !digits.bytes().all(hex) {
        let message = format!("The snapshot id '{id}' is not valid.");
        return Err(invalid("INVALID_SNAPSHOT_ID", &message));
    }
    Ok(())
}

/// A header that is there, as a number within bounds.
fn number<T: std::str::FromStr>(request: &Request, name: &str) -> Result<T, Reply> {
    request.header(name).and_then(|text| text.parse().ok()).ok_or_else(|| {
        invalid("INVALID_PARAMETER_VALUE", &format!("The header {name} must be a number."))
    })
}

/// A region as time has left it.
fn region<'a>(account: &'a mut Account, call: &Call<'_>) -> &'a mut Region {
    let now = account.now();
    let region = account.region(&call.region);
    region.settle(now);
    region
}

/// A snapshot whose contents can be read.
fn readable<'a>(region: &'a Region, id: &str) -> Result<&'a Snapshot, Reply> {
    let snapshot = region.snapshots.get(id).ok_or_else(|| no_snapshot(id))?;
    if snapshot.is_completed() {
        return Ok(snapshot);
    }
    let message = format!("The snapshot '{id}' is not in the completed state.");
    Err(invalid("INVALID_SNAPSHOT_ID", &message))
}

fn json(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/json", body.to_string())
}
