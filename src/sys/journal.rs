//! The system journal, in its own language: a text with fields, by which it is found again.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use camino::Utf8Path;
use nix::sys::stat::fstat;

use crate::secret;

/// Where the journal listens, below the machine's root.
const SOCKET: &str = "run/systemd/journal/socket";

/// A longer message is cut, in bytes: one datagram holds an entry.
const LONGEST: usize = 48 << 10;

/// The instance that this is, once this process knows: a field of every entry.
static INSTANCE: OnceLock<String> = OnceLock::new();

/// Has every entry of this process carry `INSTANCE_ID=`.
pub fn name_instance(id: &str) {
    // It is the same one for as long as the process lives.
    let _ = INSTANCE.set(id.to_owned());
}

/// Whether what is written to `stream` gets into the journal as it is: systemd says so in
/// `JOURNAL_STREAM`.
pub fn receives(stream: impl AsFd) -> bool {
    let told = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let is = fstat(stream).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    is.is_ok_and(|is| is == told)
}

/// How bad it is, as syslog counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Something failed.
    Error = 3,
    /// Somebody should look.
    Warning = 4,
    /// Worth to be found among the rest.
    Notice = 5,
    /// What goes on.
    Info = 6,
    /// For developers.
    Debug = 7,
}

/// One entry, on its way.
#[derive(Clone, Debug)]
pub struct Entry(Vec<u8>);

impl Entry {
    /// An entry of `hostkit` with this text, which may have several lines. What is secret in it is
    /// masked.
    pub fn new(priority: Priority, message: &str) -> Self {
        let mut message = secret::redact(message);
        if message.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|&at| message.is_char_boundary(at));
            message = format!("{} (cut)", &message[..end.unwrap_or(0)]).into();
        }
        Self(Vec::with_capacity(message.len() + 128))
            .field("PRIORITY", &(priority as u8).to_string())
            .field("SYSLOG_IDENTIFIER", "hostkit")
            .field("MESSAGE", &message)
    }

    /// With a field more. A value with line ends gets its length in front, so that it cannot add
    /// fields.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.0.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
        self
    }

    /// Hands it to the journal of the machine. Never waits.
    pub fn send(self, root: &Utf8Path) -> io::Result<()> {
        let entry = match INSTANCE.get() {
            Some(id) => self.field("INSTANCE_ID", id),
            None => self,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to(&entry.0, root.join(SOCKET).as_std_path()).map(drop)
    }
}

/// Writes one line to the journal of the machine, as a warning of `hostkit`.
pub fn warn(root: &Utf8Path, line: &str) -> io::Result<()> {
    Entry::new(Priority::Warning, &line.replace('\n', " ")).send(root)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A journal below `root` that only listens.
    pub(crate) fn listen(root: &Utf8Path) -> UnixDatagram {
        std::fs::create_dir_all(root.join("run/systemd/journal")).unwrap();
        UnixDatagram::bind(root.join(SOCKET)).unwrap()
    }

    /// The next entry, without the instance, which another test may have named.
    pub(crate) fn heard(journal: &UnixDatagram) -> Vec<u8> {
        let mut entry = vec![0; 64 << 10];
        let length = journal.recv(&mut entry).unwrap();
        entry.truncate(length);
        let field = b"INSTANCE_ID=";
        let named = entry.windows(field.len()).position(|it| it == field);
        entry.truncate(named.unwrap_or(length));
        entry
    }

    #[test]
    fn an_entry_is_one_line_whatever_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        let journal = listen(root);
        warn(root, "lease: broken\nPRIORITY=7").unwrap();
        assert_eq!(
            String::from_utf8(heard(&journal)).unwrap(),
            "PRIORITY=4\nSYSLOG_IDENTIFIER=hostkit\nMESSAGE=lease: broken PRIORITY=7\n"
        );
    }

    #[test]
    fn lines_are_kept_and_cannot_add_fields() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        let journal = listen(root);
        let entry = Entry::new(Priority::Error, "one\nPRIORITY=7").field("STEP", "efs");
        entry.send(root).unwrap();
        let heard = heard(&journal);
        let mut expected = b"PRIORITY=3\nSYSLOG_IDENTIFIER=hostkit\nMESSAGE\n".to_vec();
        expected.extend_from_slice(&14_u64.to_le_bytes());
        expected.extend_from_slice(b"one\nPRIORITY=7\nSTEP=efs\n");
        assert_eq!(heard, expected);
        Entry::new(Priority::Info, &"é".repeat(60_000)).send(root).unwrap();
    }

    #[test]
    fn a_terminal_is_no_journal() {
        assert!(!receives(std::io::stderr()));
    }
}
