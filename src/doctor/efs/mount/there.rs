//! Whether what is mounted is what `host.toml` says: by the table of the kernel alone, because the
//! mount may hang.

use std::fs;
use std::net::IpAddr;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::aws::efs::{Target, TargetState};
use crate::doctor::efs::api::targets;
use crate::doctor::efs::host::config::needs_utils;
use crate::doctor::efs::scene::{Case, Here, Scene};
use crate::doctor::efs::table::{Id, Observed};
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::host::Role;
use crate::sys::mountinfo::{self, Mount};
use crate::sys::systemd;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What is mounted at the mount point, that on top first.
    pub stack: Vec<Mounted>,
    /// What is below all that: where files land if nothing is mounted.
    pub below: Option<Mounted>,
    /// Where else something is mounted that may be the same file system.
    pub elsewhere: Vec<Mounted>,
    /// The file system that a boot has noted to have mounted here.
    pub noted: Option<String>,
    /// Notes of amazon-efs-utils of a mount through the tunnel that is used here.
    pub tunnels: Vec<String>,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    /// What: a device, or `address:/path`.
    pub source: String,
    /// Where.
    pub point: String,
    /// As what.
    pub kind: String,
    /// What part of it.
    pub part: String,
    /// With which options.
    pub options: Vec<String>,
}

impl Mounted {
    fn of(mount: &Mount) -> Self {
        let Mount { source, point, kind, part, options, .. } = mount.clone();
        Self { source, point, kind, part, options }
    }

    /// Whether it is a network file system of a kind that EFS is.
    pub fn is_nfs(&self) -> bool {
        self.kind.starts_with("nfs")
    }

    /// The host of `host:/path`; an address of version 6 stands in brackets.
    pub fn server(&self) -> &str {
        let source = self.source.as_str();
        match source.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
            Some((address, _)) => address,
            None => source.split(':').next().unwrap_or_default(),
        }
    }

    /// Its path on the server.
    pub fn path(&self) -> &str {
        self.source.split_once(":/").map_or("/", |(_, path)| path)
    }

    /// Whether it is mounted through a tunnel of amazon-efs-utils.
    pub fn is_tunnelled(&self) -> bool {
        self.is_nfs() && self.server().parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// Whether it has this option, one without a value.
    pub fn is(&self, option: &str) -> bool {
        self.options.iter().any(|it| it == option)
    }

    /// The value of an option: of the last, where it is there twice.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
    }

    /// The port that the kernel speaks to.
    pub fn port(&self) -> u16 {
        self.value("port").and_then(|port| port.parse().ok()).unwrap_or(2049)
    }

    fn shown(&self) -> String {
        format!("{} ({}) at {}", self.source, self.kind, self.point)
    }
}

/// What is mounted where the home, or another file system of this host, should be; as the checks
/// after this one read it.
pub(in crate::doctor::efs) fn top(observed: &Observed) -> Option<&Mounted> {
    observed.there.seen()?.stack.first()
}

/// So many other mounts are shown.
const SHOWN: usize = 8;

/// Looks.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let untold = |why: String| Gap { needs: String::new(), denied: false, why };
    let here = scene.asked.host.as_ref();
    let here = here.ok_or_else(|| untold("nothing says where it is mounted".to_owned()))?;
    let mounts = mountinfo::read(scene.root)
        .map_err(|error| untold(format!("/proc/self/mountinfo cannot be read: {error}")))?;
    let point = here.mount_point.as_str();
    let (stack, others): (Vec<&Mount>, Vec<&Mount>) =
        mounts.iter().rev().partition(|mount| mount.point == point);
    let mut above = here.mount_point.ancestors().skip(1);
    let below = above.find_map(|path| others.iter().find(|it| it.point == path.as_str()));
    let stack: Vec<_> = stack.into_iter().map(Mounted::of).collect();
    let elsewhere = others.iter().filter(|mount| mount.is_nfs()).take(SHOWN);
    let note = scene.path("/run/hostkit/mounts").join(systemd::mount_unit(point));
    Ok(Seen {
        below: below.map(|it| Mounted::of(it)),
        elsewhere: elsewhere.map(|it| Mounted::of(it)).collect(),
        noted: fs::read_to_string(note)
            .ok()
            .map(|text| text.trim().to_owned())
            .filter(|it| is_id(it)),
        tunnels: stack.first().map(|top| tunnels(scene, top)).unwrap_or_default(),
        stack,
    })
}

