//! The world of a drain: what is to be seen of a stage, and what is done for it.

use super::agent;
use super::drain::{Seen, Stage};
use super::envoy::{self, Answer, Errand, Place};
use super::jenkins::{self, Unit};
use super::post::Watched;
use crate::host::{HOME, Role};
use crate::lease::memory::Phase;
use crate::sys::{mountinfo, systemd};

const BOOT: &str = "hostkit-boot.service";
const LEASE: &str = "hostkit-lease.service";
const MOUNT: &str = "var-lib-jenkins.mount";
const ECS: &str = "ecs.service";

/// What a group is that waits for this host.
const UNTOLD: &str = "the group was not told yet";

/// What lets Jenkins and the ECS agent start.
const MAY_START: &str = "run/hostkit/may-start";

/// What a drain has learnt on its way, and may learn again.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    /// Where the host is in its group.
    pub(super) place: Option<Place>,
    /// The load balancer was told.
    left_targets: Option<String>,
    /// ECS was told to move the tasks away.
    moving: bool,
    /// The group was told that the host may go.
    said_go: Option<String>,
    /// The group did not take that: where the host is has to be asked anew.
    refused_go: bool,
    /// The cluster has forgotten the host.
    left_cluster: Option<String>,
    /// Whether nothing brings the host back: what it is goes with it.
    pub(super) is_final: bool,
    /// How many builds or tasks were left at the last look.
    pub(super) builds: Option<u32>,
}

impl Learnt {
    /// Nothing yet, of a drain that can or cannot be taken back.
    pub(super) fn of(is_final: bool) -> Self {
        Self { is_final, ..Self::default() }
    }

    /// By what ECS itself drains this host, which then goes with its agent running: ECS has a hook of
    /// its own, which it completes by what it hears from the agent.
    fn of_ecs(&self) -> Option<&str> {
        self.place.as_ref()?.drained_by.as_deref().filter(|_| self.is_final)
    }
}

/// What is to be seen of `stage`.
pub(super) async fn look(host: &Watched, learnt: &mut Learnt, stage: Stage) -> Seen {
    match stage {
        Stage::Targets => match &learnt.left_targets {
            Some(note) => Seen::Done(Some(note.clone())),
            None => Seen::Left("the load balancer was not told yet".to_owned()),
        },
        Stage::Boot => boot(host).await,
        Stage::Quiet => quiet(host).await,
        Stage::Builds => builds(host, learnt).await,
        Stage::Sessions => agent::sessions(host),
        Stage::Door => agent::door(host, learnt.is_final).await,
        Stage::Tasks => tasks(host, learnt).await,
        Stage::Stop => stopped(host, learnt).await,
        Stage::Leave => left_cluster(learnt),
        Stage::Release => released(host).await,
        Stage::Unmount => unmounted(host),
        Stage::Hook => hook(host, learnt).await,
    }
}

/// Does what `stage` is about. Says what went wrong.
pub(super) async fn act(host: &Watched, learnt: &mut Learnt, stage: Stage) -> Result<(), String> {
    let runner = &host.post.runner;
    let stop = async |unit: &str| {
        systemd::stop_no_block(runner, unit).await.map_err(|error| error.to_string())
    };
    match stage {
        Stage::Targets => {
            let target_group = host.config.alb.target_group.clone();
            let answer = send(host, Errand::Leave { target_group }).await?;
            learnt.left_targets = Some(answer.unwrap_or_else(|| "no new requests come".to_owned()));
            Ok(())
        }
        Stage::Boot => stop(BOOT).await,
        Stage::Quiet => jenkins::quiet_down(host).await.map_err(|trouble| trouble.to_string()),
        Stage::Builds | Stage::Sessions => Ok(()),
        Stage::Door => agent::close(host).await,
        Stage::Tasks => move_tasks(host, learnt).await,
        Stage::Stop => {
            forbid(host)?;
            stop(unit_of(host.role)).await
        }
        Stage::Leave => leave_cluster(host, learnt).await,
        Stage::Release => release(host).await,
        Stage::Unmount => stop(MOUNT).await,
        Stage::Hook => go(host, learnt).await,
    }
}

/// Does it whatever it takes.
pub(super) async fn force(host: &Watched, stage: Stage) -> Result<(), String> {
    let unit = match stage {
        Stage::Boot => BOOT,
        Stage::Stop => unit_of(host.role),
        _ => return Ok(()),
    };
    let killed = systemd::kill(&host.post.runner, unit, "SIGKILL").await;
    // Its own unit would start it again.
    let stopped = systemd::stop_no_block(&host.post.runner, unit).await;
    killed.and(stopped).map_err(|error| error.to_string())
}

const fn unit_of(role: Role) -> &'static str {
    match role {
        Role::Controller | Role::Agent => jenkins::UNIT,
        Role::Ecs => ECS,
    }
}

/// Nobody starts it again.
fn forbid(host: &Watched) -> Result<(), String> {
    match std::fs::remove_file(host.post.path(MAY_START)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("/{MAY_START} cannot be removed: {error}"))
        }
        _ => Ok(()),
    }
}

