//! The nights, each as a person would tell it.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::play::{Play, serves, starts, stays_quiet, waits_for_running};
use super::wire::{self, Collision};
use super::{Night, copy};
use crate::sim::disturbance::{Disturbance, Kind};
use crate::sim::fleet::{Crash, Host, Volume};
use crate::sim::instance::{Lifecycle, State};
use crate::sim::service::Service;
use crate::sim::timeline::Milestone;

/// How long a holder stands still.
const PAUSE: Duration = Duration::from_secs(20);
/// How long is looked whether nothing happens.
const QUIET: Duration = Duration::from_secs(10);
/// How EC2 takes notice of a machine that died: status checks take minutes on AWS.
const CRASH: Crash =
    Crash { noticed_after: Duration::from_secs(15), gone_after: Duration::from_secs(15) };
/// A holder stops Jenkins this soon after it reads a higher generation; thrice the 5 s that are
/// promised, because a loaded machine emulates it.
const STOPS_WITHIN: Duration = Duration::from_secs(15);
/// A waiter is in this soon after a release; thrice the 2 s that are promised.
const CLAIMS_WITHIN: Duration = Duration::from_secs(6);
/// What a claim costs at most, from the answer that shows the release: round trips.
const CLAIM_TRIPS: usize = 13;
/// So long after EC2 said `terminated` nobody claims: what the dead machine sent may still arrive.
const SETTLES: Duration = Duration::from_secs(5);

pub(super) async fn play(play: &mut Play, night: Night) -> anyhow::Result<()> {
    match night {
        Night::Blind => blind(play).await,
        Night::Paused => paused(play).await,
        Night::Broken => broken(play).await,
        Night::Drained => drained(play).await,
        Night::Killed => killed(play).await,
        Night::Race => race(play).await,
        Night::Restored => restored(play).await,
    }
}

/// Leaves a holder and a waiter.
async fn blind(play: &mut Play) -> anyhow::Result<()> {
    let volume = play.volume().await?;
    let holder = play.take_holder(&volume).await?;
    let before = volume.head.now();
    play.fleet.disturb(vec![Disturbance::of(Service::Ec2, Kind::Closed)]);
    play.fleet.ground.story.tell("EC2", "does not answer any more");
    let waiter = match play.waiter.take() {
        Some(waiter) => waiter,
        None => play.launch(&volume).await?,
    };
    let name = waiter.name.clone();
    let says = "it said that EC2 could not be asked";
    waiter.until(says, |seen| seen.says.contains("could not be asked")).await?;
    let quiet = stays_quiet(&waiter, QUIET).await;
    play.check(format!("{name} does not start Jenkins while EC2 is silent"), quiet, "it did");

    play.fleet.disturb(vec![Disturbance::of(Service::Ec2, Kind::Denied)]);
    play.fleet.ground.story.tell("EC2", "answers, and denies access");
    waiter.until("it said that EC2 refuses", |seen| seen.says.contains("refuses")).await?;
    let quiet = stays_quiet(&waiter, QUIET / 2).await;
    play.check(format!("{name} does not start Jenkins while EC2 denies access"), quiet, "it did");
    // Without one, the hook would wait only because its time-out has not come yet.
    waiter.reaches(Milestone::Heartbeat).await?;
    play.fleet.ground.story.tell(&name, "its launch hook got a heartbeat");

    play.fleet.disturb(Vec::new());
    play.fleet.ground.story.tell("EC2", "answers again");
    waits_for_running(&waiter, &holder).await?;
    let kept = matches!(waiter.lifecycle(), Lifecycle::Waiting);
    let seen = waiter.lifecycle().word();
    play.check(format!("{name}'s launch hook is kept waiting"), kept, seen);
    same_holder(play, &volume, &holder, before.as_ref());
    (play.holder, play.waiter, play.volume) = (Some(holder), Some(waiter), Some(volume));
    Ok(())
}

