//! Whether what `host.toml` says of file systems can be: ids, mount point, options.

use std::fs;
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::doctor::efs::scene::{Case, Here, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::host::{self, HOME, HostConfig, Mount, Refused};
use crate::sys::mountinfo;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What is at the mount point.
    pub point: Point,
    /// Where the program is that mounts for amazon-efs-utils.
    pub utils: Option<String>,
    /// The file that tells this host what to be.
    pub file: Option<String>,
}

/// What is at the mount point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Something is mounted there; it is not touched.
    Mounted,
    /// A network file system is mounted above; it is not touched.
    Below(Utf8PathBuf),
    /// Nothing.
    Missing,
    /// A folder, with the first of what is in it.
    Folder(Vec<String>),
    /// This part of its path is a link.
    Link(Utf8PathBuf),
    /// This part of its path is a file, or something else that is no folder.
    File(Utf8PathBuf),
    /// It cannot be told.
    Unknown(String),
}

/// What `mount.efs` is installed as.
const HELPERS: [&str; 2] = ["/sbin/mount.efs", "/usr/sbin/mount.efs"];

/// So many names show that a folder is not empty.
const SHOWN: usize = 5;

/// Looks. What is mounted is not touched: it could hang.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let there = |path: &&str| scene.path(path).symlink_metadata().is_ok();
    let point = scene.asked.host.as_ref().map_or("", |here| here.mount_point.as_str());
    Ok(Seen {
        point: at(scene, Utf8Path::new(point)),
        utils: HELPERS.iter().copied().find(there).map(str::to_owned),
        file: [host::EFFECTIVE, host::PATH].iter().copied().find(there).map(str::to_owned),
    })
}

fn at(scene: &Scene<'_>, point: &Utf8Path) -> Point {
    if !point.is_absolute() {
        return Point::Unknown("it is no absolute path".to_owned());
    }
    let mounts = match mountinfo::read(scene.root) {
        Ok(mounts) => mounts,
        Err(error) => return Point::Unknown(format!("/proc/self/mountinfo: {error}")),
    };
    if mountinfo::at(&mounts, point.as_str()).is_some() {
        return Point::Mounted;
    }
    let mut parts: Vec<_> = point.ancestors().collect();
    parts.reverse();
    for part in parts.into_iter().skip(1) {
        if mountinfo::at(&mounts, part.as_str()).is_some_and(mountinfo::Mount::may_hang) {
            return Point::Below(part.to_owned());
        }
        match scene.path(part.as_str()).symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Point::Missing,
            Err(error) => return Point::Unknown(format!("{part}: {error}")),
            Ok(it) if it.is_symlink() => return Point::Link(part.to_owned()),
            Ok(it) if !it.is_dir() => return Point::File(part.to_owned()),
            Ok(_) => {}
        }
    }
    match fs::read_dir(scene.path(point.as_str())) {
        Err(error) => Point::Unknown(format!("{point}: {error}")),
        Ok(entries) => {
            let names = entries.filter_map(Result::ok).take(SHOWN).map(|entry| entry.file_name());
            let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
            names.sort();
            Point::Folder(names)
        }
    }
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = |verdict, says: &str| Finding::new(Id::Config.name(), verdict, says);
    let Some(here) = case.here() else {
        return finding(Verdict::Skip, "no host.toml was read");
    };
    let file = seen.file.as_deref().unwrap_or("host.toml");
    let point = &here.mount_point;
    let refused = refused(here);
    if let Some(first) = refused.first() {
        let mut found = finding(Verdict::Fail, &format!("{file}: {}", first.message()));
        for other in &refused {
            let message = other.message();
            if other != first && !found.evidence.contains(&message) {
                found = found.shown_by(message);
            }
            found = found.mended_by(format!("{}: {}", other.key(), other.hint));
        }
        return found;
    }
    if needs_utils(here) && seen.utils.is_none() {
        return finding(
            Verdict::Fail,
            "an encrypted mount is asked for, and amazon-efs-utils is not installed",
        )
        .shown_by(format!("none of {} is there", HELPERS.join(", ")))
        .shown_by(asks(here))
        .mended_by("dnf install amazon-efs-utils")
        .mended_by("Debian and Ubuntu: build it as AWS describes, and add it to the recipe");
    }
    match &seen.point {
        Point::Link(part) => finding(
            Verdict::Fail,
            &format!("the path of the mount point {point} has a link in it: {part}"),
        )
        .shown_by("systemd mounts nothing behind a link")
        .mended_by("make a folder of it in the recipe"),
        Point::File(part) => finding(
            Verdict::Fail,
            &format!("nothing can be mounted at {point}: {part} is no folder"),
        )
        .mended_by(format!("mv {part} {part}.aside && install -d -m 0755 {point}")),
        Point::Folder(names) if !names.is_empty() => finding(
            Verdict::Warn,
            &format!("{point} is not mounted, and something was written below it on this disk"),
        )
        .shown_by(format!("there: {}", names.join(", ")))
        .mended_by(format!(
            "look at it and move it away before the file system hides it: mv {point} {point}.aside"
        )),
        Point::Below(above) => {
            finding(Verdict::Warn, &format!("{point} lies on another file system of the network"))
                .shown_by(format!("mounted at {above}; it was not touched"))
        }
        _ if here.efs.id.as_deref().is_some_and(|id| id != case.asked.file_system) => {
            let id = here.efs.id.as_deref().unwrap_or_default();
            let says = format!("{file} names {id}, and {} is asked about", case.asked.file_system);
            finding(Verdict::Warn, &says)
                .mended_by("hostkit efs check   # of what this host is told")
        }
        Point::Unknown(why) => {
            finding(Verdict::Skip, &format!("the mount point cannot be looked at: {why}"))
        }
        Point::Mounted | Point::Missing | Point::Folder(_) => {
            let id = here.efs.id.as_deref().unwrap_or(&case.asked.file_system);
            let found = finding(Verdict::Pass, &format!("{file}: {id} at {point}, {}", asks(here)));
            match seen.point {
                Point::Missing => found.shown_by(format!("{point} is made when it is mounted")),
                _ => found,
            }
        }
    }
}

