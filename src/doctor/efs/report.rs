//! What a run found, as one value: for programs as it is, for people by [`super::text`].

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::cause::{self, Cause};
use super::engine::Done;
use super::host::role;
use super::scene::{Asked, Case};
use super::table::{Id, Observed};
use crate::doctor::{Finding, Verdict, worst};
use crate::secret;

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// What a run of `hostkit efs check` found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// The version of this form.
    pub version: u32,
    /// The file system.
    pub file_system: String,
    /// Its region.
    pub region: String,
    /// Where it is mounted; absent where it was looked at from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_point: Option<String>,
    /// The instance that looked, where it knows itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// When it was looked, in UTC.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub took: f64,
    /// The worst of all.
    pub verdict: Verdict,
    /// The one thing that explains what failed, as far as one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The checks that were asked for, if not all were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<&'static str>,
    /// What each check found, in the order in which one thing rests on another.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Of what was found. Nothing secret comes through.
    pub fn of(
        asked: &Asked,
        observed: &Observed,
        at: Timestamp,
        done: &[Done],
        took: Duration,
    ) -> Self {
        let findings: Vec<_> = done.iter().map(|done| masked(&done.finding)).collect();
        Self {
            version: VERSION,
            file_system: asked.file_system.clone(),
            region: asked.region.clone(),
            mount_point: asked.host.as_ref().map(|here| here.mount_point.to_string()),
            instance: role::identity(observed).map(|identity| identity.instance_id.clone()),
            at,
            took: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            verdict: worst(&findings),
            cause: cause::name(&findings, &Case { asked, observed, now: at }),
            only: Vec::new(),
            findings,
        }
    }

    /// Of these checks alone, and of what they rest on.
    #[must_use]
    pub fn only(mut self, which: &[Id]) -> Self {
        self.only = which.iter().map(|id| id.name()).collect();
        self
    }

    /// What a check found.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// What has changed since an earlier look: the checks that end otherwise, with how they ended
    /// then.
    pub fn changes<'a>(&'a self, before: &Self) -> Vec<(Verdict, &'a Finding)> {
        let changed = |now: &'a Finding| {
            let then = before.finding(now.id)?.verdict;
            (then != now.verdict).then_some((then, now))
        };
        self.findings.iter().filter_map(changed).collect()
    }
}

fn masked(finding: &Finding) -> Finding {
    let mask = |text: &String| secret::redact(text).into_owned();
    Finding {
        id: finding.id,
        verdict: finding.verdict,
        says: mask(&finding.says),
        evidence: finding.evidence.iter().map(mask).collect(),
        fix: finding.fix.iter().map(mask).collect(),
    }
}
