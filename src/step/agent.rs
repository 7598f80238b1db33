//! The hostkit binary, put into the image as `/usr/bin/hostkit`.

use std::io::Read as _;

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::digest::{sha256, sha256_of};
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::Owner;

/// Where it goes.
const PATH: &str = "/usr/bin/hostkit";

/// Everybody may ask it for the status.
const MODE: u32 = 0o755;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The SHA-256 of the binary that was planned with.
    pub sha256: String,
    /// Where it is on this machine, if it is not the binary that runs: one for another processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The processor that it must run on: `amd64`.
    pub arch: String,
}

impl Agent {
    #[expect(clippy::unused_self, reason = "the same shape for every kind")]
    pub(super) fn title(&self) -> String {
        "installing hostkit".to_owned()
    }

    #[expect(clippy::unused_async, reason = "the same shape for every kind")]
    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let root = &site.host.root;
        let there = root.read(PATH)?.is_some_and(|now| sha256(&now) == self.sha256);
        if there && root.mode(PATH)? == Some(MODE) {
            return Ok(Outcome::Unchanged);
        }
        let binary = Utf8Path::new(self.path.as_deref().unwrap_or("/proc/self/exe"));
        self.check(binary)?;
        if site.may("installing hostkit") {
            root.make_parents(PATH)?;
            root.copy_in(binary, PATH, MODE, Owner::ROOT)?;
        }
        Ok(Outcome::Changed)
    }

    /// Whether `binary` is what was planned with, and can run there.
    fn check(&self, binary: &Utf8Path) -> anyhow::Result<()> {
        if sha256_of(binary).with_context(|| format!("reading {binary}"))? != self.sha256 {
            return Err(Fault::step("the plan was made for another build of hostkit")
                .hint("plan and apply with the same binary")
                .into());
        }
        match processor(binary).with_context(|| format!("reading {binary}"))? {
            Some(arch) if arch == self.arch => Ok(()),
            other => {
                let is = other.map_or("no program that hostkit knows".to_owned(), |arch| {
                    format!("for {arch}")
                });
                let what = format!("{binary} is {is}, and the image is for {}", self.arch);
                let hint = "name a hostkit that was built for it with --agent-binary";
                Err(Fault::recipe(what).hint(hint).into())
            }
        }
    }
}

/// The processor that a Linux program is for, by its ELF header, as Debian calls it; none if it is
/// no such program.
pub fn processor(binary: &Utf8Path) -> std::io::Result<Option<&'static str>> {
    let mut header = Vec::new();
    std::fs::File::open(binary)?.take(20).read_to_end(&mut header)?;
    // Magic, 64 bits, little endian; the machine's number stands in bytes 18 and 19.
    let arch = match header.as_slice() {
        [0x7f, b'E', b'L', b'F', 2, 1, .., 0x3e, 0] => Some("amd64"),
        [0x7f, b'E', b'L', b'F', 2, 1, .., 0xb7, 0] => Some("arm64"),
        _ => None,
    };
    Ok(arch.filter(|_| header.len() == 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_another_processor_is_told_by_its_header() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = Utf8Path::from_path(file.path()).unwrap();
        let mut header = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0";
        std::fs::write(path, header).unwrap();
        assert_eq!(processor(path).unwrap(), Some("amd64"));
        header[18] = 0xb7;
        std::fs::write(path, [&header[..], b"more"].concat()).unwrap();
        assert_eq!(processor(path).unwrap(), Some("arm64"));
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        assert_eq!(processor(path).unwrap(), None);
        let running = Utf8Path::new("/proc/self/exe");
        assert!(processor(running).unwrap().is_some());
    }
}
