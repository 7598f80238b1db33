//! How this controller stands, answered in Parameter Store where there is news; and what proves that
//! it serves what it should.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::envoy::Errand;
use super::super::world;
use super::Watch;
use super::errands::About;
use crate::group::standing::{Boot, Proof, Standing, State, parameter};
use crate::host::Role;
use crate::secret;

/// So long after a boot somebody may wait for its host to prove itself, in seconds.
const YOUNG: f64 = 1800.0;
/// How a host stands that serves is said again after so many seconds, while somebody may wait for it.
const OFTEN: u32 = 60;
/// And while nobody does.
const RARELY: u32 = 300;

impl Watch {
    pub(super) fn state(&self) -> State {
        if self.going.is_some() {
            State::Draining
        } else if self.host.notes.begun().is_some_and(|begun| begun.ended) {
            State::Drained
        } else if self.host.notes.quiet_since().is_some() {
            State::Quiet
        } else {
            State::Serving
        }
    }

    /// Answers in Parameter Store where there is news.
    pub(super) async fn answer(&mut self, now: f64) {
        self.take_errand().await;
        if self.host.role != Role::Controller || !self.has_a_say() || self.errand.is_some() {
            return;
        }
        let Some(group) = self.group_of_mine().await else { return };
        let standing = self.standing(now);
        if let Some(standing) = self.teller.next(now, standing) {
            let text = serde_json::to_string(&standing).expect("it has only string keys");
            self.errand(About::Answer, Errand::Report { parameter: parameter(&group), text });
        }
    }

    /// Whether this host is the one of whom others want to know how it stands: it has served; or it has
    /// held the home, and goes. Another one, whose boot never came that far, would only deny the word of
    /// the one that serves.
    fn has_a_say(&mut self) -> bool {
        self.held |= self.host.lease.mine().is_some();
        let drains = self.going.is_some() || self.host.notes.begun().is_some();
        self.ready || (drains && self.held)
    }

    /// After how many seconds this host says again how it stands, though nothing is new: only who
    /// serves, and often only while somebody may be waiting. Each time is a child of a second's life.
    fn again(&self, now: f64, state: State) -> Option<u32> {
        self.host.lease.mine()?;
        match state {
            State::Draining | State::Drained => None,
            State::Quiet => Some(OFTEN),
            State::Serving if self.cannot.is_some() => Some(OFTEN),
            State::Serving if now < self.ready_since + YOUNG => Some(OFTEN),
            State::Serving => Some(RARELY),
        }
    }

    /// The group of this host, once it is known.
    async fn group_of_mine(&mut self) -> Option<String> {
        if self.group.is_none() {
            self.group = self.eyes.group().await;
            if self.group.is_none() && !self.said.iter().any(|line| line == "group") {
                self.said.push("group".to_owned());
                self.errand(About::Group, world::place_errand(&self.host));
            }
        }
        self.group.clone()
    }

    fn standing(&self, now: f64) -> Standing {
        let state = self.state();
        let why = match (&self.going, state) {
            (Some(going), _) => Some(going.begun.reason.why().to_owned()),
            (None, State::Quiet) => Some("the tag hostkit:drain".to_owned()),
            (None, _) => Some(self.health.say()).filter(|problems| !problems.is_empty()),
        };
        let builds = match &self.going {
            Some(going) => going.learnt.builds.filter(|_| !going.is_past_stop()),
            None => self.eyes.numbers.builds,
        };
        let masked = |text: String| secret::redact(&text).into_owned();
        let quiet = self.host.notes.quiet_since().filter(|_| state == State::Quiet);
        let proof = matches!(state, State::Serving | State::Quiet).then(|| self.proof());
        Standing {
            version: 1,
            instance: self.host.identity.instance_id.clone(),
            state,
            builds: builds.or((state == State::Drained).then_some(0)),
            since: quiet.unwrap_or_else(Timestamp::now),
            why: why.map(masked),
            cannot: self.cannot.clone().map(masked),
            again: self.again(now, state),
            proof,
        }
    }

    /// What was seen at the last look: nothing is asked for it.
    fn proof(&self) -> Proof {
        let generation = self.host.lease.mine();
        Proof {
            ready: self.ready && self.eyes.jenkins.is_some(),
            jenkins: self.eyes.jenkins.clone(),
            // Who holds the lease of a home has looked whose that is.
            file_system: self.host.config.efs.id.clone().filter(|_| generation.is_some()),
            generation,
            image: Some(self.host.identity.image_id.clone()),
            agents: self.eyes.agents,
            boot: self.boot,
        }
    }
}

/// When a boot was where, by its report.
pub(super) fn boot(report: &Value) -> Option<Boot> {
    let started: Timestamp = report["started"].as_str()?.parse().ok()?;
    let steps = report["report"]["steps"].as_array()?;
    let end = |name: &str| {
        let step = steps.iter().find(|step| step["step"] == name)?;
        let seconds = step["at"].as_f64()? + step["took"].as_f64()?;
        started.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
    };
    Some(Boot { started, claimed: end("lease"), ready: end("ready") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_boot_are_read_from_its_report() {
        let report = serde_json::json!({
            "started": "2026-11-20T00:00:00Z",
            "report": {"steps": [
                {"step": "lease", "at": 2.0, "took": 1.5},
                {"step": "ready", "at": 4.0, "took": 30.25},
            ]},
        });
        let boot = boot(&report).unwrap();
        let after = |moment: Option<Timestamp>| {
            moment.map(|it| it.duration_since(boot.started).as_secs_f64())
        };
        assert_eq!((after(boot.claimed), after(boot.ready)), (Some(3.5), Some(34.25)));
        assert_eq!(super::boot(&Value::Null), None);
    }
}
