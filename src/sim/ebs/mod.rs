//! EBS's direct APIs, REST JSON: snapshots that are written and read block by block.
//!
//! [`error`] has the shapes of its errors. Nothing here makes volumes.

mod error;

pub use error::{error, throttled};

use super::account::Account;
use super::call::Call;
use super::http::{Reply, Request};

/// Whether a path is one of this service's.
pub fn is_path(path: &str) -> bool {
    path == "/snapshots" || path.starts_with("/snapshots/")
}

/// What a request asks for, by the name that policies give it; nothing if no such operation is here.
pub fn action(request: &Request) -> &'static str {
    let parts: Vec<&str> = request.path.split('/').skip(2).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", []) => "StartSnapshot",
        ("PUT", [_, "blocks", _]) => "PutSnapshotBlock",
        ("POST", ["completion", _]) => "CompleteSnapshot",
        ("GET", [_, "blocks"]) => "ListSnapshotBlocks",
        ("GET", [_, "changedblocks"]) => "ListChangedBlocks",
        ("GET", [_, "blocks", _]) => "GetSnapshotBlock",
        _ => "",
    }
}

/// Answers one signed request.
pub fn answer(_: &mut Account, _: &Call<'_>) -> Reply {
    error(404, "UnknownOperationException", "", None)
}
