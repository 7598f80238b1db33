//! What is kept of a rollout when it is over: what serves, what served before, and the history, a
//! version of a parameter each.

use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ended::Times;
use super::journal::{Journal, shortened};
use super::{Order, Side, Way, timeline};
use crate::aws::{Failure, inventory, ssm};

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// What was to serve does.
    Done,
    /// What served before does again.
    Back,
}

/// A rollout that is over, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The form: 1.
    pub form: u32,
    /// Its id.
    pub rollout: String,
    /// Who carried it out at the end.
    pub who: String,
    /// Whether it was a way back that somebody asked for.
    pub rollback: bool,
    /// What served before.
    pub from: Side,
    /// What was to serve.
    pub to: Side,
    /// How it ended.
    pub end: End,
    /// Why it went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When it began.
    pub begun: Timestamp,
    /// When it was over.
    pub over: Timestamp,
    /// Where the time went.
    #[serde(default)]
    pub times: Times,
}

impl Record {
    /// What is kept of a rollout that is over.
    pub fn of(journal: &Journal, who: &str, now: Timestamp) -> Self {
        Self {
            form: 1,
            rollout: journal.rollout.clone(),
            who: who.to_owned(),
            rollback: journal.order.rollback,
            from: journal.order.from.clone(),
            to: journal.order.to.clone(),
            end: match journal.way {
                Way::Forward => End::Done,
                Way::Back => End::Back,
            },
            cause: journal.cause.as_deref().map(|cause| shortened(cause, 500)),
            begun: journal.begun,
            over: now,
            times: timeline::times(journal, now),
        }
    }
}

/// The parameter that says what serves.
pub fn current(group: &str) -> String {
    format!("/hostkit/asg/{group}/current")
}

/// The parameter that says what served before.
pub fn previous(group: &str) -> String {
    format!("/hostkit/asg/{group}/previous")
}

/// The parameter of the history.
pub fn history(group: &str) -> String {
    format!("/hostkit/asg/{group}/history")
}

/// What serves, and what served before, where hostkit has brought it there.
pub async fn sides(
    config: &SdkConfig,
    group: &str,
) -> Result<(Option<Side>, Option<Side>), Failure> {
    let names = [current(group), previous(group)];
    let found = ssm::parameters(config, &[&names[0], &names[1]]).await?.values;
    let side = |name| found.get(name).and_then(|text| serde_json::from_str(text).ok());
    Ok((side(&names[0]), side(&names[1])))
}

pub(super) async fn is_pointed(config: &SdkConfig, order: &Order) -> Result<bool, Failure> {
    let (current, previous) = sides(config, &order.group).await?;
    Ok(current.as_ref() == Some(&order.to) && previous.as_ref() == Some(&order.from))
}

pub(super) async fn point(config: &SdkConfig, order: &Order) -> Result<(), Failure> {
    let text = |side| serde_json::to_string(side).expect("it is plain data");
    ssm::write(config, &previous(&order.group), &text(&order.from)).await?;
    ssm::write(config, &current(&order.group), &text(&order.to)).await
}

pub(super) async fn write(config: &SdkConfig, group: &str, record: &Record) -> Result<(), Failure> {
    let text = serde_json::to_string(record).expect("it is plain data");
    ssm::write(config, &history(group), &text).await
}

/// The last rollout that is over.
pub async fn newest(config: &SdkConfig, group: &str) -> Result<Option<Record>, Failure> {
    let found = ssm::parameter(config, &history(group)).await?;
    Ok(found.and_then(|found| serde_json::from_str(&found.value).ok()))
}

/// The rollouts of a group that Parameter Store still has, the oldest first: a hundred at most. What
/// cannot be read is left out.
pub async fn all(config: &SdkConfig, group: &str) -> Result<Vec<Record>, Failure> {
    let versions = inventory::history(config, &history(group)).await?;
    let mut all: Vec<Record> =
        versions.iter().filter_map(|it| serde_json::from_str(&it.value).ok()).collect();
    // An answer that was lost may have had it written twice.
    all.dedup_by(|one, other| one.rollout == other.rollout);
    Ok(all)
}
