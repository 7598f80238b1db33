//! Whether the mount target takes connections on TCP 2049, and in which way it does not.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::goal::{self, Goal, goals};
use crate::doctor::efs::host::role;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::efs::reach::{self, Barrier, milliseconds};

/// How long a mount target may be silent before packets count as dropped. In a network of AWS an
/// answer takes a millisecond or two; the kernel has sent its question three times by then.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a connection is watched: who breaks it off does so at once. NFS never speaks first.
const GLANCE: Duration = Duration::from_millis(50);

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The port.
    pub port: u16,
    /// Every attempt, that to the mount target of this host first.
    pub attempts: Vec<Attempt>,
}

/// An attempt to connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// To where.
    pub goal: Goal,
    /// After how many milliseconds it took the connection, or why it did not.
    pub end: Result<u64, Barrier>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let port = scene.nfs_port;
    let tries = goals(scene.asked, scene.observed)?.into_iter().map(|goal| async move {
        let end = attempt(SocketAddr::from((goal.address, port)), PATIENCE).await;
        Attempt { goal, end }
    });
    Ok(Seen { port, attempts: join_all(tries).await })
}

async fn attempt(address: SocketAddr, patience: Duration) -> Result<u64, Barrier> {
    let (mut stream, took) = reach::connect(address, patience).await?;
    if is_broken_off(&mut stream).await {
        return Err(Barrier::Reset);
    }
    Ok(milliseconds(took))
}

/// Whether the other side ends the connection that it has just taken.
async fn is_broken_off(stream: &mut TcpStream) -> bool {
    let mut first = [0; 1];
    match timeout(GLANCE, stream.read(&mut first)).await {
        Err(_) => false,
        Ok(read) => !matches!(read, Ok(1..)),
    }
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let ours = seen.attempts.iter().find(|attempt| attempt.goal.ours);
    let others: Vec<_> =
        seen.attempts.iter().filter(|it| !it.goal.ours && it.end.is_err()).collect();
    let finding = match (ours.map(|ours| (&ours.goal, &ours.end)), others.first()) {
        (Some((goal, Err(barrier))), _) => {
            let says = format!("{} {}", goal.shown(), words(barrier, seen.port));
            mended(Finding::new(Id::Port.name(), Verdict::Fail, says), barrier, goal, case)
        }
        (_, Some(Attempt { goal, end: Err(barrier) })) => {
            let says = format!(
                "this host's mount target takes connections; {} {}",
                goal.shown(),
                words(barrier, seen.port)
            );
            mended(Finding::new(Id::Port.name(), Verdict::Warn, says), barrier, goal, case)
        }
        (Some((goal, Ok(ms))), _) => {
            let port = seen.port;
            let says = format!("{} takes connections on TCP {port}, in {ms} ms", goal.shown());
            Finding::new(Id::Port.name(), Verdict::Pass, says)
        }
        (None, _) => Finding::new(Id::Port.name(), Verdict::Skip, "nothing was tried"),
    };
    seen.attempts.iter().fold(finding, |finding, attempt| {
        let end = match &attempt.end {
            Ok(ms) => format!("connected in {ms} ms"),
            Err(barrier) => words(barrier, seen.port),
        };
        finding.shown_by(format!("{}: {end}", attempt.goal.shown()))
    })
}

/// What it is, as it is said of an address.
fn words(barrier: &Barrier, port: u16) -> String {
    match barrier {
        Barrier::Refused => format!("refuses connections on TCP {port}"),
        Barrier::Dropped(ms) => {
            format!("does not answer on TCP {port}: packets are dropped (waited {ms} ms)")
        }
        Barrier::NoRoute => format!("cannot be reached on TCP {port}: no route to it"),
        Barrier::Reset => format!("takes connections on TCP {port} and breaks them off"),
        Barrier::Forbidden => format!("may not be called on TCP {port} by this host"),
        Barrier::Other(why) => format!("cannot be reached on TCP {port}: {why}"),
    }
}

fn mended(finding: Finding, barrier: &Barrier, goal: &Goal, case: &Case<'_>) -> Finding {
    let describe = goal::describe_targets(case.asked);
    match barrier {
        Barrier::Refused => finding
            .mended_by("nothing listens there: the address is not, or no longer, a mount target's")
            .mended_by(describe),
        Barrier::Dropped(_) => dropped(finding, goal, case),
        Barrier::NoRoute => no_route(finding, case),
        Barrier::Reset => finding
            .mended_by("a mount target that is new, or has had too many connections, does so for a minute: hostkit efs check --only net.port")
            .mended_by(describe),
        Barrier::Forbidden => finding
            .mended_by("a firewall of this host forbids it: allow TCP to the port above")
            .mended_by("nft list ruleset"),
        Barrier::Other(_) => finding.mended_by("ip address; ip route"),
    }
}

