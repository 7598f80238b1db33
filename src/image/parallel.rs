//! The same work on all processors. For hashing, which is most of what packing costs.

use std::num::NonZero;

/// More threads than this only wait for the disk.
const MOST: usize = 8;

/// Runs `work` on each processor at once until all are done; the first error is returned. `work`
/// takes its pieces from wherever the threads share them.
pub(super) fn on_all_processors(
    work: impl Fn() -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let ends: Vec<_> =
            handles.into_iter().map(|handle| handle.join().expect("it returns errors")).collect();
        ends.into_iter().collect()
    })
}
