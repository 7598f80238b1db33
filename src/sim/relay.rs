//! From a connection of the guest to a socket of hostkit.
//!
//! QEMU's user network runs one small program a connection to an address that it plays
//! (`guestfwd=…-cmd:`): `hostkit inner relay SOCKET`. So every guest has a metadata service and a
//! file system of its own at the real addresses, without root and without fixed ports. What the
//! program wrote on standard error would go to the guest: it writes nothing there.

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Big enough for an NFS write to pass in few pieces.
const CHUNK_BYTES: usize = 128 * 1024;

/// Pumps between standard input and output and a socket until either side ends. A socket that
/// nobody serves ends it at once, which the guest sees as a closed connection.
pub fn pump(socket: &Path) {
    let Ok(to_host) = UnixStream::connect(socket) else { return };
    let Ok(from_host) = to_host.try_clone() else { return };
    // Rust's standard output writes a line and what follows it apart. In two segments, the second
    // waits for the guest's delayed acknowledgement of the first: 40 ms for every message that has
    // the byte of a line's end, as NFS's GETFH is.
    let Ok(to_guest) = std::io::stdout().as_fd().try_clone_to_owned() else { return };
    let inwards = std::thread::spawn(move || {
        copy(std::io::stdin().lock(), &to_host);
        let _ = to_host.shutdown(Shutdown::Write);
    });
    // Whoever waits for the guest is of no use once the host has closed.
    copy(from_host, File::from(to_guest));
    drop(inwards);
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        if to.write_all(&chunk[..length]).is_err() {
            return;
        }
    }
}
