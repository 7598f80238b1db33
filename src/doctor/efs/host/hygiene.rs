//! Whether the image brought a key of amazon-efs-utils, or a mount in fstab, from another host.
//!
//! amazon-efs-utils makes its key once and keeps it: one that was made while the image was baked is
//! on every host of that image, and whoever has the image can prove to be any of them.

use std::fs;

use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::config::needs_utils;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::sys::mountinfo;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// When the machine was started.
    pub started: Option<Timestamp>,
    /// When it got its machine id, which an image has not: its first start.
    pub first_start: Option<Timestamp>,
    /// When the private key was written; none where there is none.
    pub key: Option<Timestamp>,
    /// Entries of fstab that mount over the network.
    pub entries: Vec<Entry>,
    /// Notes that amazon-efs-utils keeps of mounts that are not there.
    pub leftovers: Vec<String>,
}

/// A line of fstab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which, from 1.
    pub line: usize,
    /// What is mounted.
    pub source: String,
    /// Where.
    pub point: String,
    /// As what.
    pub kind: String,
}

const KEY: &str = "/etc/amazon/efs/privateKey.pem";

/// Where amazon-efs-utils keeps notes of its mounts: on a disk of memory, unless an image says else.
const NOTES: &str = "/var/run/efs";

/// Looks.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let written = |path: &str| {
        let time = scene.path(path).metadata().ok()?.modified().ok()?;
        Timestamp::try_from(time).ok()
    };
    let fstab = fs::read_to_string(scene.path("/etc/fstab")).unwrap_or_default();
    Ok(Seen {
        started: started(scene),
        first_start: written("/etc/machine-id"),
        key: written(KEY),
        entries: entries(&fstab),
        leftovers: leftovers(scene),
    })
}

fn started(scene: &Scene<'_>) -> Option<Timestamp> {
    let text = fs::read_to_string(scene.path("/proc/stat")).ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

fn entries(fstab: &str) -> Vec<Entry> {
    let lines = fstab.lines().enumerate().filter_map(|(index, line)| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (source, point, kind) = (words.next()?, words.next()?, words.next()?);
        let over_network = ["nfs", "nfs4", "efs"].contains(&kind);
        over_network.then(|| Entry {
            line: index + 1,
            source: source.to_owned(),
            point: point.to_owned(),
            kind: kind.to_owned(),
        })
    });
    lines.collect()
}

/// Notes are called `fs-ID.PATH.PORT`; a mount through that port is the one that they are of.
fn leftovers(scene: &Scene<'_>) -> Vec<String> {
    let folder = [NOTES, "/run/efs"].iter().find_map(|it| scene.path(it).read_dir_utf8().ok());
    let mounts = mountinfo::read(scene.root).unwrap_or_default();
    let ports: Vec<_> = mounts.iter().filter_map(|mount| mount.value("port")).collect();
    let names = folder.into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<_> = names
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| name.starts_with("fs-") && !name.ends_with('+'))
        .filter(|name| Utf8Path::new(name).extension().is_some_and(|port| !ports.contains(&port)))
        .collect();
    names.sort();
    names
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Hygiene.name(), verdict, says);
    let shown = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let mut found = Vec::new();
    if let Some(key) = seen.key
        && let Some(before) = baked(seen, key)
    {
        let encrypted = case.here().is_some_and(needs_utils);
        let verdict = if encrypted { Verdict::Fail } else { Verdict::Warn };
        found.push(
            finding(verdict, format!("{KEY} is the image's: every host of that image has it"))
                .shown_by(format!("written {}, before {before}", shown(key)))
                .mended_by(format!(
                    "rm {KEY}   # amazon-efs-utils makes a new one at the next mount"
                ))
                .mended_by("bake the image again: hostkit's hygiene removes it"),
        );
    }
    if !seen.entries.is_empty() {
        found.push(fstab(&seen.entries, case));
    }
    if !seen.leftovers.is_empty() {
        let says = "amazon-efs-utils has notes of mounts that are not there".to_owned();
        found.push(
            finding(Verdict::Warn, says)
                .shown_by(format!("{NOTES}: {}", seen.leftovers.join(", ")))
                .mended_by("systemctl restart amazon-efs-mount-watchdog   # it clears them away"),
        );
    }
    let Some(worst) = found.iter().map(|it| it.verdict).max() else {
        let key = seen.key.map_or("no key of amazon-efs-utils".to_owned(), |key| {
            format!("the key of amazon-efs-utils was made here, {}", shown(key))
        });
        return finding(Verdict::Pass, format!("{key}; nothing in fstab"));
    };
    // One finding a check: the worst says it, and all are shown.
    let says = found.iter().find(|it| it.verdict == worst).map(|it| it.says.clone());
    let mut all = finding(worst, says.unwrap_or_default());
    for one in found {
        if one.says != all.says {
            all = all.shown_by(one.says);
        }
        all.evidence.extend(one.evidence);
        all.fix.extend(one.fix);
    }
    all
}

