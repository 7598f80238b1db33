//! Whether this host names itself to NFS servers by a name that no other has.
//!
//! A server takes two clients of one name for one that has rebooted, and gives up the state of the
//! first: locks and open files are gone, on both, again and again. The kernel's own choice is the
//! host name; a boot of hostkit sets the id of the instance before the first mount.

use std::fs;

use serde::{Deserialize, Serialize};

use super::role;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The host name, as the kernel has it.
    pub nodename: String,
    /// `/etc/hostname`: what an image may have brought.
    pub hostname: Option<String>,
    /// What was set for this host; none where nothing was.
    pub identifier: Option<String>,
    /// What the module was loaded with; none where nothing was said.
    pub unique_id: Option<String>,
    /// Whether the client is loaded: before that it has no name.
    pub loaded: bool,
}

/// Where the kernel takes a name for the client.
const IDENTIFIER: &str = "/sys/fs/nfs/net/nfs_client/identifier";

/// Names that come with images and are no host's own.
const COMMON: [&str; 12] = [
    "",
    "(none)",
    "localhost",
    "localhost.localdomain",
    "ip-",
    "debian",
    "ubuntu",
    "amazonlinux",
    "jenkins",
    "host",
    "controller",
    "hostkit",
];

/// Looks.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let read = |path: &str| {
        let text = fs::read_to_string(scene.path(path)).ok()?;
        Some(text.trim().to_owned())
    };
    let said = |path: &str| read(path).filter(|it| !it.is_empty() && it != "(null)");
    let Some(nodename) = read("/proc/sys/kernel/hostname") else {
        let why = "/proc/sys/kernel/hostname cannot be read".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    };
    Ok(Seen {
        nodename,
        hostname: said("/etc/hostname"),
        identifier: said(IDENTIFIER),
        unique_id: said("/sys/module/nfs/parameters/nfs4_unique_id"),
        loaded: ["/sys/fs/nfs", "/sys/module/nfs"].iter().any(|it| scene.path(it).exists()),
    })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| {
        Finding::new(Id::Client.name(), verdict, says).shown_by(format!(
            "host name {}, identifier {}, nfs4_unique_id {}",
            seen.nodename,
            seen.identifier.as_deref().unwrap_or("not set"),
            seen.unique_id.as_deref().unwrap_or("not set"),
        ))
    };
    let identity = role::identity(case.observed);
    let own = identity.map(|it| it.instance_id.as_str());
    let mended = |finding: Finding| {
        finding
            .mended_by(format!("echo {} > {IDENTIFIER}", own.unwrap_or("INSTANCE-ID")))
            .mended_by("it counts from the next mount: reboot this host at a quiet time")
    };
    // The first of them is taken.
    match (seen.identifier.as_ref().or(seen.unique_id.as_ref()), own) {
        (Some(name), Some(own)) if name == own => {
            finding(Verdict::Pass, format!("the NFS client calls itself {name}"))
        }
        (Some(name), Some(own)) if name.starts_with("i-") => {
            let says = format!("the NFS client calls itself {name}, and this host is {own}");
            mended(finding(Verdict::Fail, says))
                .shown_by("the image has brought the name of another host")
        }
        (Some(name), Some(_)) => {
            let says = format!("the NFS client calls itself {name}: who else of this image does?");
            mended(finding(Verdict::Warn, says))
        }
        (Some(name), None) => finding(
            Verdict::Pass,
            format!("the NFS client calls itself {name}; whether this is that host cannot be told"),
        ),
        (None, _) if !seen.loaded => {
            finding(Verdict::Skip, "the NFS client is not loaded, and has no name yet".to_owned())
        }
        (None, _) if is_amazons(&seen.nodename, identity) => finding(
            Verdict::Pass,
            format!("the NFS client calls itself {}, a name that AWS has given", seen.nodename),
        ),
        (None, _) if COMMON.contains(&seen.nodename.as_str()) => mended(finding(
            Verdict::Fail,
            format!(
                "the NFS client calls itself `{}`, as every host of this image may: they take away \
                 each other's locks",
                seen.nodename
            ),
        )),
        (None, _) => {
            let says = format!(
                "the NFS client calls itself {}: who else of this image does?",
                seen.nodename
            );
            let finding = mended(finding(Verdict::Warn, says));
            match seen.hostname.as_ref().filter(|name| **name == seen.nodename) {
                Some(_) => {
                    finding.shown_by("/etc/hostname has that name, which may be the image's")
                }
                None => finding,
            }
        }
    }
}

/// Whether the network of this host has this name once: AWS makes it of the address or the id.
fn is_amazons(name: &str, identity: Option<&role::Identity>) -> bool {
    let Some(identity) = identity else { return false };
    let short = name.split('.').next().unwrap_or_default();
    let private = identity.private_name.as_deref().unwrap_or_default();
    let by_address = format!("ip-{}", identity.private_ip.to_string().replace('.', "-"));
    short == by_address
        || short == identity.instance_id
        || (!private.is_empty() && private.split('.').next() == Some(short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};
    use crate::doctor::efs::observed::Cell;

    fn stage(nodename: &str, identifier: Option<&str>) -> Stage {
        let mut stage = Stage::new();
        stage.observed.role = Cell::of(role::Seen::Told(Box::new(role::Identity::sample())));
        stage.write("/proc/sys/kernel/hostname", &format!("{nodename}\n"));
        // What the kernel writes where nothing was set.
        stage.write(IDENTIFIER, &format!("{}\n", identifier.unwrap_or("(null)")));
        stage
    }

    async fn found(stage: &Stage) -> Finding {
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn a_name_of_its_own_passes() {
        let ours = stage("ci", Some("i-0aaaaaaaaaaaaaaaa"));
        let amazons = stage("ip-10-0-1-15.eu-west-1.compute.internal", None);
        let module = stage("ci", None);
        module.write("/sys/module/nfs/parameters/nfs4_unique_id", "i-0aaaaaaaaaaaaaaaa\n");
        let mut unknown = stage("ci", Some("i-0aaaaaaaaaaaaaaaa"));
        unknown.observed.role = Cell::default();
        let findings = [
            found(&ours).await,
            found(&amazons).await,
            found(&module).await,
            found(&unknown).await,
        ];
        insta::assert_snapshot!(all(&findings));
    }

    #[tokio::test]
    async fn a_name_that_others_have_too_fails() {
        let baked = stage("ci", Some("i-0bbbbbbbbbbbbbbbb"));
        let common = stage("localhost", None);
        let doubtful = stage("ci-controller-prod", None);
        doubtful.write("/etc/hostname", "ci-controller-prod\n");
        let given = stage("ip-10-0-9-9", Some("controller"));
        let not_loaded = Stage::new();
        not_loaded.write("/proc/sys/kernel/hostname", "localhost");
        let mut findings = Vec::new();
        for stage in [&baked, &common, &doubtful, &given, &not_loaded] {
            findings.push(found(stage).await);
        }
        insta::assert_snapshot!(all(&findings));
        assert!(look(&Stage::new().scene()).await.is_err());
    }
}
