//! A recovery, carried out stage by stage. Each stage is in the journal before it is begun, and does
//! nothing where it was done already.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Instant;

use anyhow::Context as _;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;

use super::plan::Prospect;
use super::{STEP, Setting, ask, group, host};
use crate::error::Fault;
use crate::event::Outcome;
use crate::lease::recovery::{Journal, Stage, Way};
use crate::sys::journal as log;

/// Who holds this carries a recovery out.
const LOCK: &str = "run/hostkit/recover.lock";

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Jenkins serves the home that was brought back, or the one of before.
    Done {
        /// The record of it, from the top of the file system.
        record: String,
    },
    /// The home is there, and Jenkins was not to be started.
    Moved,
}

/// Carries it out, and starts Jenkins if `starts`.
///
/// # Errors
/// It came no further than the journal says: the same command again carries on.
pub async fn carry_out(
    setting: &Setting<'_>,
    prospect: Prospect,
    starts: bool,
) -> anyhow::Result<Ended> {
    let began = Instant::now();
    setting.events.started(STEP, title(prospect.journal.way));
    let line = format!("recover: {}", prospect.journal.told());
    if let Err(error) = log::warn(setting.root, &line) {
        tracing::warn!(%error, "the journal was not told");
    }
    let end = match alone(setting) {
        Ok(_lock) => Box::pin(run(setting, prospect, starts)).await,
        Err(error) => Err(error),
    };
    let outcome = match &end {
        Ok(_) => Outcome::Changed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    setting.events.finished(STEP, outcome, began.elapsed());
    end
}

/// Two who carry out one recovery would stumble over each other. The kernel lets go with the process.
fn alone(setting: &Setting<'_>) -> anyhow::Result<Flock<File>> {
    let path = setting.root.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("opening {path}"))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => {
            Err(Fault::step("somebody else carries a recovery out on this host just now")
                .hint("hostkit efs recover --dry-run shows how far it is")
                .into())
        }
        Err((_, errno)) => Err(anyhow::Error::from(errno).context(format!("locking {path}"))),
    }
}

const fn title(way: Way) -> &'static str {
    match way {
        Way::Forward => "bringing a home back",
        Way::Back => "taking a recovery back",
    }
}

async fn run(setting: &Setting<'_>, prospect: Prospect, starts: bool) -> anyhow::Result<Ended> {
    let (mut journal, stops) = (prospect.journal, prospect.stops_jenkins);
    // Whoever works on the file system holds it: from here on nobody else may.
    let generation = host::hold(setting).await?;
    if journal.stage == Stage::Prepare {
        journal.generation = journal.generation.max(generation);
    }
    ask::note(setting, &journal).await?;
    loop {
        journal.stage = match journal.stage {
            Stage::Prepare => prepare(setting, &journal, stops).await?,
            Stage::Move => {
                // A boot that was under way when the journal was written may not have seen it.
                still_idle(setting).await?;
                for line in ask::work(setting).await? {
                    setting.log(line);
                }
                Stage::Lease
            }
            Stage::Lease => {
                let generation = host::count_on(setting, &journal).await?;
                setting.log(format!("this host holds the home with generation {generation}"));
                Stage::Start
            }
            Stage::Start if !starts => return Ok(Ended::Moved),
            Stage::Start => {
                setting.log("this host boots again: Jenkins starts");
                host::start(setting).await?;
                Stage::Resume
            }
            Stage::Resume => {
                if let Some(group) = &journal.group {
                    group::resume(setting, group).await?;
                    setting.log(format!("group {} goes on", group.name));
                }
                let record = ask::close(setting, Timestamp::now()).await?;
                return Ok(Ended::Done { record });
            }
        };
        ask::note(setting, &journal).await?;
    }
}

/// Nothing is moved before nobody else can.
async fn prepare(setting: &Setting<'_>, journal: &Journal, stops: bool) -> anyhow::Result<Stage> {
    if let Some(group) = &journal.group {
        group::suspend(setting, group).await?;
        setting.log(format!("group {} leaves this host alone", group.name));
    }
    host::forbid(setting)?;
    if stops {
        setting.log("stopping Jenkins");
        host::stop_jenkins(setting).await?;
    }
    still_idle(setting).await?;
    Ok(Stage::Move)
}

async fn still_idle(setting: &Setting<'_>) -> Result<(), anyhow::Error> {
    let idle = host::idle(setting).await?;
    host::busy(idle).map_err(|fault: Fault| fault.into())
}
