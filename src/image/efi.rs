//! The EFI system partition: a FAT file system with one program, GRUB, at the place where every
//! UEFI looks by itself.

use anyhow::Context as _;
use camino::Utf8Path;

use super::firmware::Firmware;
use super::grub;
use super::layout::ESP;
use crate::sys::{Cmd, Host, Runner, Tool};

/// Makes the partition in `disk`, with the tree's own GRUB, for a root with this UUID. `id` is the
/// volume's number: 8 hexadecimal digits.
pub(super) async fn make(
    disk: &Utf8Path,
    host: &Host,
    firmware: &Firmware,
    root_uuid: &str,
    id: &str,
    epoch: i64,
) -> anyhow::Result<()> {
    let program = grub::efi_program(host, firmware, root_uuid).await?;
    let file = disk.with_extension("efi");
    std::fs::write(&file, program).context("writing GRUB for UEFI")?;
    let format = Cmd::new(Tool::MkfsFat)
        .args(["-F", "32", "-s", "1", "-n", "ESP", "-i", id, "--invariant"])
        .args(["--offset", &ESP.first_sector().to_string(), disk.as_str()])
        .arg((ESP.bytes / 1024).to_string());
    run(&format, epoch).await?;
    let volume = format!("{disk}@@{}", ESP.start);
    run(&Cmd::new(Tool::Mmd).args(["-i", &volume, "::/EFI", "::/EFI/BOOT"]), epoch).await?;
    let place = format!("::/EFI/BOOT/{}", firmware.efi_file);
    run(&Cmd::new(Tool::Mcopy).args(["-i", &volume, file.as_str(), &place]), epoch).await?;
    std::fs::remove_file(&file).context("removing GRUB for UEFI")
}

/// The clock stands, and nothing of this machine's settings counts.
async fn run(cmd: &Cmd, epoch: i64) -> anyhow::Result<()> {
    let cmd = cmd.clone().env("SOURCE_DATE_EPOCH", epoch.to_string());
    let cmd = cmd.env("MTOOLSRC", "/dev/null").env("TZ", "UTC");
    Runner::Direct.run(&cmd).await.context("making the EFI system partition").map(drop)
}
