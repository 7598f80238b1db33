//! A recovery point is put back, into a folder at the top of the file system that it was made of.

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::Serialize;

use super::{ended, failed, find, points, refused, role};
use crate::aws::backup::{self, Job, Metadata, RecoveryPoint};
use crate::aws::efs::FileSystem;
use crate::aws::operator::{fault, region};
use crate::doctor::recover::steps::told;
use crate::error::Fault;
use crate::event::Events;

/// What the metadata of a restore may have, in bytes.
const METADATA_LIMIT: usize = 200 << 10;
const STEP: &str = "restore";

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The file system: the one that the recovery point was made of.
    pub file_system: String,
    /// The recovery point: its ARN, the id at its end, or `newest`.
    pub point: String,
    /// Paths from the top of the file system; all of it if there are none.
    pub items: Vec<String>,
    /// The role that AWS Backup takes; its own default one if nothing is said.
    pub role: Option<String>,
    /// Whether to wait until it is done.
    pub wait: bool,
    /// What makes it one restore, however often it is asked for.
    pub token: String,
}

/// A restore that was begun, or is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The file system.
    pub file_system: String,
    /// Its region.
    #[serde(skip)]
    pub region: String,
    /// The recovery point.
    pub point: RecoveryPoint,
    /// The job, as it was seen last.
    pub job: Job,
    /// When this was.
    #[serde(skip)]
    pub now: Timestamp,
}

/// Has a recovery point restored beside what is there. With `wait`, returns once all of it is.
///
/// # Errors
/// There is no such recovery point, it is of another file system, or cannot be restored; AWS refuses;
/// with `wait`, it does not end well.
pub async fn restore(
    config: &SdkConfig,
    asked: &Asked,
    events: &Events,
) -> anyhow::Result<Restored> {
    let items = items(&asked.items)?;
    let file_system = find(config, &asked.file_system).await?;
    let point = chosen(points(config, &file_system).await?, &asked.point, config)?;
    let known = backup::restore_metadata(config, &point.vault, &point.arn).await;
    let known = known.map_err(|failure| refused(&failure, &point.vault))?;
    let metadata = metadata(known, &file_system, items.as_deref(), &asked.token)?;
    let role = role(config, asked.role.as_deref(), &file_system).await?;
    let title = format!("restoring {} beside what is in {}", short(&point.arn), file_system.id);
    let job = told(events, STEP, title, async {
        let id = backup::start_restore(config, &point.arn, &metadata, &role, &asked.token).await;
        let id = id.map_err(|failure| refused(&failure, &point.vault))?;
        events.log(STEP, format!("job {id}"));
        if !asked.wait {
            return Ok(backup::restore_job(config, &id)
                .await
                .map_err(|failure| fault(&failure))?);
        }
        let job = ended(events, STEP, async || backup::restore_job(config, &id).await).await?;
        if job.is_done() { Ok(job) } else { Err(failed("the restore", &job)) }
    });
    let (job, region) = (job.await?, region(config).to_owned());
    Ok(Restored { file_system: file_system.id, region, point, job, now: Timestamp::now() })
}

/// The recovery point that is meant.
fn chosen(
    points: Vec<RecoveryPoint>,
    asked: &str,
    config: &SdkConfig,
) -> Result<RecoveryPoint, Fault> {
    let newest = asked == "newest";
    let mut points = points.into_iter();
    let found = points.find(|point| match newest {
        true => point.is_whole(),
        false => point.arn == asked || short(&point.arn).eq_ignore_ascii_case(asked),
    });
    let Some(found) = found else {
        let what = if newest {
            "there is no recovery point that can be restored".to_owned()
        } else {
            format!("there is no recovery point {asked} of this file system")
        };
        let hint = format!("`hostkit efs backup list --region {}` shows them", region(config));
        return Err(Fault::usage(what).hint(hint));
    };
    // One that is not whole may be all that there is.
    if found.is_whole() || found.state == "PARTIAL" {
        return Ok(found);
    }
    let what = format!("the recovery point {} is {}", short(&found.arn), found.state);
    Err(Fault::usage(what).hint("choose another: `hostkit efs backup list`"))
}

/// The id at the end of an ARN.
pub(super) fn short(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// Paths as AWS Backup takes them: from the top of the file system.
fn items(asked: &[String]) -> Result<Option<String>, Fault> {
    for item in asked {
        let inside = item.split('/').all(|part| part != "." && part != "..");
        if !item.starts_with('/') || item.len() < 2 || !inside || item.contains('*') {
            return Err(Fault::usage(format!("`{}` is no path to restore", item.escape_debug())).hint(
                "a path begins at the top of the file system, not at the mount point, and has no \
                 wildcard: /home/jobs/app",
            ));
        }
    }
    if asked.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::to_string(asked).expect("a list of text is JSON")))
}

/// What AWS Backup must be told, from what it told of the recovery point.
fn metadata(
    mut known: Metadata,
    file_system: &FileSystem,
    items: Option<&str>,
    token: &str,
) -> Result<Metadata, Fault> {
    if let Some(other) = known.get("file-system-id").filter(|id| **id != file_system.id) {
        let what = format!("that is a recovery point of {other}, and not of {}", file_system.id);
        return Err(Fault::usage(what)
            .hint("hostkit restores into the file system that a backup is of, and into no other"));
    }
    let mut set = |name: &str, value: &str| known.insert(name.to_owned(), value.to_owned());
    set("file-system-id", &file_system.id);
    set("newFileSystem", "false");
    set("CreationToken", token);
    if let Some(items) = items {
        set("ItemsToRestore", items);
    }
    let performance = || file_system.performance_mode.clone();
    known.entry("PerformanceMode".to_owned()).or_insert_with(performance);
    let encrypted = || file_system.encrypted.to_string();
    known.entry("Encrypted".to_owned()).or_insert_with(encrypted);
    let size: usize = known.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > METADATA_LIMIT {
        return Err(Fault::usage("those are more paths than AWS Backup takes at once")
            .hint("restore a folder that holds them"));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_from_the_top_of_the_file_system_are_taken() {
        let path = |text: &str| items(&[text.to_owned()]);
        assert_eq!(path("/home/jobs/app").unwrap().unwrap(), r#"["/home/jobs/app"]"#);
        assert_eq!(items(&[]).unwrap(), None);
        for wrong in ["home", "/", "", "/home/../x", "/home/./x", "/home/*.xml"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_restore_says_all_that_aws_must_know() {
        let file_system = FileSystem {
            id: "fs-1".into(),
            encrypted: true,
            performance_mode: "generalPurpose".into(),
            ..FileSystem::default()
        };
        let known = Metadata::from([
            ("file-system-id".to_owned(), "fs-1".to_owned()),
            ("KmsKeyId".to_owned(), "arn:aws:kms:k".to_owned()),
        ]);
        let said = metadata(known.clone(), &file_system, Some("[\"/a\"]"), "t-1").unwrap();
        insta::assert_debug_snapshot!(said);
        let other = FileSystem { id: "fs-2".into(), ..file_system };
        assert!(metadata(known, &other, None, "t-1").is_err());
    }
}
