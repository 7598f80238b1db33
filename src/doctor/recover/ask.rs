//! How the child is asked that works on the file system.

use std::time::Duration;

use anyhow::Context as _;

use super::Setting;
use super::inside::{Answer, Request, Survey, Task};
use crate::error::Fault;
use crate::lease::recovery::Journal;
use crate::sys::{Cmd, CmdError, Tool};

/// A healthy file system answers in milliseconds, a throttled one in seconds; a home is looked
/// through for half a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// A set has some calls a job.
const MOVING: Duration = Duration::from_mins(20);

/// Everything that is to be known.
pub(super) async fn survey(setting: &Setting<'_>, from: Option<&str>) -> anyhow::Result<Survey> {
    let (from, user) = (from.map(str::to_owned), setting.user.to_owned());
    match ask(setting, Task::Survey { from, user }, PATIENCE).await? {
        Answer::Surveyed(survey) => Ok(*survey),
        other => anyhow::bail!("the child answered {other:?}"),
    }
}

/// Writes the journal.
pub(super) async fn note(setting: &Setting<'_>, journal: &Journal) -> anyhow::Result<()> {
    done(setting, Task::Note(Box::new(journal.clone())), PATIENCE).await.map(drop)
}

/// Moves what the journal says.
pub(super) async fn work(setting: &Setting<'_>) -> anyhow::Result<Vec<String>> {
    done(setting, Task::Work, MOVING).await
}

/// Makes the journal a record.
pub(super) async fn close(setting: &Setting<'_>, at: jiff::Timestamp) -> anyhow::Result<String> {
    Ok(done(setting, Task::Close { at }, PATIENCE).await?.concat())
}

async fn done(
    setting: &Setting<'_>,
    task: Task,
    patience: Duration,
) -> anyhow::Result<Vec<String>> {
    match ask(setting, task, patience).await? {
        Answer::Done(told) => Ok(told),
        other => anyhow::bail!("the child answered {other:?}"),
    }
}

async fn ask(setting: &Setting<'_>, task: Task, patience: Duration) -> anyhow::Result<Answer> {
    let order = setting.order;
    let request = Request {
        mount_point: order.mount_point.clone(),
        file_system: order.me.fs_id.clone(),
        task,
    };
    let json = serde_json::to_vec(&request).expect("a request has only string keys");
    let command = Cmd::new(Tool::Hostkit).args(["inner", "recover"]).stdin(json).timeout(patience);
    let output = setting.runner.run(&command).await.map_err(|error| match error {
        CmdError::Timeout { .. } => anyhow::anyhow!(
            Fault::step(format!("the file system did not answer within {} s", patience.as_secs()))
                .hint(
                    "hostkit efs recover hang tells what to do about the mount; what was begun is \
                     in the journal: the same command carries it on afterwards"
                )
        ),
        other => anyhow::Error::from(other).context(
            Fault::step("the child that works on the file system ended before it was through")
                .hint("the same command again carries on"),
        ),
    })?;
    let answer = serde_json::from_slice(&output.stdout);
    match answer.context("reading the answer of the child")? {
        Answer::Refused { why, hint } if why.starts_with("there is nothing called") => {
            Err(Fault::usage(why).hint(hint).into())
        }
        Answer::Refused { why, hint } => Err(Fault::step(why).hint(hint).into()),
        answer => Ok(answer),
    }
}
