//! Whether it is backed up, and how old the newest backup is that can be restored.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::described::described;
use crate::aws::backup::{RecoveryPoint, recovery_points};
use crate::aws::efs;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// A daily backup begins within some hours: the newest is not older than this.
const DAILY: SignedDuration = SignedDuration::from_hours(26);
/// From here on a restore loses a week of work.
const STALE: SignedDuration = SignedDuration::from_hours(24 * 7);
/// So many are kept of what was seen.
const KEPT: usize = 20;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whether EFS's own daily backup is on.
    pub automatic: bool,
    /// The newest recovery points, the newest first.
    pub points: Vec<RecoveryPoint>,
    /// How many there are.
    pub count: usize,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let (aws, file_system) = (scene.aws()?, described(scene)?);
    let automatic = efs::is_backed_up(aws, &file_system.id).await.map_err(Gap::from)?;
    let mut points = recovery_points(aws, &file_system.arn).await.map_err(Gap::from)?;
    points.sort_by_key(|point| std::cmp::Reverse(point.created));
    let count = points.len();
    points.truncate(KEPT);
    Ok(Seen { automatic, points, count })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    const ID: &str = Id::Backup.name();
    let (id, region) = (&case.asked.file_system, &case.asked.region);
    let now_one = format!("hostkit efs backup start --file-system {id} --region {region} --wait");
    let daily = format!(
        "aws efs put-backup-policy --file-system-id {id} --backup-policy Status=ENABLED --region \
         {region}"
    );
    let whole = seen.points.iter().find(|point| point.is_whole() && point.created.is_some());
    let Some((newest, created)) = whole.and_then(|point| Some((point, point.created?))) else {
        return never(seen, &now_one, &daily);
    };
    let age = case.now.duration_since(created);
    let told = format!(
        "the newest of {} recovery points is {} old ({}, in {})",
        seen.count,
        spoken(age),
        created.strftime("%Y-%m-%d %H:%M UTC"),
        newest.vault
    );
    let broken = broken(seen, created);
    if age > DAILY {
        let verdict = if age > STALE { Verdict::Fail } else { Verdict::Warn };
        let says = format!("the newest backup that can be restored is {} old", spoken(age));
        let finding = Finding::new(ID, verdict, says).shown_by(told);
        let finding = broken.iter().fold(finding, |finding, it| finding.shown_by(it.clone()));
        let finding = finding.mended_by(now_one);
        return if seen.automatic {
            finding.mended_by(format!(
                "hostkit efs backup status --file-system {id} --region {region}"
            ))
        } else {
            finding.mended_by(daily)
        };
    }
    if !broken.is_empty() {
        let says = "a backup since the newest good one is not whole";
        let finding = Finding::new(ID, Verdict::Warn, says).shown_by(told);
        let finding = broken.iter().fold(finding, |finding, it| finding.shown_by(it.clone()));
        return finding.mended_by(now_one);
    }
    let finding = Finding::new(ID, Verdict::Pass, told);
    if seen.automatic {
        return finding;
    }
    finding.shown_by("EFS's own daily backup is off: a plan of AWS Backup, or a person, made it")
}

/// There is none that can be restored.
fn never(seen: &Seen, now_one: &str, daily: &str) -> Finding {
    const ID: &str = Id::Backup.name();
    let broken = broken(seen, Timestamp::MIN);
    let finding = match (seen.automatic, broken.is_empty()) {
        (_, false) => Finding::new(ID, Verdict::Fail, "none of its backups can be restored"),
        (true, true) => Finding::new(
            ID,
            Verdict::Warn,
            "it was never backed up yet: the daily backup is on, and has made none",
        ),
        (false, true) => {
            Finding::new(ID, Verdict::Fail, "it was never backed up, and nothing does it")
        }
    };
    let finding = broken.iter().fold(finding, |finding, it| finding.shown_by(it.clone()));
    let finding = finding.mended_by(now_one);
    if seen.automatic { finding } else { finding.mended_by(daily) }
}

/// What is newer than the newest good one, and not whole: in a line each.
fn broken(seen: &Seen, since: Timestamp) -> Vec<String> {
    let newer = |point: &&RecoveryPoint| point.created.is_some_and(|at| at > since);
    // One that is being made is no matter yet.
    let bad = |point: &&RecoveryPoint| !point.is_whole() && point.state != "CREATING";
    let all = seen.points.iter().filter(newer).filter(bad);
    all.map(|point| {
        let at = point.created.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
        let why = point.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} of {} is {}{why}", point.arn, at.unwrap_or_default(), point.state)
    })
    .collect()
}

/// Hours up to two days, then days.
pub(crate) fn spoken(age: SignedDuration) -> String {
    let hours = age.as_hours();
    match hours {
        ..1 => format!("{} min", age.as_mins().max(0)),
        1..48 => format!("{hours} h"),
        _ => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::api::night::{NOW, asked, case};
    use crate::doctor::render;

    fn point(hours: i64, state: &str) -> RecoveryPoint {
        let now: Timestamp = NOW.parse().unwrap();
        RecoveryPoint {
            arn: format!("arn:aws:backup:eu-west-1:123456789012:recovery-point:{hours}"),
            vault: "aws/efs/automatic-backup-vault".into(),
            created: Some(now - SignedDuration::from_hours(hours)),
            state: state.into(),
            message: (state == "PARTIAL").then(|| "some files changed while they were read".into()),
            bytes: Some(6144),
        }
    }

    fn seen(automatic: bool, points: &[(i64, &str)]) -> Seen {
        let points: Vec<_> = points.iter().map(|(hours, state)| point(*hours, state)).collect();
        Seen { automatic, count: points.len(), points }
    }

    #[test]
    fn a_backup_of_the_last_day_passes() {
        let finding = judge(&seen(true, &[(5, "COMPLETED"), (29, "COMPLETED")]), &case(&asked()));
        assert_eq!(finding.verdict, Verdict::Pass);
        assert_eq!(
            finding.says,
            "the newest of 2 recovery points is 5 h old (2026-11-26 22:00 UTC, in \
             aws/efs/automatic-backup-vault)"
        );
        // One that is being made right now is no trouble.
        let making = seen(true, &[(0, "CREATING"), (20, "AVAILABLE")]);
        assert_eq!(judge(&making, &case(&asked())).verdict, Verdict::Pass);
        let by_plan = judge(&seen(false, &[(5, "COMPLETED")]), &case(&asked()));
        assert_eq!((by_plan.verdict, by_plan.evidence.len()), (Verdict::Pass, 1));
    }

    #[test]
    fn what_is_missing_is_told_with_the_line_that_mends_it() {
        let cases = [
            (seen(false, &[]), Verdict::Fail),
            (seen(true, &[]), Verdict::Warn),
            (seen(true, &[(30, "COMPLETED")]), Verdict::Warn),
            (seen(false, &[(200, "COMPLETED")]), Verdict::Fail),
            (seen(true, &[(2, "PARTIAL"), (20, "COMPLETED")]), Verdict::Warn),
            (seen(true, &[(2, "PARTIAL"), (50, "EXPIRED")]), Verdict::Fail),
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
