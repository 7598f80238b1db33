//! The system journal: what is worth keeping of what a person did by hand.

use std::io;
use std::os::unix::net::UnixDatagram;

use camino::Utf8Path;

/// Where the journal listens, below the machine's root.
const SOCKET: &str = "run/systemd/journal/socket";

/// Writes one line to the journal of the machine, as a warning of `hostkit`.
pub fn warn(root: &Utf8Path, line: &str) -> io::Result<()> {
    // In this form a value ends with its line: whoever passes two lines shall not add fields.
    let line = line.replace('\n', " ");
    let entry = format!("PRIORITY=4\nSYSLOG_IDENTIFIER=hostkit\nMESSAGE={line}\n");
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(entry.as_bytes(), root.join(SOCKET).as_std_path()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_whatever_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        std::fs::create_dir_all(root.join("run/systemd/journal")).unwrap();
        let journal = UnixDatagram::bind(root.join(SOCKET)).unwrap();
        warn(root, "lease: broken\nPRIORITY=7").unwrap();
        let mut entry = [0; 256];
        let length = journal.recv(&mut entry).unwrap();
        assert_eq!(
            std::str::from_utf8(&entry[..length]).unwrap(),
            "PRIORITY=4\nSYSLOG_IDENTIFIER=hostkit\nMESSAGE=lease: broken PRIORITY=7\n"
        );
    }
}
