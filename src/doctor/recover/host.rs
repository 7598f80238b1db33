//! What this host is at while a home is brought back: Jenkins down, no boot under way, the lease held.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Setting;
use crate::error::Fault;
use crate::lease::barred::Barred;
use crate::lease::claim::Head;
use crate::lease::clerk::{Answer, Desk, Request};
use crate::lease::hold::jenkins_is_down;
use crate::lease::memory::Phase;
use crate::lease::order;
use crate::lease::record::{Broken, Holder, Record, State, VERSION};
use crate::lease::recovery::Journal;
use crate::sys::systemd;

const JENKINS: &str = "jenkins.service";
const BOOT: &str = "hostkit-boot.service";
const LEASE: &str = "hostkit-lease.service";

/// What lets Jenkins' unit start.
const MAY_START: &str = "run/hostkit/may-start";

/// systemd gives Jenkins a minute and a half to stop, then kills it; in seconds.
const STOPPING: u32 = 300;

/// How long the lease may take: nobody else holds it, or nobody who lives, which AWS must say.
const TAKING: u32 = 90;

/// To give the lease up, all that is in memory is written first.
const RELEASING: u32 = 330;

/// What a boot may take, with a Jenkins that is slow.
const BOOTING: u32 = 2700;

/// What the clerk may take.
const CLERK: u32 = 30;

/// How Jenkins and the boot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Both are at rest.
    Yes,
    /// Jenkins runs.
    Jenkins,
    /// A boot is under way.
    Boot,
}

/// Whether nothing of this host works on the home.
pub(super) async fn idle(setting: &Setting<'_>) -> anyhow::Result<Idle> {
    // One that waits for this recovery takes that back before it looks again, and then it is barred.
    if boot(setting).await?.0 == "activating" && Barred::read(setting.root).is_none() {
        return Ok(Idle::Boot);
    }
    let down = jenkins_is_down(setting.root, setting.runner).await;
    Ok(if down.context("asking whether Jenkins is down")? { Idle::Yes } else { Idle::Jenkins })
}

/// What is told of a host that is not idle.
pub(super) fn busy(idle: Idle) -> Result<(), Fault> {
    match idle {
        Idle::Yes => Ok(()),
        Idle::Jenkins => Err(Fault::step("Jenkins runs on this host, and writes to its home")
            .hint(
                "--stop-jenkins has it stopped, once the group was told to leave this host alone; \
                 by hand: `systemctl stop jenkins`, which the load balancer sees",
            )),
        Idle::Boot => Err(Fault::step("this host is booting, and would start Jenkins")
            .hint("hostkit status; or stop that: `systemctl stop hostkit-boot`")),
    }
}

/// The state of the boot's unit, and which run of it that is.
async fn boot(setting: &Setting<'_>) -> anyhow::Result<(String, String)> {
    let shown = systemd::show(setting.runner, BOOT, &["ActiveState", "InvocationID"]).await;
    let mut shown = shown.context("asking how the boot is")?;
    let mut take = |name| shown.remove(name).unwrap_or_default();
    Ok((take("ActiveState"), take("InvocationID")))
}

/// Nobody starts Jenkins any more but a boot, which looks at the journal first.
pub(super) fn forbid(setting: &Setting<'_>) -> anyhow::Result<()> {
    match std::fs::remove_file(setting.root.join(MAY_START)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("taking away the permission to start Jenkins")
        }
        _ => Ok(()),
    }
}

/// Stops Jenkins, and waits until it is down.
pub(super) async fn stop_jenkins(setting: &Setting<'_>) -> anyhow::Result<()> {
    systemd::stop_no_block(setting.runner, JENKINS).await.context("stopping Jenkins")?;
    let until = Instant::now() + setting.seconds(STOPPING);
    loop {
        if jenkins_is_down(setting.root, setting.runner).await? {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Fault::step(format!("Jenkins does not stop within {STOPPING} s"))
                .hint("a file system that hangs keeps it: hostkit efs recover hang")
                .into());
        }
        tokio::time::sleep(setting.second).await;
    }
}

/// Sees that this host holds the home, and takes it where it may. Says the generation.
///
/// # Errors
/// Somebody else has it, or may have it.
pub(super) async fn hold(setting: &Setting<'_>) -> anyhow::Result<u64> {
    let memory = setting.memory();
    let unit = systemd::show(setting.runner, LEASE, &["ActiveState"]).await;
    let unit = unit.context("asking how the lease is")?;
    let is_active = unit.get("ActiveState").is_some_and(|state| state == "active");
    if let Some(generation) = memory.mine().filter(|_| is_active) {
        return Ok(generation);
    }
    if !setting.root.join(order::PATH).exists() {
        return Err(Fault::environment("the boot has not come far enough to take the home")
            .hint("`systemctl restart hostkit-boot`, which stops at its step `home`; then again")
            .into());
    }
    setting.log("taking the lease on the home");
    systemd::start_no_block(setting.runner, LEASE).await.context("starting the lease")?;
    let until = Instant::now() + setting.seconds(TAKING);
    loop {
        let standing = memory.standing();
        let is_held = standing.as_ref().is_some_and(|it| it.phase == Phase::Held);
        if let Some(generation) = memory.mine().filter(|_| is_held) {
            return Ok(generation);
        }
        if Instant::now() > until {
            let why = standing.as_ref().map_or("nothing is known of it", |it| it.why.as_str());
            let hint = standing.as_ref().and_then(|it| it.hint.clone()).unwrap_or_default();
            return Err(Fault::step(format!("this host does not get the home: {why}"))
                .hint(format!("{hint}\nhostkit lease status tells who has it").trim().to_owned())
                .into());
        }
        tokio::time::sleep(setting.second).await;
    }
}