async fn boot(host: &Watched) -> Seen {
    let names = ["ActiveState"];
    match systemd::show(&host.post.runner, BOOT, &names).await {
        Err(error) => Seen::Unclear(error.to_string()),
        // It stays `active` when it has ended well.
        Ok(shown) => match shown.get("ActiveState").map(String::as_str) {
            Some("activating" | "deactivating") => Seen::Left("the boot is under way".to_owned()),
            _ => Seen::Done(None),
        },
    }
}

async fn quiet(host: &Watched) -> Seen {
    match jenkins::unit(host, jenkins::UNIT).await {
        Ok(Unit::Up) => {}
        Ok(_) => return Seen::Done(Some("Jenkins does not run".to_owned())),
        Err(error) => return Seen::Unclear(error.to_string()),
    }
    match jenkins::quiet(host).await {
        Ok(quiet) if quiet.is_quiet => Seen::Done(None),
        Ok(_) => Seen::Left("Jenkins begins builds".to_owned()),
        Err(trouble) => Seen::Unclear(trouble.to_string()),
    }
}

async fn builds(host: &Watched, learnt: &mut Learnt) -> Seen {
    match jenkins::unit(host, jenkins::UNIT).await {
        Ok(Unit::Up) => {}
        Ok(_) => return Seen::Done(Some("Jenkins does not run".to_owned())),
        Err(error) => return Seen::Unclear(error.to_string()),
    }
    let builds = match jenkins::builds(host).await {
        Ok(builds) => builds,
        Err(trouble) => return Seen::Unclear(trouble.to_string()),
    };
    learnt.builds = u32::try_from(builds.len()).ok();
    let (lost, goes_on) = jenkins::tell(&builds);
    if lost.is_empty() {
        let note = match goes_on {
            0 => None,
            1 => Some("1 pipeline goes on after the restart".to_owned()),
            many => Some(format!("{many} pipelines go on after the restart")),
        };
        return Seen::Done(note);
    }
    Seen::Left(match lost.as_slice() {
        [one] => format!("1 build is under way: {one}"),
        [one, ..] => format!("{} builds are under way, as {one}", lost.len()),
        [] => String::new(),
    })
}

async fn tasks(host: &Watched, learnt: &mut Learnt) -> Seen {
    let Some(cluster) = host.config.ecs.cluster.clone() else { return Seen::Done(None) };
    if !learnt.moving {
        return Seen::Left("ECS was not told yet".to_owned());
    }
    match envoy::send(&host.post.runner, &host.sender(), Errand::Tasks { cluster }).await {
        Answer::Done(note) => Seen::Done(note),
        Answer::Left(what) => Seen::Left(what),
        other => Seen::Unclear(trouble(other)),
    }
}

async fn move_tasks(host: &Watched, learnt: &mut Learnt) -> Result<(), String> {
    let Some(cluster) = host.config.ecs.cluster.clone() else { return Ok(()) };
    let place = know_place(host, learnt).await;
    if let Ok(Place { drained_by: Some(by), .. }) = place {
        if !learnt.moving {
            host.events.log(Stage::Tasks.name(), format!("ECS drains this host itself, by {by}"));
        }
        learnt.moving = true;
        return Ok(());
    }
    if let Some(note) = send(host, Errand::Move { cluster }).await? {
        host.events.log(Stage::Tasks.name(), note);
    }
    learnt.moving = true;
    Ok(())
}

/// ECS forgets a host by itself only while its agent is in touch, and that was stopped.
fn left_cluster(learnt: &Learnt) -> Seen {
    if let Some(by) = learnt.of_ecs() {
        return Seen::Done(Some(format!("ECS does, by {by}")));
    }
    match &learnt.left_cluster {
        Some(note) if note.is_empty() => Seen::Done(None),
        Some(note) => Seen::Done(Some(note.clone())),
        None if !learnt.is_final => {
            Seen::Done(Some("it stays in its cluster, and may come back".to_owned()))
        }
        None => Seen::Left("its cluster has it still".to_owned()),
    }
}

async fn leave_cluster(host: &Watched, learnt: &mut Learnt) -> Result<(), String> {
    let Some(cluster) = host.config.ecs.cluster.clone() else {
        learnt.left_cluster = Some("it is in no cluster".to_owned());
        return Ok(());
    };
    let note = send(host, Errand::Deregister { cluster }).await?;
    learnt.left_cluster = Some(note.unwrap_or_default());
    Ok(())
}

async fn stopped(host: &Watched, learnt: &Learnt) -> Seen {
    if let Some(by) = learnt.of_ecs() {
        return Seen::Done(Some(format!(
            "the agent runs to the end: ECS drains this host, by {by}"
        )));
    }
    let name = match host.role {
        Role::Ecs => "the ECS agent",
        Role::Controller | Role::Agent => "Jenkins",
    };
    match jenkins::unit(host, unit_of(host.role)).await {
        Ok(Unit::Down) => Seen::Done(None),
        Ok(Unit::Stopping) => Seen::Left(format!("{name} is stopping")),
        Ok(Unit::Up) => Seen::Left(format!("{name} runs")),
        Err(error) => Seen::Unclear(error.to_string()),
    }
}

