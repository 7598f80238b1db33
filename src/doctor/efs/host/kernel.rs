//! Whether this kernel has an NFS 4.1 client, and `mount.nfs4` is there.

use std::fs;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The kernel that runs, as `6.1.0-28-cloud-amd64`.
    pub release: String,
    /// Whether the kernel names `nfs4` among its file systems.
    pub loaded: bool,
    /// The file that lists its modules; none where this kernel's are not there.
    pub modules: Option<String>,
    /// Whether that file has `nfsv4`, or the kernel has it built in.
    pub module: bool,
    /// Where `mount.nfs4` is.
    pub helper: Option<String>,
    /// The family of the distribution, in the words of `/etc/os-release`.
    pub family: String,
}

/// Where the programs of file systems are.
const PLACES: [&str; 3] = ["/sbin", "/usr/sbin", "/usr/local/sbin"];

/// Before it, a folder that changes while it is read can be read without end.
const GOOD: (u32, u32) = (5, 11);

/// Looks.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let read = |path: &str| fs::read_to_string(scene.path(path));
    let known = read("/proc/filesystems").map_err(|error| Gap {
        needs: String::new(),
        denied: false,
        why: format!("/proc/filesystems cannot be read: {error}"),
    })?;
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let (modules, module) = modules(scene, &release);
    let helper = PLACES.iter().map(|place| format!("{place}/mount.nfs4"));
    let os = read("/etc/os-release").unwrap_or_default();
    let words = os.lines().filter_map(|line| {
        line.strip_prefix("ID=")
            .or_else(|| line.strip_prefix("ID_LIKE="))
            .map(|it| it.trim_matches('"'))
    });
    Ok(Seen {
        loaded: known.lines().any(|line| line.split_whitespace().last() == Some("nfs4")),
        modules,
        module,
        helper: helper.into_iter().find(|path| is_there(&scene.path(path))),
        family: words.collect::<Vec<_>>().join(" "),
        release,
    })
}

/// Which file lists what this kernel can load, and whether that has the client.
fn modules(scene: &Scene<'_>, release: &str) -> (Option<String>, bool) {
    // It becomes a part of a path.
    if release.is_empty() || release.contains('/') {
        return (None, false);
    }
    let mut list = None;
    for place in ["/lib/modules", "/usr/lib/modules"] {
        for name in ["modules.dep", "modules.builtin"] {
            let path = format!("{place}/{release}/{name}");
            let Ok(text) = fs::read_to_string(scene.path(&path)) else { continue };
            let file = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
            let is_client = |line: &str| file(line).contains("/nfsv4.ko");
            if text.lines().any(is_client) {
                return (Some(path), true);
            }
            list = list.or(Some(path));
        }
    }
    (list, false)
}

/// Also a link that leads out of the root of a test.
fn is_there(path: &Utf8Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Says what it means.
pub fn judge(seen: &Seen, _case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Kernel.name(), verdict, says);
    let Seen { release, family, .. } = seen;
    if !seen.loaded && !seen.module {
        return finding(Verdict::Fail, format!("the kernel {release} has no client of NFS 4"))
            .shown_by("/proc/filesystems does not have nfs4")
            .shown_by(seen.modules.as_deref().map_or_else(
                || format!("/lib/modules/{release} is not there: it was removed while it runs"),
                |list| format!("{list} does not have nfsv4"),
            ))
            .mended_by(match &seen.modules {
                None => "reboot into a kernel whose modules are there".to_owned(),
                Some(_) if family.contains("ubuntu") => {
                    format!("apt-get install linux-modules-extra-{release}")
                }
                Some(_) => "boot a kernel that has the module nfsv4".to_owned(),
            });
    }
    let Some(helper) = &seen.helper else {
        let fix = if family.contains("debian") || family.contains("ubuntu") {
            "apt-get install nfs-common"
        } else {
            "dnf install nfs-utils"
        };
        return finding(Verdict::Fail, "mount.nfs4 is not installed: nothing can mount NFS".into())
            .shown_by(format!("it is in none of {}", PLACES.join(", ")))
            .mended_by(fix)
            .mended_by("add the package to the recipe, else the next host has it not either");
    };
    match version(release) {
        Some(version) if version < GOOD => finding(
            Verdict::Warn,
            format!("the kernel {release} can hang while it reads a large folder over NFS"),
        )
        .shown_by("this was mended in Linux 5.11")
        .mended_by(
            "bake on a base with a newer kernel: Debian 12, Ubuntu 22.04, Amazon Linux 2023",
        ),
        None => finding(
            Verdict::Warn,
            format!("the kernel calls itself `{}`, which is no version", release.escape_debug()),
        )
        .shown_by("Linux 5.11 or newer is needed"),
        Some(_) => {
            let how = if seen.loaded { "loaded" } else { "to be loaded" };
            let says = format!("Linux {release} has a client of NFS 4 ({how}), and {helper}");
            finding(Verdict::Pass, says)
        }
    }
}

/// The first two numbers of a kernel's version.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    const RELEASE: &str = "6.1.0-28-cloud-amd64";

    fn sound() -> Stage {
        let stage = Stage::new();
        stage
            .write("/proc/sys/kernel/osrelease", &format!("{RELEASE}\n"))
            .write("/proc/filesystems", "nodev\tsysfs\n\text4\nnodev\tnfs\nnodev\tnfs4\n")
            .write("/etc/os-release", "NAME=\"Debian\"\nID=debian\n")
            .write("/sbin/mount.nfs4", "");
        stage
    }

    async fn found(stage: &Stage) -> Finding {
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn a_client_that_is_loaded_or_can_be_is_one() {
        let loaded = sound();
        let module = sound();
        module.write("/proc/filesystems", "\text4\n").write(
            &format!("/lib/modules/{RELEASE}/modules.dep"),
            "kernel/fs/nfs/nfsv4.ko: kernel/fs/nfs/nfs.ko\n",
        );
        insta::assert_snapshot!(all(&[found(&loaded).await, found(&module).await]));
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_the_package_that_has_it() {
        let no_helper = sound();
        fs::remove_file(no_helper.path("/sbin/mount.nfs4")).unwrap();
        let amazon = Stage::new();
        amazon
            .write("/proc/sys/kernel/osrelease", "6.1.112-122.189.amzn2023.x86_64")
            .write("/proc/filesystems", "nodev nfs4")
            .write("/etc/os-release", "ID=\"amzn\"\nID_LIKE=\"fedora\"\n");
        let ubuntu = sound();
        ubuntu
            .write("/proc/filesystems", "\text4\n")
            .write("/etc/os-release", "ID=ubuntu\nID_LIKE=debian\n")
            // Another module that needs it is not it.
            .write(
                &format!("/lib/modules/{RELEASE}/modules.dep"),
                "kernel/x.ko: kernel/fs/nfs/nfsv4.ko\n",
            );
        let removed = sound();
        removed.write("/proc/filesystems", "\text4\n");
        let old = sound();
        old.write("/proc/sys/kernel/osrelease", "5.10.0-33-cloud-amd64\n");
        let odd = sound();
        odd.write("/proc/sys/kernel/osrelease", "../../etc\n");
        let mut findings = Vec::new();
        for stage in [&no_helper, &amazon, &ubuntu, &removed, &old, &odd] {
            findings.push(found(stage).await);
        }
        insta::assert_snapshot!(all(&findings));
        assert!(look(&Stage::new().scene()).await.is_err());
    }
}
