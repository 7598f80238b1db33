//! What is said to AWS beside the loop, one thing at a time, by a child.

use super::super::envoy::{self, Answer, Errand};
use super::super::world;
use super::{STEP, Watch};
use crate::host::{HOME, Role};

/// What is said to AWS beside the loop, and about what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Answer,
    Unhealthy,
    Group,
    Tasks,
}

impl Watch {
    /// Tells the group where this host does not serve.
    pub(super) fn report(&mut self, now: f64) {
        if self.unwanted && self.errand.is_none() {
            let why = "EC2 recommended to leave the machine, and the host is drained".to_owned();
            self.errand(About::Unhealthy, Errand::Unhealthy { why, home: None });
            self.unwanted = false;
        }
        let guard = &self.host.config.guard;
        let drains = self.going.is_some() || self.host.notes.begun().is_some();
        if !self.ready || !guard.report_unhealthy || drains || self.errand.is_some() {
            return;
        }
        let after = f64::from(guard.unhealthy_after);
        let Some(why) = self.health.report(now, after) else { return };
        self.host
            .events
            .log(STEP, format!("the group is told that this host does not serve: {why}"));
        let home = self.host.config.efs.id.clone().filter(|_| self.host.role == Role::Controller);
        let home = home.map(|id| (self.host.post.path(HOME), id));
        self.errand(About::Unhealthy, Errand::Unhealthy { why, home });
    }

    /// Says something to AWS beside the loop; false where something else is being said.
    pub(super) fn errand(&mut self, about: About, errand: Errand) -> bool {
        if self.errand.is_some() {
            return false;
        }
        let (runner, sender) = (self.host.post.runner.clone(), self.host.sender());
        let work = async move { envoy::send(&runner, &sender, errand).await };
        self.errand = Some((about, tokio::spawn(work)));
        true
    }

    /// Hears what came of it.
    pub(super) async fn take_errand(&mut self) {
        let Some((about, errand)) = self.errand.take_if(|(_, errand)| errand.is_finished()) else {
            return;
        };
        let Ok(answer) = errand.await else { return };
        match (about, answer) {
            (About::Answer, Answer::Done(_)) => {
                if self.teller.arrived(true) {
                    self.host.events.log(STEP, "Parameter Store takes answers again");
                }
            }
            (About::Answer, other) => {
                if self.teller.arrived(false) {
                    let why = world::trouble(other);
                    let line = format!("how this host stands cannot be answered: {why}");
                    self.host.events.log(STEP, line);
                }
            }
            (About::Group, Answer::Place(place)) => self.group = place.group,
            (About::Unhealthy, Answer::TooOften(next)) => {
                let line = format!(
                    "the group is not told: it was, twice within an hour, which did not help; \
                     again at {next}"
                );
                self.host.events.log(STEP, line);
            }
            (_, Answer::Done(_)) => {}
            (_, other) => {
                self.host.events.log(STEP, format!("the group: {}", world::trouble(other)));
            }
        }
    }
}
