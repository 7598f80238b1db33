//! Has the home held: tells the lease's unit who this host is, starts it, and watches it.
//!
//! It decides nothing and waits as long as the unit does: another controller may be draining, or
//! AWS may be silent. Meanwhile the launch hook is kept waiting.

use std::sync::Arc;

use anyhow::Context as _;
use camino::Utf8Path;

use super::context::Context;
use super::home::{MOUNT_POINT, file_system};
use super::permission;
use super::service::Service;
use crate::aws::asg;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::LeasePolicy;
use crate::lease::memory::{Memory, Phase, Standing};
use crate::lease::order::{self, Order};
use crate::sys::{atomic, console};

/// Holds the home as long as it runs.
pub(super) const UNIT: &str = "hostkit-lease.service";

const LEASE: Service = Service { step: "lease", unit: UNIT, name: "The lease" };

/// So often its unit is started where it does not come up: until Jenkins runs, nobody else starts it
/// again.
const MOST_STARTS: u32 = 3;

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    let order = order(&context).await;
    give(&machine.path(order::PATH), &order).context("telling the lease who this host is")?;
    let mut before = LEASE.must_look(&context, "the image was baked by an older hostkit").await?;
    if !before.is_active() {
        permission::starts(&context, UNIT);
    }
    // Nobody reads the journal of a host that does not come up.
    let tell = |why: &str| console::say(&machine.root, &format!("hostkit: lease: {why}\n"));
    let memory = Memory::new(&machine.root, &context.facts.boot_id);
    for _ in 1..MOST_STARTS {
        let told = memory.standing();
        let end = LEASE.start_and_tell(&context, &before, tell).await;
        if end.is_ok() {
            return end;
        }
        before = LEASE.must_look(&context, "its package was removed meanwhile").await?;
        let is_news = |standing: &Standing| told.as_ref() != Some(standing);
        if !before.has_failed()
            || memory.standing().filter(is_news).is_some_and(|now| is_final(&now))
        {
            return end;
        }
        let again = format!("its process ended ({}) and is started again", before.result());
        context.events.log(LEASE.step, &again);
        tell(&again);
    }
    LEASE.start_and_tell(&context, &before, tell).await
}

/// Whether the lease's process ended because it had to, and not because something broke it.
const fn is_final(standing: &Standing) -> bool {
    matches!(standing.phase, Phase::GivenUp | Phase::Lost)
}

fn give(path: &Utf8Path, order: &Order) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        atomic::make_directory(folder, 0o700)?;
    }
    let json = serde_json::to_vec(order).expect("an order has only string keys");
    atomic::write(path, &json, 0o600).map(drop)
}

async fn order(context: &Context) -> Order {
    let (known, config) = (context.must_know(), context.config());
    let order = Order::of(known.identity.clone(), config, file_system(context).to_owned());
    Order {
        mount_point: context.machine.path(MOUNT_POINT),
        group: group(context).await,
        imds: context.machine.imds.clone(),
        ..order
    }
}

/// The group of this host. Only who may terminate somebody needs to know it.
async fn group(context: &Context) -> Option<String> {
    if context.config().lease.policy != LeasePolicy::Stonith {
        return None;
    }
    let id = &context.must_know().identity.instance_id;
    let asked = match context.aws().await {
        Ok(aws) => asg::membership(aws, id).await.map_err(Fault::from),
        Err(fault) => Err(fault),
    };
    match asked {
        Ok(member) => member.map(|member| member.group),
        // A host that terminates nobody can still wait.
        Err(fault) => {
            let what = format!("the group is not known, so nobody is terminated: {fault}");
            context.events.log(LEASE.step, what);
            None
        }
    }
}