fn is_id(text: &str) -> bool {
    text.starts_with("fs-")
        && text.len() < 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Notes are called `fs-ID.PATH.PORT`.
fn tunnels(scene: &Scene<'_>, top: &Mounted) -> Vec<String> {
    let port = top.port().to_string();
    let mut folders = ["/run/efs", "/var/run/efs"].iter();
    let Some(entries) = folders.find_map(|it| scene.path(it).read_dir_utf8().ok()) else {
        return Vec::new();
    };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name().to_owned());
    let of_port = |name: &String| Utf8Path::new(name).extension() == Some(&port);
    let mut names: Vec<_> = names.filter(|name| name.starts_with("fs-") && of_port(name)).collect();
    names.sort();
    names
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::There.name(), verdict, says);
    let Some(here) = case.here() else {
        return finding(Verdict::Skip, "only on the host that mounts it".to_owned());
    };
    let (point, id) = (&here.mount_point, &case.asked.file_system);
    let again = mount_again(here);
    let Some(top) = seen.stack.first() else {
        let found = finding(Verdict::Fail, format!("{id} is not mounted: nothing is, at {point}"));
        let found = match &seen.below {
            Some(below) => found.shown_by(format!(
                "what is written there lands on {} ({})",
                below.source, below.kind
            )),
            None => found,
        };
        let found = seen
            .elsewhere
            .iter()
            .fold(found, |it, other| it.shown_by(format!("elsewhere: {}", other.shown())));
        return found.mended_by(again).mended_by("journalctl -u hostkit-boot");
    };
    if !top.is_nfs() {
        let found = finding(
            Verdict::Fail,
            format!("{} ({}) is mounted at {point}, and not {id}", top.source, top.kind),
        );
        let under = seen.stack.iter().skip(1).find(|it| it.is_nfs());
        let found = match under {
            Some(under) => found.shown_by(format!("below it lies {}", under.shown())),
            None => found,
        };
        return found
            .mended_by(format!("stop what uses it, then: umount {point}"))
            .mended_by(if under.is_some() { "hostkit efs check".to_owned() } else { again });
    }
    let found = match whose(seen, top, case) {
        Whose::Wanted(why) => finding(
            Verdict::Pass,
            format!("{id} is mounted at {point} from {} ({why})", top.source),
        ),
        Whose::Another(what) => {
            return finding(Verdict::Fail, format!("what is mounted at {point} is not {id}"))
                .shown_by(top.shown())
                .shown_by(what)
                .mended_by("systemctl stop jenkins   # it works on the home of another")
                .mended_by(format!("umount {point} && {again}"));
        }
        Whose::Gone(others) => {
            let says = format!(
                "{point} is mounted from {}, which is no mount target of {id} any more",
                top.server()
            );
            return finding(Verdict::Fail, says)
                .shown_by(top.shown())
                .shown_by(format!("its mount targets: {others}"))
                .mended_by("systemctl stop --no-block jenkins")
                .mended_by(format!("umount -l {point} && {again}"));
        }
        Whose::Untold => finding(
            Verdict::Warn,
            format!(
                "{} is mounted at {point}; whether that is {id} cannot be told from here",
                top.source
            ),
        )
        .mended_by("home.identity looks at the mark on the file system itself"),
    };
    extras(found, seen, top, case, here)
}

/// What else is odd about a mount that is the right one.
fn extras(found: Finding, seen: &Seen, top: &Mounted, case: &Case<'_>, here: &Here) -> Finding {
    let mut found = found;
    let mut warn = |says: String, fix: String| {
        found.evidence.push(says);
        found.fix.push(fix);
        if found.verdict == Verdict::Pass {
            found.verdict = Verdict::Warn;
            found.says = found.evidence.last().cloned().unwrap_or_default();
            found.evidence.pop();
        }
    };
    let point = &here.mount_point;
    if seen.stack.len() > 1 {
        let count = seen.stack.len();
        let lower: Vec<_> = seen.stack.iter().skip(1).map(Mounted::shown).collect();
        warn(
            format!(
                "{count} file systems are mounted at {point}, one over the other: below is {}",
                lower.join("; ")
            ),
            format!("umount {point} once for each that is too many, while Jenkins is stopped"),
        );
    }
    if !top.path().is_empty() && top.path() != "/" || top.part != "/" {
        warn(
            format!(
                "a folder of the file system is mounted at {point}, not its top: {}",
                top.source
            ),
            "hostkit mounts the top, and has the home in a folder there".to_owned(),
        );
    }
    let targets = case.observed.targets.seen();
    let from = targets.and_then(|it| it.targets.iter().find(|it| is_at(it, top.server())));
    if let Some(from) = from
        && let Some(near) = targets.and_then(targets::Seen::here)
        && near.id != from.id
        && near.state() == TargetState::Available
    {
        let (zone, address) =
            (&from.zone_id, near.address.map_or_else(|| near.id.clone(), |it| it.to_string()));
        warn(
            format!("it is mounted from another zone, {zone}: each byte is paid for, and slower"),
            format!("the next boot takes {address}, which is in this zone and available"),
        );
    }
    if needs_utils(here) && !top.is_tunnelled() {
        warn(
            "host.toml asks for an encrypted connection, and this one is not".to_owned(),
            format!("systemctl stop jenkins && umount {point} && {}", mount_again(here)),
        );
    }
    found
}

