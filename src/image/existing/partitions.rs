//! The partitions of a disk file, and what is in each: by its table and its superblocks. Pure but
//! for reading the file.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use camino::Utf8Path;
use serde::Deserialize;

use crate::error::Fault;
use crate::sys::loopdev::FileSystem;
use crate::sys::{Cmd, Runner, Tool};

/// GPT's types for the root of an x86-64 and of an ARM machine, and for any Linux file system; the
/// last is that of an MBR.
const ROOT: [&str; 2] =
    ["4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"];
const LINUX: [&str; 2] = ["0FC63DAF-8483-4772-8E79-3D69D8477DE4", "83"];

/// What the first bytes of a partition are enough for, in bytes: Btrfs says who it is at 64 KiB.
const HEAD: usize = 66 << 10;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    /// Where it is on the disk.
    pub bytes: Range<u64>,
    /// Its file system, where it is one that can be mounted.
    pub file_system: Option<FileSystem>,
    /// What `/etc/fstab` may call it: `UUID=…`, `LABEL=…`, `PARTUUID=…`, `PARTLABEL=…`.
    pub names: Vec<String>,
    kind: String,
}

#[derive(Deserialize)]
struct Answer {
    partitiontable: Table,
}

#[derive(Deserialize)]
struct Table {
    #[serde(default = "sector")]
    sectorsize: u64,
    #[serde(default)]
    partitions: Vec<Row>,
}

const fn sector() -> u64 {
    512
}

#[derive(Deserialize)]
struct Row {
    start: u64,
    size: u64,
    r#type: String,
    uuid: Option<String>,
    name: Option<String>,
}

/// All partitions of a raw disk.
pub(super) async fn of(disk: &Utf8Path) -> anyhow::Result<Vec<Partition>> {
    let cmd = Cmd::new(Tool::Sfdisk).args(["--json", disk.as_str()]);
    let text = Runner::Direct.run(&cmd).await.context(
        Fault::recipe("the base image has no partition table")
            .hint("it must be a whole disk that boots, not a file system"),
    )?;
    let answer: Answer = serde_json::from_slice(&text.stdout).context("reading sfdisk's JSON")?;
    let file = File::open(disk).context("opening the disk")?;
    let Table { sectorsize, partitions } = answer.partitiontable;
    partitions.into_iter().map(|row| read(&file, row, sectorsize)).collect()
}

fn read(file: &File, row: Row, sector: u64) -> anyhow::Result<Partition> {
    let bytes = row.start * sector..(row.start + row.size) * sector;
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while filled < HEAD {
        let read = file.read_at(&mut head[filled..], bytes.start + filled as u64);
        match read.context("reading the disk")? {
            0 => break,
            read => filled += read,
        }
    }
    let (file_system, mut names) = probe(&head);
    names.extend(row.uuid.map(|uuid| format!("PARTUUID={}", uuid.to_lowercase())));
    names.extend(row.name.map(|name| format!("PARTLABEL={name}")));
    Ok(Partition { bytes, file_system, names, kind: row.r#type.to_uppercase() })
}

/// The partition that is the root: one whose type says so, else the largest Linux file system.
pub(super) fn root(partitions: &[Partition]) -> Result<&Partition, Fault> {
    let rank = |partition: &Partition| {
        let is = |types: &[&str]| types.contains(&partition.kind.as_str());
        let size = partition.bytes.end - partition.bytes.start;
        (is(&ROOT), is(&LINUX), size)
    };
    let mountable = partitions
        .iter()
        .filter(|partition| !matches!(partition.file_system, None | Some(FileSystem::Fat)));
    mountable.max_by_key(|partition| rank(partition)).ok_or_else(|| {
        Fault::recipe("the base image has no partition with ext4, XFS or Btrfs")
            .hint("LVM and encrypted disks cannot be a base")
    })
}

/// The file system that a partition begins with, and its names.
fn probe(head: &[u8]) -> (Option<FileSystem>, Vec<String>) {
    let text = |at: usize, length: usize| {
        let bytes = &head[at..at + length];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(length);
        String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
    };
    let names = |uuid: String, label: String| {
        let label = (!label.is_empty()).then(|| format!("LABEL={label}"));
        [Some(format!("UUID={uuid}")), label].into_iter().flatten().collect()
    };
    if head[1080..1082] == [0x53, 0xef] {
        (Some(FileSystem::Ext4), names(uuid(&head[1128..1144]), text(1144, 16)))
    } else if head.starts_with(b"XFSB") {
        (Some(FileSystem::Xfs), names(uuid(&head[32..48]), text(108, 12)))
    } else if head[65600..65608] == *b"_BHRfS_M" {
        (Some(FileSystem::Btrfs), names(uuid(&head[65568..65584]), text(65835, 256)))
    } else if head[82..87] == *b"FAT32" {
        let id = format!("{:02X}{:02X}-{:02X}{:02X}", head[70], head[69], head[68], head[67]);
        (Some(FileSystem::Fat), names(id, text(71, 11)))
    } else {
        (None, Vec::new())
    }
}

fn uuid(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(kind: &str, mib: u64, file_system: Option<FileSystem>) -> Partition {
        Partition { bytes: 0..mib << 20, file_system, names: Vec::new(), kind: kind.into() }
    }

    #[test]
    fn the_root_is_found_by_its_type_and_else_by_its_size() {
        let esp = partition("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 9000, Some(FileSystem::Fat));
        let boot = partition(LINUX[0], 1000, Some(FileSystem::Ext4));
        let large = partition(LINUX[0], 4000, Some(FileSystem::Xfs));
        let typed = partition(ROOT[0], 2000, Some(FileSystem::Ext4));
        let disk = [esp.clone(), boot.clone(), large.clone()];
        assert_eq!(root(&disk).unwrap(), &large);
        assert_eq!(root(&[large, typed.clone(), boot]).unwrap(), &typed);
        let lvm = partition("E6D6D379-F507-44C2-A23C-238F2A3DF928", 9000, None);
        assert!(root(&[esp, lvm]).is_err());
    }

    #[test]
    fn a_file_system_is_known_by_its_superblock() {
        let mut head = vec![0; HEAD];
        assert_eq!(probe(&head).0, None);
        head[1080..1082].copy_from_slice(&[0x53, 0xef]);
        head[1128] = 0xab;
        head[1144..1148].copy_from_slice(b"root");
        let (file_system, names) = probe(&head);
        assert_eq!(file_system, Some(FileSystem::Ext4));
        assert_eq!(names, ["UUID=ab000000-0000-0000-0000-000000000000", "LABEL=root"]);
    }
}
