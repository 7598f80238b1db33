//! Who is timed: hostkit and coldsnap, each as its own process that talks to the sink.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::sink::{Manner, Seen, Sink};

/// One timed run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// From start to end.
    pub(crate) wall: Duration,
    /// Of processors, in user mode and in the kernel.
    pub(crate) processor: Duration,
    /// The most memory that it had at one time, in bytes.
    pub(crate) memory: u64,
    /// What the sink saw.
    pub(crate) seen: Seen,
}

/// Runs a command against a sink of its own.
pub(crate) fn run(manner: Manner, command: impl FnOnce(&str) -> Command) -> Run {
    let sink = Sink::start(manner);
    let mut command = command(&sink.url);
    // As little as either needs: both find their credentials at once, and no configuration.
    command.env_clear().envs([
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A child's share of what all children used is what it adds; its memory is sampled at its end.
    let before = processor();
    let started = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let peak = Peak::watch(child.id());
    let output = child.wait_with_output().expect("a child can be waited for");
    let wall = started.elapsed();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {complaint}");
    Run {
        wall,
        processor: processor().saturating_sub(before),
        memory: peak.end(),
        seen: sink.seen(),
    }
}

fn processor() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a process may ask for its own");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}

/// The largest resident set of a process, as the kernel keeps it.
struct Peak {
    stop: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<u64>,
}

impl Peak {
    fn watch(pid: u32) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        let status = format!("/proc/{pid}/status");
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            // `getrusage` has one number for all children; the kernel's own high-water mark of this
            // one is there until its end, and read every few milliseconds until then.
            loop {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = mark.and_then(|mark| mark.split_whitespace().next()?.parse::<u64>().ok());
                peak = peak.max(kib.unwrap_or_default() << 10);
                let pause = Duration::from_millis(5);
                if stopped.recv_timeout(pause) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    return peak;
                }
            }
        });
        Self { stop, thread }
    }

    fn end(self) -> u64 {
        let _ = self.stop.send(());
        self.thread.join().expect("it only reads")
    }
}

/// `hostkit inner upload` with more arguments.
pub(crate) fn hostkit(url: &str, disk: &Path, more: &[&str]) -> Command {
    let program = std::env::var_os("HOSTKIT_BENCH_BINARY");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_hostkit").into()));
    let record = disk.with_extension("acked");
    let _ = std::fs::remove_file(&record);
    command.args(["inner", "upload", "--endpoint-url", url]).arg(disk);
    command.arg("--record").arg(record).args(more);
    command
}

/// `coldsnap upload` with more arguments.
pub(crate) fn coldsnap(program: &Path, url: &str, disk: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["--endpoint", url, "upload", "--no-progress"]).args(more).arg(disk);
    command
}