/// Whose a mount is.
enum Whose {
    /// Of the file system that is asked about, and how that is known.
    Wanted(String),
    /// Of another.
    Another(String),
    /// Of that one, from a mount target that is gone; these are there.
    Gone(String),
    /// It cannot be told without touching it.
    Untold,
}

fn whose(seen: &Seen, top: &Mounted, case: &Case<'_>) -> Whose {
    let id = &case.asked.file_system;
    let server = top.server();
    // A mount by name has the id in it.
    if let Some(name) = server.split('.').find(|part| part.starts_with("fs-")) {
        if name == id {
            return Whose::Wanted("by its name".to_owned());
        }
        return Whose::Another(format!("its name is that of {name}"));
    }
    if top.is_tunnelled() {
        let of_id = |name: &String| name.split('.').next() == Some(id.as_str());
        return match (seen.tunnels.first(), seen.noted.as_ref()) {
            (Some(_), _) if seen.tunnels.iter().any(of_id) => {
                Whose::Wanted(format!("through the tunnel at port {}", top.port()))
            }
            (Some(other), _) => Whose::Another(format!("its tunnel is that of {other}")),
            (None, Some(noted)) if noted == id => {
                Whose::Wanted("through a tunnel, as the boot has noted".to_owned())
            }
            (None, Some(noted)) => Whose::Another(format!("the boot has noted {noted}")),
            (None, None) => Whose::Untold,
        };
    }
    let Some(targets) = case.observed.targets.seen() else {
        return match &seen.noted {
            Some(noted) if noted == id => Whose::Wanted("as the boot has noted".to_owned()),
            Some(noted) => Whose::Another(format!("the boot has noted {noted}")),
            None => Whose::Untold,
        };
    };
    if let Some(target) = targets.targets.iter().find(|target| is_at(target, server)) {
        let zone = if target.zone_id.is_empty() { "its zone is untold" } else { &target.zone_id };
        return Whose::Wanted(format!("{}, {zone}", target.id));
    }
    let all: Vec<_> = targets.targets.iter().filter_map(|it| it.address).collect();
    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    // A target that was made anew may have another address, and the mount waits for the old one.
    if seen.noted.as_ref() == Some(id) {
        return Whose::Gone(all);
    }
    Whose::Another(format!("{server} is none of the mount targets of {id}: {all}"))
}

fn is_at(target: &Target, server: &str) -> bool {
    let Ok(server) = server.parse::<IpAddr>() else { return false };
    let addresses = [target.address.map(IpAddr::from), target.address6.map(IpAddr::from)];
    addresses.contains(&Some(server))
}

