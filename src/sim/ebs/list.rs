//! `ListSnapshotBlocks` and `ListChangedBlocks`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::invalid;
use super::{readable, token};
use crate::sim::account::Account;
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::region::Region;
use crate::sim::snapshot::{BLOCK_BYTES, Snapshot};

const PAGE_SIZES: std::ops::RangeInclusive<usize> = 100..=10_000;
const DEFAULT_PAGE_SIZE: usize = 1000;

pub(super) fn all(account: &mut Account, call: &Call<'_>) -> Result<Reply, Reply> {
    let id = super::snapshot_id(call, 0)?;
    let page = Page::of(call, id)?;
    let expires = account.world() + token::VALIDITY;
    let snapshot = readable(super::region(account, call), id)?;
    let (indices, next) = page.cut(snapshot.blocks.keys().copied());
    let blocks = indices.into_iter().map(
        |index| json!({ "BlockIndex": index, "BlockToken": token::of_block(id, index, expires) }),
    );
    let blocks = blocks.collect();
    Ok(listed("Blocks", blocks, snapshot, expires, next.map(|next| token::of_page(id, next))))
}

pub(super) fn changed(account: &mut Account, call: &Call<'_>) -> Result<Reply, Reply> {
    let second_id = super::snapshot_id(call, 0)?;
    let first_id = call.request.parameters().remove("firstSnapshotId");
    let what = format!("{} {second_id}", first_id.as_deref().unwrap_or("-"));
    let page = Page::of(call, &what)?;
    let expires = account.world() + token::VALIDITY;
    let region = super::region(account, call);
    let second = readable(region, second_id)?;
    let first = match &first_id {
        None => None,
        Some(id) => {
            super::well_formed(id)?;
            let first = readable(region, id)?;
            if origin(region, first) != origin(region, second) {
                let message = "The snapshots are not of the same lineage.";
                return Err(invalid("UNRELATED_SNAPSHOTS", message));
            }
            Some(first)
        }
    };
    let (indices, next) = page.cut(difference(first, second).into_iter());
    let blocks = indices.into_iter().map(|index| {
        let mut block = json!({ "BlockIndex": index });
        let sides = [("FirstBlockToken", first), ("SecondBlockToken", Some(second))];
        for (name, side) in sides {
            if let Some(side) = side.filter(|side| side.blocks.contains_key(&index)) {
                block[name] = token::of_block(&side.id, index, expires).into();
            }
        }
        block
    });
    let blocks = blocks.collect();
    Ok(listed("ChangedBlocks", blocks, second, expires, next.map(|at| token::of_page(&what, at))))
}

/// The blocks that are not the same in both. What was put into a child counts, whatever it is.
fn difference(first: Option<&Snapshot>, second: &Snapshot) -> BTreeSet<u32> {
    let none = BTreeMap::new();
    let before = first.map_or(&none, |first| &first.blocks);
    let both = before.keys().chain(second.blocks.keys());
    let mut changed: BTreeSet<u32> =
        both.filter(|index| before.get(index) != second.blocks.get(index)).copied().collect();
    if second.parent.is_some() && second.parent.as_ref() == first.map(|first| &first.id) {
        changed.extend(&second.put);
    }
    changed
}

/// The first of a snapshot's parents. One that was deleted meanwhile is still its name.
fn origin<'a>(region: &'a Region, snapshot: &'a Snapshot) -> &'a str {
    let mut id = snapshot.id.as_str();
    while let Some(parent) = region.snapshots.get(id).and_then(|one| one.parent.as_deref()) {
        id = parent;
    }
    id
}

/// What of a list is asked for.
struct Page {
    start: u32,
    size: usize,
}

impl Page {
    fn of(call: &Call<'_>, what: &str) -> Result<Self, Reply> {
        let asked = call.request.parameters();
        let wrong = |name: &str| {
            invalid("INVALID_PARAMETER_VALUE", &format!("The value of {name} is not valid."))
        };
        let size = match asked.get("maxResults") {
            None => DEFAULT_PAGE_SIZE,
            Some(text) => text.parse().map_err(|_| wrong("maxResults"))?,
        };
        if !PAGE_SIZES.contains(&size) {
            return Err(wrong("maxResults"));
        }
        let start = match (asked.get("pageToken"), asked.get("startingBlockIndex")) {
            (Some(page), _) => token::page(page, what)
                .ok_or_else(|| invalid("INVALID_PAGE_TOKEN", "The page token is not valid."))?,
            (None, Some(start)) => start.parse().map_err(|_| wrong("startingBlockIndex"))?,
            (None, None) => 0,
        };
        Ok(Self { start, size })
    }

    /// The indices on it, and the first of the next one.
    fn cut(&self, indices: impl Iterator<Item = u32>) -> (Vec<u32>, Option<u32>) {
        let mut rest = indices.skip_while(|index| *index < self.start);
        let page = rest.by_ref().take(self.size).collect();
        (page, rest.next())
    }
}

fn listed(
    name: &str,
    blocks: Vec<Value>,
    of: &Snapshot,
    expires: Timestamp,
    next: Option<String>,
) -> Reply {
    let mut body = json!({
        "ExpiryTime": expires.as_second(),
        "VolumeSize": of.volume_gib,
        "BlockSize": BLOCK_BYTES,
    });
    body[name] = blocks.into();
    if let Some(next) = next {
        body["NextToken"] = next.into();
    }
    super::json(200, &body)
}
