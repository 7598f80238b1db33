//! The last words of a machine: text on every console that the kernel writes to.
//!
//! On EC2 that is what `get-console-output` shows when nobody can log in any more.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use camino::Utf8Path;
use nix::fcntl::OFlag;

use crate::secret;

/// Writes `text` to the consoles below `root`, without the secrets in it. A console that is stuck or absent is passed over.
pub fn say(root: &Utf8Path, text: &str) {
    let active = fs::read_to_string(root.join("sys/class/tty/console/active")).unwrap_or_default();
    // `tty0` stands for the screen in front; the kernel's own alias is used where there is no list.
    let mut consoles: Vec<_> = active.split_whitespace().collect();
    if consoles.is_empty() {
        consoles.push("console");
    }
    let text = secret::redact(text).replace('\n', "\r\n");
    for console in consoles {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits())
            .open(root.join("dev").join(console));
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            tracing::debug!(console, %error, "a console could not be written");
        }
    }
}
