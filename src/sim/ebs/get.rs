//! `GetSnapshotBlock`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::error::{broken, invalid};
use super::{ALGORITHM, CHECKSUM, CHECKSUM_ALGORITHM, DATA_LENGTH, readable, token};
use crate::sim::account::Account;
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::snapshot::BLOCK_BYTES;
use crate::sim::store::{BlockDigest, Store};

/// A block that may be read.
#[derive(Debug)]
pub struct Reading {
    digest: BlockDigest,
    store: Arc<Store>,
}

pub(super) fn answer(account: &mut Account, call: &Call<'_>) -> Result<Reading, Reply> {
    let id = super::snapshot_id(call, 0)?;
    let token = call.request.parameters().remove("blockToken").unwrap_or_default();
    let world = account.world();
    let snapshot = readable(super::region(account, call), id)?;
    let index = super::block(call.request);
    let block = index
        .filter(|index| token::opens(&token, id, *index, world))
        .and_then(|index| snapshot.blocks.get(&index).copied());
    let digest =
        block.ok_or_else(|| invalid("INVALID_BLOCK_TOKEN", "The block token is not valid."))?;
    let store = account.store().map_err(|error| broken(&error))?;
    Ok(Reading { digest, store })
}

impl Reading {
    pub(super) fn run(self) -> Result<Reply, Reply> {
        let block = self.store.get(&self.digest).map_err(|error| broken(&error))?;
        // It was verified when it was put.
        Ok(Reply::new(200, "application/octet-stream", block)
            .header(DATA_LENGTH, BLOCK_BYTES.to_string())
            .header(CHECKSUM, BASE64.encode(self.digest))
            .header(CHECKSUM_ALGORITHM, ALGORITHM))
    }
}
