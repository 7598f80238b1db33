//! Whether the tunnel of amazon-efs-utils listens, and its connection is up.
//!
//! The kernel speaks to a program on this host, which speaks to the mount target. Where that program
//! is gone or hangs, the mount hangs, and the network is well all the while.

use std::fs;

use camino::Utf8Path;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::sockets::{self, Socket, State};
use super::there::{self, Mounted};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::sys::certificate;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// It is mounted without one, from here.
    Without(String),
    /// It is mounted through one.
    Through(Box<Tunnel>),
}

/// A tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// The port of this host that the kernel speaks to.
    pub port: u16,
    /// Who listens there.
    pub listening: Vec<Socket>,
    /// The connections of the kernel to it: this side and the tunnel's.
    pub inside: Vec<Socket>,
    /// Connections to NFS on other machines: the tunnel's, and those of mounts without one.
    pub outside: Vec<Socket>,
    /// The program, where amazon-efs-utils has noted its number.
    pub program: Option<Program>,
    /// Its certificate: the file, and when it ends if that can be read.
    pub certificate: Option<(String, Option<Timestamp>)>,
}

/// The program of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its number.
    pub pid: i32,
    /// What it calls itself; none where it is gone.
    pub name: Option<String>,
}

impl Program {
    /// Its number may be another's by now.
    fn is_tunnel(&self) -> bool {
        self.name
            .as_ref()
            .is_some_and(|name| ["efs-proxy", "stunnel"].iter().any(|it| name.starts_with(it)))
    }
}

/// Where amazon-efs-utils notes what it has mounted.
const NOTES: [&str; 2] = ["/run/efs", "/var/run/efs"];

/// The port of NFS on a mount target.
const NFS: u16 = 2049;

/// More than that the tunnel should have read: a whole request of the largest size.
const UNREAD: u64 = 1 << 20;

/// A certificate lives for three hours and is renewed after one.
const RENEWED: SignedDuration = SignedDuration::from_mins(90);

const RESTART: &str =
    "systemctl restart amazon-efs-mount-watchdog   # it starts tunnels that are gone";

/// Looks.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let Some(top) = there::top(scene.observed) else {
        let why = "nothing is mounted there".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    };
    if !top.is_tunnelled() {
        return Ok(Seen::Without(top.source.clone()));
    }
    let port = top.port();
    let all = sockets::read(scene.root);
    let of = |which: &dyn Fn(&Socket) -> bool| all.iter().copied().filter(|it| which(it)).collect();
    let here = |it: &Socket| it.local.port() == port || it.remote.port() == port;
    let loopback = |it: &Socket| it.remote.ip().is_loopback();
    Ok(Seen::Through(Box::new(Tunnel {
        port,
        listening: of(&|it| it.state == State::Listen && it.local.port() == port),
        inside: of(&|it| it.state != State::Listen && here(it) && loopback(it)),
        outside: of(&|it| it.remote.port() == NFS && !loopback(it)),
        program: program(scene, top),
        certificate: pem(scene, top),
    })))
}

/// What the note of the mount has as the number of its tunnel, and who has that number now.
fn program(scene: &Scene<'_>, top: &Mounted) -> Option<Program> {
    let note = note(scene, top)?;
    let text = fs::read_to_string(&note).ok()?;
    let note: serde_json::Value = serde_json::from_str(&text).ok()?;
    let pid = i32::try_from(note.get("pid")?.as_i64()?).ok().filter(|pid| *pid > 1)?;
    // `comm` is read without the memory of the process; its command line is not.
    let name = fs::read_to_string(scene.path(&format!("/proc/{pid}/comm"))).ok();
    Some(Program { pid, name: name.map(|name| name.trim().to_owned()) })
}

/// `fs-ID.PATH.PORT`
fn note(scene: &Scene<'_>, top: &Mounted) -> Option<camino::Utf8PathBuf> {
    let port = top.port().to_string();
    let entries = NOTES.iter().filter_map(|it| scene.path(it).read_dir_utf8().ok()).flatten();
    let paths = entries.filter_map(Result::ok).map(camino::Utf8DirEntry::into_path);
    let is_note = |path: &Utf8Path| {
        let name = path.file_name().unwrap_or_default();
        name.starts_with("fs-") && path.extension() == Some(&port)
    };
    paths.into_iter().find(|path| is_note(path))
}

