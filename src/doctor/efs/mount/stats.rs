//! What the kernel counts of its NFS mounts: `/proc/self/mountstats`, read.
//!
//! The file is a block a mount; of other file systems there is only the first line. What it holds
//! differs between kernels, so a line that is missing, cut off or has more numbers than is known is no
//! error: what can be read is kept. Nothing here touches a mount.

use serde::{Deserialize, Serialize};

/// What is counted of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// What is mounted: `10.0.1.9:/`
    pub source: String,
    /// Where.
    pub point: String,
    /// As what: `nfs4`
    pub kind: String,
    /// Its options, as the client came to agree on them with the server.
    pub options: Vec<String>,
    /// How long it has been mounted, in seconds.
    pub age: Option<u64>,
    /// Its lease with the server; none before Linux 5.5, and none of NFS 3.
    pub lease: Option<Lease>,
    /// Its connections.
    pub transports: Vec<Transport>,
    /// What was asked of the server, by operation; those that were never used are left out.
    pub operations: Vec<Operation>,
}

/// What a server keeps for a client as long as that says that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// How long it lasts, in seconds.
    pub time: u64,
    /// For how long it has run out, in seconds.
    pub expired: u64,
}

/// A connection, since the mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// `tcp`, `rdma`
    pub kind: String,
    /// How often it was made.
    pub connects: u64,
    /// For how long nothing has been sent, in seconds.
    pub idle: u64,
    /// Calls that were sent.
    pub sent: u64,
    /// Answers that came.
    pub received: u64,
    /// Answers to nothing that was asked.
    pub unknown: u64,
    /// As many calls as were ever under way at once.
    pub slots: Option<u64>,
}

/// What came of one operation, since the mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// `GETATTR`
    pub name: String,
    /// How often it ended.
    pub calls: u64,
    /// How often it was sent: more often than it ended where it was sent again.
    pub sent: u64,
    /// How often no answer came in the time that the mount allows.
    pub timeouts: u64,
    /// How long all together waited to be sent, in milliseconds.
    pub queue: u64,
    /// How long all together were with the server and on the way, in milliseconds.
    pub answer: u64,
    /// How often it ended with an error; none before Linux 5.3.
    pub errors: Option<u64>,
}

impl Operation {
    /// How often it was sent again.
    pub const fn again(&self) -> u64 {
        self.sent.saturating_sub(self.calls)
    }

    /// The time that one took with the server and on the way, in milliseconds.
    pub fn mean_answer(&self) -> f64 {
        mean(self.answer, self.calls)
    }

    /// The time that one waited to be sent, in milliseconds.
    pub fn mean_queue(&self) -> f64 {
        mean(self.queue, self.calls)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a mean of milliseconds, for people")]
fn mean(all: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { all as f64 / count as f64 }
}

/// Reads all of it: a block for each mount of NFS.
pub fn parse(text: &str) -> Vec<Stats> {
    let mut all: Vec<Stats> = Vec::new();
    // Whether the lines that come belong to the last of them.
    let mut within = false;
    for line in text.lines() {
        if line.starts_with("device ") || line.starts_with("no device ") {
            let head = head(line);
            within = head.is_some();
            all.extend(head);
        } else if within && let Some(stats) = all.last_mut() {
            stats.take(line);
        }
    }
    all
}

/// What is mounted at exactly `point`, on top.
pub fn at<'a>(all: &'a [Stats], point: &str) -> Option<&'a Stats> {
    all.iter().rev().find(|stats| stats.point == point)
}

/// `device 10.0.1.9:/ mounted on /var/lib/jenkins with fstype nfs4 statvers=1.1`
fn head(line: &str) -> Option<Stats> {
    let (source, rest) = line.strip_prefix("device ")?.split_once(" mounted on ")?;
    let (point, rest) = rest.split_once(" with fstype ")?;
    let mut words = rest.split_whitespace();
    let kind = words.next()?;
    // Only NFS has numbers, and says of which version.
    words.next()?.strip_prefix("statvers=")?;
    kind.starts_with("nfs").then(|| Stats {
        source: unescape(source),
        point: unescape(point),
        kind: kind.to_owned(),
        ..Stats::default()
    })
}

impl Stats {
    fn take(&mut self, line: &str) {
        let Some((name, rest)) = line.trim().split_once(':') else { return };
        let rest = rest.trim();
        match name {
            "opts" => self.options = rest.split(',').map(str::to_owned).collect(),
            "age" => self.age = rest.parse().ok(),
            "nfsv4" => self.lease = lease(rest),
            "xprt" => self.transports.extend(transport(rest)),
            "impl_id" | "caps" | "sec" | "events" | "bytes" | "fsc" | "fscache" => {}
            // `RPC iostats version: 1.1  p/v: 100003/4 (nfs)` has a space in its name.
            name if is_operation(name) => self.operations.extend(operation(name, rest)),
            _ => {}
        }
    }
}

fn is_operation(name: &str) -> bool {
    let part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.len() <= 40 && name.chars().all(part)
}

/// `bm0=0xfdffafff,…,sessions,pnfs=not configured,lease_time=90,lease_expired=0`
fn lease(text: &str) -> Option<Lease> {
    let value = |name: &str| {
        text.split(',').find_map(|it| it.strip_prefix(name)?.strip_prefix('=')?.trim().parse().ok())
    };
    Some(Lease { time: value("lease_time")?, expired: value("lease_expired")? })
}

/// `tcp PORT BINDS CONNECTS CONNECT_TIME IDLE SENDS RECEIVES UNKNOWN …`; rdma begins in the same way.
fn transport(text: &str) -> Option<Transport> {
    let mut words = text.split_whitespace();
    let kind = words.next()?.to_owned();
    let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    let [_, _, connects, _, idle, sent, received, unknown, ..] = numbers[..] else { return None };
    // After two sums of waiting.
    let slots = numbers.get(10).copied().filter(|_| kind == "tcp");
    Some(Transport { kind, connects, idle, sent, received, unknown, slots })
}

/// `CALLS SENT TIMEOUTS BYTES_SENT BYTES_RECEIVED QUEUE ANSWER WHOLE [ERRORS]`
fn operation(name: &str, text: &str) -> Option<Operation> {
    let numbers: Vec<u64> = text.split_whitespace().map_while(|it| it.parse().ok()).collect();
    let [calls, sent, timeouts, _, _, queue, answer, ..] = numbers[..] else { return None };
    let used = calls > 0 || sent > 0;
    let errors = numbers.get(8).copied();
    used.then(|| Operation { name: name.to_owned(), calls, sent, timeouts, queue, answer, errors })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests;
