//! Every program that hostkit may ever start, and the package that has it.
//!
//! A program that is not in this enum cannot be started. Tools are looked up before work begins,
//! so that a missing one is found in the first second and not in the last minute.

use std::path::{Path, PathBuf};

use crate::error::Fault;

macro_rules! tools {
    ($($(#[$doc:meta])* $variant:ident = $name:literal in $package:literal,)+) => {
        /// An outside program.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Tool {
            $($(#[$doc])* $variant,)+
            /// hostkit itself, started again for work that needs a process of its own.
            Hostkit,
        }

        impl Tool {
            /// The name of its executable.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ Self::Hostkit => "hostkit" }
            }

            /// The Debian package that has it.
            pub const fn package(self) -> &'static str {
                match self { $(Self::$variant => $package,)+ Self::Hostkit => "hostkit" }
            }
        }
    };
}

tools! {
    AptCache = "apt-cache" in "apt",
    AptGet = "apt-get" in "apt",
    AptMark = "apt-mark" in "apt",
    Busctl = "busctl" in "systemd",
    Curl = "curl" in "curl",
    Debugfs = "debugfs" in "e2fsprogs",
    Dnf = "dnf" in "dnf",
    DpkgDeb = "dpkg-deb" in "dpkg",
    DpkgQuery = "dpkg-query" in "dpkg",
    E2fsck = "e2fsck" in "e2fsprogs",
    Fstrim = "fstrim" in "util-linux",
    Ganesha = "ganesha.nfsd" in "nfs-ganesha nfs-ganesha-vfs",
    Gpg = "gpg" in "gnupg",
    Groupadd = "groupadd" in "passwd",
    GrubMkimage = "grub-mkimage" in "grub-common",
    Grubby = "grubby" in "grubby",
    Hostnamectl = "hostnamectl" in "systemd",
    Journalctl = "journalctl" in "systemd",
    Mcopy = "mcopy" in "mtools",
    Mke2fs = "mke2fs" in "e2fsprogs libarchive13",
    MkfsFat = "mkfs.fat" in "dosfstools",
    Mmd = "mmd" in "mtools",
    Mmdebstrap = "mmdebstrap" in "mmdebstrap",
    Mount = "mount" in "mount",
    Qemu = "qemu-system-x86_64" in "qemu-system-x86",
    QemuImg = "qemu-img" in "qemu-utils",
    Rpm = "rpm" in "rpm",
    Rpmkeys = "rpmkeys" in "rpm",
    Sfdisk = "sfdisk" in "fdisk",
    Shell = "sh" in "dash",
    Ssh = "ssh" in "openssh-client",
    SshKeygen = "ssh-keygen" in "openssh-client",
    Sysctl = "sysctl" in "procps",
    Systemctl = "systemctl" in "systemd",
    SystemdMount = "systemd-mount" in "systemd",
    SystemdRun = "systemd-run" in "systemd",
    Tar = "tar" in "tar",
    Umount = "umount" in "mount",
    Unzip = "unzip" in "unzip",
    UpdateGrub = "update-grub" in "grub2-common",
    Useradd = "useradd" in "passwd",
    Usermod = "usermod" in "passwd",
}

/// Where programs are looked for. Fixed, so that a person's PATH cannot change a build; the
/// `sbin` directories are there because a plain user's PATH leaves them out on Debian.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Tool {
    /// Its path on this machine, or a [`Fault`] that names it and its package.
    pub fn find(self) -> Result<PathBuf, Fault> {
        if self == Self::Hostkit {
            // The running binary, also when the file was replaced meanwhile.
            return Ok(PathBuf::from("/proc/self/exe"));
        }
        PATH.split(':')
            .map(|dir| Path::new(dir).join(self.name()))
            .find(|path| path.is_file())
            .ok_or_else(|| {
                Fault::environment(format!("`{}` is not installed", self.name()))
                    .hint(format!("apt-get install {}", self.package()))
            })
    }

    /// Checks a whole list at once and names everything that is missing in one error.
    pub fn require(tools: &[Self]) -> Result<(), Fault> {
        let missing: Vec<_> = tools.iter().filter(|tool| tool.find().is_err()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = missing.iter().map(|tool| format!("`{}`", tool.name())).collect();
        let mut packages: Vec<_> = missing.iter().map(|tool| tool.package()).collect();
        packages.sort_unstable();
        packages.dedup();
        let verb = if names.len() == 1 { "is" } else { "are" };
        Err(Fault::environment(format!("{} {verb} not installed", names.join(", ")))
            .hint(format!("apt-get install {}", packages.join(" "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_everything_that_is_missing_at_once() {
        Tool::require(&[Tool::Shell, Tool::Tar]).expect("every test machine has these two");
        assert!(Tool::Shell.find().unwrap().ends_with("sh"));
    }
}
