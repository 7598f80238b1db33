//! Runs a plan on a host, in order, and stops at the first step that fails; or checks a host
//! against a plan, to the end.

use std::time::Instant;

use crate::error::{Blamed as _, Fault, rewritten};
use crate::event::{Events, Outcome};
use crate::plan::Planned;
use crate::secret::Secrets;
use crate::step::unit::{Settled, Unit, settle};
use crate::step::{Mode, Site, Step};
use crate::sys::Host;

/// What the steps of one run share.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The host.
    pub host: &'a Host,
    /// What the references of the plan stand for.
    pub secrets: &'a Secrets,
    /// The listener.
    pub events: &'a Events,
    /// Whether anything is changed.
    pub mode: Mode,
    /// Whether the lines of files that change are shown.
    pub diff: bool,
}

/// Applies `steps` to `host`. Says whether anything changed.
pub async fn apply(
    steps: &[Planned],
    host: &Host,
    secrets: &Secrets,
    events: &Events,
) -> anyhow::Result<Outcome> {
    Run { host, secrets, events, mode: Mode::Apply, diff: false }.all(steps).await
}

impl Run<'_> {
    /// Applies or checks `steps`. Says whether anything changed, or differs.
    ///
    /// # Errors
    /// The first step that fails; in a check the others are checked before it is told.
    pub async fn all(&self, steps: &[Planned]) -> anyhow::Result<Outcome> {
        let mut all = Outcome::Unchanged;
        let mut failure = None;
        // Units that follow each other are settled together, which spares two processes each.
        for run in steps.chunk_by(|one, two| unit(one).is_some() && unit(two).is_some()) {
            let mut units = Units { run, settled: None };
            for planned in run {
                match self.one(planned, &mut units).await {
                    Ok(outcome) => all = all.and(outcome),
                    Err(error) if self.mode == Mode::Check => {
                        failure.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        failure.map_or(Ok(all), Err)
    }

    async fn one(&self, planned: &Planned, units: &mut Units<'_>) -> anyhow::Result<Outcome> {
        let Planned { id, step, .. } = planned;
        let started = Instant::now();
        self.events.started(id, step.title());
        let Self { host, secrets, events, mode, diff } = *self;
        let site = Site { host, events, secrets, id, mode, diff };
        let end = match step {
            Step::Unit(unit) => units.finish(unit, &site).await,
            step => step.apply(&site).await,
        };
        let end = end
            .map(|outcome| self.told(outcome))
            .or_blame(|| Fault::step(format!("the step `{id}` failed")))
            .map_err(|error| self.redacted(error));
        let outcome = match &end {
            Ok(outcome) => outcome.clone(),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        events.finished(id, outcome, started.elapsed());
        end
    }

    /// What would be changed in a check differs.
    fn told(&self, outcome: Outcome) -> Outcome {
        match (self.mode, outcome) {
            (Mode::Check, Outcome::Changed) => Outcome::Differs,
            (_, outcome) => outcome,
        }
    }

    /// An error may quote what a program printed, and that may hold a secret.
    fn redacted(&self, error: anyhow::Error) -> anyhow::Error {
        let text = format!("{error:#}");
        let has_secret = self.secrets.redact(&text) != text;
        if has_secret { rewritten(&error, |text| self.secrets.redact(text)) } else { error }
    }
}

/// Units that follow each other.
struct Units<'a> {
    run: &'a [Planned],
    settled: Option<Settled>,
}

impl Units<'_> {
    /// The first of them has all of them settled.
    async fn finish(&mut self, unit: &Unit, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let settled = match &mut self.settled {
            Some(settled) => settled,
            none => {
                let units: Vec<_> = self.run.iter().filter_map(self::unit).collect();
                none.insert(settle(&units, site).await?)
            }
        };
        unit.finish(settled, site).await
    }
}

fn unit(planned: &Planned) -> Option<&Unit> {
    match &planned.step {
        Step::Unit(unit) => Some(unit),
        _ => None,
    }
}