/// The line that mounts it by the way of a boot.
pub(in crate::doctor::efs) fn mount_again(here: &Here) -> String {
    let home = here.role == Role::Controller && here.mount_point == crate::host::HOME;
    format!("hostkit boot --only {}", if home { "efs" } else { "mounts" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{FILE_SYSTEM, Stage, all};
    use crate::doctor::efs::observed::Cell;

    const ROOT: &str = "22 1 259:3 / / rw,relatime shared:1 - ext4 /dev/root rw\n";
    const RIGHT: &str = "30 22 0:26 / /var/lib/jenkins rw,relatime shared:15 - nfs4 10.0.1.9:/ \
        rw,vers=4.1,hard,noresvport\n";
    const TUNNEL: &str = "30 22 0:26 / /var/lib/jenkins rw,relatime shared:15 - nfs4 127.0.0.1:/ \
        rw,vers=4.1,port=20049\n";

    fn stage(mounts: &[&str]) -> Stage {
        let mut stage = Stage::new();
        let target = Target {
            id: "fsmt-0aaaaaaaaaaaaaaaa".to_owned(),
            address: Some([10, 0, 1, 9].into()),
            zone_id: "euw1-az1".to_owned(),
            ..Target::default()
        };
        let seen = targets::Seen { targets: vec![target], ..targets::Seen::default() };
        stage.observed.targets = Cell::of(seen);
        stage.write("/proc/self/mountinfo", &mounts.concat());
        stage
    }

    async fn found(stage: &Stage) -> Finding {
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn the_right_one_is_known_by_target_name_tunnel_or_note() {
        let target = stage(&[ROOT, RIGHT]);
        let name = stage(&[
            ROOT,
            &RIGHT.replace(
                "10.0.1.9",
                &format!("euw1-az1.{FILE_SYSTEM}.efs.eu-west-1.amazonaws.com"),
            ),
        ]);
        let mut tunnel = stage(&[ROOT, TUNNEL]);
        tunnel.efs().tls = true;
        tunnel.write(&format!("/run/efs/{FILE_SYSTEM}.var.lib.jenkins.20049"), "{}");
        let mut noted = stage(&[ROOT, RIGHT]);
        noted.observed.targets = Cell::default();
        noted.write("/run/hostkit/mounts/var-lib-jenkins.mount", &format!("{FILE_SYSTEM}\n"));
        let mut findings = Vec::new();
        for stage in [&target, &name, &tunnel, &noted] {
            findings.push(found(stage).await);
        }
        insta::assert_snapshot!(all(&findings));
    }

    #[tokio::test]
    async fn what_is_not_mounted_or_is_another_one_fails() {
        let mut encrypted = stage(&[ROOT, RIGHT]);
        encrypted.efs().tls = true;
        let mut untold = stage(&[ROOT, RIGHT]);
        untold.observed.targets = Cell::default();
        let made_anew = stage(&[ROOT, &RIGHT.replace("10.0.1.9", "10.0.7.7")]);
        made_anew.write("/run/hostkit/mounts/var-lib-jenkins.mount", &format!("{FILE_SYSTEM}\n"));
        let mut far = stage(&[ROOT, &RIGHT.replace("10.0.1.9", "10.0.2.9")]);
        let other = Target {
            id: "fsmt-0bbbbbbbbbbbbbbbb".to_owned(),
            address: Some([10, 0, 2, 9].into()),
            zone_id: "euw1-az2".to_owned(),
            ..Target::default()
        };
        let mut seen = far.observed.targets.seen().unwrap().clone();
        seen.zone_id = Some("euw1-az1".to_owned());
        seen.targets.push(other);
        far.observed.targets = Cell::of(seen);
        let other_tunnel = stage(&[ROOT, TUNNEL]);
        other_tunnel.write("/run/efs/fs-0fedcba9876543210.var.lib.jenkins.20049", "{}");
        let mut other_mount = stage(&[ROOT]);
        other_mount.here().mount_point = "/srv/shared".into();
        let stages = vec![
            stage(&[ROOT]),
            stage(&[ROOT, &RIGHT.replace("/var/lib/jenkins", "/mnt/efs")]),
            stage(&[ROOT, "40 22 0:30 / /var/lib/jenkins rw - tmpfs tmpfs rw\n"]),
            stage(&[ROOT, RIGHT, "40 30 0:30 / /var/lib/jenkins rw - overlay overlay rw\n"]),
            stage(&[ROOT, &RIGHT.replace("10.0.1.9", "10.0.7.7")]),
            stage(&[ROOT, RIGHT, &RIGHT.replace("30 22", "41 30")]),
            stage(&[ROOT, &RIGHT.replace("10.0.1.9:/ ", "10.0.1.9:/jenkins ")]),
            encrypted,
            untold,
            made_anew,
            far,
            other_tunnel,
            other_mount,
        ];
        let mut findings = Vec::new();
        for stage in &stages {
            findings.push(found(stage).await);
        }
        insta::assert_snapshot!(all(&findings));
        assert!(look(&Stage::new().scene()).await.is_err());
    }

    #[test]
    fn a_server_is_an_address_or_a_name() {
        let of = |source: &str| Mounted {
            source: source.to_owned(),
            point: String::new(),
            kind: "nfs4".to_owned(),
            part: "/".to_owned(),
            options: vec!["port=1".to_owned()],
        };
        assert_eq!(of("[fd00:ec2::9]:/a").server(), "fd00:ec2::9");
        assert_eq!((of("10.0.0.1:/").server(), of("10.0.0.1:/").path()), ("10.0.0.1", ""));
        assert!(of("[::1]:/").is_tunnelled() && !of("10.0.0.1:/").is_tunnelled());
        assert_eq!((of("").server(), of("tmpfs").path()), ("", "/"));
    }
}
