//! Jenkins begins no builds, or begins them again, as the tag of the instance says; a container host
//! has its tasks moved away.

use super::super::envoy::Errand;
use super::super::jenkins;
use super::errands::About;
use super::{STEP, Watch};
use crate::host::Role;

/// So often it is looked whether Jenkins is still quiet, in seconds.
const QUIET_AGAIN: f64 = 16.0;

impl Watch {
    /// Has what the host is for begin nothing new, or begin again, where that is not so.
    pub(super) async fn quiet(&mut self, wanted: bool) {
        match self.host.role {
            Role::Controller if self.ready => self.quiet_jenkins(wanted).await,
            // Written down: the next guard has to take it back.
            Role::Ecs if self.ready && self.host.notes.quiet_since().is_some() != wanted => {
                let Some(cluster) = self.host.config.ecs.cluster.clone() else { return };
                let errand =
                    if wanted { Errand::Move { cluster } } else { Errand::Stay { cluster } };
                if self.errand(About::Tasks, errand)
                    && let Err(error) = self.host.notes.quiet(wanted)
                {
                    self.say_once(format!("that could not be written down: {error}"));
                }
            }
            Role::Agent if wanted => {
                self.say_once(
                    "the tag hostkit:drain: its controller takes this agent offline".to_owned(),
                );
            }
            _ => {}
        }
    }

    async fn quiet_jenkins(&mut self, wanted: bool) {
        let (since, now) = (self.host.notes.quiet_since(), self.host.post.clock());
        // A Jenkins that was restarted has forgotten it: that is looked for every few ticks.
        let is_so = wanted == since.is_some();
        if is_so && (!wanted || now < self.quiet_again) {
            self.cannot = None;
            return;
        }
        self.quiet_again = now + QUIET_AGAIN;
        let done = match jenkins::quiet(&self.host).await {
            Ok(quiet) if quiet.is_quiet == wanted => Ok(()),
            Ok(_) if wanted => jenkins::quiet_down(&self.host).await,
            Ok(_) => jenkins::cancel(&self.host).await,
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = done {
            self.say_once(trouble.to_string());
            self.cannot = wanted.then(|| trouble.to_string());
            return;
        }
        self.cannot = None;
        if let Err(error) = self.host.notes.quiet(wanted) {
            self.say_once(format!("that could not be written down: {error}"));
        }
        if wanted && since.is_none() {
            self.host.events.log(STEP, "Jenkins begins no more builds: the tag hostkit:drain");
            // What was counted before may have grown since.
            self.eyes.count(&self.host).await;
        } else if !wanted {
            self.host.events.log(STEP, "Jenkins begins builds again");
        }
    }
}
