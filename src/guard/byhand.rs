//! A drain that a person asks for: `hostkit drain`.
//!
//! It is the same drain, in the process of the person. Who begins it writes that down, so that the
//! guard carries it on where that process is killed.

use std::fmt::Write as _;

use super::drain::{Late, Stage};
use super::envoy::Place;
use super::going::{Going, Step, rows};
use super::jenkins::{self, Unit};
use super::post::{Post, Watched};
use super::wish::Reason;
use super::world;
use crate::error::Fault;
use crate::event::Events;

/// How a drain by hand ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The host is drained; these stages were given up.
    Drained(Vec<Stage>),
    /// It was interrupted in time, and taken back.
    TakenBack,
    /// It was interrupted too late: the guard carries it on.
    LeftToGuard,
}

/// What a drain of this host would do.
pub fn plan(post: &Post) -> anyhow::Result<String> {
    let host = Watched::read(post, Events::silent())?;
    let begun = host.notes.beginning(Reason::Person, 0.0, None);
    let mut text = String::from("STAGE     AT MOST  WHAT\n");
    for row in rows(&host, &begun) {
        let most = row.limit.min(row.until);
        let late = match row.late {
            Late::GoOn => "",
            Late::Force(_) => ", then by force",
            Late::Insist => ", and nothing comes after it before it is done",
        };
        let (name, title) = (row.stage.name(), row.stage.title());
        let _ = writeln!(text, "{name:<9} {:>5} s  {title}{late}", most.round());
    }
    Ok(text)
}

/// Drains this host, until `asked` is done.
///
/// # Errors
/// The group would replace this host behind the person's back and `force` is not given; somebody
/// drains it already; the home could not be released.
pub async fn drain(
    post: &Post,
    force: bool,
    asked: impl Future<Output = ()>,
    events: Events,
) -> anyhow::Result<Ended> {
    let host = Watched::read(post, events)?;
    if !force {
        may_go(world::ask_place(&host).await)?;
    }
    let Some(alone) = host.notes.alone()? else {
        return Err(Fault::environment("this host is being drained already")
            .hint("journalctl -u hostkit-guard -f")
            .into());
    };
    let begun = host.notes.begun().filter(|begun| !begun.ended);
    let begun = match begun {
        Some(begun) => begun,
        None => host.notes.begin(Reason::Person, host.post.clock(), None)?,
    };
    let mut going = Going::new(&host, begun);
    let mut asked = std::pin::pin!(asked);
    let end = loop {
        let step = tokio::select! {
            biased;
            () = &mut asked => break interrupted(&host, &going).await?,
            step = going.step(&host) => step,
        };
        match step {
            Step::Goes(pause) => tokio::time::sleep(host.post.seconds(pause)).await,
            Step::Stuck => {
                return Err(Fault::step("the home could not be released: it stays held")
                    .hint("hostkit lease status; the guard goes on trying")
                    .into());
            }
            Step::Ended => {
                let mut begun = going.begun.clone();
                begun.ended = true;
                host.notes.keep(&begun)?;
                break Ended::Drained(going.failed().to_vec());
            }
        }
    };
    drop(alone);
    Ok(end)
}

/// Whether the group lets a host go that a person drains.
fn may_go(place: Result<Place, String>) -> Result<(), Fault> {
    let place = place.map_err(|why| {
        Fault::aws(format!("whether the group would replace this host cannot be told: {why}"))
            .hint("`hostkit drain --force` drains it all the same")
    })?;
    let Some(group) = place.group.as_ref().filter(|_| place.state == "InService" && place.replaces)
    else {
        return Ok(());
    };
    let hint = format!(
        "aws autoscaling suspend-processes --auto-scaling-group-name {group} --scaling-processes \
         HealthCheck ReplaceUnhealthy (and resume-processes afterwards); or \
         `hostkit drain --force`, if it is to be replaced"
    );
    Err(Fault::environment(format!(
        "the group {group} would replace this host as soon as the load balancer misses it"
    ))
    .hint(hint))
}

async fn interrupted(host: &Watched, going: &Going) -> anyhow::Result<Ended> {
    if going.is_past_stop() {
        return Ok(Ended::LeftToGuard);
    }
    take_back(host).await?;
    Ok(Ended::TakenBack)
}

async fn take_back(host: &Watched) -> anyhow::Result<()> {
    host.notes.take_back()?;
    if host.role == crate::host::Role::Controller
        && matches!(jenkins::unit(host, jenkins::UNIT).await, Ok(Unit::Up))
    {
        jenkins::cancel(host).await.map_err(Fault::from)?;
    }
    host.notes.quiet(false)?;
    Ok(())
}

/// Takes back a drain that a person has begun. Says whether this host still serves.
///
/// # Errors
/// Nothing is to be taken back, or what AWS began cannot be.
pub async fn cancel(post: &Post) -> anyhow::Result<bool> {
    let host = Watched::read(post, Events::silent())?;
    match host.notes.begun() {
        None if host.notes.quiet_since().is_none() => {
            return Err(Fault::environment("this host is not being drained").into());
        }
        Some(begun) if begun.reason.is_final() => {
            let why = begun.reason.why();
            return Err(
                Fault::environment(format!("this drain cannot be taken back: {why}")).into()
            );
        }
        _ => {}
    }
    take_back(&host).await?;
    let unit = jenkins::unit(&host, jenkins::UNIT).await?;
    Ok(host.role != crate::host::Role::Controller || unit == Unit::Up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_the_group_would_replace_is_not_drained_by_hand() {
        let place = Place {
            group: Some("ci".to_owned()),
            state: "InService".to_owned(),
            replaces: true,
            ..Place::default()
        };
        let fault = may_go(Ok(place.clone())).unwrap_err();
        let hint = fault.hint_text().unwrap().to_owned();
        insta::assert_snapshot!(format!("{fault}\nhint: {hint}"));
        assert!(may_go(Ok(Place { replaces: false, ..place.clone() })).is_ok());
        assert!(may_go(Ok(Place { state: "Standby".to_owned(), ..place })).is_ok());
        assert!(may_go(Ok(Place::default())).is_ok(), "in no group");
        assert!(may_go(Err("denied".to_owned())).is_err());
    }
}
