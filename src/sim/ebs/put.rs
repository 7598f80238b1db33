//! `PutSnapshotBlock`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::error::{broken, invalid, no_snapshot, throttled};
use super::{ALGORITHM, BLOCKS_A_GIB, CHECKSUM, CHECKSUM_ALGORITHM, DATA_LENGTH, number};
use crate::sim::account::Account;
use crate::sim::call::Call;
use crate::sim::endpoint::{Shared, with};
use crate::sim::http::{Reply, Request};
use crate::sim::snapshot::{BLOCK_BYTES, Snapshot, State};
use crate::sim::store::{Store, digest};

/// A block that may be put.
#[derive(Debug)]
pub struct Putting {
    region: String,
    id: String,
    index: u32,
    store: Arc<Store>,
}

pub(super) fn answer(account: &mut Account, call: &Call<'_>) -> Result<Putting, Reply> {
    let id = super::snapshot_id(call, 0)?.to_owned();
    let index = super::block(call.request).ok_or_else(|| {
        invalid("INVALID_PARAMETER_VALUE", "The block index must be a number from 0.")
    })?;
    check_headers(call.request)?;
    let (now, a_second) = (account.now(), account.conditions.puts_per_second);
    let region = super::region(account, call);
    let snapshot = region.snapshots.get(&id).ok_or_else(|| no_snapshot(&id))?;
    check_pending(snapshot)?;
    if u64::from(index) >= snapshot.volume_gib * BLOCKS_A_GIB {
        let message = format!("The block {index} is beyond the end of the volume.");
        return Err(invalid("INVALID_BLOCK", &message));
    }
    if let Some(writing) = region.writing.get_mut(&id) {
        if now < writing.appears {
            return Err(no_snapshot(&id));
        }
        if !writing.puts.take(now, a_second) {
            return Err(throttled("RESOURCE_LEVEL_THROTTLE"));
        }
        writing.last = now;
    }
    let store = account.store().map_err(|error| broken(&error))?;
    Ok(Putting { region: call.region.clone(), id, index, store })
}

fn check_headers(request: &Request) -> Result<(), Reply> {
    let wrong = |message: &str| Err(invalid("INVALID_PARAMETER_VALUE", message));
    if number::<usize>(request, DATA_LENGTH)? != BLOCK_BYTES {
        return wrong("The data length must be 524288.");
    }
    if request.header(CHECKSUM_ALGORITHM) != Some(ALGORITHM) {
        return wrong("The checksum algorithm must be SHA256.");
    }
    if request.header(CHECKSUM).is_none() {
        return wrong("The checksum is missing.");
    }
    if request.header("x-amz-progress").is_some() && number::<u8>(request, "x-amz-progress")? > 100
    {
        return wrong("The progress must be from 0 to 100.");
    }
    if request.body.len() != BLOCK_BYTES {
        return Err(invalid("INVALID_BLOCK", "The block does not have the length that it should."));
    }
    Ok(())
}

fn check_pending(snapshot: &Snapshot) -> Result<(), Reply> {
    if matches!(snapshot.state, State::Pending(None)) {
        return Ok(());
    }
    let message = format!("The snapshot '{}' is not in the pending state.", snapshot.id);
    Err(invalid("INVALID_SNAPSHOT_ID", &message))
}

impl Putting {
    /// Verifies and keeps the block; and only then is it part of the snapshot.
    pub(super) fn run(self, account: &Shared, request: &Request) -> Result<Reply, Reply> {
        let digest = digest(&request.body);
        let checksum = BASE64.encode(digest);
        if request.header(CHECKSUM) != Some(&checksum) {
            let message = "The checksum of the block is not that of its data.";
            return Err(invalid("INVALID_BLOCK", message));
        }
        self.store.put(&digest, &request.body).map_err(|error| broken(&error))?;
        with(account, |account| {
            let snapshots = &mut account.region(&self.region).snapshots;
            let snapshot = snapshots.get_mut(&self.id).ok_or_else(|| no_snapshot(&self.id))?;
            check_pending(snapshot)?;
            snapshot.blocks.insert(self.index, digest);
            snapshot.put.insert(self.index);
            Ok(())
        })?;
        Ok(Reply::new(201, "application/octet-stream", "")
            .header(CHECKSUM, checksum)
            .header(CHECKSUM_ALGORITHM, ALGORITHM))
    }
}
