//! Mounts file systems: finds them, probes them, and has systemd mount them.
//!
//! [`attempts`] is the loop, [`attempt`] one round of it: [`recognise`] what is mounted already,
//! [`locate`] a mount target, [`probe`](crate::efs::probe) it, [`client`] names this host to it, [`unit`] has it mounted,
//! and [`trouble`] sorts what went wrong.

mod attempts;
mod client;
mod groups;
mod locate;
mod recognise;
pub(super) mod several;
mod trouble;
mod unit;
mod wanted;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;

use super::context::{Context, Machine};
use super::hostname;
use crate::efs::probe::{Call, Obstacle, probe};
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::mountinfo::{self, Mount};
use attempts::{Attempts, Problem};
use groups::Groups;
use locate::{At, Lost, Place, locate};
use recognise::recognise;
use wanted::Wanted;

const STEP: &str = "efs";

/// The home of a controller.
pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let home = Wanted::home(context.config()).expect("the step `config` checked it");
    attempts::all(&context, STEP, &home).await
}

async fn attempt(
    context: &Context,
    step: &str,
    attempts: &mut Attempts<'_>,
) -> Result<Outcome, Problem> {
    let (machine, wanted) = (&context.machine, attempts.wanted);
    if let Some(mount) = mounted(machine, &wanted.point)? {
        recognise(context, step, attempts, &mount).await?;
        client::read_ahead(context, step, wanted, &mount);
        return Ok(Outcome::Unchanged);
    }
    unit::check(machine, wanted).map_err(Problem::last)?;
    let at = match locate(context, attempts).await {
        Ok(Place::At(at)) => at,
        Ok(Place::Coming(what)) => {
            let hint = "that takes EFS a minute or two; then systemctl restart hostkit-boot";
            return Err(Problem::passing(Fault::aws(what).hint(hint)));
        }
        Err(Lost::Passing(error)) => return Err(Problem::passing(error)),
        Err(Lost::Final(fault)) => return Err(Problem::last(fault)),
    };
    look(context, step, attempts, &at).await?;
    // The kernel names itself to the server by the host's name, too: only by the same one does the server
    // see, after a reboot, that who was there before is gone.
    if let Outcome::Degraded(why) = hostname::set(context).await {
        context.events.log(step, why);
    }
    client::name(context, step);
    unit::mount(machine, wanted, at.address).await?;
    // What counts is what the kernel says: all that follows is written there.
    let mount = mounted(machine, &wanted.point)?.filter(Mount::is_nfs);
    let mount = mount.ok_or_else(|| {
        let (address, point) = (at.address, &wanted.point);
        let what = format!("systemd has mounted {address}:/, and {point} has no such mount");
        Problem::passing(Fault::step(what).hint("systemctl list-units --type=mount --all"))
    })?;
    if let Err(error) = recognise::note(machine, &wanted.point, &wanted.id) {
        context.events.log(step, format!("what was mounted is not remembered: {error}"));
    }
    client::read_ahead(context, step, wanted, &mount);
    Ok(Outcome::Changed)
}

/// Whether an NFS server answers at the place, before the kernel tries for minutes.
async fn look(
    context: &Context,
    step: &str,
    attempts: &Attempts<'_>,
    at: &At,
) -> Result<(), Problem> {
    let (machine, wanted) = (&context.machine, attempts.wanted);
    let server = SocketAddr::from((at.address, machine.nfs_port));
    // A file system that wants TLS may not answer a call that is not encrypted.
    let call = if wanted.needs_utils() { Call::None } else { Call::Null };
    match probe(server, call, machine.probe_patience).await {
        Ok(()) => {
            let does = if call == Call::None { "takes connections" } else { "speaks NFSv4" };
            context.events.log(step, format!("{}: {server} {does}", at.how));
            if let Some(price) = &at.price {
                context.events.log(step, price);
            }
            Ok(())
        }
        Err(obstacle) => {
            let hint = match &obstacle {
                Obstacle::TimedOut(..) => {
                    let ask = || Groups::ask(context, at.target.as_deref());
                    attempts.groups.get_or_init(ask).await.hint()
                }
                other => other.hint().to_owned(),
            };
            Err(Problem::passing(Fault::step(format!("{}: {obstacle}", at.how)).hint(hint)))
        }
    }
}

fn mounted(machine: &Machine, point: &str) -> Result<Option<Mount>, Problem> {
    let mounts = mountinfo::read(&machine.root).context("reading the table of mounts");
    Ok(mountinfo::at(&mounts.map_err(Problem::last)?, point).cloned())
}
