//! The secrets of this boot, read so that they are masked in all that this process says.

use std::fs;

use camino::Utf8Path;
use zeroize::Zeroizing;

use crate::secret;

/// Where the boot keeps them, below the machine's root.
pub const FOLDER: &str = "run/hostkit/secrets";

/// More is no secret of ours, in bytes.
const LARGEST: u64 = 64 << 10;

/// Has all secrets of this boot masked from now on. What cannot be read is unknown to this process
/// anyway.
pub fn learn(root: &Utf8Path) {
    let Ok(entries) = root.join(FOLDER).read_dir_utf8() else { return };
    for entry in entries.flatten() {
        let is_ours = entry.metadata().is_ok_and(|it| it.is_file() && it.len() <= LARGEST);
        if !is_ours {
            continue;
        }
        let Ok(text) = fs::read_to_string(entry.path()).map(Zeroizing::new) else { continue };
        secret::learn(&text);
        // An environment file has names before its values.
        for (_, value) in text.lines().filter_map(|line| line.split_once('=')) {
            secret::learn(value.trim_matches(['"', '\'']));
        }
    }
}
