//! One bake at a time makes one image: a claim on its name in the output folder.
//!
//! The claim is a lock that the kernel takes back when the bake ends, whatever ends it. What stands
//! in the file is for the people who come second.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::error::Fault;

/// Held while an image is made. Dropping it gives the name free.
#[derive(Debug)]
pub(super) struct Claim {
    path: Utf8PathBuf,
    _lock: Flock<File>,
}

/// Who holds a claim.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    command: String,
    since: jiff::Timestamp,
}

impl Claim {
    /// Claims the image `name` in `folder`.
    ///
    /// # Errors
    /// Another bake has it: its process, command line and beginning are named.
    pub(super) fn take(folder: &Utf8Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!(".{name}.lock"));
        loop {
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.with_context(|| {
                Fault::environment(format!("{path} cannot be written"))
                    .hint("name another folder with --output")
            })?;
            let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((file, _)) => return Err(taken(name, folder, file).into()),
            };
            // Its holder may have removed it after we opened it: then it keeps nobody out.
            let ours = lock.metadata().context("looking at the lock")?.ino();
            if std::fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                tell(&mut lock).context("writing the lock")?;
                return Ok(Self { path, _lock: lock });
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn tell(file: &mut File) -> std::io::Result<()> {
    let command: Vec<_> = std::env::args().collect();
    let holder = Holder {
        pid: std::process::id(),
        command: command.join(" "),
        since: jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH),
    };
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(&holder).map_err(std::io::Error::other)?)
}

fn taken(name: &str, folder: &Utf8Path, mut file: File) -> Fault {
    let mut text = String::new();
    let holder = file.read_to_string(&mut text).ok();
    let holder = holder.and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let who = holder.map_or_else(
        || "another process".to_owned(),
        |Holder { pid, command, since }| format!("process {pid} (`{command}`, since {since})"),
    );
    Fault::environment(format!("{who} is baking `{name}` into {folder}"))
        .hint("wait for it, or name another folder with --output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let first = Claim::take(folder, "ci").unwrap();
        let error = Claim::take(folder, "ci").unwrap_err();
        assert_eq!(crate::error::blame(&error).exit_code(), 4);
        let me = format!("process {} (`", std::process::id());
        assert!(error.to_string().starts_with(&me), "{error}");
        Claim::take(folder, "other").unwrap();
        drop(first);
        Claim::take(folder, "ci").unwrap();
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_bake_left_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        std::fs::write(folder.join(".ci.lock"), "garbage").unwrap();
        Claim::take(folder, "ci").unwrap();
    }
}
