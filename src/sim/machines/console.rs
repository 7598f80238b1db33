//! What an instance's console shows, handed to the account: `GetConsoleOutput` answers from there.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::sim::endpoint::{Shared, with};

/// How often the file is looked at.
const GLANCE: Duration = Duration::from_millis(500);
/// How much of its end AWS keeps.
const KEPT_BYTES: usize = 64 << 10;

/// Follows the console of an instance for ever. A machine that is started again begins a new text.
pub(super) async fn follow(account: Shared, instance: String, path: PathBuf) {
    let (mut text, mut read) = (Vec::new(), 0);
    loop {
        let before = read;
        // What cannot be read now can be a moment later: there is none before the first start.
        let _ = more(&path, &mut text, &mut read).await;
        if read != before {
            text.drain(..text.len().saturating_sub(KEPT_BYTES));
            with(&account, |account| {
                let found = account.instance_mut(&instance);
                if let Some(launch) = found.and_then(|(one, _)| one.launch.as_mut()) {
                    launch.console = String::from_utf8_lossy(&text).into_owned();
                }
            });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

async fn more(path: &std::path::Path, text: &mut Vec<u8>, read: &mut u64) -> std::io::Result<()> {
    let mut file = tokio::fs::File::open(path).await?;
    if file.metadata().await?.len() < *read {
        text.clear();
        *read = 0;
    }
    file.seek(std::io::SeekFrom::Start(*read)).await?;
    *read += file.read_to_end(text).await? as u64;
    Ok(())
}
