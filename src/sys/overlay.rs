//! Trees laid over each other by the kernel's overlay file system.
//!
//! What is mounted goes with the value that holds it, and with the mount namespace of the process
//! ([`super::namespaces::own_mounts`]) whatever ends that.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Every feature that would make an upper directory more than plain files, so that it can be read
/// and laid under another one by itself.
const PLAIN: &str = "index=off,metacopy=off,redirect_dir=off";

/// A mounted tree. Dropping it takes the mount down.
#[derive(Debug)]
pub struct Overlay {
    at: Utf8PathBuf,
}

impl Overlay {
    /// Lays `layers` (the lowest first, two or more) over each other at `at`, for reading.
    pub fn read_only(at: &Utf8Path, layers: &[&Utf8Path]) -> io::Result<Self> {
        let options = Options::new(layers)?;
        options.mount(at, MsFlags::MS_RDONLY, PLAIN)
    }

    /// Lays `layers` (the lowest first) over each other at `at`. What is written goes to the
    /// directory `upper`; `scratch` is an empty one on the same file system.
    ///
    /// Nothing is waited for to reach the disk: a build that is interrupted is done again anyway.
    pub fn writable(
        at: &Utf8Path,
        layers: &[&Utf8Path],
        upper: &Utf8Path,
        scratch: &Utf8Path,
    ) -> io::Result<Self> {
        let mut options = Options::new(layers)?;
        options.add("upperdir", upper)?;
        options.add("workdir", scratch)?;
        let volatile = format!("{PLAIN},volatile");
        options.mount(at, MsFlags::empty(), &volatile)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Utf8Path {
        &self.at
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let at = self.at.as_std_path();
        let gone = match umount2(at, MntFlags::UMOUNT_NOFOLLOW) {
            // A program that was killed a moment ago may still hold a file.
            Err(Errno::EBUSY) => umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW),
            gone => gone,
        };
        if let Err(error) = gone {
            tracing::warn!(%error, at = %self.at, "a tree stays mounted until this process ends");
        }
    }
}

/// The options of a mount. Directories are named by open descriptors: the kernel takes a page of
/// options and no more, and gives `:` and `,` a meaning.
struct Options {
    text: String,
    /// What the text names must stay open.
    open: Vec<OwnedFd>,
}

impl Options {
    fn new(layers: &[&Utf8Path]) -> io::Result<Self> {
        let open = layers.iter().rev().map(|layer| Ok(File::open(layer)?.into()));
        let open = open.collect::<io::Result<Vec<OwnedFd>>>()?;
        let names: Vec<_> = open.iter().map(name).collect();
        Ok(Self { text: format!("lowerdir={}", names.join(":")), open })
    }

    fn add(&mut self, option: &str, directory: &Utf8Path) -> io::Result<()> {
        let fd: OwnedFd = File::open(directory)?.into();
        self.text += &format!(",{option}={}", name(&fd));
        self.open.push(fd);
        Ok(())
    }

    fn mount(&self, at: &Utf8Path, flags: MsFlags, features: &str) -> io::Result<Overlay> {
        let options = format!("{},{features}", self.text);
        let kind = Some("overlay");
        mount(kind, at.as_std_path(), kind, flags, Some(options.as_str()))?;
        Ok(Overlay { at: at.to_owned() })
    }
}

fn name(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_written_goes_to_the_upper_directory_and_nowhere_else() {
        if !nix::unistd::geteuid().is_root() {
            return; // Only root mounts.
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Utf8Path::from_path(folder.path()).unwrap().join(name);
        for name in ["low: one", "low, two", "up", "scratch", "tree"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("low: one").join("a"), "1").unwrap();
        fs::write(at("low, two").join("a"), "2").unwrap();
        let (one, two) = (at("low: one"), at("low, two"));
        let layers = [one.as_path(), two.as_path()];
        let tree = Overlay::writable(&at("tree"), &layers, &at("up"), &at("scratch")).unwrap();
        assert_eq!(fs::read_to_string(tree.path().join("a")).unwrap(), "2");
        fs::write(tree.path().join("b"), "3").unwrap();
        fs::remove_file(tree.path().join("a")).unwrap();
        drop(tree);
        assert!(fs::read_dir(at("tree")).unwrap().next().is_none(), "it is still mounted");
        assert_eq!(fs::read_to_string(at("up").join("b")).unwrap(), "3");
        assert_eq!(fs::read_to_string(two.join("a")).unwrap(), "2");
        let (up, there) = (at("up"), at("tree"));
        let read = Overlay::read_only(&there, &[&one, &two, &up]).unwrap();
        assert!(!read.path().join("a").exists() && read.path().join("b").exists());
        assert!(fs::write(read.path().join("c"), "").is_err());
    }
}