/// Security groups drop what they do not let through, and so do network ACLs.
fn dropped(finding: Finding, goal: &Goal, case: &Case<'_>) -> Finding {
    let target = goal::target(case, goal);
    let theirs = target.and_then(|target| target.security_groups.as_ref()?.first());
    let ours = role::identity(case.observed).and_then(|it| it.security_groups.first());
    let region = &case.asked.region;
    let theirs = theirs.map_or("SECURITY-GROUP-OF-THE-MOUNT-TARGET", String::as_str);
    let ours = ours.map_or("SECURITY-GROUP-OF-THIS-HOST", String::as_str);
    let finding = finding.mended_by(format!(
        "aws ec2 authorize-security-group-ingress --group-id {theirs} --protocol tcp --port 2049 \
         --source-group {ours} --region {region}"
    ));
    match target.map(|target| target.subnet.as_str()).filter(|subnet| !subnet.is_empty()) {
        Some(subnet) => finding.mended_by(format!(
            "aws ec2 describe-network-acls --filters Name=association.subnet-id,Values={subnet} \
             --region {region}   # if the groups allow it, an ACL does not"
        )),
        None => finding.mended_by(goal::describe_targets(case.asked)),
    }
}

fn no_route(finding: Finding, case: &Case<'_>) -> Finding {
    let subnet = role::identity(case.observed).and_then(|it| it.subnet.as_deref());
    let subnet = subnet.unwrap_or("SUBNET-OF-THIS-HOST");
    finding.mended_by("ip route   # and is the file system in this VPC?").mended_by(format!(
        "aws ec2 describe-route-tables --filters Name=association.subnet-id,Values={subnet} \
             --region {}",
        case.asked.region
    ))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::sample::{self, Sample, shown};
    use super::*;

    fn seen(ends: Vec<Result<u64, Barrier>>) -> Seen {
        let goals = goals(&sample::asked(), &Sample::default().observed).unwrap();
        let attempts =
            goals.into_iter().zip(ends).map(|(goal, end)| Attempt { goal, end }).collect();
        Seen { port: 2049, attempts }
    }

    #[test]
    fn every_way_not_to_answer_has_its_own_line() {
        let mut text = String::new();
        for barrier in [
            Barrier::Refused,
            Barrier::Dropped(4000),
            Barrier::NoRoute,
            Barrier::Reset,
            Barrier::Forbidden,
            Barrier::Other("Invalid argument (os error 22)".to_owned()),
        ] {
            let seen = seen(vec![Err(barrier), Ok(2)]);
            text += &shown(&judge(&seen, &Sample::default().case()));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_target_of_this_zone_decides() {
        let sample = Sample::default();
        let good = judge(&seen(vec![Ok(1), Ok(2)]), &sample.case());
        let other = judge(&seen(vec![Ok(1), Err(Barrier::Dropped(4000))]), &sample.case());
        assert_eq!((good.verdict, other.verdict), (Verdict::Pass, Verdict::Warn));
        let unknown = Sample::bare();
        let goals = goals(&sample::asked(), &unknown.observed).unwrap();
        let end = Err(Barrier::Dropped(4000));
        let attempts = goals.into_iter().map(|goal| Attempt { goal, end: end.clone() }).collect();
        let without = judge(&Seen { port: 2049, attempts }, &unknown.case());
        insta::assert_snapshot!([shown(&good), shown(&other), shown(&without)].concat());
    }

    #[tokio::test]
    async fn takes_refuses_drops_and_breaks_off() {
        let long = Duration::from_secs(15);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        assert!(attempt(open, long).await.is_ok());
        let brief = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broken = brief.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = brief.accept().await {
                drop(stream);
            }
        });
        assert_eq!(attempt(broken, long).await, Err(Barrier::Reset));
        drop(listener);
        assert_eq!(attempt(open, long).await, Err(Barrier::Refused));
        let (hole, _waiting) = crate::efs::probe::tests::black_hole().await;
        assert_eq!(attempt(hole, GLANCE).await, Err(Barrier::Dropped(50)));
        let many = SocketAddr::from((Ipv4Addr::new(224, 0, 0, 1), 2049));
        assert_eq!(attempt(many, long).await, Err(Barrier::NoRoute));
    }

    #[tokio::test]
    async fn every_target_is_looked_at_through_the_scene() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sample = Sample::on([Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)]);
        let seen = look(&sample.scene(port)).await.unwrap();
        assert!(seen.attempts[0].end.is_ok(), "{seen:?}");
        assert_eq!(seen.attempts[1].end, Err(Barrier::Refused), "nothing listens at 127.0.0.9");
        assert_eq!(judge(&seen, &sample.case()).verdict, Verdict::Warn);
    }
}
