//! Whether it is mounted with the right options: those that AWS recommends, and Jenkins needs.

use serde::{Deserialize, Serialize};

use super::there::{self, Mounted};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What is mounted, with the options that client and server came to agree on.
    pub mounted: Mounted,
}

/// What AWS recommends for EFS.
const RECOMMENDED: &str =
    "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport";

/// A mebibyte a request: each is metered as at least 4 KiB, and few large ones are as fast as it gets.
const SIZE: u64 = 1 << 20;

/// In tenths of a second; under 15 s a slow moment of the server makes the client start anew.
const PATIENT: u64 = 150;

/// Looks: it takes what the check before has seen.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let Some(mounted) = there::top(scene.observed) else {
        let why = "nothing is mounted there".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    };
    Ok(Seen { mounted: mounted.clone() })
}

/// An option that is not as it should be.
struct Odd {
    verdict: Verdict,
    /// What it is: `soft`
    what: String,
    /// What comes of that.
    why: &'static str,
    /// What the kernel can change while it is mounted.
    flag: Option<&'static str>,
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Options.name(), verdict, says);
    let mounted = &seen.mounted;
    let Some(here) = case.here().filter(|_| mounted.is_nfs()) else {
        return finding(Verdict::Skip, "no NFS is mounted there".to_owned());
    };
    let mut odd = odd(mounted);
    odd.sort_by_key(|odd| std::cmp::Reverse(odd.verdict));
    let Some(worst) = odd.first() else {
        let shown = ["vers", "timeo", "retrans", "rsize", "wsize"];
        let shown = shown.iter().filter_map(|it| Some(format!("{it}={}", mounted.value(it)?)));
        let shown: Vec<_> = shown.collect();
        let says = format!("mounted with hard,noresvport,{}", shown.join(","));
        return finding(Verdict::Pass, says);
    };
    let mut found = finding(worst.verdict, format!("mounted with {}: {}", worst.what, worst.why));
    for odd in &odd[1..] {
        found = found.shown_by(format!("{}: {}: {}", odd.verdict.word(), odd.what, odd.why));
    }
    found = found.shown_by(mounted.options.join(","));
    let flags: Vec<_> = odd.iter().filter_map(|odd| odd.flag).collect();
    if !flags.is_empty() {
        let point = &here.mount_point;
        found = found.mended_by(format!("mount -o remount,{} {point}", flags.join(",")));
    }
    if flags.len() == odd.len() {
        return found;
    }
    found.mended_by(format!("wanted: {RECOMMENDED}")).mended_by(
        "systemctl reboot   # at a quiet time: a boot mounts it so, and nothing else can",
    )
}

