//! How long an upload takes, how much of the machine it needs, and what is sent; beside coldsnap.
//!
//! `make bench-upload` runs it. A sparse disk of 2 GiB with 600 MiB of random bytes in three places
//! goes to a sink on loopback, over plain HTTP, by `hostkit` and by `coldsnap` as processes of their
//! own, in turn. A row is the median of three runs.
//!
//! hostkit has the digests of a disk's blocks from the bake that made it, and coldsnap hashes while
//! it sends; one row has hostkit hash, too. coldsnap omits blocks of zeros only when it is told to.
//!
//! `cargo bench --bench upload -- plain limited 20ms 200ms changed` picks rows.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "contestants are started as people start them")]

mod contestant;
mod sink;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contestant::{Run, coldsnap, hostkit};
use sink::Manner;

/// How often each is timed; the median counts.
const ROUNDS: usize = 3;

const MIB: u64 = 1 << 20;

/// Where the random bytes are: start and length in MiB.
const EXTENTS: [(u64, u64); 3] = [(0, 200), (700, 300), (1900, 100)];

/// Puts a second of hostkit, unless it is told otherwise.
const RATE: f64 = 950.0;

fn main() {
    let picked: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |row: &str| picked.is_empty() || picked.iter().any(|name| name == row);
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-upload");
    std::fs::create_dir_all(&work).expect("a folder can be made");
    let bench = Bench::new(&work);

    println!("{HEAD}");
    if wanted("plain") {
        let peer = bench.peer("plain", Manner::default(), &["--omit-zero-blocks"]);
        bench.peer("plain, its default", Manner::default(), &[]);
        let ours = bench.ours("plain", Manner::default(), &bench.unlimited());
        compare(&ours, peer.as_ref());
        let hashed = bench.ours("plain, hashing too", Manner::default(), &["--rate", "0"]);
        compare(&hashed, peer.as_ref());
    }
    if wanted("limited") {
        let manner = Manner { limit: Some(1000), ..Manner::default() };
        let ours = bench.ours("limit 950/s", manner, &bench.with_table());
        let floor = f64::from(u32::try_from(ours.seen.puts).unwrap_or(u32::MAX)) / RATE;
        println!(
            "    blocks ÷ 950 s = {floor:.2} s; hostkit takes {:.2} of it",
            ours.wall.as_secs_f64() / floor
        );
        bench.peer("limit 1000/s", manner, &["--omit-zero-blocks"]);
    }
    for (row, delay) in [("20ms", 20), ("200ms", 200)] {
        if wanted(row) {
            let manner = Manner { delay: Duration::from_millis(delay), ..Manner::default() };
            let peer = bench.peer(row, manner, &["--omit-zero-blocks"]);
            let ours = bench.ours(row, manner, &bench.unlimited());
            compare(&ours, peer.as_ref());
            bench.ours(&format!("{row}, limit 950/s"), manner, &bench.with_table());
        }
    }
    if wanted("changed") {
        let ours = bench.ours("8 MiB changed", Manner::default(), &bench.against_parent());
        println!("    sent: {} MiB", ours.seen.puts / 2);
        bench.peer("8 MiB changed", Manner::default(), &["--omit-zero-blocks"]);
    }
}

const HEAD: &str = "who       what                     wall    processor   memory    puts  zeros  refused  at once  load";

/// The disk and its tables.
struct Bench {
    disk: PathBuf,
    table: PathBuf,
    parent_table: PathBuf,
    coldsnap: PathBuf,
}

