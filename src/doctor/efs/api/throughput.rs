//! Credits, limits and the number of clients of the last hour: why a file system that answers is
//! slow, and whether somebody else has it mounted.

mod load;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::load::Load;
use super::described::described;
use crate::aws::cloudwatch::{Point, Question, Statistic, metrics};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::host::Role;

/// How far back is looked.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// So many connections may be of one host that mounts by a tunnel.
const TUNNEL: u64 = 5;
/// What EFS measures in.
const MINUTE: Duration = Duration::from_mins(1);
/// What is asked for.
const METRICS: [(&str, Statistic); 5] = [
    ("BurstCreditBalance", Statistic::Minimum),
    ("PermittedThroughput", Statistic::Minimum),
    ("MeteredIOBytes", Statistic::Sum),
    ("PercentIOLimit", Statistic::Maximum),
    ("ClientConnections", Statistic::Sum),
];

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// `bursting`, `provisioned` or `elastic`.
    pub mode: String,
    /// `generalPurpose` or `maxIO`.
    pub performance: String,
    /// Its size, in bytes.
    pub size: u64,
    /// How many mount targets can be used.
    pub targets: Option<usize>,
    /// The least credit of each minute, in bytes.
    pub credits: Vec<Point>,
    /// The throughput that was permitted in each minute, in bytes a second.
    pub permitted: Vec<Point>,
    /// What was metered in each minute, in bytes.
    pub metered: Vec<Point>,
    /// How close to the limit of operations each minute was, in percent.
    pub limit: Vec<Point>,
    /// The connections of clients in each minute.
    pub clients: Vec<Point>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let file_system = described(scene)?;
    let until = Timestamp::now();
    let question = Question {
        namespace: "AWS/EFS",
        of: &[("FileSystemId", &file_system.id)],
        metrics: &METRICS,
        from: until - HOUR,
        until,
        period: MINUTE,
    };
    let mut found = metrics(scene.aws()?, &question).await.map_err(Gap::from)?;
    let mut of = |name: &str| found.remove(name).unwrap_or_default();
    Ok(Seen {
        mode: file_system.throughput_mode.clone(),
        performance: file_system.performance_mode.clone(),
        size: file_system.bytes,
        targets: usize::try_from(file_system.targets).ok(),
        credits: of("BurstCreditBalance"),
        permitted: of("PermittedThroughput"),
        metered: of("MeteredIOBytes"),
        limit: of("PercentIOLimit"),
        clients: of("ClientConnections"),
    })
}

/// Says what it means. What makes it slow comes before who else is there.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let Some(load) = Load::of(seen) else {
        return Finding::new(
            Id::Throughput.name(),
            Verdict::Skip,
            "CloudWatch has no numbers of the last hour: nobody had it mounted, or it is new",
        );
    };
    let slow = slow(seen, &load, case);
    let crowded = crowded(seen, &load, case);
    let worst = match (slow, crowded) {
        (Some(slow), Some(crowded)) => {
            let mut both = slow;
            both.says = format!("{}; and {}", both.says, crowded.says);
            both.evidence.extend(crowded.evidence);
            both.fix.extend(crowded.fix);
            both
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => {
            return Finding::new(Id::Throughput.name(), Verdict::Pass, load.says(&seen.mode));
        }
    };
    worst.shown_by(load.says(&seen.mode))
}

/// Whether something holds it back now.
pub(in crate::doctor::efs) fn is_slow(seen: &Seen) -> bool {
    Load::of(seen).is_some_and(|load| load.is_spent(&seen.mode) || load.is_full())
}

/// Whether more than one client has it mounted.
pub(in crate::doctor::efs) fn is_shared(seen: &Seen) -> bool {
    Load::of(seen).and_then(|load| load.clients).is_some_and(|clients| clients > 1)
}

/// What holds it back.
fn slow(seen: &Seen, load: &Load, case: &Case<'_>) -> Option<Finding> {
    const ID: &str = Id::Throughput.name();
    let change = |mode: &str| {
        format!(
            "aws efs update-file-system --file-system-id {} --throughput-mode {mode} --region {}",
            case.asked.file_system, case.asked.region
        )
    };
    let elastic = |finding: Finding| {
        finding.mended_by(change("elastic")).mended_by(
            "the mode can be changed once in 24 hours: `hostkit efs recover throughput` shows the \
             steps and the prices of each",
        )
    };
    if load.is_spent(&seen.mode) {
        let rate = load::rate(Load::baseline(seen.size));
        let says = format!(
            "its burst credits are spent: it goes at {rate} until it has saved some, which takes hours"
        );
        return Some(elastic(Finding::new(ID, Verdict::Fail, says)));
    }
    if let Some(left) = load.credits_last(&seen.mode) {
        let says = format!("its burst credits will be spent in {left} h if it goes on like this");
        return Some(elastic(Finding::new(ID, Verdict::Warn, says)));
    }
    if load.is_full() {
        let says = "it uses all the throughput that it is permitted".to_owned();
        let finding = Finding::new(ID, Verdict::Warn, says);
        return Some(match seen.mode.as_str() {
            "elastic" => finding.mended_by(
                "find who reads and writes so much: `nfsiostat 1` on the hosts; caches and workspaces \
                 belong on a local disk (home.bloat)",
            ),
            _ => elastic(finding),
        });
    }
    if load.limit.is_some_and(|percent| percent >= load::LIMIT) && seen.performance != "maxIO" {
        let says = "it is at the limit of operations a second of a file system";
        return Some(Finding::new(ID, Verdict::Warn, says).mended_by(
            "fewer small files: workspaces, caches and tmp_pack_* belong on a local disk (home.bloat); \
             elastic throughput has a higher limit",
        ));
    }
    None
}

/// Who else has it mounted. A home is one host's; what build agents share is many's.
fn crowded(seen: &Seen, load: &Load, case: &Case<'_>) -> Option<Finding> {
    let here = case.here();
    if here.is_some_and(|here| here.role != Role::Controller) {
        return None;
    }
    // The tunnel of amazon-efs-utils opens more than one.
    let own = if here.is_some_and(|here| here.efs.tls) { TUNNEL } else { 1 };
    let clients = load.clients.filter(|clients| *clients > own)?;
    let says = format!("{clients} clients are connected, and a home is one host's");
    let finding = Finding::new(Id::Throughput.name(), Verdict::Warn, says);
    let targets = seen
        .targets
        .map_or_else(String::new, |targets| format!("{targets} mount targets take connections; "));
    Some(
        finding
            .shown_by(format!(
                "{targets}a replacement that boots, or a tunnel of amazon-efs-utils with several \
                 connections, is counted, too"
            ))
            .mended_by("hostkit lease status")
            .mended_by(format!(
                "aws ec2 describe-instances --region {} --filters \
                 Name=instance-state-name,Values=running --query \
                 'Reservations[].Instances[].[InstanceId,PrivateIpAddress,LaunchTime]' --output table",
                case.asked.region
            ))
            .mended_by(
                "home.lease tells who holds the home; of the others, the flow logs of the VPC know the \
                 addresses that speak to port 2049",
            ),
    )
}

#[cfg(test)]
mod tests;
