//! Why something on the file system failed, and what mends that: the errors of NFS are few, and each
//! has a cause of its own.

use std::io;

use nix::errno::Errno;
use nix::libc;
use serde::{Deserialize, Serialize};

use crate::doctor::Finding;
use crate::doctor::efs::scene::Case;

/// What failed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What was being done.
    pub doing: String,
    /// The number of the error, if it is one of the kernel's.
    pub errno: Option<i32>,
    /// What it says.
    pub why: String,
}

impl Trouble {
    /// Of an error.
    pub fn new(doing: &str, error: &io::Error) -> Self {
        let errno = error.raw_os_error();
        let why =
            errno.map_or_else(|| error.to_string(), |it| Errno::from_raw(it).desc().to_owned());
        Self { doing: doing.to_owned(), errno, why }
    }

    /// That nothing is mounted that may be looked at.
    pub(super) fn unmounted() -> Self {
        Self {
            doing: "looking what is mounted".to_owned(),
            errno: None,
            why: "it is no network file system".to_owned(),
        }
    }

    /// The error by its name: `ESTALE`.
    pub fn name(&self) -> Option<String> {
        self.errno.map(|it| format!("{:?}", Errno::from_raw(it)))
    }

    /// In a line.
    pub fn told(&self) -> String {
        let name = self.name().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{}: {}{name}", self.doing, self.why)
    }

    /// What mends it, for any access to the file system.
    pub fn fix(&self, case: &Case<'_>) -> Vec<String> {
        let asked = case.asked;
        let unit = case
            .here()
            .map_or_else(|| "the mount unit".to_owned(), |here| unit_of(here.mount_point.as_str()));
        let (id, region) = (&asked.file_system, &asked.region);
        match self.errno {
            Some(libc::ESTALE) => vec![
                "the server does not know any more what is mounted: the mount target or the file \
                 system was made anew; mount it again:"
                    .to_owned(),
                format!("systemctl stop jenkins; systemctl restart {unit}"),
                format!(
                    "aws efs describe-mount-targets --file-system-id {id} --region {region}"
                ),
            ],
            Some(libc::EIO) => vec![
                "calls to the server were given up (a soft mount, umount -f, or a key that is gone):"
                    .to_owned(),
                "journalctl -k | grep -i nfs".to_owned(),
                format!("hostkit efs check --only efs.key,mount.options"),
            ],
            Some(libc::ENOTCONN) => vec![
                "the connection below the mount is gone: where a tunnel is used, it has ended"
                    .to_owned(),
                format!("systemctl restart amazon-efs-mount-watchdog; systemctl restart {unit}"),
            ],
            Some(libc::EROFS) => vec![
                "it is mounted read-only, or is the destination of a replication, which nobody can \
                 write to"
                    .to_owned(),
                format!(
                    "aws efs describe-replication-configurations --file-system-id {id} --region {region}"
                ),
                format!("systemctl cat {unit}"),
            ],
            Some(libc::EACCES | libc::EPERM) => vec![
                "the file system's policy, the access point or the owner of the folder refuses it; \
                 see home.owner and efs.policy:"
                    .to_owned(),
                format!(
                    "aws efs describe-file-system-policy --file-system-id {id} --region {region}"
                ),
            ],
            Some(libc::EDQUOT) => vec![
                "EFS says so where a limit of this client is reached: 32768 open files, 8192 locks \
                 a mount, 512 a file. Restarting Jenkins gives them back:"
                    .to_owned(),
                "wc -l /proc/locks; cat /proc/sys/fs/file-nr".to_owned(),
                "systemctl restart jenkins".to_owned(),
            ],
            Some(libc::ENOSPC) => vec![
                "EFS itself is never full: something else is mounted here, or the file is too large"
                    .to_owned(),
                format!("findmnt {}", case.here().map_or("", |here| here.mount_point.as_str())),
            ],
            Some(libc::ENOLCK) => vec![
                "the server gives no locks: the mount has lost its state there".to_owned(),
                format!("systemctl stop jenkins; systemctl restart {unit}"),
            ],
            Some(libc::ELOOP) => vec![
                "a symbolic link is in the way; hostkit follows none on the file system".to_owned(),
            ],
            _ => vec![format!("journalctl -k -b | grep -i -e nfs -e {id}")],
        }
    }

    /// Adds itself and what mends it to a finding.
    pub fn on(&self, finding: Finding, case: &Case<'_>) -> Finding {
        self.fix(case).into_iter().fold(finding.shown_by(self.told()), Finding::mended_by)
    }
}

/// The unit of systemd that mounts at a path.
pub(super) fn unit_of(mount_point: &str) -> String {
    let name = mount_point.trim_matches('/').replace('-', "\\x2d").replace('/', "-");
    format!("{name}.mount")
}
