//! The proof that what serves is what shall: what the new host says of itself, what its group says of
//! it, and what the load balancer says. Looked at again and again, until it is proven or cannot be.
//!
//! An HTTP status of 200 is no proof: the old host answers with it, and the setup wizard too.

pub mod decide;
#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

pub use decide::{Before, Beside, Cause, Proven, Seen, Stage, Target, Verdict, Wanted, decide};

use super::quiet::standing;
use crate::aws::operator::fault;
use crate::aws::{Failure, asg, elb};
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::group::standing::State;
use crate::host::Role;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// While nothing but AWS works there is less to see.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// A passing failure of AWS is borne for so long.
const BEAR: Duration = Duration::from_mins(5);

/// Looks at a group, and remembers since when.
#[derive(Debug)]
pub struct Watcher<'a> {
    config: &'a SdkConfig,
    group: &'a str,
    role: Role,
    began: Instant,
    /// Who says that it serves, and since when.
    serving: Option<(String, Instant)>,
}

impl<'a> Watcher<'a> {
    /// One that begins now.
    pub fn new(config: &'a SdkConfig, group: &'a str, role: Role) -> Self {
        Self { config, group, role, began: Instant::now(), serving: None }
    }

    /// Looks once: two or three calls for a controller.
    pub async fn look(&mut self) -> Result<Seen, Failure> {
        let crew = async { asg::crew(self.config, self.group).await };
        let standing = async {
            match self.role {
                Role::Controller => standing(self.config, self.group).await,
                Role::Agent | Role::Ecs => Ok(None),
            }
        };
        let (crew, standing) = tokio::try_join!(crew, standing)?;
        let crew = crew.unwrap_or_default();
        let targets = self.targets(&crew).await?;
        let now = Instant::now();
        let serving = standing.as_ref().filter(|it| it.state == State::Serving);
        let serving = serving.filter(|it| it.proof.as_ref().is_some_and(|proof| proof.ready));
        self.serving = match (self.serving.take(), serving) {
            (Some((who, since)), Some(it)) if who == it.instance => Some((who, since)),
            (_, serving) => serving.map(|it| (it.instance.clone(), now)),
        };
        let since = self.serving.as_ref().map_or(now, |(_, since)| *since);
        let (looking, serving) = (now - self.began, now - since);
        Ok(Seen { crew, standing, targets, looking, serving, ..Seen::default() })
    }

    async fn targets(&self, crew: &asg::Crew) -> Result<Vec<Target>, Failure> {
        let hosts: Vec<_> = crew.hosts.iter().filter(|host| host.is_in_service()).collect();
        let pairs =
            crew.target_groups.iter().flat_map(|group| hosts.iter().map(move |it| (group, it)));
        let asked = pairs.map(|(group, host)| async move {
            let health = elb::health(self.config, group, &host.id).await?;
            Ok(Target { group: group.clone(), instance: host.id.clone(), health })
        });
        try_join_all(asked).await
    }
}

/// Looks until it is proven, and says meanwhile how far it is. Can be dropped at any moment: it
/// changes nothing.
///
/// # Errors
/// It cannot be proven any more, as the error says; or AWS does not answer.
pub async fn prove(
    config: &SdkConfig,
    group: &str,
    wanted: &Wanted<'_>,
    events: &Events,
) -> anyhow::Result<Proven> {
    let mut watcher = Watcher::new(config, group, wanted.role);
    let mut story = Story::new(events, wanted);
    let mut heard = Instant::now();
    loop {
        let seen = match watcher.look().await {
            Ok(seen) => seen,
            Err(failure) if failure.is_passing() && heard.elapsed() < BEAR => {
                sleep(PAUSE).await;
                continue;
            }
            Err(failure) => return Err(story.fail(&fault(&failure)).into()),
        };
        heard = Instant::now();
        let pause = match decide(&seen, wanted) {
            Verdict::Pending(stage, why) => {
                story.is_at(stage, &why);
                if stage == Stage::Boot { LONG_PAUSE } else { PAUSE }
            }
            Verdict::Proven(proven) => {
                story.end(&proven);
                return Ok(proven);
            }
            Verdict::Failed(cause) => {
                let fault = Fault::step(format!("the new host does not prove itself: {cause}"));
                return Err(story.fail(&fault.hint(advice(&cause))).into());
            }
        };
        sleep(pause).await;
    }
}

/// What helps.
fn advice(cause: &Cause) -> &'static str {
    match cause {
        Cause::Version { .. } => "is the image the one that was meant? hostkit images show tells",
        Cause::Home { .. } => "efs.id in the recipe's [host] and in the user-data must be the same",
        Cause::Image { .. } => "the launch template must name the image by its id",
        Cause::Lease { .. } => "hostkit lease status on the host; hostkit efs check",
        Cause::Late { .. } => {
            "the console of the new instance and .hostkit/boots on the home say why it did not \
             come further"
        }
    }
}

/// What is said while it is looked.
#[derive(Debug)]
struct Story<'a> {
    events: &'a Events,
    back: bool,
    at: Option<(Stage, Instant)>,
    why: String,
}

impl<'a> Story<'a> {
    fn new(events: &'a Events, wanted: &Wanted<'_>) -> Self {
        Self { events, back: wanted.way == super::Way::Back, at: None, why: String::new() }
    }

    fn step(&self, stage: Stage) -> String {
        let name = match stage {
            Stage::Boot => "boot",
            Stage::Ready => "ready",
            Stage::Proof => "proof",
        };
        if self.back { format!("back {name}") } else { name.to_owned() }
    }

    fn is_at(&mut self, stage: Stage, why: &str) {
        if self.at.is_none_or(|(at, _)| at != stage) {
            self.close(Outcome::Changed);
            let title = match stage {
                Stage::Boot => "the group brings up the new host",
                Stage::Ready => "the new host boots",
                Stage::Proof => "the new host proves that it serves",
            };
            self.events.started(&self.step(stage), title);
            self.at = Some((stage, Instant::now()));
            self.why.clear();
        }
        if self.why != why {
            self.events.log(&self.step(stage), why);
            why.clone_into(&mut self.why);
        }
    }

    fn close(&mut self, outcome: Outcome) {
        if let Some((stage, since)) = self.at.take() {
            self.events.finished(&self.step(stage), outcome, since.elapsed());
        }
    }

    fn end(&mut self, proven: &Proven) {
        if self.at.is_none_or(|(stage, _)| stage != Stage::Proof) {
            self.close(Outcome::Changed);
            self.events.started(&self.step(Stage::Proof), "the new host proves that it serves");
            self.at = Some((Stage::Proof, Instant::now()));
        }
        let outcome = if proven.warnings.is_empty() {
            Outcome::Unchanged
        } else {
            Outcome::Degraded(proven.warnings.join("; "))
        };
        self.close(outcome);
    }

    fn fail(&mut self, fault: &Fault) -> Fault {
        self.close(Outcome::Failed(fault.to_string()));
        fault.clone()
    }
}