/// Leaves a holder and a waiter.
async fn paused(play: &mut Play) -> anyhow::Result<()> {
    let (volume, holder, waiter) = pair(play).await?;
    let before = volume.head.now();
    let process = "systemctl show --property MainPID --value jenkins.service";
    let (_, first) = holder.ask(process).await?;
    holder.pause().await?;
    let quiet = stays_quiet(&waiter, PAUSE).await;
    play.check(
        format!("{} waits while {} stands still", waiter.name, holder.name),
        quiet,
        "it did not",
    );
    let says = waiter.seen().says;
    play.check(
        format!("{} says that EC2 says running", waiter.name),
        says.contains(&holder.instance) && says.contains("running"),
        says,
    );
    holder.resume().await?;
    let quiet = stays_quiet(&waiter, QUIET).await;
    play.check(format!("{} still waits afterwards", waiter.name), quiet, "it did not");
    let (_, second) = holder.ask(process).await?;
    play.check(
        format!("{}'s Jenkins is the same process as before", holder.name),
        first == second && holder.seen().jenkins,
        format!("{first}, then {second}"),
    );
    same_holder(play, &volume, &holder, before.as_ref());
    (play.holder, play.waiter, play.volume) = (Some(holder), Some(waiter), Some(volume));
    Ok(())
}

/// Leaves the former waiter as holder.
async fn broken(play: &mut Play) -> anyhow::Result<()> {
    let (volume, holder, waiter) = pair(play).await?;
    let generation = volume.head.now().context("there is no record")?.generation;
    let seen = volume.head.changes();
    holder.pause().await?;
    let line = format!("hostkit lease break --generation {generation} --reason 'no answer'");
    operator(play, &waiter, &line);
    let (status, said) = waiter.ask(&line).await?;
    play.check(
        "a break is refused while EC2 says running",
        status != 0 && said.contains("running"),
        format!("exit status {status}: {said}"),
    );
    let line = format!("{line} --i-have-proof 'the rack has no power'");
    operator(play, &waiter, &line);
    let (status, said) = waiter.ask(&line).await?;
    play.check("with a proof it is done", status == 0, format!("exit status {status}: {said}"));
    let held = volume.head.until(seen, |head| head.is_held_by(&waiter.instance));
    let (_, head) = waiter.within("it held the home", held).await?;
    play.check(
        format!("{} holds a higher generation", waiter.name),
        head.generation > generation,
        format!("{} after {generation}", head.generation),
    );
    serves(&waiter).await?;

    let resumed = Instant::now();
    holder.resume().await?;
    holder.until("its Jenkins was gone", |seen| !seen.jenkins).await?;
    // Only what is called earlier can be Jenkins' own: nothing later is excused.
    let gone = volume.record().elapsed();
    let took = resumed.elapsed();
    play.measured("from the resume to Jenkins gone", took);
    play.check(
        format!("{} stops Jenkins at once", holder.name),
        took <= STOPS_WITHIN,
        format!("after {:.1} s", took.as_secs_f64()),
    );
    let quiet = stays_quiet(&holder, QUIET).await;
    play.check(format!("{} stays stopped", holder.name), quiet, "Jenkins runs again");
    let unit = holder.seen().lease;
    play.check(format!("{}'s lease has failed", holder.name), unit == "failed", unit);
    play.check(
        format!("{} serves on", waiter.name),
        waiter.seen().jenkins && volume.head.now().is_some_and(|h| h.is_held_by(&waiter.instance)),
        "it does not",
    );
    play.list_after_break(&volume, &holder, generation, gone);
    play.let_go(holder).await;
    (play.holder, play.volume) = (Some(waiter), Some(volume));
    Ok(())
}