/// What `host.toml` asks for, in words.
fn asks(here: &Here) -> String {
    let mut words = vec![if here.efs.tls { "tls" } else { "plain NFS" }.to_owned()];
    if here.efs.iam {
        words.push("iam".to_owned());
    }
    words.extend(here.efs.access_point.clone());
    words.join(", ")
}

/// Whether amazon-efs-utils mounts it.
pub(in crate::doctor::efs) const fn needs_utils(here: &Here) -> bool {
    here.efs.tls || here.efs.iam || here.efs.access_point.is_some()
}

/// What cannot be, by the rules that a boot has.
fn refused(here: &Here) -> Vec<Refused> {
    let mut config = HostConfig { efs: here.efs.clone(), ..HostConfig::default() };
    if here.mount_point != HOME {
        config.mount.push(Mount {
            id: here.efs.id.clone().unwrap_or_default(),
            path: here.mount_point.to_string(),
            cross_az: here.efs.cross_az,
            tls: here.efs.tls,
            iam: here.efs.iam,
            access_point: here.efs.access_point.clone(),
            read_only: false,
            optional: false,
        });
        config.efs = host::Efs::default();
    }
    let ours = |it: &Refused| ["efs.", "mount."].iter().any(|room| it.key().starts_with(room));
    host::refused(&config).into_iter().filter(ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    fn sound() -> Stage {
        let stage = Stage::new();
        stage
            .write("/proc/self/mountinfo", "22 1 259:3 / / rw - ext4 /dev/root rw\n")
            .write("/etc/hostkit/host.toml", "")
            .folder("/var/lib/jenkins");
        stage
    }

    async fn found(stage: &Stage) -> Finding {
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn what_can_be_passes_whether_it_is_mounted_or_not() {
        let plain = sound();
        let mut mounted = sound();
        mounted.efs().tls = true;
        mounted
            .write(
                "/proc/self/mountinfo",
                "30 22 0:26 / /var/lib/jenkins rw - nfs4 127.0.0.1:/ rw,port=20049\n",
            )
            .write("/sbin/mount.efs", "")
            .write("/run/hostkit/host.toml", "");
        let missing = sound();
        fs::remove_dir(missing.path("/var/lib/jenkins")).unwrap();
        let findings = [found(&plain).await, found(&mounted).await, found(&missing).await];
        insta::assert_snapshot!(all(&findings));
    }

    #[tokio::test]
    async fn what_cannot_be_is_said_with_what_to_write() {
        let mut ids = sound();
        ids.efs().id = Some("fs-XYZ".to_owned());
        ids.efs().access_point = Some("ap-1".to_owned());
        let mut iam = sound();
        iam.efs().iam = true;
        let mut bare = sound();
        bare.efs().tls = true;
        let mut hidden = sound();
        hidden.here().mount_point = "/srv/.cache/x".into();
        let mut relative = sound();
        relative.here().mount_point = "srv".into();
        let link = sound();
        fs::remove_dir(link.path("/var/lib/jenkins")).unwrap();
        std::os::unix::fs::symlink("/srv", link.path("/var/lib/jenkins")).unwrap();
        let file = sound();
        fs::remove_dir(file.path("/var/lib/jenkins")).unwrap();
        file.write("/var/lib/jenkins", "");
        let full = sound();
        full.write("/var/lib/jenkins/config.xml", "").folder("/var/lib/jenkins/jobs");
        let mut other = sound();
        other.asked.file_system = "fs-0fedcba9876543210".to_owned();
        let nested = sound();
        nested.write("/proc/self/mountinfo", "30 22 0:26 / /var/lib rw - nfs4 10.0.0.1:/ rw\n");
        let blind = Stage::new();
        let mut findings = Vec::new();
        for stage in
            [&ids, &iam, &bare, &hidden, &relative, &link, &file, &full, &other, &nested, &blind]
        {
            findings.push(found(stage).await);
        }
        insta::assert_snapshot!(all(&findings));
    }
}
