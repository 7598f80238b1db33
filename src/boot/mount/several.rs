//! The further file systems of a host, as for the volumes of containers: each is mounted by itself,
//! and one that is optional does not keep the host from coming up.

use std::sync::Arc;

use futures::future::join_all;

use super::attempts;
use super::wanted::Wanted;
use crate::boot::context::Context;
use crate::event::Outcome;

const STEP: &str = "mounts";

pub(crate) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let all = Wanted::others(context.config());
    if all.is_empty() {
        return Ok(Outcome::Skipped("no [[mount]]".to_owned()));
    }
    // No one of them lies below another: the configuration would have been refused.
    let ends = join_all(all.iter().map(|wanted| attempts::all(&context, STEP, wanted))).await;
    let (mut changed, mut missing) = (false, Vec::new());
    for (wanted, end) in all.iter().zip(ends) {
        let point = &wanted.point;
        match end {
            Ok(outcome) => {
                changed |= outcome == Outcome::Changed;
                context.events.log(STEP, format!("{point}: {} is mounted", wanted.id));
            }
            Err(error) if wanted.optional => {
                context.events.log(STEP, format!("{point}: {error:#}; the host does without it"));
                missing.push(point.as_str());
            }
            Err(error) => return Err(error),
        }
    }
    match missing.as_slice() {
        [] => Ok(Outcome::changed(changed)),
        points => Ok(Outcome::Degraded(format!("without {}: optional", points.join(", ")))),
    }
}
