//! What AWS Backup has in a region: vaults, the recovery points in them, and jobs.
//!
//! Plain state; time makes something of it when somebody looks. What a recovery point holds is not
//! kept: it is known what it is a backup of, and when it was made.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::ACCOUNT_ID;
use super::random;
use super::region::Due;

/// How long a job waits on AWS until it runs.
pub const WAITS: Duration = Duration::from_secs(30);
/// How long a small backup takes on AWS.
pub const BACKUP: Duration = Duration::from_mins(3);
/// How long a small restore takes on AWS.
pub const RESTORE: Duration = Duration::from_mins(5);
/// Where EFS's own daily backups go.
pub const AUTOMATIC: &str = "aws/efs/automatic-backup-vault";
/// Where backups go that a person asks for.
pub const DEFAULT: &str = "Default";

/// A recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// `arn:aws:backup:…:recovery-point:…`
    pub arn: String,
    /// The vault that it is in.
    pub vault: String,
    /// What it is a backup of: an ARN.
    pub resource: String,
    /// When it was begun.
    pub created: Timestamp,
    /// When it was done.
    pub completed: Timestamp,
    /// `COMPLETED`, `PARTIAL`, `EXPIRED`, …
    pub state: String,
    /// Why it is not whole.
    pub message: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// The key that encrypted what it is a backup of.
    pub key: Option<String>,
}

impl Point {
    /// One that was made a while ago, whole.
    pub fn made(region: &str, resource: &str, created: Timestamp, bytes: u64) -> Self {
        Self {
            arn: point_arn(region),
            vault: AUTOMATIC.to_owned(),
            resource: resource.to_owned(),
            created,
            completed: created + BACKUP,
            state: "COMPLETED".to_owned(),
            message: None,
            bytes,
            key: None,
        }
    }
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It makes a recovery point.
    Backup,
    /// It puts one back, into a folder.
    Restore,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// The file system: an ARN.
    pub resource: String,
    /// The recovery point: the one that it makes, or restores.
    pub point: String,
    /// The vault of that.
    pub vault: String,
    /// The role that AWS Backup takes for it.
    pub role: String,
    /// When it begins to run.
    pub runs: Due,
    /// When it is over.
    pub ends: Due,
    /// Why it will fail, if it will.
    pub fails: Option<String>,
    /// How many bytes it has to do with.
    pub bytes: u64,
    /// The key that the file system is encrypted with.
    pub key: Option<String>,
    /// What of the file system is restored; all if empty.
    pub items: Vec<String>,
    /// When it ended, and the folder that a restore put things into.
    pub over: Option<(Timestamp, Option<String>)>,
}

impl Job {
    /// AWS's word for how it stands.
    pub fn state(&self, now: Instant) -> &'static str {
        match (self.over.is_some(), self.kind) {
            (true, _) if self.fails.is_some() => "FAILED",
            (true, _) => "COMPLETED",
            (false, _) if now >= self.runs.at => "RUNNING",
            (false, Kind::Backup) => "CREATED",
            (false, Kind::Restore) => "PENDING",
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Vaults {
    /// The names of the vaults.
    pub names: Vec<String>,
    /// Recovery points by ARN.
    pub points: BTreeMap<String, Point>,
    /// Jobs by id.
    pub jobs: BTreeMap<String, Job>,
}

impl Default for Vaults {
    fn default() -> Self {
        let names = [DEFAULT, AUTOMATIC].map(str::to_owned).to_vec();
        Self { names, points: BTreeMap::new(), jobs: BTreeMap::new() }
    }
}

impl Vaults {
    /// Puts a recovery point there.
    pub fn keep(&mut self, point: Point) {
        self.points.insert(point.arn.clone(), point);
    }

    /// Lets happen what is due.
    pub fn settle(&mut self, now: Instant, world: Timestamp) {
        for job in self.jobs.values_mut().filter(|job| job.over.is_none() && job.ends.at <= now) {
            let restored = job.kind == Kind::Restore && job.fails.is_none();
            job.over = Some((world, restored.then(|| folder(world))));
            if job.kind == Kind::Backup && job.fails.is_none() {
                let point = Point {
                    arn: job.point.clone(),
                    vault: job.vault.clone(),
                    resource: job.resource.clone(),
                    created: job.runs.asked,
                    completed: world,
                    state: "COMPLETED".to_owned(),
                    message: None,
                    bytes: job.bytes,
                    key: job.key.clone(),
                };
                self.points.insert(point.arn.clone(), point);
            }
        }
    }
}

/// The folder that a restore makes at the top of a file system.
fn folder(at: Timestamp) -> String {
    let nanoseconds = at.subsec_nanosecond();
    format!("aws-backup-restore_{}-{nanoseconds:09}Z", at.strftime("%Y-%m-%dT%H-%M-%S"))
}

/// The ARN of a recovery point that there is none of yet.
pub fn point_arn(region: &str) -> String {
    format!("arn:aws:backup:{region}:{ACCOUNT_ID}:recovery-point:{}", id())
}

/// The ARN of a vault.
pub fn vault_arn(region: &str, name: &str) -> String {
    format!("arn:aws:backup:{region}:{ACCOUNT_ID}:backup-vault:{name}")
}

/// An id as AWS Backup gives them.
pub fn id() -> String {
    let digits = random::hex(32);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}
