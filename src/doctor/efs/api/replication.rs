//! Whether it is replicated, or is itself the read-only copy, on which Jenkins cannot write a byte.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::backup::spoken;
use super::described::described;
use crate::aws::efs_replication::{Destination, Replication, replication};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::host::Role;

/// EFS keeps a copy within 15 minutes: more than this behind, something is wrong.
const BEHIND: SignedDuration = SignedDuration::from_hours(1);

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it takes part in; nothing if in none.
    pub replication: Option<Replication>,
    /// `ENABLED`, `DISABLED`, or `REPLICATING` where it is a copy that nobody can write.
    pub protection: Option<String>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let file_system = described(scene)?;
    let found = replication(scene.aws()?, &file_system.id).await.map_err(Gap::from)?;
    Ok(Seen { replication: found, protection: file_system.overwrite_protection.clone() })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    const ID: &str = Id::Replication.name();
    let id = &case.asked.file_system;
    let Some(replication) = &seen.replication else {
        // The replication may be one that this account may not see.
        if seen.protection.as_deref() == Some("REPLICATING") {
            return read_only(None, case);
        }
        return Finding::new(
            ID,
            Verdict::Pass,
            "it is not replicated: if this region is lost, so is what no backup has elsewhere",
        );
    };
    if replication.source != *id
        && let Some(copy) = replication.copy(id)
    {
        return read_only(Some((replication, copy)), case);
    }
    let Some(copy) = replication.destinations.first() else {
        return Finding::new(ID, Verdict::Warn, "it is replicated to no destination");
    };
    source(copy, case)
}

/// It is copied to another.
fn source(copy: &Destination, case: &Case<'_>) -> Finding {
    const ID: &str = Id::Replication.name();
    let to = format!("{} in {}", copy.id, copy.region);
    let show = format!(
        "aws efs describe-replication-configurations --file-system-id {} --region {}",
        case.asked.file_system, case.asked.region
    );
    let lag = copy.synced.map(|at| case.now.duration_since(at));
    let message = copy.message.clone();
    let warn = |says: String| {
        let finding = Finding::new(ID, Verdict::Warn, says);
        message.iter().fold(finding, |finding, it| finding.shown_by(it.clone()))
    };
    match (copy.status.as_str(), lag) {
        ("ENABLED", Some(lag)) if lag <= BEHIND => {
            let says = format!("it is replicated to {to}, {} behind", spoken(lag));
            Finding::new(ID, Verdict::Pass, says)
        }
        ("ENABLED", Some(lag)) => warn(format!(
            "its copy {to} is {} behind: that much would be lost in a failover",
            spoken(lag)
        ))
        .mended_by(show),
        ("ENABLED", None) => warn(format!("its copy {to} was never whole yet")).mended_by(show),
        ("ENABLING", _) => warn(format!("its first copy to {to} is under way: there is none yet")),
        ("DELETING", _) => {
            warn(format!("its replication to {to} is ending: afterwards both can be written"))
        }
        (status, lag) => {
            let since = lag.map(|lag| format!(", {} behind", spoken(lag))).unwrap_or_default();
            warn(format!("its replication to {to} is {status}{since}: nothing is copied"))
                .mended_by(show)
        }
    }
}

/// It is the copy. A host that is to serve from it cannot; from outside it may be meant to be one.
fn read_only(of: Option<(&Replication, &Destination)>, case: &Case<'_>) -> Finding {
    const ID: &str = Id::Replication.name();
    let (id, region) = (&case.asked.file_system, &case.asked.region);
    let from = of.map(|(it, _)| format!("{} in {}", it.source, it.source_region));
    let from = from.unwrap_or_else(|| "another file system".to_owned());
    if let Some((_, copy)) = of
        && copy.status == "DELETING"
    {
        let says =
            format!("its replication from {from} is ending: it can be written in some minutes");
        return Finding::new(ID, Verdict::Warn, says);
    }
    let says = format!("it is the read-only copy of {from}: nothing can be written to it");
    let synced = of.and_then(|(_, copy)| copy.synced);
    let finding = Finding::new(ID, Verdict::Fail, says);
    let finding = match synced {
        Some(at) => finding.shown_by(format!(
            "it has all that was written until {}, {} ago",
            at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            spoken(case.now.duration_since(at))
        )),
        None => finding,
    };
    let serves = case.here().is_none_or(|here| here.role == Role::Controller);
    let finding = finding
        .mended_by(format!("hostkit efs recover failover --file-system {id} --region {region}"));
    if serves {
        finding.mended_by(format!(
            "only if {from} is lost, and its Jenkins proven dead; else this host is told the wrong \
             file system: `efs.id` in host.toml"
        ))
    } else {
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::api::night::{FILE_SYSTEM, NOW, asked, case};
    use crate::doctor::render;
    use jiff::Timestamp;

    fn seen(source: &str, copy: &str, status: &str, behind: Option<i64>) -> Seen {
        let now: Timestamp = NOW.parse().unwrap();
        let destination = Destination {
            id: copy.into(),
            region: "eu-central-1".into(),
            status: status.into(),
            message: (status == "ERROR").then(|| "the KMS key of the copy is disabled".into()),
            synced: behind.map(|minutes| now - SignedDuration::from_mins(minutes)),
        };
        let replication = Replication {
            source: source.into(),
            source_region: "eu-west-1".into(),
            destinations: vec![destination],
        };
        Seen { replication: Some(replication), protection: Some("ENABLED".into()) }
    }

    const OTHER: &str = "fs-0fedcba9876543210";

    #[test]
    fn none_and_one_that_keeps_up_pass() {
        let none = Seen { replication: None, protection: Some("ENABLED".into()) };
        assert_eq!(judge(&none, &case(&asked())).verdict, Verdict::Pass);
        let good = judge(&seen(FILE_SYSTEM, OTHER, "ENABLED", Some(12)), &case(&asked()));
        assert_eq!(good.verdict, Verdict::Pass);
        assert_eq!(
            good.says,
            "it is replicated to fs-0fedcba9876543210 in eu-central-1, 12 min behind"
        );
    }

    #[test]
    fn what_is_not_well_is_told() {
        let hidden = Seen { replication: None, protection: Some("REPLICATING".into()) };
        let cases = [
            (seen(FILE_SYSTEM, OTHER, "ENABLED", Some(200)), Verdict::Warn),
            (seen(FILE_SYSTEM, OTHER, "ENABLED", None), Verdict::Warn),
            (seen(FILE_SYSTEM, OTHER, "ENABLING", None), Verdict::Warn),
            (seen(FILE_SYSTEM, OTHER, "PAUSED", Some(90)), Verdict::Warn),
            (seen(FILE_SYSTEM, OTHER, "ERROR", Some(90)), Verdict::Warn),
            (seen(FILE_SYSTEM, OTHER, "DELETING", Some(3)), Verdict::Warn),
            (seen(OTHER, FILE_SYSTEM, "ENABLED", Some(7)), Verdict::Fail),
            (seen(OTHER, FILE_SYSTEM, "DELETING", Some(7)), Verdict::Warn),
            (hidden, Verdict::Fail),
        ];
        let mut text = String::new();
        for (seen, verdict) in &cases {
            let finding = judge(seen, &case(&asked()));
            assert_eq!(finding.verdict, *verdict, "{}", finding.says);
            text += &render(&[finding]);
        }
        insta::assert_snapshot!(text);
    }
}