/// What the key is older than and should not be; nothing if it is this host's own. A host that was
/// rebooted has a key from before this start, but not from before its first.
fn baked(seen: &Seen, key: Timestamp) -> Option<String> {
    let shown = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    match (seen.first_start, seen.started) {
        (Some(first), _) if key < first => {
            Some(format!("the first start of this host ({})", shown(first)))
        }
        (None, Some(started)) if key < started => {
            Some(format!("this host was started ({})", shown(started)))
        }
        _ => None,
    }
}

/// The worst entry says it, and all are to go with one command: each alone moves the lines of the
/// others.
fn fstab(entries: &[Entry], case: &Case<'_>) -> Finding {
    let same = |it: &&Entry| case.here().is_some_and(|here| here.mount_point == it.point);
    let (verdict, worst, why) = match entries.iter().find(same) {
        Some(entry) => (Verdict::Fail, entry, "at the place where hostkit mounts"),
        None => (Verdict::Warn, &entries[0], "beside hostkit, on every host of this image"),
    };
    let says = format!("/etc/fstab mounts {} at {}, {why}", worst.source, worst.point);
    let mut found = Finding::new(Id::Hygiene.name(), verdict, says);
    let mut command = "sed -i.bak".to_owned();
    for Entry { line, source, point, kind } in entries {
        found = found.shown_by(format!("line {line}: {source} {point} {kind}"));
        command += &format!(" -e {line}d");
    }
    found.mended_by(format!("{command} /etc/fstab && systemctl daemon-reload"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    fn sound() -> Stage {
        let stage = Stage::new();
        stage
            // 2026-11-27 00:00 UTC
            .write("/proc/stat", "cpu  1 2 3\nbtime 1795737600\nprocesses 1\n")
            .write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
            .written("/etc/machine-id", "2026-11-20T10:00:00Z")
            .write("/etc/fstab", "UUID=1 / ext4 defaults 0 1\n# fs-1:/ /mnt nfs4 _netdev 0 0\n");
        stage
    }

    async fn found(stage: &Stage) -> Finding {
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn a_key_that_was_made_here_passes_also_after_a_reboot() {
        let none = sound();
        let own = sound();
        own.write(KEY, "").written(KEY, "2026-11-20T10:01:00Z");
        let noted = sound();
        noted
            .write("/var/run/efs/fs-0123456789abcdef0.var.lib.jenkins.20049", "{}")
            .folder("/var/run/efs/fs-0123456789abcdef0.var.lib.jenkins.20049+")
            .write(
                "/proc/self/mountinfo",
                "30 22 0:26 / /var/lib/jenkins rw - nfs4 127.0.0.1:/ rw,port=20049\n",
            );
        let findings = [found(&none).await, found(&own).await, found(&noted).await];
        insta::assert_snapshot!(all(&findings));
    }

    #[tokio::test]
    async fn what_the_image_brought_is_told_and_the_worst_first() {
        let mut key = sound();
        key.efs().tls = true;
        key.write(KEY, "").written(KEY, "2026-11-01T09:00:00Z");
        let unsure = sound();
        fs::remove_file(unsure.path("/etc/machine-id")).unwrap();
        unsure.write(KEY, "").written(KEY, "2026-11-26T23:00:00Z");
        let table = sound();
        table
            .write(
                "/etc/fstab",
                "fs-1:/ /srv/x efs _netdev,tls 0 0\n\n10.0.1.9:/ /var/lib/jenkins nfs4 rw 0 0\nbad\n",
            )
            .write("/run/efs/fs-1.srv.y.20051", "{}");
        let findings = [found(&key).await, found(&unsure).await, found(&table).await];
        insta::assert_snapshot!(all(&findings));
        // Nothing at all on the disk.
        assert_eq!(found(&Stage::new()).await.verdict, Verdict::Pass);
    }
}
