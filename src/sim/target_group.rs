//! A target group: how its targets are asked, and how each of them is.
//!
//! Plain state and a pure judgement. Who asks the targets tells what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::instance::State;

/// How targets are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `HTTP`, `HTTPS` or `TCP`.
    pub protocol: String,
    /// `traffic-port`, or a number.
    pub port: String,
    /// The path, for HTTP.
    pub path: String,
    /// Between two questions, in seconds.
    pub interval: u64,
    /// How long an answer may take, in seconds.
    pub timeout: u64,
    /// So many good answers make an unhealthy target healthy.
    pub healthy: u32,
    /// So many bad ones make it unhealthy.
    pub unhealthy: u32,
    /// The codes of good answers: `200`, `200-299`, `200,403`.
    pub codes: String,
    /// Whether it is asked at all.
    pub enabled: bool,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            protocol: "HTTP".to_owned(),
            port: "traffic-port".to_owned(),
            path: "/".to_owned(),
            interval: 30,
            timeout: 5,
            healthy: 5,
            unhealthy: 2,
            codes: "200".to_owned(),
            enabled: true,
        }
    }
}

impl Check {
    /// Whether an answer with this status is a good one.
    pub fn accepts(&self, status: u16) -> bool {
        self.codes.split(',').any(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u16>().ok();
            matches!((number(from), number(to)), (Some(from), Some(to)) if (from..=to).contains(&status))
        })
    }
}

/// What came of asking a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A good answer.
    Good,
    /// An answer with another status.
    Status(u16),
    /// No connection, or one that broke.
    Broken,
    /// No answer in time.
    Silent,
}

/// How a target is: state, reason and description, as AWS says them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `healthy`, `unhealthy`, …
    pub state: &'static str,
    /// A code; empty where all is well.
    pub reason: &'static str,
    /// What it means.
    pub description: String,
}

impl Health {
    fn of(state: &'static str, reason: &'static str, description: &str) -> Self {
        Self { state, reason, description: description.to_owned() }
    }

    /// It is well.
    pub fn healthy() -> Self {
        Self::of("healthy", "", "")
    }

    /// It is no target.
    pub fn not_registered() -> Self {
        Self::of("unused", "Target.NotRegistered", "Target is not registered to the target group")
    }
}

/// A target.
#[derive(Clone, Debug)]
pub struct Target {
    /// On which port it is sent requests.
    pub port: u16,
    /// Whether the Auto Scaling Group has registered it.
    pub by_group: bool,
    /// When it is asked next.
    pub next: Instant,
    /// Until when it is let end what it has begun, if it is deregistered.
    pub draining: Option<Instant>,
    /// How it is, whatever it answers: for tests.
    pub scripted: Option<Health>,
    good: u32,
    bad: u32,
    healthy: Option<bool>,
    last: Option<Answer>,
}

impl Target {
    /// One that was registered just now.
    pub const fn new(port: u16, by_group: bool, now: Instant) -> Self {
        Self {
            port,
            by_group,
            next: now,
            draining: None,
            scripted: None,
            good: 0,
            bad: 0,
            healthy: None,
            last: None,
        }
    }

    /// It was asked. The first good answer of a new target is enough.
    pub fn take(&mut self, answer: Answer, check: &Check) {
        self.last = Some(answer);
        if answer == Answer::Good {
            (self.good, self.bad) = (self.good + 1, 0);
            if self.healthy.is_none() || self.good >= check.healthy {
                self.healthy = Some(true);
            }
        } else {
            (self.good, self.bad) = (0, self.bad + 1);
            if self.bad >= check.unhealthy {
                self.healthy = Some(false);
            }
        }
    }

    /// How it is. `instance` is what EC2 says of it, where it is one; `used` tells whether a load
    /// balancer has this group.
    pub fn health(&self, check: &Check, instance: Option<State>, used: bool) -> Health {
        if let Some(health) = &self.scripted {
            return health.clone();
        }
        if self.draining.is_some() {
            return Health::of(
                "draining",
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            );
        }
        if let Some(state) = instance.filter(|state| *state != State::Running) {
            let description = format!("Target is in the {} state", state.word());
            return Health::of("unused", "Target.InvalidState", &description);
        }
        if !used {
            let description =
                "Target group is not configured to receive traffic from the load balancer";
            return Health::of("unused", "Target.NotInUse", description);
        }
        if !check.enabled {
            let description = "Health checks are not enabled for this target";
            return Health::of("unavailable", "Target.HealthCheckDisabled", description);
        }
        match (self.healthy, self.last) {
            (Some(true), _) => Health::healthy(),
            (Some(false), Some(answer)) => unhealthy(answer),
            (_, None) => Health::of(
                "initial",
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            ),
            _ => Health::of(
                "initial",
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            ),
        }
    }
}