/// Has the lease a generation beyond the one that the journal says: whoever held one of before, and
/// wakes up, sees that it is over. Says which it is.
pub(super) async fn count_on(setting: &Setting<'_>, journal: &Journal) -> anyhow::Result<u64> {
    let generation = hold(setting).await?;
    if generation > journal.generation {
        return Ok(generation);
    }
    let memory = setting.memory();
    systemd::stop_no_block(setting.runner, LEASE).await.context("giving the lease up")?;
    let until = Instant::now() + setting.seconds(RELEASING);
    while memory.mine().is_some()
        || memory.standing().is_none_or(|standing| standing.phase != Phase::Released)
    {
        if Instant::now() > until {
            let why = memory.standing().map(|standing| standing.why).unwrap_or_default();
            return Err(Fault::step(format!("the lease is not given up: {why}"))
                .hint("hostkit lease status; then the same command again")
                .into());
        }
        tokio::time::sleep(setting.second).await;
    }
    leap(setting, journal).await?;
    let generation = hold(setting).await?;
    if generation <= journal.generation {
        return Err(Fault::step(format!(
            "the lease is at generation {generation}, and not yet beyond \
             {}",
            journal.generation
        ))
        .hint("the same command again")
        .into());
    }
    Ok(generation)
}

/// Uses the generation up that came with a restore, where that is higher than our own.
async fn leap(setting: &Setting<'_>, journal: &Journal) -> anyhow::Result<()> {
    let order = setting.order;
    let patience = setting.seconds(CLERK);
    let mut desk = Desk::new(setting.runner.clone(), &order.mount_point, &order.me.fs_id);
    let now = match desk.ask(&Request::Look, patience).await {
        Answer::Head(Head::Record(head)) => head,
        other => anyhow::bail!("the lease cannot be looked at: {other:?}"),
    };
    if now.generation >= journal.generation {
        return Ok(());
    }
    let at = Timestamp::now();
    let record = Record {
        version: VERSION,
        generation: journal.generation,
        state: State::Released,
        holder: Holder { since: Some(at), ..order.me.clone() },
        broken: Some(Broken {
            generation: now.generation,
            reason: format!("a home was brought back from {}", journal.from),
            proof: None,
            evidence: format!(
                "{} held generation {} itself and gave it up",
                order.me.name(),
                now.generation
            ),
            by: setting.by.to_owned(),
            at,
        }),
    };
    match desk.ask(&Request::Claim(Box::new(record.clone())), patience).await {
        Answer::Claimed => {}
        Answer::Taken if was_ours(&mut desk, &record, patience).await => {}
        Answer::Taken => {
            return Err(Fault::step("another host has taken the home meanwhile")
                .hint("hostkit lease status; hostkit efs recover carries on there")
                .into());
        }
        other => anyhow::bail!("generation {} is not claimed: {other:?}", record.generation),
    }
    if desk.ask(&Request::Announce, patience).await != Answer::Done {
        let made = desk.ask(&Request::Replace(Box::new(record.clone())), patience).await;
        anyhow::ensure!(
            made == Answer::Done,
            "generation {} is claimed, and the head does not say so: {made:?}",
            record.generation
        );
    }
    setting.log(format!(
        "generation {} came with the restore: the lease goes on after it",
        record.generation
    ));
    Ok(())
}

/// Whether the claim of that generation was made here, by a process that came no further.
async fn was_ours(desk: &mut Desk, record: &Record, patience: Duration) -> bool {
    match desk.ask(&Request::ReadClaim(record.generation), patience).await {
        Answer::Claim(Some(Head::Record(claim))) => {
            claim.broken.is_some() && claim.holder.is_same_host(&record.holder)
        }
        _ => false,
    }
}

/// Has this host boot, and waits until Jenkins serves.
pub(super) async fn start(setting: &Setting<'_>) -> anyhow::Result<()> {
    let until = Instant::now() + setting.seconds(BOOTING);
    let mut ours: Option<String> = None;
    loop {
        let (state, run) = boot(setting).await?;
        let is_new = ours.as_ref().is_none_or(|before| *before != run);
        let waits = ours.is_none() && Barred::read(setting.root).is_some();
        match state.as_str() {
            "activating" | "reloading" | "deactivating" if !waits => {}
            "active" if is_new && !jenkins_is_down(setting.root, setting.runner).await? => {
                return Ok(());
            }
            // What ended before it was begun here says nothing.
            _ if ours.is_none() => {
                systemd::restart_no_block(setting.runner, BOOT).await.context("booting")?;
                ours = Some(run);
            }
            "failed" | "inactive" if is_new => return Err(failed(setting).await),
            _ => {}
        }
        if Instant::now() > until {
            return Err(Fault::step("Jenkins does not come up in time")
                .hint("hostkit status; hostkit efs recover waits on, --undo takes it back")
                .into());
        }
        tokio::time::sleep(setting.second).await;
    }
}

async fn failed(setting: &Setting<'_>) -> anyhow::Error {
    let last = systemd::last_lines(setting.runner, BOOT, 5).await;
    let why = last.trim().lines().last().unwrap_or_default().to_owned();
    Fault::step(format!("the home is moved in, and this host does not come up on it: {why}"))
        .hint(
            "hostkit status tells the step and its cause; mend that, then hostkit efs recover goes \
             on; or hostkit efs recover --undo takes it back",
        )
        .into()
}
