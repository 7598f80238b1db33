//! What a snapshot of an earlier image has, read from the snapshot itself: one call that lists, and
//! one or two that get.

use aws_config::SdkConfig;

use crate::aws::Failure;
use crate::aws::ebs;
use crate::image::block_table::{self, BLOCKS};
use crate::image::blocks::{BLOCK, Table};

/// The table of blocks that a completed snapshot carries; none if it carries none that is intact.
pub async fn table(config: &SdkConfig, snapshot: &str) -> Result<Option<Table>, Failure> {
    let blocks = BLOCKS.end - BLOCKS.start;
    let (listed, _) = ebs::list(config, snapshot, BLOCKS.start, blocks).await?;
    let get = async |index: u32| match listed.iter().find(|block| block.index == index) {
        Some(block) => ebs::get(config, snapshot, block).await,
        // What was never written of it is zeros, and no table begins with zeros.
        None => Ok(vec![0; BLOCK]),
    };
    let first = get(BLOCKS.start).await?;
    let second =
        if block_table::goes_on(&first) { Some(get(BLOCKS.start + 1).await?) } else { None };
    Ok(block_table::read(&first, second.as_deref()))
}
