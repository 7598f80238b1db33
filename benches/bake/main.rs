//! How long a bake takes, beside what people use today, on the same machine in the same run.
//!
//! `make bench` runs it as root. Three questions, each a row of the table: a bake with nothing to
//! do; a bake with one template changed, beside an incremental build of mkosi; a bake from nothing,
//! beside `mmdebstrap` and `mkfs.ext4 -d` of the same packages. All fetch from one caching proxy on
//! loopback that is filled before the clock starts, so that nobody's network is measured. Memory is
//! the largest sum of the resident sets of a contestant's processes, sampled; what processes share
//! is counted once for each.
//!
//! `cargo bench --bench bake -- noop warm cold` picks rows. The numbers are those of one machine:
//! the load before each row is printed, because a busy one makes them worthless.

mod contestant;
mod proxy;

use std::path::{Path, PathBuf};
use std::time::Duration;

use contestant::{Hostkit, Mkosi, Mmdebstrap, Run};

/// How often a quick thing is timed; the median counts.
const ROUNDS: usize = 5;

fn main() {
    let picked: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |row: &str| picked.is_empty() || picked.iter().any(|name| name == row);
    assert!(nix::unistd::geteuid().is_root(), "bakes need root: run `sudo make bench`");

    let keep = std::env::var_os("HOSTKIT_BENCH_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/hostkit/bench"), PathBuf::from);
    std::fs::create_dir_all(&keep).expect("the cache of the benchmark can be made");
    let mirror = proxy::serve(&keep.join("mirror"));
    let work = tempfile::Builder::new().prefix("work-").tempdir_in(&keep).expect("a work folder");
    let hostkit = Hostkit::new(work.path(), &mirror);

    println!("filling the proxy, so that no network is measured …");
    hostkit.bake("one").expect_success("the first bake");
    let packages = hostkit.packages();

    let mut table = Table::new();
    if wanted("noop") {
        let (median, runs) = median(|_| hostkit.bake("one"));
        let peak = peak_of(&runs);
        table.row("no-op bake", median, peak, None, "< 0.1 s, ≤ 256 MiB");
    }
    if wanted("warm") {
        let (ours, runs) = median(|round| hostkit.bake(&format!("warm {round}")));
        let mkosi = Mkosi::new(work.path(), &mirror, &packages);
        println!("building with mkosi once, so that its increments are there …");
        let peer = mkosi.available().then(|| {
            mkosi.build("one").expect_success("the first build of mkosi");
            median(|round| mkosi.build(&format!("warm {round}"))).0
        });
        let peer = peer.map(|time| ("mkosi --incremental", time));
        table.row("one template changed", ours, peak_of(&runs), peer, "≤ 5 s");
    }
    if wanted("cold") {
        let cold = Hostkit::new(&fresh(work.path(), "cold"), &mirror);
        let ours = cold.bake("one");
        ours.expect_success("the bake from nothing");
        let peer = Mmdebstrap::new(&fresh(work.path(), "peer"), &mirror, &packages).build();
        peer.expect_success("mmdebstrap and mkfs.ext4");
        let peer = Some(("mmdebstrap + mkfs.ext4 -d", peer.took));
        table.row("from nothing", ours.took, ours.peak, peer, "≤ 1.5 × the peer");
    }
    table.print();
}

fn fresh(work: &Path, name: &str) -> PathBuf {
    let path = work.join(name);
    std::fs::create_dir_all(&path).expect("a folder can be made");
    path
}

/// Runs something a few times: the median of the times, and all runs.
fn median(mut run: impl FnMut(usize) -> Run) -> (Duration, Vec<Run>) {
    let runs: Vec<Run> = (0..ROUNDS).map(&mut run).collect();
    runs.iter().for_each(|run| run.expect_success("a timed run"));
    let mut times: Vec<Duration> = runs.iter().map(|run| run.took).collect();
    times.sort_unstable();
    (times[ROUNDS / 2], runs)
}

fn peak_of(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.peak).max().unwrap_or_default()
}

struct Table(Vec<[String; 6]>);

impl Table {
    fn new() -> Self {
        let head = ["", "hostkit", "peak", "peer", "hostkit / peer", "aim"];
        Self(vec![head.map(str::to_owned)])
    }

    fn row(
        &mut self,
        what: &str,
        ours: Duration,
        peak: u64,
        peer: Option<(&str, Duration)>,
        aim: &str,
    ) {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let (named, ratio) = peer.map_or_else(
            || ("–".to_owned(), "–".to_owned()),
            |(name, time)| {
                let ratio = ours.as_secs_f64() / time.as_secs_f64();
                (format!("{name}: {}", seconds(time)), format!("{ratio:.2}"))
            },
        );
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("{what}: done (load {})", load.split(' ').next().unwrap_or("?"));
        let peak = format!("{} MiB", peak >> 20);
        self.0.push([what.to_owned(), seconds(ours), peak, named, ratio, aim.to_owned()]);
    }

    fn print(&self) {
        let width = |column: usize| {
            self.0.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        println!();
        for row in &self.0 {
            let cells = row.iter().enumerate().map(|(n, cell)| format!("{cell:<0$}", width(n)));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}
