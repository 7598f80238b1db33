//! Where things are on a disk. Pure arithmetic.
//!
//! GPT with a BIOS boot partition (for GRUB's core image), an EFI system partition, the table of the
//! disk's blocks and the root last, so that the root can grow to whatever volume the image is put on.

/// Bytes in a sector.
pub const SECTOR: u64 = 512;

/// Everything is aligned to 1 MiB.
const MIB: u64 = 1 << 20;

/// The BIOS boot partition: 1 MiB from 1 MiB.
pub const BIOS: Partition = Partition { start: MIB, bytes: MIB };

/// The EFI system partition: 61 MiB from 2 MiB.
pub const ESP: Partition = Partition { start: 2 * MIB, bytes: 61 * MIB };

/// The table of the disk's blocks: 1 MiB from 63 MiB. See [`super::block_table`].
pub const TABLE: Partition = Partition { start: 63 * MIB, bytes: MIB };

/// Where the root begins.
const ROOT_START: u64 = 64 * MIB;

/// A disk is a whole number of these: 256 MiB.
const STEP: u64 = 256 * MIB;

/// The second copy of the partition table, at the end, rounded up.
const TAIL: u64 = MIB;

/// The size of a block of the root file system, in bytes.
pub const BLOCK: u64 = 4096;

/// A piece of the disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From the beginning of the disk.
    pub start: u64,
    /// Its size.
    pub bytes: u64,
}

impl Partition {
    /// Its first sector.
    pub const fn first_sector(self) -> u64 {
        self.start / SECTOR
    }

    /// Its size in sectors.
    pub const fn sectors(self) -> u64 {
        self.bytes / SECTOR
    }
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its size in bytes: a whole number of steps.
    pub bytes: u64,
    /// The root partition.
    pub root: Partition,
}

impl Layout {
    /// A disk for a tree whose foundation takes `foundation` bytes in whole blocks, and all of it
    /// `whole`.
    ///
    /// A quarter and 256 MiB more than the foundation is for the file system's own needs and for the
    /// first minutes before it has grown; a late part up to 256 MiB fits into it without moving
    /// anything, and a larger one makes the disk larger by whole steps.
    pub const fn for_content(foundation: u64, whole: u64) -> Self {
        let late = whole.saturating_sub(foundation);
        let root = foundation + foundation / 4 + 512 * MIB;
        let more = late.next_multiple_of(STEP).saturating_sub(STEP) * 5 / 4;
        let bytes = (ROOT_START + root + more + TAIL).next_multiple_of(STEP);
        let root = Partition { start: ROOT_START, bytes: bytes - ROOT_START - TAIL };
        Self { bytes, root }
    }
}

/// The partition table as `sfdisk` reads it.
pub fn table(
    layout: &Layout,
    root_type: &str,
    disk_uuid: &str,
    part_uuid: impl Fn(&str) -> String,
) -> String {
    const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
    const EFI_SYSTEM: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
    // Our own: nobody mounts it, and systemd-repart leaves it alone.
    const BLOCK_TABLE: &str = "6D8B1A5E-2C0F-4D63-9E57-3B1F0A7C4E21";
    let mut text = format!("label: gpt\nlabel-id: {disk_uuid}\nunit: sectors\nfirst-lba: 2048\n");
    let parts = [
        ("bios", BIOS, BIOS_BOOT),
        ("esp", ESP, EFI_SYSTEM),
        ("root", layout.root, root_type),
        ("blocks", TABLE, BLOCK_TABLE),
    ];
    for (name, part, kind) in parts {
        text += &format!(
            "start={}, size={}, type={kind}, name={name}, uuid={}\n",
            part.first_sector(),
            part.sectors(),
            part_uuid(name)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn partitions_are_aligned_disjoint_and_inside(
            foundation in 0u64..(64 << 30),
            late in 0u64..(8 << 30),
        ) {
            let content = foundation + late;
            let layout = Layout::for_content(foundation, content);
            let end = |part: Partition| part.start + part.bytes;
            for part in [BIOS, ESP, TABLE, layout.root] {
                proptest::prop_assert_eq!(part.start % MIB, 0);
                proptest::prop_assert_eq!(part.bytes % BLOCK, 0);
            }
            proptest::prop_assert!(end(BIOS) <= ESP.start && end(ESP) <= TABLE.start && end(TABLE) <= layout.root.start);
            proptest::prop_assert!(end(layout.root) + TAIL <= layout.bytes);
            proptest::prop_assert!(layout.root.bytes > content + content / 5 + 64 * MIB);
        }
    }

    #[test]
    fn a_late_part_of_usual_size_does_not_move_the_end() {
        let foundation = 1 << 30;
        let alone = Layout::for_content(foundation, foundation);
        assert_eq!(Layout::for_content(foundation, foundation + 200 * MIB), alone);
        assert_eq!(Layout::for_content(foundation, foundation - MIB), alone);
        assert_eq!(Layout::for_content(foundation, 2 * foundation).bytes, alone.bytes + 1024 * MIB);
    }

    #[test]
    fn the_table_reads_like_this() {
        let text = table(&Layout::for_content(1 << 30, 0), "ROOT-TYPE", "D", str::to_uppercase);
        insta::assert_snapshot!(text, @r"
        label: gpt
        label-id: D
        unit: sectors
        first-lba: 2048
        start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=bios, uuid=BIOS
        start=4096, size=124928, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=esp, uuid=ESP
        start=131072, size=4061184, type=ROOT-TYPE, name=root, uuid=ROOT
        start=129024, size=2048, type=6D8B1A5E-2C0F-4D63-9E57-3B1F0A7C4E21, name=blocks, uuid=BLOCKS
        ");
    }
}
