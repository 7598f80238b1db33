//! Makes every file system on a disk read-only, whoever has files open for writing: what is on the
//! disks then stays so until the machine is off.

use std::time::Duration;

use anyhow::Context as _;

/// How long the kernel may take.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);

/// Asks the kernel to, and says whether it did. There is no way back but a restart.
pub async fn freeze() -> anyhow::Result<bool> {
    nix::unistd::sync();
    // Emergency remount: of all disks, also where something is open for writing.
    std::fs::write("/proc/sysrq-trigger", "u").context("asking the kernel to write no more")?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("reading mounts")?;
        if is_read_only(&mounts) {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// Whether the file system of `/` is: the options of the file system itself come last in a line,
/// behind those of the mount.
fn is_read_only(mounts: &str) -> bool {
    let root = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/"));
    let options = root.and_then(|line| line.rsplit_once(' ')).map(|(_, options)| options);
    options.is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_read_only_whatever_its_mount_says() {
        let writable = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/xvda1 rw,discard\n\
            23 22 0:21 / /proc ro,nosuid - proc proc ro\n";
        assert!(!is_read_only(writable));
        let frozen = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/xvda1 ro,discard\n";
        assert!(is_read_only(frozen));
        assert!(!is_read_only(""));
    }
}
