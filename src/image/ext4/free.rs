//! The free blocks of a file system: zeros, so that what was removed cannot be read from them.

use std::fs::File;
use std::ops::Range;

use anyhow::Context as _;
use camino::Utf8Path;

use super::Place;
use crate::error::Fault;
use crate::image::layout::BLOCK;
use crate::image::sparse;
use crate::sys::{Runner, Tool};

/// Makes zeros of every block that is free.
pub(super) async fn clear(place: &Place, work: &Utf8Path) -> anyhow::Result<()> {
    let fault = || Fault::step("what was removed is still in the free blocks of the disk");
    let all = format!("ffb {}", place.part.bytes / BLOCK);
    let cmd = place.cmd(Tool::Debugfs, work)?.args(["-R", &all, &place.device()]);
    let said = Runner::Direct.run(&cmd).await.with_context(fault)?.text();
    let free = ranges(&said).with_context(fault)?;
    let place = place.clone();
    let clearing = tokio::task::spawn_blocking(move || {
        let disk = File::options().read(true).write(true).open(&place.disk)?;
        free.iter().try_for_each(|blocks| {
            let (start, end) = (blocks.start * BLOCK, blocks.end * BLOCK);
            sparse::clear(&disk, place.part.start + start..place.part.start + end)
        })
    });
    clearing.await?.with_context(fault)
}

/// The blocks that `debugfs` names, in order, as ranges.
fn ranges(said: &str) -> anyhow::Result<Vec<Range<u64>>> {
    let list = said.trim().strip_prefix("Free blocks found:");
    let list = list.with_context(|| format!("debugfs: {}", said.trim()))?;
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for word in list.split_whitespace() {
        let block = word.parse().with_context(|| format!("debugfs: {word:?} is no block"))?;
        match ranges.last_mut() {
            Some(last) if last.end == block => last.end += 1,
            _ => ranges.push(block..block + 1),
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_follow_each_other_are_one_range() {
        let ranges_of = |said| ranges(said).unwrap();
        assert_eq!(ranges_of("Free blocks found: 7 8 9 12 14 15 \n"), [7..10, 12..13, 14..16]);
        assert_eq!(ranges_of("Free blocks found: "), []);
        assert!(ranges("Free blocks found: none").is_err());
        assert!(ranges("Filesystem not open").is_err());
    }
}
