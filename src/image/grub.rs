//! GRUB, installed without a loop device or a mount. For BIOS its two pieces are patched with where
//! they will be and written into the disk; for UEFI it is one program, a file.
//!
//! The offsets are those of GRUB's own boot code (`grub-core/boot/i386/pc/boot.S`, `diskboot.S`)
//! and what `grub-bios-setup` writes there.

use anyhow::Context as _;

use super::firmware::Firmware;
use super::layout::{BIOS, SECTOR};
use crate::sys::{Cmd, Host, Owner, Tool};

/// GRUB's first piece in the tree.
pub(super) const BOOT_IMAGE: &str = "/usr/lib/grub/i386-pc/boot.img";

/// The boot code may use so much of the first sector; behind it stands the partition table.
const BOOT_CODE: usize = 440;

/// Where `boot.img` keeps the sector of the core image: 8 bytes.
const KERNEL_SECTOR: usize = 0x5c;

/// Where `boot.img` decides whether to believe the BIOS about the boot drive: 2 bytes.
const DRIVE_CHECK: usize = 0x66;

/// Where the first sector of the core image keeps the sector of its remainder: 8 bytes.
const BLOCKLIST: usize = 0x1f4;

/// What GRUB must know before it can read the root: GPT, ext4, the search by UUID, and `normal`,
/// which reads the menu.
const MODULES: &[&str] = &[
    "part_gpt",
    "ext2",
    "search",
    "search_fs_uuid",
    "normal",
    "linux",
    "configfile",
    "serial",
    "terminal",
    "echo",
    "test",
];

/// The two pieces, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootCode {
    /// For the first bytes of the disk.
    pub boot: Vec<u8>,
    /// For the BIOS boot partition.
    pub core: Vec<u8>,
}

/// Makes the boot code for BIOS with the tree's own GRUB, for a root with this UUID.
pub async fn boot_code(host: &Host, root_uuid: &str) -> anyhow::Result<BootCode> {
    let core = program(host, "i386-pc", "biosdisk", root_uuid).await?;
    let boot = host.root.read(BOOT_IMAGE)?;
    patch(&boot.context("the tree has no GRUB for BIOS (package grub-pc-bin)")?, core)
}

/// Makes the program that UEFI starts, with the tree's own GRUB, for a root with this UUID.
pub(super) async fn efi_program(
    host: &Host,
    firmware: &Firmware,
    root_uuid: &str,
) -> anyhow::Result<Vec<u8>> {
    program(host, firmware.efi_format, "fat", root_uuid).await
}

/// GRUB as one file, with the modules that it cannot load later and one more.
async fn program(
    host: &Host,
    format: &str,
    module: &str,
    root_uuid: &str,
) -> anyhow::Result<Vec<u8>> {
    const EARLY: &str = "/boot/grub/early.cfg";
    // grub-mkimage syncs what it writes, which a pipe cannot do: it needs a file.
    const PROGRAM: &str = "/boot/grub/core.img";
    let early = format!("search.fs_uuid {root_uuid} root\nset prefix=($root)/boot/grub\n");
    host.root.make_dir("/boot/grub", 0o755, Owner::ROOT)?;
    host.root.write(EARLY, early.as_bytes(), 0o644, Owner::ROOT)?;
    let cmd = Cmd::new(Tool::GrubMkimage)
        .arg(format!("--format={format}"))
        .args(["--prefix=/boot/grub", "--config", EARLY, "--output", PROGRAM, module])
        .args(MODULES.iter().copied());
    let made = host.runner.run(&cmd).await;
    made.with_context(|| format!("making GRUB's image for {format}"))?;
    let program = host.root.read(PROGRAM)?.context("GRUB's image is not there")?;
    host.root.remove(EARLY)?;
    host.root.remove(PROGRAM)?;
    Ok(program)
}

/// Writes into both pieces where the core image will be.
fn patch(boot: &[u8], mut core: Vec<u8>) -> anyhow::Result<BootCode> {
    anyhow::ensure!(boot.len() >= BOOT_CODE, "boot.img has only {} bytes", boot.len());
    anyhow::ensure!(core.len() > BLOCKLIST + 8, "core.img has only {} bytes", core.len());
    let room = usize::try_from(BIOS.bytes).expect("a constant");
    anyhow::ensure!(core.len() <= room, "core.img has {} bytes, more than {room}", core.len());
    let at = BIOS.start / SECTOR;
    let mut boot = boot[..BOOT_CODE].to_vec();
    boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&at.to_le_bytes());
    // Two no-ops: some BIOSes pass a wrong boot drive, and this is never a floppy.
    boot[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    core[BLOCKLIST..BLOCKLIST + 8].copy_from_slice(&(at + 1).to_le_bytes());
    Ok(BootCode { boot, core })
}

/// What the kernel is told in every image: talk on both consoles, and never give up on a volume.
const COMMAND_LINE: &str =
    "ro console=tty0 console=ttyS0,115200n8 nvme_core.io_timeout=4294967295 panic=10";

/// The menu: one entry, the newest kernel, by the links that Debian's kernels keep up to date.
pub fn menu(root_uuid: &str, more: &str) -> String {
    let words: Vec<_> =
        [COMMAND_LINE.to_owned()].into_iter().chain(more.split_whitespace().map(escaped)).collect();
    let words = words.join(" ");
    format!(
        "serial --unit=0 --speed=115200\n\
         terminal_input serial console\n\
         terminal_output serial console\n\
         set timeout=0\n\
         menuentry \"Linux\" {{\n\
         \tsearch --no-floppy --fs-uuid --set=root {root_uuid}\n\
         \tlinux /vmlinuz root=UUID={root_uuid} {words}\n\
         \tinitrd /initrd.img\n\
         }}\n"
    )
}

/// A word that GRUB's shell takes as it is.
fn escaped(word: &str) -> String {
    let special = |c: char| "\\\"'$;&|<>{}()#~*?".contains(c);
    word.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pieces_learn_where_the_core_image_is() {
        let code = patch(&[0xff; 512], vec![0; 2048]).unwrap();
        assert_eq!(code.boot.len(), BOOT_CODE);
        assert_eq!(code.boot[0x5c..0x64], 2048u64.to_le_bytes());
        assert_eq!(code.boot[0x66..0x68], [0x90, 0x90]);
        assert_eq!(code.core[0x1f4..0x1fc], 2049u64.to_le_bytes());
    }

    #[test]
    fn the_menu_reads_like_this() {
        insta::assert_snapshot!(menu("ROOT", "quiet  dyndbg=\"file a.c +p; x\"\n"));
    }

    #[test]
    fn a_core_image_that_does_not_fit_is_refused() {
        assert!(patch(&[0; 512], vec![0; (1 << 20) + 1]).is_err());
        assert!(patch(&[0; 512], vec![0; 16]).is_err());
        assert!(patch(&[0; 16], vec![0; 2048]).is_err());
    }
}
