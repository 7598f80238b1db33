//! What an instance's console shows, handed to the account: `GetConsoleOutput` answers from there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::sim::endpoint::{Shared, with};

/// How often the file is looked at.
const GLANCE: Duration = Duration::from_millis(500);
/// How much of its end AWS keeps.
const KEPT_BYTES: u64 = 64 << 10;

/// Follows the console of an instance for ever. A machine that is started again begins a new text.
pub(super) async fn follow(account: Shared, instance: String, path: PathBuf) {
    let mut seen = None;
    loop {
        // There is none before the first start.
        let now = tokio::fs::metadata(&path).await.ok();
        let now = now.map(|file| (file.len(), file.modified().ok()));
        if now != seen {
            seen = now;
            tell(&account, &instance, &path).await;
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Tells the account what the console shows now.
pub(super) async fn tell(account: &Shared, instance: &str, path: &Path) {
    let text = match end(path).await {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => return tracing::debug!(%error, instance, "a console cannot be read"),
    };
    with(account, |account| {
        let found = account.instance_mut(instance);
        if let Some(launch) = found.and_then(|(one, _)| one.launch.as_mut()) {
            launch.console = text;
        }
    });
}

async fn end(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    file.seek(std::io::SeekFrom::Start(length.saturating_sub(KEPT_BYTES))).await?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).await?;
    Ok(text)
}
