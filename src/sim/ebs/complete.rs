//! `CompleteSnapshot`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::error::{invalid, no_snapshot};
use super::{ALGORITHM, CHECKSUM, CHECKSUM_ALGORITHM, number};
use crate::sim::account::Account;
use crate::sim::call::Call;
use crate::sim::conditions;
use crate::sim::disturbance::Kind;
use crate::sim::http::{Reply, Request};
use crate::sim::snapshot::{Snapshot, State};

pub(super) fn answer(account: &mut Account, call: &Call<'_>) -> Result<Reply, Reply> {
    let id = super::snapshot_id(call, 1)?;
    let count: usize = number(call.request, "x-amz-changedblockscount")?;
    let due = account.due(conditions::SNAPSHOT);
    let region = super::region(account, call);
    let snapshot = region.snapshots.get_mut(id).ok_or_else(|| no_snapshot(id))?;
    if !matches!(snapshot.state, State::Pending(None)) {
        let message = format!("The snapshot '{id}' is not in the pending state.");
        return Err(invalid("INVALID_SNAPSHOT_ID", &message));
    }
    if snapshot.put.len() != count {
        let message = format!(
            "The number of changed blocks is {count}, but {} were written.",
            snapshot.put.len()
        );
        return Err(invalid("INVALID_PARAMETER_VALUE", &message));
    }
    check_sum(call.request, snapshot)?;
    snapshot.state = State::Pending(Some(due));
    if let Some(writing) = region.writing.get_mut(id)
        && call.disturbance == Some(Kind::Fails)
    {
        writing.doom = Some(super::DOOM.to_owned());
    }
    Ok(super::json(202, &json!({ "Status": "pending" })))
}

/// The sum over the sums of what was put, if one is given.
fn check_sum(request: &Request, snapshot: &Snapshot) -> Result<(), Reply> {
    let wrong = |message: &str| Err(invalid("INVALID_PARAMETER_VALUE", message));
    let Some(sum) = request.header(CHECKSUM) else { return Ok(()) };
    if request.header(CHECKSUM_ALGORITHM) != Some(ALGORITHM) {
        return wrong("The checksum algorithm must be SHA256.");
    }
    if request.header("x-amz-checksum-aggregation-method") != Some("LINEAR") {
        return wrong("The checksum aggregation method must be LINEAR.");
    }
    let digests = snapshot.put.iter().filter_map(|index| snapshot.blocks.get(index));
    let linear = digests.fold(Sha256::new(), Sha256::chain_update).finalize();
    if BASE64.encode(linear) == sum {
        return Ok(());
    }
    wrong("The checksum is not that of the blocks that were written.")
}
