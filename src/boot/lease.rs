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
use crate::lease::order::{self, Order};
use crate::sys::{atomic, console};

/// Holds the home as long as it runs.
pub(super) const UNIT: &str = "hostkit-lease.service";

const LEASE: Service = Service { step: "lease", unit: UNIT, name: "The lease" };

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    let order = order(&context).await?;
    give(&machine.path(order::PATH), &order).context("telling the lease who this host is")?;
    let before = LEASE.must_look(&context, "the image was baked by an older hostkit").await?;
    if !before.is_active() {
        permission::starts(&context, UNIT);
    }
    // Nobody reads the journal of a host that does not come up.
    let tell = |why: &str| console::say(&machine.root, &format!("hostkit: lease: {why}\n"));
    LEASE.start_and_tell(&context, &before, tell).await
}

fn give(path: &Utf8Path, order: &Order) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        atomic::make_directory(folder, 0o700)?;
    }
    let json = serde_json::to_vec(order).expect("an order has only string keys");
    atomic::write(path, &json, 0o600).map(drop)
}

async fn order(context: &Context) -> Result<Order, Fault> {
    let (known, config) = (context.must_know(), context.config());
    let order = Order::of(known.identity.clone(), config, file_system(context).to_owned());
    Ok(Order {
        mount_point: context.machine.path(MOUNT_POINT),
        group: group(context).await?,
        imds: context.machine.imds.clone(),
        ..order
    })
}

/// The group of this host. Only who may terminate somebody needs to know it.
async fn group(context: &Context) -> Result<Option<String>, Fault> {
    if context.config().lease.policy != LeasePolicy::Stonith {
        return Ok(None);
    }
    let id = &context.must_know().identity.instance_id;
    Ok(asg::membership(context.aws().await?, id).await?.map(|member| member.group))
}
