//! The folder that a restore has made: no call of AWS names it, but a host sees it that has the file
//! system mounted.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::aws::backup::Job;
use crate::doctor::recover::inside::Kind;
use crate::doctor::recover::{Setting, ask};

/// What the folder's name begins with.
const PREFIX: &str = "aws-backup-restore_";
/// How far the clocks of those who name it may be apart.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// The folder of a restore that is done; nothing where the file system does not answer, or it cannot
/// be told from others.
pub async fn folder(setting: &Setting<'_>, job: &Job) -> Option<String> {
    let survey = ask::survey(setting, None).await.ok()?;
    let restored = survey.choices.into_iter().filter(|choice| choice.kind == Kind::Restore);
    of_job(restored.map(|choice| choice.name), job)
}

/// The only one of these that was made while the job ran.
fn of_job(names: impl Iterator<Item = String>, job: &Job) -> Option<String> {
    let (from, until) = (job.created? - SLACK, job.ended? + SLACK);
    let made = |name: &String| moment(name).is_some_and(|at| from <= at && at <= until);
    let mut found = names.filter(made);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// When a folder was made, by its name: `aws-backup-restore_2026-11-27T02-10-00-417720408Z`.
fn moment(name: &str) -> Option<Timestamp> {
    let time = name.strip_prefix(PREFIX)?.get(..19)?;
    let time = DateTime::strptime("%Y-%m-%dT%H-%M-%S", time).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_job_is_the_one_that_was_made_while_it_ran() {
        let job = Job {
            id: "6C0A".into(),
            state: "COMPLETED".into(),
            message: None,
            percent: Some(100),
            bytes: None,
            created: Some("2026-11-27T02:00:00Z".parse().unwrap()),
            ended: Some("2026-11-27T02:30:00Z".parse().unwrap()),
            point: None,
        };
        let of = |names: &[&str]| of_job(names.iter().map(|it| (*it).to_owned()), &job);
        let mine = "aws-backup-restore_2026-11-27T02-29-11-417720408Z";
        let others = [
            "aws-backup-restore_2026-11-26T02-29-11-417Z",
            "aws-backup-restore_",
            "aws-backup-restore_2026-11-27Täää-10-00Z",
            "home",
        ];
        assert_eq!(of(&[others[0], mine, others[1], others[2], others[3]]).unwrap(), mine);
        assert_eq!(of(&others), None);
        assert_eq!(of(&[mine, "aws-backup-restore_2026-11-27T02-10-00-417Z"]), None, "two");
    }
}
