//! The guest's serial console, as it is written to a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::event::Events;
use crate::sim::timeline::{Milestone, Recorder};

/// How many last lines an error shows.
pub const TAIL_LINES: usize = 20;
/// How often the file is looked at: as fine as a time in a timeline.
const GLANCE: Duration = Duration::from_millis(100);
/// Every Linux kernel begins with it.
const KERNEL: &str = "Linux version";

/// Follows the console for ever: notes when the kernel starts and, if wanted, hands on each line.
pub async fn follow(path: PathBuf, recorder: Recorder, events: Option<Events>) {
    let mut file = loop {
        if let Ok(file) = tokio::fs::File::open(&path).await {
            break file;
        }
        tokio::time::sleep(GLANCE).await;
    };
    let mut pending = Vec::new();
    loop {
        if let Ok(1..) = file.read_buf(&mut pending).await {
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line = clean(&String::from_utf8_lossy(&pending[..end]));
                pending.drain(..=end);
                if line.contains(KERNEL) {
                    recorder.mark(Milestone::Kernel);
                }
                if let Some(events) = &events {
                    events.log("console", line);
                }
            }
        } else {
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// The last lines.
pub fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().map(clean).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A line without the sequences that move a terminal's cursor or change its colours.
fn clean(line: &str) -> String {
    let mut out = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => {
                // `ESC [ … letter`, or `ESC` and one letter.
                if letters.next() == Some('[') {
                    letters.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            '\t' => out.push(' '),
            _ if letter.is_control() => {}
            _ => out.push(letter),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_cursor_movements_are_left_out() {
        assert_eq!(clean("\x1b[0;32m  OK  \x1b[0m] Started\r"), "  OK  ] Started");
        assert_eq!(clean("\x1bcGRUB\x1b[2J"), "GRUB");
    }

    #[test]
    fn the_tail_is_short() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("console.log");
        let lines: Vec<_> = (0..100).map(|n| format!("line {n}\r\n")).collect();
        std::fs::write(&log, lines.concat()).unwrap();
        let tail = tail(&log);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("line 99"));
    }
}