impl Bench {
    fn new(work: &Path) -> Self {
        let disk = work.join("disk.raw");
        let _ = std::fs::remove_file(&disk);
        let file = File::create_new(&disk).expect("a disk can be made");
        file.set_len(2048 * MIB).expect("a disk can be large");
        let mut random = File::open("/dev/urandom").expect("every Linux has it");
        let mut piece = vec![0; usize::try_from(MIB).expect("it fits")];
        for (start, length) in EXTENTS {
            for at in start..start + length {
                random.read_exact(&mut piece).expect("it never ends");
                file.write_all_at(&piece, at * MIB).expect("there is room");
            }
        }
        let table = hostkit::image::blocks::Table::of(utf8(&disk)).expect("a disk can be read");
        let (ours, parent) = (work.join("disk.blocks"), work.join("parent.blocks"));
        let mut bytes = table.to_bytes();
        std::fs::write(&ours, &bytes).expect("a table can be written");
        // Its parent had something else in 16 blocks.
        for block in 500..516 {
            bytes[1400 * 32 + (block - 500) * 32] ^= 1;
        }
        std::fs::write(&parent, &bytes).expect("a table can be written");
        let cache =
            std::env::var_os("HOSTKIT_CACHE").unwrap_or_else(|| "/var/cache/hostkit".into());
        let coldsnap = Path::new(&cache).join("peers/bin/coldsnap");
        if !coldsnap.exists() {
            println!("SKIPPED: the peer, {} is not there (.ci/setup --bench)", coldsnap.display());
        }
        Self { disk, table: ours, parent_table: parent, coldsnap }
    }

    fn with_table(&self) -> [&str; 2] {
        ["--table", utf8(&self.table).as_str()]
    }

    fn unlimited(&self) -> [&str; 4] {
        ["--rate", "0", "--table", utf8(&self.table).as_str()]
    }

    fn against_parent(&self) -> [&str; 6] {
        let parent = utf8(&self.parent_table).as_str();
        let table = utf8(&self.table).as_str();
        ["--table", table, "--parent", "snap-0000000000000000a", "--parent-table", parent]
    }

    fn ours(&self, what: &str, manner: Manner, more: &[&str]) -> Run {
        median("hostkit", what, || contestant::run(manner, |url| hostkit(url, &self.disk, more)))
    }

    fn peer(&self, what: &str, manner: Manner, more: &[&str]) -> Option<Run> {
        let run = || contestant::run(manner, |url| coldsnap(&self.coldsnap, url, &self.disk, more));
        self.coldsnap.exists().then(|| median("coldsnap", what, run))
    }
}

fn utf8(path: &Path) -> &camino::Utf8Path {
    camino::Utf8Path::from_path(path).expect("the folder of a build has a plain name")
}

/// Times something a few times, prints all and returns the one in the middle.
fn median(who: &str, what: &str, mut run: impl FnMut() -> Run) -> Run {
    let mut runs: Vec<Run> = (0..ROUNDS).map(|_| run()).collect();
    runs.sort_unstable_by_key(|run| run.wall);
    let walls: Vec<String> =
        runs.iter().map(|run| format!("{:.2}", run.wall.as_secs_f64())).collect();
    let Run { wall, processor, memory, seen } = runs[ROUNDS / 2];
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{who:<9} {what:<22} {:>6.2} s  {:>8.2} s  {:>4} MiB  {:>6} {:>6}  {:>7}  {:>7}  {}  ({})",
        wall.as_secs_f64(),
        processor.as_secs_f64(),
        memory >> 20,
        seen.puts,
        seen.zeros,
        seen.refused,
        seen.most_at_once,
        load.split(' ').next().unwrap_or("?"),
        walls.join(" ")
    );
    runs[ROUNDS / 2]
}

/// Prints how the two stand to each other.
fn compare(ours: &Run, peer: Option<&Run>) {
    let Some(peer) = peer else { return };
    let faster = peer.wall.as_secs_f64() / ours.wall.as_secs_f64();
    let processor = peer.processor.as_secs_f64() / ours.processor.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "it is printed with two digits")]
    let memory = ours.memory as f64 / peer.memory as f64;
    println!(
        "    {faster:.2} × as fast, {processor:.2} × less processor, {memory:.2} of the memory"
    );
}
