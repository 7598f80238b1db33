//! Whether the lease of this client with the server has run out.
//!
//! A server keeps locks and open files for a client as long as that says now and then that it lives;
//! the kernel does so by itself. Where the lease has run out, nothing of what the client says has
//! arrived for so long, and what it held may be another's by now.

use std::fs;

use serde::{Deserialize, Serialize};

use super::stats::{self, Lease};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// From where it is mounted; none where the kernel counts nothing of such a mount.
    pub source: Option<String>,
    /// For how long, in seconds.
    pub age: Option<u64>,
    /// The lease; none where this kernel does not tell it.
    pub lease: Option<Lease>,
}

/// What the kernel counts of the mount of this host; none where there is none.
pub(super) fn count(scene: &Scene<'_>) -> Look<Option<stats::Stats>> {
    let untold = |why: String| Gap { needs: String::new(), denied: false, why };
    let here = scene.asked.host.as_ref();
    let here = here.ok_or_else(|| untold("nothing says where it is mounted".to_owned()))?;
    // A name in it that is no text must not hide the rest.
    let bytes = fs::read(scene.path("/proc/self/mountstats"))
        .map_err(|error| untold(format!("/proc/self/mountstats cannot be read: {error}")))?;
    let all = stats::parse(&String::from_utf8_lossy(&bytes));
    Ok(stats::at(&all, here.mount_point.as_str()).cloned())
}

/// Looks.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let stats = count(scene)?.unwrap_or_default();
    let source = Some(stats.source).filter(|source| !source.is_empty());
    Ok(Seen { source, age: stats.age, lease: stats.lease })
}

/// Says what it means.
pub fn judge(seen: &Seen, _case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::ServerLease.name(), verdict, says);
    let Some(source) = &seen.source else {
        return finding(Verdict::Skip, "the kernel counts nothing of that mount".to_owned());
    };
    match seen.lease {
        None => finding(Verdict::Skip, "this kernel does not tell it: Linux 5.5 and newer do".to_owned()),
        Some(Lease { time, expired: 0 }) => {
            finding(Verdict::Pass, format!("the lease of {time} s with {source} is kept up"))
        }
        Some(Lease { time, expired }) => finding(
            Verdict::Fail,
            format!("the lease with {source} ran out {expired} s ago: the server has not heard this host since"),
        )
        .shown_by(format!(
            "lease_time={time} lease_expired={expired}, mounted for {} s",
            seen.age.map_or("?".to_owned(), |age| age.to_string())
        ))
        .shown_by("it may have given locks and open files away")
        .mended_by("look at net.port, net.nfs and mount.tunnel: one of them says why nothing arrives")
        .mended_by("hostkit efs recover hang"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    const LINUX_5_10: &str = include_str!("../../../../tests/fixtures/mountstats/linux-5.10.txt");
    const LINUX_6_1: &str = include_str!("../../../../tests/fixtures/mountstats/linux-6.1.txt");

    async fn found(mountstats: &str) -> Finding {
        let stage = Stage::new();
        stage.write("/proc/self/mountstats", mountstats);
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn a_lease_that_ran_out_fails_and_one_that_is_kept_up_passes() {
        let older = LINUX_6_1.replace(",lease_time=60,lease_expired=0", "");
        let findings = [
            found(LINUX_6_1).await,
            found(LINUX_5_10).await,
            found(&older).await,
            found("device proc mounted on /proc with fstype proc\n").await,
            found("device \u{0}\n\tage").await,
        ];
        insta::assert_snapshot!(all(&findings));
        assert!(look(&Stage::new().scene()).await.is_err());
    }
}
