//! What this machine hears of its guard: a line for systemd, and a file of numbers.

use super::super::health::Part;
use super::Watch;
use crate::group::standing::State;
use crate::sys::{atomic, notify};

/// The numbers are written so often, in seconds.
const METRICS: f64 = 4.0;

impl Watch {
    /// Tells systemd, in a line.
    pub(super) fn tell(&self) {
        let problems = self.health.say();
        let line = match (&self.going, self.state()) {
            (Some(going), _) => going.say(),
            (None, State::Drained) => "drained".to_owned(),
            (None, _) if !self.ready => "watching; this host is not ready yet".to_owned(),
            (None, State::Quiet) => "quiet: Jenkins begins no builds".to_owned(),
            (None, _) if problems.is_empty() => "serving".to_owned(),
            (None, _) if self.health.serves() => format!("degraded: {problems}"),
            (None, _) => format!("not serving: {problems}"),
        };
        notify::status(&line);
        notify::watchdog();
    }

    /// Writes the numbers where that is due, or the state of this host is news.
    pub(super) fn write_metrics(&mut self, now: f64) {
        let path = &self.host.config.guard.metrics;
        let state = Some(self.state());
        let ready = self.ready && self.health.serves() && self.going.is_none();
        let numbers = &mut self.eyes.numbers;
        let is_news = (numbers.state, numbers.ready) != (state, ready);
        if path.is_empty() || (now < self.metrics_due && !is_news) {
            return;
        }
        (numbers.state, numbers.ready) = (state, ready);
        self.metrics_due = now + METRICS;
        let parts = [
            Part::Jenkins,
            Part::EcsAgent,
            Part::Ssh,
            Part::Mount,
            Part::Lease,
            Part::Disk,
            Part::Memory,
            Part::Certificates,
            Part::Metadata,
            Part::Maintenance,
        ];
        let well = |part: Part| (part.name(), self.health.problem(part).is_none());
        numbers.parts = parts.into_iter().map(well).collect();
        if numbers.boot.is_none() && self.ready {
            numbers.boot = self.host.boot().as_ref().and_then(boot_seconds);
        }
        let path = self.host.post.path(path);
        if let Err(error) = atomic::write(&path, numbers.text().as_bytes(), 0o644) {
            let line = format!(
                "{path} cannot be written: {error}; a path outside of /run/hostkit needs a \
                 ReadWritePaths= for hostkit-guard.service"
            );
            self.say_once(line);
        }
    }
}

/// How long a boot took, by its report.
fn boot_seconds(report: &serde_json::Value) -> Option<f64> {
    let steps = report["report"]["steps"].as_array()?;
    let end = |step: &serde_json::Value| Some(step["at"].as_f64()? + step["took"].as_f64()?);
    steps.iter().filter_map(end).reduce(f64::max)
}
