//! Progress of a program that only writes a file: how much of the file there is.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use camino::Utf8Path;

use crate::event::{Events, Unit};

/// How often the file is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// Does `work` and meanwhile says how much of `file` is written. Holes do not count.
pub(super) async fn watch_growth<T>(
    work: impl Future<Output = T>,
    file: &Utf8Path,
    total: Option<u64>,
    events: &Events,
    step: &str,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            end = &mut work => return end,
            () = tokio::time::sleep(GLANCE) => {
                if let Ok(meta) = std::fs::metadata(file) {
                    events.progress(step, meta.blocks() * 512, total, Unit::Bytes);
                }
            }
        }
    }
}
