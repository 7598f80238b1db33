//! How backups stand, for people.

use jiff::Timestamp;

use super::restore::{Restored, short};
use super::{Job, RecoveryPoint, Standing};
use crate::doctor::efs::api::backup::spoken;
use crate::doctor::{Gap, Look};

impl Standing {
    /// In lines.
    pub fn text(&self) -> String {
        let mut lines = vec![self.file_system.clone(), self.policy(), self.newest()];
        match &self.vaults {
            Ok(vaults) => {
                let used =
                    vaults.iter().filter(|it| self.points.iter().any(|at| at.vault == it.name));
                let used: Vec<_> = used
                    .map(|it| format!("{}{}", it.name, if it.locked { " (locked)" } else { "" }))
                    .collect();
                if !used.is_empty() {
                    lines.push(format!("vaults: {}", used.join(", ")));
                }
            }
            Err(gap) => lines.push(untold("vaults", gap)),
        }
        lines.extend(self.jobs("backup", &self.backups));
        lines.extend(self.jobs("restore", &self.restores));
        lines.join("\n  ")
    }

    fn policy(&self) -> String {
        match &self.automatic {
            Ok(true) => "daily backup: on".to_owned(),
            Ok(false) => "daily backup: off".to_owned(),
            Err(gap) => untold("daily backup", gap),
        }
    }

    fn newest(&self) -> String {
        let whole = self.points.iter().find(|point| point.is_whole());
        let count = self.points.len();
        match whole.and_then(|point| Some((point, point.created?))) {
            None if count == 0 => "recovery points: none".to_owned(),
            None => format!("recovery points: {count}, none of which can be restored"),
            Some((point, at)) => format!(
                "recovery points: {count}, the newest whole one {} old: {} in {}",
                spoken(self.now.duration_since(at)),
                short(&point.arn),
                point.vault
            ),
        }
    }

    fn jobs(&self, what: &str, jobs: &Look<Vec<Job>>) -> Vec<String> {
        match jobs {
            Err(gap) => vec![untold(&format!("{what} jobs"), gap)],
            Ok(jobs) => jobs.iter().map(|job| line(what, job, self.now)).collect(),
        }
    }
}

fn untold(what: &str, gap: &Gap) -> String {
    if gap.denied {
        format!("{what}: cannot be told, needs {}", gap.needs)
    } else {
        format!("{what}: cannot be told, {}", gap.why)
    }
}

fn line(what: &str, job: &Job, now: Timestamp) -> String {
    let far = job.percent.filter(|_| !job.is_over()).map(|it| format!(", {it} %"));
    let ago = job.created.map(|at| format!(", begun {} ago", spoken(now.duration_since(at))));
    let why = job.message.as_ref().map(|why| format!(": {why}"));
    format!(
        "{what} {}: {}{}{}{}",
        job.id,
        job.state.to_lowercase(),
        far.unwrap_or_default(),
        ago.unwrap_or_default(),
        why.unwrap_or_default()
    )
}

/// The head of a table of recovery points.
pub const HEAD: [&str; 5] = ["RECOVERY POINT", "MADE (UTC)", "AGE", "SIZE", "STATE"];

/// A row of it.
pub fn row(point: &RecoveryPoint, now: Timestamp) -> [String; 5] {
    let at = point.created;
    let made = at.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default();
    let age = at.map(|at| spoken(now.duration_since(at))).unwrap_or_default();
    let why = point.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let state = format!("{}{why}, in {}", point.state.to_lowercase(), point.vault);
    [short(&point.arn).to_owned(), made, age, point.bytes.map(size).unwrap_or_default(), state]
}

/// A size as people read it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

impl Restored {
    /// What is there now, and the line that moves it in.
    pub fn text(&self) -> String {
        let job = &self.job;
        if !job.is_over() {
            return format!(
                "restore {} is {}\nhostkit efs backup status --file-system {} --region {}",
                job.id,
                job.state.to_lowercase(),
                self.file_system,
                self.region
            );
        }
        let (id, name) = (&self.file_system, self.folder.as_deref());
        let head = format!(
            "restored beside what is there, at the top of {id}: {}",
            name.unwrap_or(
                "a folder aws-backup-restore_…, the rest of whose name AWS does not tell"
            )
        );
        let next = match (name, self.items.first()) {
            (Some(name), None) => format!("this moves it in:\n  hostkit efs recover --from {name}"),
            (None, None) => {
                "on the host that holds the home this lists it, and changes nothing; the \
                             line that moves it in stands there:\n  hostkit efs recover --dry-run"
                    .to_owned()
            }
            (name, Some(item)) => {
                let name = name.unwrap_or("aws-backup-restore_…");
                format!(
                    "it is a part of a home, and `hostkit efs recover` moves in whole ones. With Jenkins \
                     stopped, as root where the file system is mounted, for instance:\n  mv -n \
                     {name}{item} .{item}"
                )
            }
        };
        format!("{head}\n{next}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn job(state: &str, message: Option<&str>) -> Job {
        let now: Timestamp = "2026-11-27T03:00:00Z".parse().unwrap();
        Job {
            id: "6C0A".into(),
            state: state.into(),
            message: message.map(str::to_owned),
            percent: Some(40),
            bytes: Some(6144),
            created: Some(now - SignedDuration::from_mins(30)),
            ended: None,
            point: None,
        }
    }

    #[test]
    fn a_person_reads_how_backups_stand() {
        let now: Timestamp = "2026-11-27T03:00:00Z".parse().unwrap();
        let point = |hours: i64, state: &str| RecoveryPoint {
            arn: format!("arn:aws:backup:eu-west-1:123456789012:recovery-point:0B{hours}"),
            vault: "aws/efs/automatic-backup-vault".into(),
            created: Some(now - SignedDuration::from_hours(hours)),
            state: state.into(),
            message: None,
            bytes: Some(3 << 30),
        };
        let vault =
            |name: &str| super::super::Vault { name: name.into(), points: 2, locked: false };
        let denied = Gap {
            needs: "backup:ListRestoreJobs".into(),
            denied: true,
            why: "AccessDeniedException".into(),
        };
        let standing = Standing {
            file_system: "fs-0123456789abcdef0".into(),
            automatic: Ok(true),
            points: vec![point(2, "PARTIAL"), point(20, "COMPLETED")],
            vaults: Ok(vec![vault("Default"), vault("aws/efs/automatic-backup-vault")]),
            backups: Ok(vec![job("RUNNING", None), job("FAILED", Some("access denied"))]),
            restores: Err(denied),
            now,
        };
        let empty = Standing {
            automatic: Ok(false),
            points: Vec::new(),
            backups: Ok(Vec::new()),
            restores: Ok(Vec::new()),
            ..standing.clone()
        };
        let rows: Vec<_> = standing.points.iter().map(|it| row(it, now).join(" | ")).collect();
        insta::assert_snapshot!(format!(
            "{}\n\n{}\n\n{}",
            standing.text(),
            empty.text(),
            rows.join("\n")
        ));
    }
}