/// Beside the note is a folder of its name and `+`, with the certificate.
fn pem(scene: &Scene<'_>, top: &Mounted) -> Option<(String, Option<Timestamp>)> {
    let note = note(scene, top)?;
    let name = note.file_name()?;
    let path = note.with_file_name(format!("{name}+")).join("certificate.pem");
    let text = fs::read_to_string(&path).ok()?;
    let shown = path.strip_prefix(scene.root).map_or(path.as_str(), Utf8Path::as_str);
    Some((format!("/{}", shown.trim_start_matches('/')), certificate::ends(&text)))
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Tunnel.name(), verdict, says);
    let tunnel = match seen {
        Seen::Without(source) => {
            return finding(
                Verdict::Skip,
                format!("it is mounted from {source}, without a tunnel"),
            );
        }
        Seen::Through(tunnel) => &**tunnel,
    };
    let port = tunnel.port;
    let shown = |finding: Finding| {
        let program = tunnel.program.as_ref().map(|it| match &it.name {
            Some(name) => format!("process {} is {name}", it.pid),
            None => format!("process {}, which amazon-efs-utils has noted, is gone", it.pid),
        });
        let ends = tunnel.certificate.as_ref().map(|(path, end)| match end {
            Some(end) => format!("{path} ends {}", end.strftime("%Y-%m-%d %H:%M UTC")),
            None => format!("{path} cannot be read"),
        });
        let sockets = tunnel.listening.iter().chain(&tunnel.inside).chain(&tunnel.outside);
        let lines = program.into_iter().chain(ends).chain(sockets.take(12).map(Socket::shown));
        lines.fold(finding, Finding::shown_by)
    };
    let fail = |says: String| shown(finding(Verdict::Fail, says)).mended_by(RESTART);
    if tunnel.listening.is_empty() {
        return fail(format!(
            "nobody listens at 127.0.0.1:{port}: the tunnel of the mount is gone"
        ));
    }
    let waiting: u64 = tunnel.listening.iter().fold(0, |all, it| all.saturating_add(it.unread));
    let unread = tunnel.inside.iter().filter(|it| it.local.port() == port);
    let unread: u64 = unread.fold(0, |all, it| all.saturating_add(it.unread));
    if waiting > 0 || unread > UNREAD {
        let says = format!(
            "the tunnel at 127.0.0.1:{port} does not read: {waiting} connections wait for it, and \
             {unread} bytes"
        );
        let kill = tunnel.program.as_ref().filter(|it| it.is_tunnel());
        let found = fail(says);
        return match kill {
            Some(it) => {
                found.mended_by(format!("kill -9 {}   # the watchdog starts another one", it.pid))
            }
            None => found,
        };
    }
    let is = |state| tunnel.outside.iter().any(|it| it.state == state);
    if !is(State::Established) {
        let says = if is(State::CloseWait) {
            "the mount target has ended the connection of the tunnel, which has not noticed"
        } else if is(State::SynSent) {
            "the tunnel tries to reach the mount target, which does not answer: look at net.port"
        } else {
            "the tunnel has no connection to a mount target"
        };
        return fail(says.to_owned());
    }
    shown(by_certificate(tunnel, case.now))
}

