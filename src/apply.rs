//! Runs a plan on a host, in order, and stops at the first step that fails.

use std::time::Instant;

use crate::error::{Blamed as _, Fault};
use crate::event::{Events, Outcome};
use crate::plan::Planned;
use crate::secret::Secrets;
use crate::step::Site;
use crate::sys::Host;

/// Applies `steps` to `host`. Says whether anything changed.
pub async fn apply(
    steps: &[Planned],
    host: &Host,
    secrets: &Secrets,
    events: &Events,
) -> anyhow::Result<Outcome> {
    let mut all = Outcome::Unchanged;
    for Planned { id, step, .. } in steps {
        let started = Instant::now();
        events.started(id, step.title());
        let end = step.apply(&Site { host, events, secrets, id }).await;
        let outcome = match &end {
            Ok(outcome) => outcome.clone(),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        events.finished(id, outcome, started.elapsed());
        all = all.and(end.or_blame(|| Fault::step(format!("the step `{id}` failed")))?);
    }
    Ok(all)
}