/// Leaves the former waiter as holder.
async fn drained(play: &mut Play) -> anyhow::Result<()> {
    let (volume, holder, waiter) = pair(play).await?;
    let (before, seen) = (starts(&volume)?, volume.head.changes());
    operator(play, &holder, "systemctl stop hostkit-lease");
    let stop = "systemctl stop hostkit-lease && systemctl is-active jenkins; true";
    let (_, said) = holder.ask(stop).await?;
    play.check(
        "the lease stops in good order, and Jenkins is down by then",
        said == "inactive",
        said,
    );
    let released = volume.head.until(seen, |head| !head.held && head.instance == holder.instance);
    let (released, _) = holder.within("it released the home", released).await?;
    let held = volume.head.until(seen, |head| head.is_held_by(&waiter.instance));
    let (claimed, _) = waiter.within("it held the home", held).await?;
    let took = claimed.saturating_duration_since(released);
    play.measured("from the release to the claim", took);
    play.check(
        format!("{} waits for nothing", waiter.name),
        took <= CLAIMS_WITHIN,
        format!("{:.1} s", took.as_secs_f64()),
    );
    let trips = wire::trips_of_claim(&volume.record(), &waiter.instance);
    let told = trips.map_or_else(|| "unknown".to_owned(), |trips| trips.to_string());
    play.fleet.ground.story.tell(&waiter.name, &format!("round trips of its claim: {told}"));
    play.check(
        format!("{} claims within {CLAIM_TRIPS} round trips of reading the release", waiter.name),
        trips.is_some_and(|trips| trips <= CLAIM_TRIPS),
        trips.map_or_else(|| "not seen".to_owned(), |trips| format!("{trips} round trips")),
    );
    holder.power_down().await?;
    serves(&waiter).await?;
    one_more_start(play, &volume, before)?;
    play.let_go(holder).await;
    (play.holder, play.volume) = (Some(waiter), Some(volume));
    Ok(())
}

/// Leaves the former waiter as holder.
async fn killed(play: &mut Play) -> anyhow::Result<()> {
    let (volume, holder, waiter) = pair(play).await?;
    let (before, seen) = (starts(&volume)?, volume.head.changes());
    let died = Instant::now();
    holder.crash(CRASH).await?;
    let held = volume.head.until(seen, |head| head.is_held_by(&waiter.instance));
    let (claimed, _) = waiter.within("it held the home", held).await?;
    let gone = holder.since(State::Terminated);
    play.check(
        format!("{} waits until EC2 says terminated", waiter.name),
        gone.is_some_and(|gone| gone <= claimed),
        format!("EC2 says {}", holder.state().word()),
    );
    if let Some(gone) = gone {
        let settled = claimed.saturating_duration_since(gone);
        play.measured("from terminated to the claim", settled);
        play.check(
            format!("{} lets {} s pass after that", waiter.name, SETTLES.as_secs()),
            settled >= SETTLES,
            format!("{:.2} s", settled.as_secs_f64()),
        );
    }
    serves(&waiter).await?;
    play.measured("from the death to a Jenkins that serves", died.elapsed());
    one_more_start(play, &volume, before)?;
    play.let_go(holder).await;
    (play.holder, play.volume) = (Some(waiter), Some(volume));
    Ok(())
}

