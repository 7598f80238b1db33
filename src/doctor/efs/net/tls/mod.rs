//! Whether the connection can be encrypted: chain, name, days that are left.
//!
//! EFS speaks TLS on the port of NFS: amazon-efs-utils' tunnel connects there, trusts the
//! authorities of its own list, and checks the name.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::goal::{self, Goal, goals};
use crate::doctor::efs::scene::{Asked, Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::efs::reach::{self, Barrier};
use crate::efs::tls::{Certificate, Distrust, Handshake, Hitch, shake};

/// How long a connection, and the handshake after it, may take each.
const PATIENCE: Duration = Duration::from_millis(2500);

/// With so few days left somebody should know.
const FEW_DAYS: i64 = 14;

/// Where lists of authorities are, the one that amazon-efs-utils trusts first.
const LISTS: [&str; 5] = [
    "/etc/amazon/efs/efs-utils.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Where.
    pub goal: Goal,
    /// The name that was asked for.
    pub name: String,
    /// Whom this host trusts.
    pub trusted: Trusted,
    /// How it ended.
    pub end: End,
}

/// Whom this host trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// The list; nothing if there is none.
    pub list: Option<String>,
    /// How many authorities are in it.
    pub count: usize,
    /// What in it could not be read.
    pub trouble: Option<String>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// No connection came about.
    Unreached(Barrier),
    /// No handshake came about.
    Hitch(Hitch),
    /// It came about.
    Shaken(Handshake),
}

/// Whether this host is to encrypt: what needs amazon-efs-utils goes through its tunnel.
pub fn is_wanted(asked: &Asked) -> bool {
    let efs = asked.host.as_ref().map(|here| &here.efs);
    efs.is_some_and(|efs| efs.tls || efs.iam || efs.access_point.is_some())
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    if !is_wanted(scene.asked) {
        let why = "this host does not encrypt: `efs.tls` is not set".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    }
    let goal = goals(scene.asked, scene.observed)?.remove(0);
    let name = goal::name(scene.asked, scene.observed);
    let (roots, trusted) = trusted(scene);
    let address = SocketAddr::from((goal.address, scene.nfs_port));
    let end = match reach::connect(address, PATIENCE).await {
        Err(barrier) => End::Unreached(barrier),
        Ok((stream, _)) => match shake(stream, &name, &roots, PATIENCE).await {
            Ok((_, handshake)) => End::Shaken(handshake),
            Err(hitch) => End::Hitch(hitch),
        },
    };
    Ok(Seen { goal, name, trusted, end })
}

fn trusted(scene: &Scene<'_>) -> (Vec<CertificateDer<'static>>, Trusted) {
    let Some(list) = LISTS.iter().find(|list| scene.path(list).exists()) else {
        return (Vec::new(), Trusted::default());
    };
    let path = scene.path(list);
    let read = rustls_native_certs::load_certs_from_paths(Some(path.as_std_path()), None);
    let trouble = read.errors.first().map(ToString::to_string);
    let list = Some((*list).to_owned());
    let count = read.certs.len();
    (read.certs, Trusted { list, count, trouble })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let finding = match &seen.end {
        End::Unreached(_) => {
            let says = format!("{} took no connection a moment later", seen.goal.shown());
            Finding::new(Id::Tls.name(), Verdict::Skip, says)
                .mended_by("hostkit efs check --only net.port")
        }
        End::Hitch(hitch) => unshaken(seen, hitch, case),
        End::Shaken(handshake) => shaken(seen, handshake, case),
    };
    let trusted = &seen.trusted;
    match (&trusted.list, &trusted.trouble) {
        (None, _) => finding.shown_by("this host has no list of authorities"),
        (Some(list), None) => finding.shown_by(format!("{list}: {} authorities", trusted.count)),
        (Some(list), Some(trouble)) => {
            finding.shown_by(format!("{list}: {} authorities; {trouble}", trusted.count))
        }
    }
}

fn unshaken(seen: &Seen, hitch: &Hitch, case: &Case<'_>) -> Finding {
    let place = seen.goal.shown();
    let says = match hitch {
        Hitch::Alien(why) => format!("{place} does not speak TLS: {why}"),
        Hitch::Closed => format!("{place} closes the connection when TLS begins"),
        Hitch::Silent(ms) => format!("{place} did not answer within {ms} ms when TLS began"),
        Hitch::Alert(alert) => format!("{place} refuses the TLS handshake: {alert}"),
        Hitch::Other(why) => format!("no TLS handshake with {place}: {why}"),
    };
    let finding = Finding::new(Id::Tls.name(), Verdict::Fail, says);
    match hitch {
        Hitch::Alert(_) => finding.mended_by(
            "it takes neither TLS 1.2 nor 1.3 as this host offers them, or it is not EFS",
        ),
        Hitch::Alien(_) | Hitch::Closed | Hitch::Silent(_) | Hitch::Other(_) => finding
            .mended_by("EFS speaks TLS on the port of NFS: is this address a mount target's?"),
    }
    .mended_by(goal::describe_targets(case.asked))
}

