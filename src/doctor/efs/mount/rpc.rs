//! How NFS calls went: retransmissions, time-outs, time each took.
//!
//! The kernel counts since the mount, so this is history: it says what kind of trouble there was,
//! and never that there is one now. It warns, and does not fail.

use serde::{Deserialize, Serialize};

use super::server_lease::count;
use super::stats::{Operation, Stats};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What the kernel counts; none where it counts nothing of such a mount.
    pub stats: Option<Stats>,
}

/// Those that tell how Jenkins fares: it looks for files, asks about them, reads and writes.
const SHOWN: [&str; 5] = ["LOOKUP", "GETATTR", "OPEN", "READ", "WRITE"];

/// Fewer calls have no mean that says something.
const ENOUGH: u64 = 100;

/// Over TCP a call is sent again only after a minute's silence or on a new connection. A handful is a
/// failover of the server; more than one in a thousand is a network that is lost now and then.
const AGAIN: (u64, f64) = (10, 0.001);

/// EFS answers questions about files in one to three milliseconds, so this is twenty times that: it
/// is throttled, or far away.
const SLOW_QUESTION: f64 = 50.0;

/// Reads and writes carry up to a mebibyte: at the 1 MiB/s that a file system without credits has,
/// each takes a second, and at a tenth of the usual speed a quarter of one.
const SLOW_TRANSFER: f64 = 250.0;

/// Calls wait here before they are sent when all slots of the session are taken: longer than this is
/// felt, and more asked for than the server takes.
const QUEUED: f64 = 50.0;

/// Looks.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    Ok(Seen { stats: count(scene)? })
}

/// Says what it means.
pub fn judge(seen: &Seen, _case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Rpc.name(), verdict, says);
    let Some(stats) = &seen.stats else {
        return finding(Verdict::Skip, "the kernel counts nothing of that mount".to_owned());
    };
    let calls: u64 = sum(stats, |it| it.calls);
    let trouble = trouble(stats, calls);
    let shown = |finding: Finding| {
        let rows =
            SHOWN.iter().filter_map(|name| stats.operations.iter().find(|it| it.name == *name));
        let mut all = finding;
        for it in rows {
            all = all.shown_by(format!(
                "{}: {} calls, {:.1} ms each and {:.1} ms before that in the queue, {} sent again, {} timed out",
                it.name, it.calls, it.mean_answer(), it.mean_queue(), it.again(), it.timeouts
            ));
        }
        let connects: u64 =
            stats.transports.iter().fold(0, |all, it| all.saturating_add(it.connects));
        let age = stats.age.map_or("an unknown time".to_owned(), for_people);
        all.shown_by(format!(
            "since the mount, {age} ago: {calls} calls, {connects} connections made"
        ))
    };
    let Some((says, _)) = trouble.first() else {
        let worst = stats.operations.iter().filter(|it| it.calls >= ENOUGH);
        let worst = worst.max_by(|a, b| a.mean_answer().total_cmp(&b.mean_answer()));
        let says = match worst {
            Some(it) => format!(
                "{calls} calls; the slowest kind, {}, took {:.1} ms each",
                it.name,
                it.mean_answer()
            ),
            None => format!("{calls} calls, too few for a mean"),
        };
        return shown(finding(Verdict::Pass, says));
    };
    let mut found = finding(Verdict::Warn, says.clone());
    for (says, _) in &trouble[1..] {
        found = found.shown_by(says.clone());
    }
    found = shown(found);
    let mut fixes: Vec<_> = trouble.into_iter().map(|(_, fix)| fix).collect();
    fixes.dedup();
    fixes.into_iter().fold(found, Finding::mended_by)
}

/// What went badly, and where to look.
fn trouble(stats: &Stats, calls: u64) -> Vec<(String, &'static str)> {
    const NETWORK: &str = "look at net.port and mount.tunnel: the network is lost now and then";
    const LOAD: &str = "look at efs.throughput: more is asked of the file system than it gives";
    let mut all = Vec::new();
    let timeouts = sum(stats, |it| it.timeouts);
    if timeouts > 0 {
        let says =
            format!("{timeouts} of {calls} calls had no answer within the patience of the mount");
        all.push((says, NETWORK));
    }
    let again = sum(stats, Operation::again);
    if again > AGAIN.0 && ratio(again, calls) > AGAIN.1 {
        all.push((format!("{again} of {calls} calls were sent again"), NETWORK));
    }
    for it in stats.operations.iter().filter(|it| it.calls >= ENOUGH) {
        let limit = match it.name.as_str() {
            "READ" | "WRITE" | "COMMIT" => SLOW_TRANSFER,
            // It waits for the server on purpose.
            "LAYOUTGET" | "BIND_CONN_TO_SESSION" => continue,
            _ => SLOW_QUESTION,
        };
        if it.mean_answer() > limit {
            all.push((format!("{} took {:.0} ms each", it.name, it.mean_answer()), LOAD));
        }
        if it.mean_queue() > QUEUED {
            let says =
                format!("{} waited {:.0} ms each before it was sent", it.name, it.mean_queue());
            all.push((says, LOAD));
        }
    }
    all
}

/// Counters that the kernel has are far from this; what stands in a bundle may be anything.
fn sum(stats: &Stats, of: impl Fn(&Operation) -> u64) -> u64 {
    stats.operations.iter().fold(0, |all: u64, it| all.saturating_add(of(it)))
}

#[expect(clippy::cast_precision_loss, reason = "a ratio, to the thousandth")]
fn ratio(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn for_people(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    const LINUX_5_10: &str = include_str!("../../../../tests/fixtures/mountstats/linux-5.10.txt");
    const LINUX_6_1: &str = include_str!("../../../../tests/fixtures/mountstats/linux-6.1.txt");
    const LINUX_6_12: &str = include_str!("../../../../tests/fixtures/mountstats/linux-6.12.txt");

    async fn found(mountstats: &str) -> Finding {
        let stage = Stage::new();
        stage.write("/proc/self/mountstats", mountstats);
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn a_mount_that_fared_well_passes_and_one_that_did_not_warns() {
        let slow = LINUX_6_1.replace("39283744 4140038912", "1 1");
        let slow = slow
            .replace("30112 420664", "30112 90420664")
            .replace("12001 785706", "99012001 785706");
        let findings = [
            found(LINUX_6_1).await,
            found(LINUX_6_12).await,
            found(LINUX_5_10).await,
            found(&slow).await,
            found("").await,
        ];
        insta::assert_snapshot!(all(&findings));
        assert!(look(&Stage::new().scene()).await.is_err());
    }

    #[tokio::test]
    async fn numbers_that_no_kernel_writes_do_no_harm() {
        let most = u64::MAX;
        let text = format!(
            "device x:/ mounted on /var/lib/jenkins with fstype nfs4 statvers=1.1\n\
             \tREAD: {most} {most} {most} 0 0 {most} {most} 0\n\tWRITE: {most} 0 {most} 0 0 0 0 0\n"
        );
        assert_eq!(found(&text).await.verdict, Verdict::Warn);
    }
}