/// Has a file system of its own, and ends its hosts.
async fn race(play: &mut Play) -> anyhow::Result<()> {
    let volume = play.new_volume(|_| Ok(())).await?;
    let pair = [play.launch(&volume).await?, play.launch(&volume).await?];
    // Boots differ by seconds: whoever comes first stands still until the other one is there.
    let meet = async |host: &Host| -> anyhow::Result<()> {
        host.reaches(Milestone::FileSystem).await?;
        host.pause().await
    };
    let (first, second) = tokio::join!(meet(&pair[0]), meet(&pair[1]));
    first.and(second)?;
    let (first, second) = tokio::join!(pair[0].resume(), pair[1].resume());
    first.and(second)?;
    let held = volume.head.until(0, |head| head.held);
    let (_, head) = pair[0].within("one of them held the home", held).await?;
    let [a, b] = pair;
    let (holder, waiter) = if head.instance == a.instance { (a, b) } else { (b, a) };
    play.check("the first claim has generation 1", head.generation == 1, format!("{head:?}"));
    waits_for_running(&waiter, &holder).await?;
    serves(&holder).await?;
    let quiet = stays_quiet(&waiter, QUIET).await;
    play.check(format!("{} waits", waiter.name), quiet, "it runs Jenkins, too");
    same_holder(play, &volume, &holder, Some(&head));
    let claims = claims(&volume)?;
    let met = match wire::collision(&volume.record(), "gen-000001.json") {
        Collision::Seen => "both called for the same claim, and one was refused",
        Collision::NotSeen => "they did not collide: only one called for the claim",
    };
    play.fleet.ground.story.tell("race", met);
    play.check("there is one claim", claims == ["gen-000001.json"], claims.join(", "));
    play.let_go(waiter).await;
    play.let_go(holder).await;
    volume.end().await;
    Ok(())
}

/// Has a copy of the file system that was played on, and leaves that.
async fn restored(play: &mut Play) -> anyhow::Result<()> {
    let volume = play.volume().await?;
    let holder = play.take_holder(&volume).await?;
    let copied = play.new_volume(|to| copy::folder(&volume.folder, to)).await?;
    play.fleet.ground.story.tell(&copied.name, "is a copy of the file system that is in use");
    let read = copied.head.until(0, |_| true);
    let (_, before) = holder.within("the copy's record was read", read).await?;
    let starts_before = starts(&copied)?;
    let host = play.launch(&copied).await?;
    let both = [volume.file_system.id.as_str(), copied.file_system.id.as_str()];
    let names_both = |text: &str| both.iter().all(|id| text.contains(id));
    let told = async {
        while !names_both(&host.seen().says) && !names_both(&host.console()) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    host.within("it named both file systems", told).await?;
    let names = format!("{} and {}", both[0], both[1]);
    play.check(format!("{} names both file systems", host.name), true, names);
    let quiet = stays_quiet(&host, QUIET).await && starts(&copied)? == starts_before;
    play.check(format!("{} does not start Jenkins", host.name), quiet, "it did");
    play.check(
        "the record is left alone",
        copied.head.now().as_ref() == Some(&before),
        "it was changed",
    );
    play.let_go(host).await;
    copied.end().await;
    (play.holder, play.volume) = (Some(holder), Some(volume));
    Ok(())
}

/// A file system with a holder and a waiter on it.
async fn pair(play: &mut Play) -> anyhow::Result<(Volume, Host, Host)> {
    let volume = play.volume().await?;
    let holder = play.take_holder(&volume).await?;
    let waiter = play.take_waiter(&volume, &holder).await?;
    Ok((volume, holder, waiter))
}

/// Somebody types something.
fn operator(play: &Play, host: &Host, line: &str) {
    play.fleet.ground.story.tell(&host.name, &format!("# {line}"));
}

fn same_holder(
    play: &mut Play,
    volume: &Volume,
    holder: &Host,
    before: Option<&crate::sim::fleet::Head>,
) {
    let now = volume.head.now();
    let same = now.as_ref() == before && now.is_some_and(|head| head.is_held_by(&holder.instance));
    play.check(format!("{} holds the same generation all along", holder.name), same, "it does not");
}

fn one_more_start(play: &mut Play, volume: &Volume, before: usize) -> anyhow::Result<()> {
    let now = starts(volume)?;
    let seen = format!("{now} starts of Jenkins after {before}");
    play.check("it serves with the data that was there", now == before + 1, seen);
    Ok(())
}

/// The claims on a file system.
fn claims(volume: &Volume) -> anyhow::Result<Vec<String>> {
    let folder = std::fs::read_dir(volume.folder.join(".hostkit/lease"))?;
    let names = folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut claims: Vec<_> = names.filter(|name| name.starts_with("gen-")).collect();
    claims.sort();
    Ok(claims)
}