/// New connections are refused with a certificate that has ended; those that are there stay.
fn by_certificate(tunnel: &Tunnel, now: Timestamp) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Tunnel.name(), verdict, says);
    let left = tunnel.certificate.as_ref().map(|(_, end)| end.map(|end| end.duration_since(now)));
    let port = tunnel.port;
    let minutes = |left: SignedDuration| left.abs().as_mins();
    match left {
        Some(Some(left)) if left <= SignedDuration::ZERO => finding(
            Verdict::Fail,
            format!(
                "the certificate of the tunnel ended {} min ago: no new connection is let in",
                minutes(left)
            ),
        )
        .mended_by("systemctl restart amazon-efs-mount-watchdog   # it renews certificates"),
        Some(Some(left)) if left < RENEWED => finding(
            Verdict::Warn,
            format!(
                "the certificate of the tunnel ends in {} min, and has not been renewed",
                minutes(left)
            ),
        )
        .mended_by("systemctl restart amazon-efs-mount-watchdog   # it renews certificates"),
        Some(None) => {
            finding(Verdict::Warn, "the certificate of the tunnel cannot be read".to_owned())
                .mended_by("tail -n 50 /var/log/amazon/efs/mount-watchdog.log")
        }
        Some(Some(left)) => finding(
            Verdict::Pass,
            format!(
                "the tunnel at 127.0.0.1:{port} is up, its certificate is good for {} min",
                minutes(left)
            ),
        ),
        None => finding(
            Verdict::Pass,
            format!("the tunnel at 127.0.0.1:{port} is up, without a certificate"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::{FILE_SYSTEM, Stage, all};
    use crate::doctor::efs::observed::Cell;

    /// It ends 2028-01-01T13:32:21Z.
    const PEM: &str = include_str!("../../../../tests/fixtures/certificate.pem");

    const LISTEN: &str = "0: 0100007F:4E51 00000000:0000 0A 00000000:00000000 0 0 0 0 0\n";
    const KERNEL: &str = "1: 0100007F:02BC 0100007F:4E51 01 00000000:00000000 0 0 0 0 0\n";
    const INSIDE: &str = "2: 0100007F:4E51 0100007F:02BC 01 00000000:00000000 0 0 0 0 0\n";
    const OUTSIDE: &str = "3: 0F01000A:C350 0901000A:0801 01 00000000:00000000 0 0 0 0 0\n";

    fn stage(tcp: &[&str]) -> Stage {
        let mut stage = Stage::new();
        stage.mount("127.0.0.1:/", "nfs4", "port=20049");
        let note = format!("/run/efs/{FILE_SYSTEM}.var.lib.jenkins.20049");
        stage
            .write("/proc/net/tcp", &tcp.concat())
            .write(&note, r#"{"pid": 812, "cmd": ["/usr/bin/efs-proxy"]}"#)
            .write(&format!("{note}+/certificate.pem"), PEM)
            .write("/proc/812/comm", "efs-proxy\n");
        stage
    }

    async fn found(stage: &Stage, now: &str) -> Finding {
        let case = Case { now: now.parse().unwrap(), ..stage.case() };
        judge(&look(&stage.scene()).await.unwrap(), &case)
    }

    #[tokio::test]
    async fn a_tunnel_that_is_up_passes_and_none_is_no_fault() {
        let up = stage(&[LISTEN, KERNEL, INSIDE, OUTSIDE]);
        let mut without = stage(&[]);
        let mut there = without.observed.there.seen().unwrap().clone();
        there.stack[0].source = "10.0.1.9:/".to_owned();
        without.observed.there = Cell::of(there);
        let now = "2028-01-01T11:00:00Z";
        insta::assert_snapshot!(all(&[found(&up, now).await, found(&without, now).await]));
        assert!(look(&Stage::new().scene()).await.is_err());
    }

    #[tokio::test]
    async fn each_way_in_which_a_tunnel_is_broken_is_told_apart() {
        let now = "2028-01-01T11:00:00Z";
        let gone = stage(&[KERNEL, OUTSIDE]);
        fs::remove_file(gone.path("/proc/812/comm")).unwrap();
        let backlog = LISTEN.replace(":00000000 0 0", ":00000081 0 0");
        let unread = INSIDE.replace(":00000000 0 0", ":00400000 0 0");
        let closed = OUTSIDE.replace("0801 01", "0801 08");
        let dropped = OUTSIDE.replace("0801 01", "0801 02");
        let odd = stage(&[LISTEN, KERNEL, INSIDE, OUTSIDE]);
        let pem = format!("/run/efs/{FILE_SYSTEM}.var.lib.jenkins.20049+/certificate.pem");
        odd.write(&pem, "nothing");
        let findings = [
            found(&gone, now).await,
            found(&stage(&[&backlog, KERNEL, INSIDE, OUTSIDE]), now).await,
            found(&stage(&[LISTEN, KERNEL, &unread, OUTSIDE]), now).await,
            found(&stage(&[LISTEN, KERNEL, INSIDE, &closed]), now).await,
            found(&stage(&[LISTEN, KERNEL, INSIDE, &dropped]), now).await,
            found(&stage(&[LISTEN, KERNEL, INSIDE]), now).await,
            found(&stage(&[LISTEN, KERNEL, INSIDE, OUTSIDE]), "2028-01-01T14:00:00Z").await,
            found(&stage(&[LISTEN, KERNEL, INSIDE, OUTSIDE]), "2028-01-01T13:00:00Z").await,
            found(&odd, now).await,
        ];
        insta::assert_snapshot!(all(&findings));
    }
}
