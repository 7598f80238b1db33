//! How long a look at a home of a million files takes, and how much memory: beside `find`.
//!
//! `make bench-scan` runs it. It makes the home once, on the disk of the target folder or where
//! `HOSTKIT_BENCH_HOME` says (a mounted EFS, say): jobs with builds, whose files are as many and as
//! named as those of Jenkins. Then the child of `hostkit efs check` looks at it, and `find -printf`
//! with the size of every file does, in turn; a row is the median of three runs. What is compared is
//! the time until it is known how many files and folders there are, and both must say the same.
//!
//! The caches of the kernel are warm from the second run on, for both.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "contestants are started as people start them")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often each is timed; the median counts.
const ROUNDS: usize = 3;

/// Jobs, builds of each, and files of each build: a million, with what else there is.
const SHAPE: [usize; 3] = [1000, 100, 9];

/// What a run came to.
#[derive(Clone, Copy, Debug)]
struct Run {
    took: Duration,
    /// The most memory that it had, in KiB.
    peak: u64,
    files: u64,
    folders: u64,
}

fn main() {
    let work = std::env::var_os("HOSTKIT_BENCH_HOME")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-scan"), PathBuf::from);
    make(&work);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load {}", load.split(' ').next().unwrap_or_default());
    println!("{:<10} {:>8} {:>10} {:>10} {:>8}", "", "seconds", "files", "folders", "MiB");
    let ours = median("hostkit", || hostkit(&work));
    let peer = median("find", || find(&work));
    assert_eq!((ours.files, ours.folders), (peer.files, peer.folders), "both see the same");
    println!("hostkit takes {:.2} of find", ours.took.as_secs_f64() / peer.took.as_secs_f64());
    let mib = ours.peak >> 10;
    assert!(ours.took.as_secs() < 60, "a million files are looked at within 60 s");
    assert!(mib <= 64, "within 64 MiB, not {mib}");
}

/// The median of some runs, printed.
fn median(name: &str, mut run: impl FnMut() -> Run) -> Run {
    let mut runs: Vec<Run> = (0..ROUNDS).map(|_| run()).collect();
    runs.sort_by_key(|run| run.took);
    let run = runs[ROUNDS / 2];
    let (seconds, mib) = (run.took.as_secs_f64(), run.peak >> 10);
    println!("{name:<10} {seconds:>8.2} {:>10} {:>10} {mib:>8}", run.files, run.folders);
    run
}

/// A home, if it is not there yet.
fn make(work: &Path) {
    let done = work.join("made");
    if done.exists() {
        return;
    }
    println!("making a home of a million files in {} …", work.display());
    let home = work.join("home");
    let put = |path: PathBuf, text: &str| fs::write(path, text).expect("a file can be written");
    let [jobs, builds, files] = SHAPE;
    for job in 0..jobs {
        let folder = home.join(format!("jobs/job-{job}"));
        for build in 1..=builds {
            let at = folder.join(format!("builds/{build}/workflow"));
            fs::create_dir_all(&at).expect("a folder can be made");
            for step in 0..files - 2 {
                put(at.join(format!("{step}.xml")), "<x/>");
            }
            let at = folder.join(format!("builds/{build}"));
            put(at.join("build.xml"), "<build/>");
            put(at.join("log"), "ok");
        }
        put(folder.join("config.xml"), "<project/>");
    }
    put(home.join("config.xml"), "<hudson/>");
    // A tenth of them is in one folder: what people have found in old homes.
    let huge = home.join("fingerprints/aa");
    fs::create_dir_all(&huge).expect("a folder can be made");
    for number in 0..100_000 {
        put(huge.join(format!("{number}.xml")), "");
    }
    put(done, "");
}

fn hostkit(work: &Path) -> Run {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .args(["inner", "efs", "--anywhere"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("hostkit can be started");
    let request = serde_json::json!({"mount_point": work, "task": "scan", "patience": 60_000});
    let mut input = child.stdin.take().expect("it is a pipe");
    writeln!(input, "{request}").expect("it reads");
    drop(input);
    // Before it has ended: then the kernel does not say any more how large it was.
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut output) = (0, BufReader::new(child.stdout.take().expect("it is a pipe")));
    let answer = std::thread::spawn(move || {
        let mut line = String::new();
        output.read_line(&mut line).expect("it answers");
        line
    });
    while !answer.is_finished() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|mark| mark.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or_default());
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let took = began.elapsed();
    child.wait().expect("it ends");
    let line = answer.join().expect("it was read");
    let answer: serde_json::Value = serde_json::from_str(&line).expect("it answers in JSON");
    let scan = &answer["scan"];
    assert_eq!(scan["late"]["count"], 0, "all was reached");
    let number = |name: &str| scan[name].as_u64().expect("it is a number");
    Run { took, peak, files: number("files"), folders: number("folders") }
}

fn find(work: &Path) -> Run {
    let began = Instant::now();
    let output = Command::new("find")
        .arg(work.join("home"))
        .args(["-mindepth", "1", "-printf", "%y %s\\n"])
        .output()
        .expect("find can be started");
    let took = began.elapsed();
    let kind = |kind: &[u8]| {
        output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(kind)).count()
            as u64
    };
    Run { took, peak: 0, files: kind(b"f "), folders: kind(b"d ") }
}
