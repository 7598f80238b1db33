//! What runs out: room on local disks, memory. Read from the kernel, which answers at once; nothing
//! here touches a network file system.

use camino::Utf8Path;
use nix::sys::statvfs::statvfs;

/// Less free than this share is told,
const FREE: f64 = 0.05;
/// unless so many bytes are free.
const ENOUGH: u64 = 4 << 30;

/// Less available memory than this share is told.
const MEMORY: f64 = 0.03;
/// So much of its time somebody waits for memory, in percent, over a minute.
const PRESSURE: f64 = 40.0;

/// Local file systems of every host.
const DISKS: &[&str] = &["/", "/run"];

/// Room on one file system, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Where it is.
    pub path: &'static str,
    /// What is free, for programs that are not root.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// The room on local disks. One that cannot be asked is left out.
pub fn rooms(root: &Utf8Path) -> Vec<Room> {
    let room = |path: &&'static str| {
        let stat = statvfs(root.join(path.trim_start_matches('/')).as_std_path()).ok()?;
        let size = stat.fragment_size();
        let (free, total) = (stat.blocks_available() * size, stat.blocks() * size);
        Some(Room { path, free, total })
    };
    DISKS.iter().filter_map(room).collect()
}

/// What is wrong with the room.
pub fn full(rooms: &[Room]) -> Option<String> {
    let is_full = |room: &&Room| share(room.free, room.total) < FREE && room.free < ENOUGH;
    let tell = |room: &Room| format!("{} has {} MiB left", room.path, room.free >> 20);
    let full: Vec<_> = rooms.iter().filter(is_full).map(tell).collect();
    (!full.is_empty()).then(|| full.join(", "))
}

/// How it stands with memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// What could be given to programs, in bytes.
    pub available: u64,
    /// All there is.
    pub total: u64,
    /// How much of the last minute somebody waited for memory, in percent; where the kernel tells.
    pub pressure: Option<f64>,
}

/// Reads it.
pub fn memory(root: &Utf8Path) -> Memory {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
    };
    let pressure = std::fs::read_to_string(root.join("proc/pressure/memory")).unwrap_or_default();
    let some = pressure.lines().find(|line| line.starts_with("some "));
    let average = some.and_then(|line| line.split(' ').find_map(|it| it.strip_prefix("avg60=")));
    Memory {
        available: kib("MemAvailable").unwrap_or_default() << 10,
        total: kib("MemTotal").unwrap_or_default() << 10,
        pressure: average.and_then(|text| text.parse().ok()),
    }
}

/// What is wrong with memory.
pub fn scarce(memory: &Memory) -> Option<String> {
    if let Some(pressure) = memory.pressure.filter(|pressure| *pressure >= PRESSURE) {
        return Some(format!("programs wait for memory {pressure:.0} % of their time"));
    }
    let is_scarce = memory.available > 0 && share(memory.available, memory.total) < MEMORY;
    is_scarce.then(|| format!("{} MiB are left", memory.available >> 20))
}

#[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 1.0 } else { part as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_out_is_told_with_what_is_left() {
        let room = |free, total| Room { path: "/", free, total };
        assert_eq!(full(&[room(300 << 20, 8 << 30)]).unwrap(), "/ has 300 MiB left");
        assert_eq!(full(&[room(1 << 30, 8 << 30)]), None);
        assert_eq!(full(&[room(5 << 30, 200 << 30)]), None, "five gigabytes are enough");
        let scarcely = Memory { available: 50 << 20, total: 4 << 30, pressure: Some(3.0) };
        assert_eq!(scarce(&scarcely).unwrap(), "50 MiB are left");
        let pressed = Memory { pressure: Some(61.3), ..scarcely };
        assert_eq!(scarce(&pressed).unwrap(), "programs wait for memory 61 % of their time");
        assert_eq!(scarce(&Memory::default()), None, "an unknown kernel is not in need");
    }

    #[test]
    fn this_machine_can_be_read() {
        let rooms = rooms(Utf8Path::new("/"));
        assert!(rooms.iter().any(|room| room.path == "/" && room.total > 0), "{rooms:?}");
        let memory = memory(Utf8Path::new("/"));
        assert!(memory.total > 64 << 20 && memory.available > 0, "{memory:?}");
    }
}