/// Its unit may be down and the home still be held: what counts is what it said last.
async fn released(host: &Watched) -> Seen {
    let unit = match jenkins::unit(host, LEASE).await {
        Ok(unit) => unit,
        Err(error) => return Seen::Unclear(error.to_string()),
    };
    let standing = host.lease.standing();
    let why = standing.as_ref().map(|standing| standing.why.clone()).unwrap_or_default();
    match (unit, standing.map(|standing| standing.phase)) {
        (Unit::Down, None) => Seen::Done(Some("this host never held the home".to_owned())),
        (Unit::Down, Some(Phase::Held)) => Seen::Unclear(why),
        // It was released, or was never this host's, or is somebody else's by now.
        (Unit::Down, Some(_)) => Seen::Done(Some(why)),
        (Unit::Stopping | Unit::Up, _) => Seen::Left("the home is still held".to_owned()),
    }
}

async fn release(host: &Watched) -> Result<(), String> {
    let runner = &host.post.runner;
    let unit = jenkins::unit(host, LEASE).await.map_err(|error| error.to_string())?;
    // It ended without releasing what it holds: only a process of its own can take that up again.
    if unit == Unit::Down && host.lease.mine().is_some() {
        let started = systemd::start_no_block(runner, LEASE).await;
        return started.map_err(|error| error.to_string());
    }
    systemd::stop_no_block(runner, LEASE).await.map_err(|error| error.to_string())
}

fn unmounted(host: &Watched) -> Seen {
    match mountinfo::read(&host.post.root) {
        Err(error) => Seen::Unclear(format!("reading the table of mounts: {error}")),
        Ok(mounts) if mountinfo::at(&mounts, HOME).is_some() => {
            Seen::Left(format!("{HOME} is mounted"))
        }
        Ok(_) => Seen::Done(None),
    }
}

async fn hook(host: &Watched, learnt: &mut Learnt) -> Seen {
    if let Some(note) = &learnt.said_go {
        return Seen::Done(Some(note.clone()));
    }
    // Whoever asked for more time has heard that the group waits, and it waits until it is told.
    if learnt.place.as_ref().is_some_and(|it| it.hook.is_some() && it.waits()) && !learnt.refused_go
    {
        return Seen::Left(UNTOLD.to_owned());
    }
    let place = match ask_place(host).await {
        Ok(place) => place,
        Err(why) => return Seen::Unclear(why),
    };
    let seen = match (&place.group, &place.hook) {
        (None, _) => Seen::Done(Some("this host is in no group".to_owned())),
        (Some(group), None) => Seen::Done(Some(format!("the group {group} does not wait"))),
        (Some(_), Some(_)) if place.waits() || place.state.is_empty() => {
            Seen::Left(UNTOLD.to_owned())
        }
        (Some(group), Some(_)) => {
            Seen::Done(Some(format!("the group {group} does not wait: {}", place.state)))
        }
    };
    learnt.place = Some(place);
    seen
}

async fn go(host: &Watched, learnt: &mut Learnt) -> Result<(), String> {
    let Some(hook) = learnt.place.as_ref().and_then(|place| place.hook.clone()) else {
        return Ok(());
    };
    let heard = format!("the hook {} lets this host go", hook.name);
    let answer = send(host, Errand::Go(hook)).await;
    learnt.refused_go = answer.is_err();
    learnt.said_go = Some(answer?.unwrap_or(heard));
    Ok(())
}

/// Where the host is in its group, asked if it is not known.
pub(super) async fn know_place(host: &Watched, learnt: &mut Learnt) -> Result<Place, String> {
    if let Some(place) = &learnt.place {
        return Ok(place.clone());
    }
    let place = ask_place(host).await?;
    learnt.place = Some(place.clone());
    Ok(place)
}

/// Where the host is in its group.
pub(super) async fn ask_place(host: &Watched) -> Result<Place, String> {
    let errand = place_errand(host);
    match envoy::send(&host.post.runner, &host.sender(), errand).await {
        Answer::Place(place) => Ok(*place),
        other => Err(trouble(other)),
    }
}

/// What finds that out.
pub(super) fn place_errand(host: &Watched) -> Errand {
    let cluster = host.config.ecs.cluster.clone().filter(|_| host.role == Role::Ecs);
    Errand::Place { hook: host.config.drain.hook.clone(), cluster }
}

async fn send(host: &Watched, errand: Errand) -> Result<Option<String>, String> {
    match envoy::send(&host.post.runner, &host.sender(), errand).await {
        Answer::Done(note) => Ok(note),
        other => Err(trouble(other)),
    }
}

/// An answer that is not the one that was wanted, in words.
pub(super) fn trouble(answer: Answer) -> String {
    match answer {
        Answer::Failed { why, hint: Some(hint) } => format!("{why} ({hint})"),
        Answer::Failed { why, hint: None } => why,
        other => format!("the child that speaks to AWS answered {other:?}"),
    }
}
