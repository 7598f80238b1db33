//! What goes on from night to night: the file system, who holds it, who waits; and what the night
//! that is played has shown so far.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::verdict::Witness;
use super::{Check, Night, Told};
use crate::sim::fleet::{Fleet, Host, Volume};
use crate::sim::instance::{Ending, State};

/// The stage while nights are played.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) fleet: Fleet,
    pub(super) volume: Option<Volume>,
    pub(super) holder: Option<Host>,
    pub(super) waiter: Option<Host>,
    /// The file systems that the night is played on.
    pub(super) witnesses: Vec<Witness>,
    boots: usize,
    checks: Vec<Check>,
    seconds: BTreeMap<&'static str, f64>,
    told: usize,
}

impl Play {
    /// Nothing has happened yet.
    pub(super) const fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            volume: None,
            holder: None,
            waiter: None,
            witnesses: Vec::new(),
            boots: 0,
            checks: Vec::new(),
            seconds: BTreeMap::new(),
            told: 0,
        }
    }

    /// How many machines were booted.
    pub(super) const fn boots(&self) -> usize {
        self.boots
    }

    /// A night begins.
    pub(super) fn begin(&mut self) {
        self.told = self.fleet.ground.story.length();
        self.checks.clear();
        self.seconds.clear();
    }

    /// What the night came to.
    pub(super) fn tell(&mut self, night: Night, failed: Option<String>) -> Told {
        self.fleet.disturb(Vec::new());
        let verdicts = self.judge();
        let goes_on = self.volume.as_ref().map(|volume| &volume.name);
        self.witnesses.retain(|witness| goes_on == Some(&witness.name));
        let checks = std::mem::take(&mut self.checks);
        Told {
            night,
            holds: failed.is_none() && checks.iter().all(|check| check.holds),
            checks,
            seconds: std::mem::take(&mut self.seconds),
            verdicts,
            timeline: self.fleet.ground.story.since(self.told),
            failed,
        }
    }

    /// The next night has hosts and a file system of its own.
    pub(super) async fn start_afresh(&mut self) {
        for host in [self.waiter.take(), self.holder.take()].into_iter().flatten() {
            self.let_go(host).await;
        }
        if let Some(volume) = self.volume.take() {
            volume.end().await;
        }
        self.witnesses.clear();
    }

    /// Ends what was started.
    pub(super) async fn end(&mut self) {
        self.start_afresh().await;
    }

    /// Something that must be so.
    pub(super) fn check(&mut self, what: impl Into<String>, holds: bool, seen: impl Into<String>) {
        let (what, seen) = (what.into(), seen.into());
        let word = if holds { "ok" } else { "WRONG" };
        self.fleet
            .ground
            .story
            .tell(word, &if holds { what.clone() } else { format!("{what}: {seen}") });
        self.checks.push(Check { what, holds, seen });
    }

    /// Something that was measured.
    pub(super) fn measured(&mut self, what: &'static str, time: Duration) {
        let seconds = (time.as_secs_f64() * 1000.0).round() / 1000.0;
        self.fleet.ground.story.tell("", &format!("{what}: {seconds:.2} s"));
        self.seconds.insert(what, seconds);
    }

    /// The file system of the night: the last one's, or a new one.
    pub(super) async fn volume(&mut self) -> anyhow::Result<Volume> {
        match self.volume.take() {
            Some(volume) => Ok(volume),
            None => self.new_volume(|_| Ok(())).await,
        }
    }

    /// Another file system, with what `fill` puts into its folder.
    pub(super) async fn new_volume(
        &mut self,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Volume> {
        let volume = self.fleet.file_system(fill).await?;
        self.witnesses.push(Witness::of(&volume));
        Ok(volume)
    }

    /// Launches a host.
    pub(super) async fn launch(&mut self, volume: &Volume) -> anyhow::Result<Host> {
        self.boots += 1;
        self.fleet.launch(volume, "").await
    }

    /// Who holds the home and serves: the one that does already, or a fresh host.
    pub(super) async fn take_holder(&mut self, volume: &Volume) -> anyhow::Result<Host> {
        if let Some(holder) = self.holder.take() {
            return Ok(holder);
        }
        let host = self.launch(volume).await?;
        let held = volume.head.until(0, |head| head.is_held_by(&host.instance));
        host.within("it held the home", held).await?;
        serves(&host).await?;
        Ok(host)
    }

    /// Who waits for the home, and says that its holder runs: the one that does already, or a fresh
    /// host.
    pub(super) async fn take_waiter(
        &mut self,
        volume: &Volume,
        holder: &Host,
    ) -> anyhow::Result<Host> {
        if let Some(waiter) = self.waiter.take() {
            return Ok(waiter);
        }
        let host = self.launch(volume).await?;
        waits_for_running(&host, holder).await?;
        Ok(host)
    }

    /// Ends a host that is not needed any more.
    pub(super) async fn let_go(&mut self, host: Host) {
        if host.state() != State::Terminated {
            host.terminate(Ending::SkipOsShutdown);
            let _ = host.becomes(State::Terminated).await;
        }
    }
}

/// Waits until Jenkins runs and the launch hook is completed.
pub(super) async fn serves(host: &Host) -> anyhow::Result<()> {
    host.until("Jenkins ran", |seen| seen.jenkins).await?;
    host.in_service().await
}

/// Waits until a host says that the holder runs.
pub(super) async fn waits_for_running(host: &Host, holder: &Host) -> anyhow::Result<()> {
    let id = holder.instance.as_str();
    let what = format!("it said that {} is running", holder.name);
    host.until(&what, |seen| seen.says.contains(id) && seen.says.contains("running")).await?;
    Ok(())
}

/// Whether Jenkins did not run at all for a while.
pub(super) async fn stays_quiet(host: &Host, time: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < time {
        if host.seen().jenkins {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    true
}

/// How often Jenkins was started on a home, as the stand-in counts it.
pub(super) fn starts(volume: &Volume) -> anyhow::Result<usize> {
    let folder = volume.folder.join("home/builds-of-the-fixture");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("the home has no {}", folder.display()))?;
    Ok(entries.count())
}