fn shaken(seen: &Seen, handshake: &Handshake, case: &Case<'_>) -> Finding {
    let first = handshake.chain.first();
    let finding = match (&handshake.distrust, first) {
        (Some(distrust), _) => distrusted(seen, distrust, first, case),
        (None, None) => Finding::new(Id::Tls.name(), Verdict::Fail, "it showed no certificate"),
        (None, Some(first)) => trusting(seen, handshake, first, case),
    };
    let finding = finding.shown_by(format!("{} in {} ms", handshake.protocol, handshake.ms));
    handshake.chain.iter().fold(finding, |finding, certificate| {
        let names = match certificate.names.as_slice() {
            [] => String::new(),
            names => format!(" for {}", names.join(", ")),
        };
        finding.shown_by(format!(
            "{}{names}, signed by {}, from {} until {}",
            certificate.subject, certificate.issuer, certificate.from, certificate.until
        ))
    })
}

/// Whole days until a certificate ends; less than none if it has.
fn days(case: &Case<'_>, certificate: &Certificate) -> i64 {
    (certificate.until.as_second() - case.now.as_second()).div_euclid(86_400)
}

fn trusting(seen: &Seen, handshake: &Handshake, first: &Certificate, case: &Case<'_>) -> Finding {
    let place = seen.goal.shown();
    let soonest = handshake.chain.iter().map(|it| days(case, it)).min().unwrap_or_default();
    let says = format!(
        "{place} is {}, by {} and {} certificates; {} days are left",
        seen.name,
        handshake.protocol,
        handshake.chain.len(),
        days(case, first)
    );
    if soonest < FEW_DAYS {
        let says = format!("the certificate of {place} is good for {soonest} days more");
        return Finding::new(Id::Tls.name(), Verdict::Warn, says)
            .mended_by("AWS renews it by itself: look again tomorrow");
    }
    Finding::new(Id::Tls.name(), Verdict::Pass, says)
}

fn distrusted(
    seen: &Seen,
    distrust: &Distrust,
    first: Option<&Certificate>,
    case: &Case<'_>,
) -> Finding {
    let place = seen.goal.shown();
    let fail = |says: String| Finding::new(Id::Tls.name(), Verdict::Fail, says);
    let until = first.map(|first| first.until.to_string()).unwrap_or_default();
    let clock = "chronyc tracking   # or is this clock wrong? see host.clock";
    match distrust {
        Distrust::Expired => fail(format!("the certificate of {place} has expired ({until})"))
            .mended_by(clock)
            .mended_by("AWS renews its own by itself: an expired one is somebody else's"),
        Distrust::NotYet => {
            fail(format!("the certificate of {place} is not good yet")).mended_by(clock)
        }
        Distrust::UnknownIssuer => {
            let issuer = first.map_or("nobody", |first| first.issuer.as_str());
            fail(format!(
                "the certificate of {place} is signed by {issuer}, whom this host does not trust"
            ))
            .mended_by(reinstall(seen))
            .mended_by("or somebody on the way opens TLS: let TCP 2049 through untouched")
        }
        Distrust::OtherName => {
            let names = first.map(|first| first.names.join(", ")).unwrap_or_default();
            fail(format!("the certificate of {place} is for {names}, not for {}", seen.name))
                .mended_by("the address is another's:")
                .mended_by(goal::describe_targets(case.asked))
        }
        Distrust::NoRoots => fail("this host trusts nobody: it has no list of authorities".into())
            .mended_by(reinstall(seen)),
        Distrust::Other(why) => fail(format!("the certificate of {place} is not good: {why}"))
            .mended_by(goal::describe_targets(case.asked)),
    }
}

/// The line that brings the list of authorities back.
fn reinstall(seen: &Seen) -> &'static str {
    match seen.trusted.list.as_deref() {
        Some(list) if list == LISTS[0] => {
            "put amazon-efs-utils into the image again: its list of authorities is not whole"
        }
        Some("/etc/ssl/certs/ca-certificates.crt") => "update-ca-certificates --fresh",
        Some(_) => "update-ca-trust extract",
        None => "apt-get install ca-certificates   # or: dnf install ca-certificates",
    }
}