fn unhealthy(answer: Answer) -> Health {
    match answer {
        Answer::Status(status) => {
            let description = format!("Health checks failed with these codes: [{status}]");
            Health::of("unhealthy", "Target.ResponseCodeMismatch", &description)
        }
        Answer::Silent => Health::of("unhealthy", "Target.Timeout", "Request timed out"),
        // A good answer, but not enough of them yet.
        Answer::Broken | Answer::Good => {
            Health::of("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `HTTP`, `TCP`, …
    pub protocol: String,
    /// On which port targets are sent requests, if nothing else is said.
    pub port: u16,
    /// `instance` or `ip`.
    pub target_type: String,
    /// Its network.
    pub vpc: String,
    /// How targets are asked.
    pub check: Check,
    /// How long a target is let end what it has begun.
    pub deregistration_delay: u64,
    /// The ARNs of the load balancers that use it.
    pub load_balancers: Vec<String>,
    /// Its targets, by id.
    #[serde(skip)]
    pub targets: BTreeMap<String, Target>,
}

impl TargetGroup {
    /// The port on which a target is asked.
    pub fn check_port(&self, target: &Target) -> u16 {
        self.check.port.parse().unwrap_or(target.port)
    }

    /// Lets go those whose time to end is over.
    pub fn settle(&mut self, now: Instant) {
        self.targets.retain(|_, target| target.draining.is_none_or(|until| now < until));
    }

    /// Registers a target; one that is draining comes back.
    pub fn register(&mut self, id: &str, port: u16, by_group: bool, now: Instant) {
        let there = self.targets.get(id).filter(|one| one.draining.is_none() && one.port == port);
        if there.is_none() {
            self.targets.insert(id.to_owned(), Target::new(port, by_group, now));
        }
    }

    /// Deregisters one. Nothing is sent to it any more.
    pub fn deregister(&mut self, id: &str, delay: Duration, now: Instant) {
        if let Some(target) = self.targets.get_mut(id).filter(|one| one.draining.is_none()) {
            target.draining = Some(now + delay);
        }
    }
}

/// A load balancer. It is there to be looked at: nothing is sent through it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `application` or `network`.
    pub kind: String,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Its listeners: ARN, protocol, port, the target group that they forward to.
    pub listeners: Vec<(String, String, u16, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(target: &Target, check: &Check) -> String {
        let health = target.health(check, Some(State::Running), true);
        format!("{} {}", health.state, health.reason)
    }

    #[test]
    fn a_target_is_healthy_after_one_good_answer_and_unhealthy_after_some_bad_ones() {
        let check = Check::default();
        let mut target = Target::new(8080, false, Instant::now());
        assert_eq!(words(&target, &check), "initial Elb.RegistrationInProgress");
        target.take(Answer::Broken, &check);
        assert_eq!(words(&target, &check), "initial Elb.InitialHealthChecking");
        target.take(Answer::Good, &check);
        assert_eq!(words(&target, &check), "healthy ");
        target.take(Answer::Status(503), &check);
        assert_eq!(words(&target, &check), "healthy ");
        target.take(Answer::Status(503), &check);
        assert_eq!(words(&target, &check), "unhealthy Target.ResponseCodeMismatch");
        target.take(Answer::Silent, &check);
        assert_eq!(words(&target, &check), "unhealthy Target.Timeout");
        for _ in 0..4 {
            target.take(Answer::Good, &check);
        }
        assert!(words(&target, &check).starts_with("unhealthy"));
        target.take(Answer::Good, &check);
        assert_eq!(words(&target, &check), "healthy ");
    }

    #[test]
    fn what_is_not_in_use_is_unused_and_says_why() {
        let check = Check::default();
        let target = Target::new(8080, false, Instant::now());
        let reason = |state, used| target.health(&check, state, used).reason;
        assert_eq!(reason(Some(State::Running), false), "Target.NotInUse");
        assert_eq!(reason(Some(State::Stopped), true), "Target.InvalidState");
        let off = Check { enabled: false, ..Check::default() };
        assert_eq!(target.health(&off, None, true).reason, "Target.HealthCheckDisabled");
    }

    #[test]
    fn one_that_is_deregistered_drains_and_is_gone() {
        let now = Instant::now();
        let mut group = TargetGroup::default();
        group.register("i-1", 8080, true, now);
        group.deregister("i-1", Duration::from_mins(5), now);
        let health = group.targets["i-1"].health(&group.check, None, true);
        assert_eq!(health.reason, "Target.DeregistrationInProgress");
        group.settle(now + Duration::from_mins(6));
        assert!(group.targets.is_empty());
    }

    #[test]
    fn codes_are_numbers_lists_and_ranges() {
        let accepts = |codes: &str, status| {
            Check { codes: codes.to_owned(), ..Check::default() }.accepts(status)
        };
        assert!(accepts("200", 200) && accepts("200-299,403", 204) && accepts("200,403", 403));
        assert!(!accepts("200", 302) && !accepts("200-299", 403) && !accepts("x", 200));
    }
}
