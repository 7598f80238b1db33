//! Credits are spent, and Jenkins crawls: another way to pay for throughput. One call of AWS, which
//! can be made once in 24 hours.

use std::time::Duration;

use aws_config::SdkConfig;
use serde::Serialize;

use super::backup::no_file_system;
use super::steps::{By, Step, Steps, told};
use crate::aws::efs::{self, FileSystem};
use crate::aws::efs_change::{Mode, set_throughput};
use crate::aws::operator::{fault, region};
use crate::aws::patience;
use crate::error::Fault;
use crate::event::Events;

/// How long AWS may take; it is mostly a minute.
const PATIENCE: Duration = Duration::from_mins(15);
const STEP: &str = "throughput";

/// What is changed, and how it is now.
#[derive(Clone, Debug)]
pub struct Change {
    /// The file system as it is.
    pub file_system: FileSystem,
    /// How it is to be.
    pub mode: Mode,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ended {
    /// The file system.
    pub file_system: String,
    /// Whether anything was changed.
    pub changed: bool,
    /// How it is now.
    pub mode: String,
}

/// Looks at what there is. Changes nothing.
///
/// # Errors
/// There is no such file system, or AWS does not say.
pub async fn prepare(config: &SdkConfig, id: &str, mode: Mode) -> anyhow::Result<Change> {
    let found = efs::found(config, id).await.map_err(|failure| fault(&failure))?;
    let file_system = found.ok_or_else(|| no_file_system(id, region(config)))?;
    Ok(Change { file_system, mode })
}

impl Change {
    /// Whether it is as it is to be.
    pub fn is_done(&self) -> bool {
        let same = self.file_system.throughput_mode == self.mode.word();
        match self.mode {
            Mode::Provisioned(mibps) => same && self.file_system.provisioned == Some(mibps),
            Mode::Elastic | Mode::Bursting => same,
        }
    }

    /// What is to be done.
    pub fn steps(&self, region: &str) -> Steps {
        let id = &self.file_system.id;
        let now =
            self.file_system.provisioned.map(|it| format!(" at {it} MiB/s")).unwrap_or_default();
        let gib = self.file_system.bytes >> 30;
        let found = vec![
            format!("{id} is {}{now}, {} GiB", self.file_system.throughput_mode, gib),
            "$ hostkit efs check --only efs.throughput shows credits and use of the last hour"
                .to_owned(),
        ];
        if self.is_done() {
            let title = format!("{id} is {} already: there is nothing to change", self.mode.word());
            return Steps { title, found, steps: vec![self.causes(region)] };
        }
        let provisioned = match self.mode {
            Mode::Provisioned(mibps) => format!(" --provisioned-throughput-in-mibps {mibps}"),
            Mode::Elastic | Mode::Bursting => String::new(),
        };
        let change = Step {
            what: format!("change how throughput is paid for to {}", self.mode.word()),
            by: By::Hostkit,
            commands: vec![format!(
                "aws efs update-file-system --file-system-id {id} --throughput-mode {}{provisioned} \
                 --region {region}",
                self.mode.word()
            )],
            takes: "about a minute, without an interruption",
            risk: format!(
                "AWS allows it once in 24 hours, and refuses with TooManyRequests until then. {}",
                self.price()
            ),
        };
        let title =
            format!("{id}: from {} to {}", self.file_system.throughput_mode, self.mode.word());
        Steps { title, found, steps: vec![change, self.look(region), self.causes(region)] }
    }

    const fn price(&self) -> &'static str {
        match self.mode {
            Mode::Elastic => {
                "Elastic is paid by the GiB that is read and written: what eats the credits now costs \
                 money until its cause is mended"
            }
            Mode::Provisioned(_) => {
                "Provisioned is paid by the hour, used or not; raising it further is always allowed"
            }
            Mode::Bursting => {
                "Bursting is by size: a small home has 1 MiB/s once its credits are spent"
            }
        }
    }

    fn look(&self, region: &str) -> Step {
        let id = &self.file_system.id;
        Step {
            what: "look whether it is so".to_owned(),
            by: By::Hostkit,
            commands: vec![format!(
                "aws efs describe-file-systems --file-system-id {id} --region {region} --query \
                 'FileSystems[0].[LifeCycleState,ThroughputMode]'"
            )],
            takes: "seconds",
            risk: "Jenkins needs no restart: what waited goes on by itself".to_owned(),
        }
    }

    fn causes(&self, region: &str) -> Step {
        let id = &self.file_system.id;
        Step {
            what: "find what used so much".to_owned(),
            by: By::Person,
            commands: vec![
                "hostkit efs check --only home.bloat,mount.rpc".to_owned(),
                format!(
                    "hostkit efs check --file-system {id} --region {region} --only efs.throughput"
                ),
            ],
            takes: "the next morning",
            risk:
                "workspaces, caches of builds and tmp_pack_* on the home are the usual cause: they \
                   belong on a disk of the agent"
                    .to_owned(),
        }
    }
}

/// Does it, and waits until it is so.
///
/// # Errors
/// AWS refuses it, or it is not so in time.
pub async fn apply(config: &SdkConfig, change: &Change, events: &Events) -> anyhow::Result<Ended> {
    let id = &change.file_system.id;
    let ended =
        |changed| Ended { file_system: id.clone(), changed, mode: change.mode.word().to_owned() };
    if change.is_done() {
        return Ok(ended(false));
    }
    let title = format!("changing how throughput is paid for to {}", change.mode.word());
    told(events, STEP, title, changed(config, change)).await?;
    Ok(ended(true))
}

async fn changed(config: &SdkConfig, change: &Change) -> anyhow::Result<()> {
    let id = &change.file_system.id;
    set_throughput(config, id, change.mode).await.map_err(|failure| match failure.code() {
        Some("TooManyRequests") => Fault::aws(failure.to_string()).hint(
            "it was changed within the last 24 hours: until then the only way is more of what is \
             provisioned (`--mibps`), or less load: `hostkit efs check --only home.bloat`",
        ),
        _ => fault(&failure),
    })?;
    let wanted = change.mode.word();
    let seen = patience::until(PATIENCE, async || {
        let found = efs::file_system(config, id).await?;
        Ok((found.state == "available" && found.throughput_mode == wanted).then_some(()))
    });
    let Some(()) = seen.await.map_err(|failure| fault(&failure))? else {
        let what = format!("{id} is not {wanted} after {} minutes", PATIENCE.as_secs() / 60);
        return Err(Fault::aws(what).hint("the same command looks again").into());
    };
    Ok(())
}