fn odd(mounted: &Mounted) -> Vec<Odd> {
    let mut all = Vec::new();
    let mut say = |holds: bool, verdict, what: &str, why, flag| {
        if holds {
            all.push(Odd { verdict, what: what.to_owned(), why, flag });
        }
    };
    let is = |option: &str| mounted.is(option);
    let value = |name: &str| mounted.value(name);
    let number = |name: &str| value(name).and_then(|it| it.parse::<u64>().ok());
    let (fail, warn) = (Verdict::Fail, Verdict::Warn);

    let soft = ["soft", "softerr"].into_iter().find(|option| is(option));
    let why = "what Jenkins writes is lost whenever the server is slow";
    say(soft.is_some(), fail, soft.unwrap_or_default(), why, None);
    // Of a stack of options the last counts; the kernel writes one for the mount and one for all of
    // the file system, and either forbids it.
    say(is("ro"), fail, "ro", "nothing can be written", Some("rw"));
    let version = value("vers").or_else(|| value("nfsvers"));
    let shown = format!("vers={}", version.unwrap_or("none that is told"));
    let old = version.is_some_and(|it| it.starts_with('3') || it.starts_with('2'));
    say(old, fail, &shown, "EFS does not know that version: this is another server", None);
    let slow = version.is_some_and(|it| it == "4" || it == "4.0");
    say(slow, warn, &shown, "files are opened one after the other, a tenth as fast", None);
    let strange = !old && !slow && version != Some("4.1");
    say(strange, warn, &shown, "EFS has 4.1: this may be another server", None);
    let local = value("local_lock").filter(|it| *it != "none");
    let local =
        local.map(|it| format!("local_lock={it}")).or(is("nolock").then(|| "nolock".into()));
    let why = "locks are only this host's: a second one would not see them";
    say(local.is_some(), fail, &local.unwrap_or_default(), why, None);

    let why = "after a break of the network the connection cannot be made again, and all hang";
    say(!is("noresvport"), warn, "resvport", why, None);
    let every = "every look at a file asks the server";
    say(is("noac"), warn, "noac", every, None);
    let forgets = ["acregmax", "acdirmax", "actimeo"];
    let forgets = forgets.into_iter().find(|name| number(name) == Some(0));
    let shown = format!("{}=0", forgets.unwrap_or_default());
    say(forgets.is_some() && !is("noac"), warn, &shown, every, None);
    let lookup = value("lookupcache").filter(|it| *it == "none");
    say(lookup.is_some(), warn, "lookupcache=none", every, None);
    say(is("sync"), warn, "sync", "every write waits for the server", None);
    for name in ["rsize", "wsize"] {
        let small = number(name).filter(|size| *size < SIZE);
        let shown = format!("{name}={}", small.unwrap_or_default());
        say(small.is_some(), warn, &shown, "large files are slow, in small requests", None);
    }
    let short = number("timeo").filter(|time| *time < PATIENT);
    let shown = format!("timeo={}", short.unwrap_or_default());
    let why = "calls are sent again while the server still works on them";
    say(short.is_some(), warn, &shown, why, None);
    let several = number("nconnect").filter(|count| *count > 1);
    let shown = format!("nconnect={}", several.unwrap_or_default());
    say(several.is_some(), warn, &shown, "EFS does not support it", None);
    say(is("fsc"), warn, "fsc", "EFS does not support a cache on disk", None);
    let why = "tools that Jenkins has installed in its home cannot run";
    say(is("noexec"), warn, "noexec", why, Some("exec"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    const RIGHT: &str = "rw,relatime,rw,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,hard,\
        noresvport,proto=tcp,timeo=600,retrans=2,sec=sys,clientaddr=10.0.1.15,local_lock=none,\
        addr=10.0.1.9";

    async fn found(options: &str, kind: &str) -> Finding {
        let mut stage = Stage::new();
        stage.mount("10.0.1.9:/", kind, options);
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn what_hostkit_mounts_with_passes() {
        insta::assert_snapshot!(all(&[found(RIGHT, "nfs4").await]));
        assert_eq!(found("rw", "tmpfs").await.verdict, Verdict::Skip);
        assert!(look(&Stage::new().scene()).await.is_err());
    }

    #[tokio::test]
    async fn each_option_that_hurts_is_told_with_what_comes_of_it() {
        let with = |from: &str, to: &str| RIGHT.replacen(from, to, 1);
        let mut findings = Vec::new();
        for options in [
            with("hard", "soft"),
            with("noresvport,", ""),
            with("rw,", "ro,"),
            with("relatime", "noexec"),
            with("vers=4.1", "vers=3"),
            with("vers=4.1", "vers=4.0"),
            with("vers=4.1", "vers=4.2"),
            with("local_lock=none", "local_lock=all"),
            with("noresvport", "noresvport,noac,acregmin=0,acregmax=0"),
            with("noresvport", "noresvport,acdirmax=0,lookupcache=none,sync,fsc,nconnect=4"),
            with("wsize=1048576", "wsize=32768").replace("timeo=600", "timeo=50"),
            "rw".to_owned(),
        ] {
            let mut finding = found(&options, "nfs4").await;
            // All options are the last line of evidence.
            finding.evidence.pop();
            findings.push(finding);
        }
        insta::assert_snapshot!(all(&findings));
    }
}
