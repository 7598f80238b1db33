//! One rollout of a group at a time: who holds the lock, and since when.
//!
//! The lock is a parameter that is written only if it is not there. It is not what keeps two
//! processes from carrying on the same rollout: that is the numbers of the journal's versions.

use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::process::Process;
use super::refused;
use crate::aws::{patience, ssm};
use crate::error::Fault;

/// What passes is borne so long before there is a lock.
const BEAR: Duration = Duration::from_mins(2);

/// Who carries a rollout out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The user or the role, as AWS knows them: an ARN.
    pub who: String,
    /// The machine that hostkit runs on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Which process that number means, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

impl Operator {
    /// This process, as whom AWS knows it.
    pub fn this(who: &str) -> Self {
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
        Self {
            who: who.to_owned(),
            host: host.unwrap_or_else(|_| "an unnamed machine".to_owned()),
            pid: std::process::id(),
            process: Process::this(),
        }
    }

    /// Whether it is known that its process is there no more, where `here` asks. One of another machine
    /// or container, or of an older hostkit, counts as living.
    pub(super) fn is_dead(&self, here: &Self) -> bool {
        let both = self.process.as_ref().zip(here.process.as_ref());
        both.is_some_and(|(process, here)| process.is_gone(self.pid, here))
    }
}

/// The lock, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The form: 1.
    pub form: u32,
    /// The id of the rollout.
    pub rollout: String,
    /// Who carries it out.
    #[serde(flatten)]
    pub operator: Operator,
    /// Since when.
    pub since: Timestamp,
}

/// The parameter of a group's lock.
pub fn parameter(group: &str) -> String {
    format!("/hostkit/asg/{group}/lock")
}

impl Lock {
    /// A lock for a rollout.
    pub fn new(rollout: &str, operator: &Operator, since: Timestamp) -> Self {
        Self { form: 1, rollout: rollout.to_owned(), operator: operator.clone(), since }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("it is plain data")
    }

    /// For whoever finds it.
    pub fn held(&self, group: &str) -> Fault {
        let Self { rollout, operator: Operator { who, host, pid, .. }, since, .. } = self;
        Fault::step(format!(
            "{group} is being changed by {who} on {host} (process {pid}) since {since:.0}: \
             rollout {rollout}"
        ))
        .hint(format!(
            "ask them; if that process is gone, `hostkit upgrade --asg {group} --resume` carries \
             it on, and with --back goes back to what served before"
        ))
    }
}

/// Takes the lock of a group.
///
/// # Errors
/// Somebody has it (who, and since when), or AWS refuses.
pub async fn take(config: &SdkConfig, group: &str, lock: &Lock) -> anyhow::Result<()> {
    let description = "hostkit changes this group; the journal beside it says how far it is";
    let name = parameter(group);
    let made = patience::until(BEAR, async || {
        match ssm::create(config, &name, &lock.text(), ssm::Kind::Plain, description).await {
            Err(failure) if failure.code() == Some("ParameterAlreadyExists") => Ok(Some(false)),
            made => made.map(|()| Some(true)),
        }
    });
    if made.await.map_err(|it| refused(&it))? == Some(true) {
        return Ok(());
    }
    match read(config, group).await? {
        // The answer to an attempt before this one was lost.
        Some(held) if held.rollout == lock.rollout => Ok(()),
        Some(held) => Err(held.held(group).into()),
        None => Err(Fault::step(format!("the lock of {group} was given back a moment ago"))
            .hint("give the same command again")
            .into()),
    }
}

/// Whether nobody changes these groups, now that the own lock is held: a controller and its
/// agents are not replaced at the same time. Whoever comes second has to give the lock back; of two that
/// come at once each may, and no one goes on.
///
/// # Errors
/// Somebody does, or AWS refuses.
pub async fn apart(config: &SdkConfig, others: &[String]) -> anyhow::Result<()> {
    for other in others {
        let Some(held) = read(config, other).await? else { continue };
        let who = &held.operator.who;
        return Err(Fault::step(format!(
            "{other} is being changed by {who}: a controller and its agents are never replaced in one \
             step"
        ))
        .hint("wait until it is over, and give the same command again")
        .into());
    }
    Ok(())
}

/// Who holds the lock of a group, if anybody.
pub async fn read(config: &SdkConfig, group: &str) -> anyhow::Result<Option<Lock>> {
    let found = ssm::parameter(config, &parameter(group)).await.map_err(|it| refused(&it))?;
    let Some(found) = found else { return Ok(None) };
    serde_json::from_str(&found.value).map(Some).with_context(|| {
        let (name, hint) = (parameter(group), "look at it, and remove it if nobody is at work");
        Fault::step(format!("the lock {name} cannot be read")).hint(hint)
    })
}

/// Gives the lock of a group back, if it is that of this rollout: somebody may have removed it, and
/// somebody else have taken it.
pub async fn give_back(config: &SdkConfig, group: &str, rollout: &str) -> anyhow::Result<()> {
    match read(config, group).await? {
        Some(held) if held.rollout == rollout => {
            let removed = ssm::remove(config, &parameter(group)).await;
            removed.map_err(|it| refused(&it).into())
        }
        _ => Ok(()),
    }
}

/// Says who carries the rollout on from now.
pub async fn pass(config: &SdkConfig, group: &str, lock: &Lock) -> anyhow::Result<()> {
    let written = ssm::write(config, &parameter(group), &lock.text()).await;
    written.map_err(|it| refused(&it).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_second_is_told_who_holds_it_and_what_to_do() {
        let text = r#"{"form":1,"rollout":"r-0123","who":"arn:aws:iam::1:user/ada","host":"laptop",
            "pid":4711,"since":"2026-03-01T02:03:04Z"}"#;
        let lock: Lock = serde_json::from_str(text).unwrap();
        let fault = lock.held("ci");
        assert_eq!(
            fault.to_string(),
            "ci is being changed by arn:aws:iam::1:user/ada on laptop (process 4711) since \
             2026-03-01T02:03:04Z: rollout r-0123"
        );
        assert!(fault.hint_text().unwrap().contains("hostkit upgrade --asg ci --resume"));
        let again: Lock = serde_json::from_str(&lock.text()).unwrap();
        assert_eq!(again, lock);
    }

    #[test]
    fn who_cannot_be_known_to_be_dead_counts_as_living() {
        let here = Operator::this("ada");
        assert!(!here.is_dead(&here));
        let dead = Operator { pid: u32::MAX, ..here.clone() };
        assert!(dead.is_dead(&here));
        // Another container of the same name; and locks that were written before that was told.
        let mut other = dead.clone();
        other.process.as_mut().unwrap().namespace = "pid:[1]".to_owned();
        assert!(!other.is_dead(&here));
        let old = Operator { process: None, ..dead };
        assert!(!old.is_dead(&here) && !serde_json::to_string(&old).unwrap().contains("process"));
        let read: Operator = serde_json::from_str(&serde_json::to_string(&here).unwrap()).unwrap();
        assert_eq!(read, here);
    }
}
