//! A build agent that goes: what its controller still does there.
//!
//! A build begins on an agent by a connection that stands already, so that an agent which builds
//! nothing at the moment may build something in the next. Its controller has the last word: it takes the
//! agent offline, and hangs up when nothing runs there. After that the agent lets nobody in any more,
//! looks once again, and goes.

use super::drain::Seen;
use super::jenkins::{self, Unit};
use super::post::Watched;
use super::sessions::{self, Sessions};
use crate::sys::systemd;

/// What lets people and controllers in, by the names that families of systems have for it. A session
/// that stands outlives it.
const DOORS: &[&str] = &["ssh.socket", "sshd.socket", "ssh.service", "sshd.service"];

fn look(host: &Watched) -> Result<Sessions, Seen> {
    sessions::look(&host.post.root, &host.config.agent.user)
        .map_err(|error| Seen::Unclear(format!("who is logged in cannot be told: {error}")))
}

/// Whether somebody builds here, or may.
pub(super) fn sessions(host: &Watched) -> Seen {
    match look(host) {
        Err(unclear) => unclear,
        Ok(Sessions { connected: 0, building: 0 }) => Seen::Done(None),
        Ok(Sessions { building: 0, .. }) if host.config.agent.pool.is_some() => Seen::Left(
            "nothing is built; the controller lets an agent go within a minute or two".to_owned(),
        ),
        // Who runs that controller is not known; nobody would hang up.
        Ok(Sessions { building: 0, .. }) => Seen::Done(Some(
            "nothing is built; without a pool no controller lets this agent go".to_owned(),
        )),
        Ok(Sessions { building: 1, .. }) => Seen::Left("a build is under way".to_owned()),
        Ok(Sessions { building, .. }) => Seen::Left(format!("{building} builds are under way")),
    }
}

/// Whether nobody can connect any more, and nobody has meanwhile.
pub(super) async fn door(host: &Watched, is_final: bool) -> Seen {
    if !is_final {
        return Seen::Done(Some("it stays open: this agent may come back".to_owned()));
    }
    for unit in DOORS {
        match jenkins::unit(host, unit).await {
            Ok(Unit::Down) => {}
            Ok(_) => return Seen::Left(format!("{unit} runs")),
            Err(error) => return Seen::Unclear(error.to_string()),
        }
    }
    match look(host) {
        Err(unclear) => unclear,
        Ok(Sessions { building: 0, .. }) => Seen::Done(None),
        Ok(_) => Seen::Left("a build has begun in the last moment".to_owned()),
    }
}

/// Lets nobody in any more. Who is connected stays.
pub(super) async fn close(host: &Watched) -> Result<(), String> {
    for unit in DOORS {
        let runs = jenkins::unit(host, unit).await.map_err(|error| error.to_string())?;
        if runs == Unit::Up {
            let stopped = systemd::stop_no_block(&host.post.runner, unit).await;
            stopped.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
