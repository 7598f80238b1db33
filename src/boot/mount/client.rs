//! What is told to the kernel's NFS client: its name, and how far to read ahead.

use std::io::{self, Write as _};

use camino::Utf8Path;

use super::wanted::Wanted;
use crate::boot::context::Context;
use crate::sys::mountinfo::Mount;

/// Before the first mount of this host. Two hosts that call themselves alike look to the server like
/// one that rebooted, and take away each other's locks. The kernel's own choice is the host name.
pub(super) fn name(context: &Context, step: &str) {
    let instance_id = &context.must_know().identity.instance_id;
    let path = context.machine.path("sys/fs/nfs/net/nfs_client/identifier");
    if let Err(error) = set(&path, instance_id) {
        context.events.log(step, format!("the NFS client has no name of its own: {error}"));
    }
}

/// Sets how far is read ahead of who reads `mount`, if that is wanted.
pub(super) fn read_ahead(context: &Context, step: &str, wanted: &Wanted, mount: &Mount) {
    let Some(kib) = wanted.read_ahead else { return };
    let path = context.machine.path("sys/class/bdi").join(&mount.device).join("read_ahead_kb");
    match set(&path, &kib.to_string()) {
        Ok(false) => {}
        Ok(true) => context.events.log(step, format!("{kib} KiB are read ahead")),
        // Slower or faster, but the home is there.
        Err(error) => {
            context.events.log(step, format!("reading ahead stays as it is: {path}: {error}"));
        }
    }
}

/// Not created: where the kernel does not offer it there is nothing to write.
fn set(path: &Utf8Path, value: &str) -> io::Result<bool> {
    if std::fs::read_to_string(path).is_ok_and(|now| now.trim() == value) {
        return Ok(false);
    }
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(value.as_bytes())?;
    Ok(true)
}
