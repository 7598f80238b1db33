//! What goes wrong on a night, beside the command that runs. Each waits for its moment.

use std::time::Duration;

use super::Night;
use super::log::{NIGHT, Sight};
use super::stage::Stage;
use crate::sim::disturbance::{Disturbance, Kind};
use crate::sim::endpoint::with;
use crate::sim::notice::Notice;
use crate::sim::service::Service;

/// How long the file system is silent.
const FILES_SILENT: Duration = Duration::from_secs(90);
/// How long EC2 cannot be asked.
const EC2_DOWN: Duration = Duration::from_mins(1);
/// How often is looked for new hosts.
const GLANCE: Duration = Duration::from_millis(200);

/// Has go wrong what goes wrong on this night, with `old` that serves when it begins. Some of it ends by
/// itself, some lasts as long as this is waited for.
pub(super) async fn play(stage: &Stage, night: Night, old: &str) -> anyhow::Result<()> {
    match night {
        Night::Planned => Ok(()),
        Night::NeverHealthy => never_healthy(stage).await,
        Night::EfsDies => files_die(stage, old).await,
        Night::Ec2Down => ec2_down(stage, old).await,
        Night::OldPaused => old_paused(stage, old).await,
        Night::Spot => spot(stage, old).await,
    }
}

/// No host of the new image gets its keys: its boot fails, and its launch hook is abandoned.
async fn never_healthy(stage: &Stage) -> anyhow::Result<()> {
    let mut hit: Vec<String> = Vec::new();
    loop {
        for (id, image) in stage.hosts() {
            if image != stage.new.id || hit.contains(&id) {
                continue;
            }
            let denied = Disturbance {
                action: Some("GetParameters".to_owned()),
                caller: Some(id.clone()),
                ..Disturbance::of(Service::Ssm, Kind::Denied)
            };
            with(&stage.cloud.account, |account| account.disturbances.push(denied));
            stage.story.tell(NIGHT, &format!("{id} may not read its keys"));
            hit.push(id);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// From when the new host's agent runs.
async fn files_die(stage: &Stage, old: &str) -> anyhow::Result<()> {
    let began = stage.now();
    let new = stage
        .until("the group launched another host", || {
            stage.hosts().into_iter().map(|(id, _)| id).find(|id| id != old)
        })
        .await?;
    stage.sees("the new host ran", &new, began, |sight| *sight == Sight::Metadata).await?;
    stage.machines.answer_files(false);
    tell(stage, Sight::Breaks, "the file system falls silent");
    tokio::time::sleep(FILES_SILENT).await;
    stage.machines.answer_files(true);
    tell(stage, Sight::Mends, "the file system answers again");
    Ok(())
}

/// From when the group lets the old host go.
async fn ec2_down(stage: &Stage, old: &str) -> anyhow::Result<()> {
    leaves(stage, old).await?;
    let down = Disturbance::of(Service::Ec2, Kind::Unavailable);
    with(&stage.cloud.account, |account| account.disturbances.push(down));
    tell(stage, Sight::Breaks, "EC2 answers nobody");
    tokio::time::sleep(EC2_DOWN).await;
    with(&stage.cloud.account, |account| account.disturbances.clear());
    tell(stage, Sight::Mends, "EC2 answers again");
    Ok(())
}

async fn old_paused(stage: &Stage, old: &str) -> anyhow::Result<()> {
    leaves(stage, old).await?;
    stage.machines.stand_still(old, true);
    // Until EC2 says that it is gone.
    tell(stage, Sight::Breaks, &format!("{old} stands still"));
    Ok(())
}

async fn spot(stage: &Stage, old: &str) -> anyhow::Result<()> {
    let quiet = |sight: &Sight| matches!(sight, Sight::Standing(state, _) if state == "quiet");
    stage.sees("the old host was quiet", old, Duration::ZERO, quiet).await?;
    with(&stage.cloud.account, |account| account.notice(old, &Notice::SpotInterruption));
    stage.story.tell(NIGHT, &format!("EC2 takes {old} back in two minutes"));
    Ok(())
}

fn tell(stage: &Stage, sight: Sight, what: &str) {
    stage.log.saw(stage.now(), NIGHT, sight);
    stage.story.tell(NIGHT, what);
}

async fn leaves(stage: &Stage, old: &str) -> anyhow::Result<Duration> {
    let leaving =
        |sight: &Sight| matches!(sight, Sight::Lifecycle(word) if word.starts_with("Terminating"));
    stage.sees("the group let the old host go", old, Duration::ZERO, leaving).await
}
