//! How the machines of a processor start: what differs between them, as one table.

use crate::error::Fault;

/// What a disk must have for its processor's machines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Firmware {
    /// The processor, by Debian's name.
    pub arch: &'static str,
    /// Whether there are machines with a BIOS.
    pub bios: bool,
    /// What UEFI starts when nobody told it anything: a file in `EFI/BOOT`.
    pub efi_file: &'static str,
    /// GRUB's name for programs of that kind, which is also its folder in the tree.
    pub efi_format: &'static str,
    /// The package that has that folder.
    pub efi_package: &'static str,
    /// The kernel's package.
    pub kernel: &'static str,
    /// The type of a root partition: systemd-repart grows it by this.
    pub root_type: &'static str,
}

const ALL: [Firmware; 2] = [
    Firmware {
        arch: "amd64",
        bios: true,
        efi_file: "BOOTX64.EFI",
        efi_format: "x86_64-efi",
        efi_package: "grub-efi-amd64-bin",
        kernel: "linux-image-cloud-amd64",
        root_type: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    },
    Firmware {
        arch: "arm64",
        bios: false,
        efi_file: "BOOTAA64.EFI",
        efi_format: "arm64-efi",
        efi_package: "grub-efi-arm64-bin",
        kernel: "linux-image-cloud-arm64",
        root_type: "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
    },
];

impl Firmware {
    /// That of a processor.
    pub(super) fn of(arch: &str) -> Result<&'static Self, Fault> {
        ALL.iter().find(|firmware| firmware.arch == arch).ok_or_else(|| {
            Fault::recipe(format!("no disk can be made for the processor `{arch}`"))
                .hint("there are `amd64` and `arm64`")
        })
    }

    /// The folder of GRUB's modules for UEFI, in the tree.
    pub(super) fn efi_modules(&self) -> String {
        format!("/usr/lib/grub/{}", self.efi_format)
    }
}
