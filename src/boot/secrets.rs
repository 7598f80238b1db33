//! The folder of the secrets: in memory, for root alone, each file whole or not there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::context::Machine;
use crate::error::Fault;
use crate::sys::{atomic, mountinfo};

/// Where it is on a machine.
const PLACE: &str = "/run/hostkit/secrets";

/// File systems that keep nothing on a disk.
const IN_MEMORY: &[&str] = &["tmpfs", "ramfs"];

/// The folder, looked at and ready.
#[derive(Debug)]
pub(super) struct Secrets(Utf8PathBuf);

impl Secrets {
    /// Makes the folder if need be. A folder that is on a disk is refused, and so is a link.
    pub(super) fn open(machine: &Machine) -> anyhow::Result<Self> {
        must_be_in_memory(machine)?;
        let folder = machine.run("secrets");
        atomic::make_directory(&folder, 0o700)
            .map_err(|error| full(error, "the secrets' folder"))
            .context("making the secrets' folder")?;
        let meta = fs::symlink_metadata(&folder).context("looking at the secrets' folder")?;
        if !meta.is_dir() || meta.mode() & 0o077 != 0 {
            let text = format!("{PLACE} is no folder of root's alone");
            return Err(Fault::environment(text)
                .hint(format!("remove it: rm -r {PLACE}; the next boot makes it"))
                .into());
        }
        sweep(&folder);
        Ok(Self(folder))
    }

    /// Whether a secret is there with exactly this value.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        fs::read(self.0.join(name))
            .is_ok_and(|old| zeroize::Zeroizing::new(old).as_slice() == value.as_bytes())
    }

    /// Writes a secret. Says whether it is another one than before.
    pub(super) fn put(&self, name: &str, value: &str) -> anyhow::Result<bool> {
        write(&self.0.join(name), value.as_bytes(), 0o400)
    }
}

/// Writes a file below `/run`, which may be full.
pub(super) fn write(path: &Utf8PathBuf, bytes: &[u8], mode: u32) -> anyhow::Result<bool> {
    let written = atomic::write(path, bytes, mode);
    written
        .map_err(|error| full(error, path.as_str()))
        .with_context(|| format!("writing {}", path.file_name().unwrap_or_default()))
}

/// What a full `/run` is told as.
fn full(error: io::Error, what: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let text = format!("/run is full: {what} cannot be written");
            Fault::environment(text)
                .hint(
                    "find what fills it: du -xa /run | sort -n | tail; the journal may: \
                       journalctl --rotate --vacuum-size=16M",
                )
                .into()
        }
        _ => error.into(),
    }
}

fn must_be_in_memory(machine: &Machine) -> anyhow::Result<()> {
    let mounts = mountinfo::read(&machine.root).context("reading what is mounted")?;
    let on = mountinfo::containing(&mounts, PLACE);
    if on.is_some_and(|mount| IN_MEMORY.contains(&mount.kind.as_str())) {
        return Ok(());
    }
    let kind = on.map_or("nothing", |mount| mount.kind.as_str());
    let text = format!("{PLACE} would be on a disk ({kind}): no secret is written there");
    Err(Fault::environment(text)
        .hint("/run must be a tmpfs, as systemd mounts it: findmnt -T /run/hostkit")
        .into())
}

/// Removes what a killed run has left half written. Files of a run that lives stay.
fn sweep(folder: &Utf8PathBuf) {
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')?.1.parse().ok());
        let lives = |process: i32| kill(Pid::from_raw(process), None).is_ok();
        if process
            .is_some_and(|process| !lives(process) || process == std::process::id().cast_signed())
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}
