//! An Auto Scaling Group: what it launches, how many, how it treats its instances, and what it has
//! done.
//!
//! Plain state, and one pure function, [`decide`], which says what the group does next. Who its
//! instances are stands at the instances ([`member::Member`]): they go with the process that plays
//! them. `autoscaling` answers requests and has the decisions carried out. The group that the guests
//! of `hostkit vm` are in is another one: it launches nothing, and shares [`habits`] with these.

pub mod activity;
pub mod cause;
pub mod decide;
pub mod habits;
pub mod hook;
pub mod member;
pub mod process;
pub mod source;

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::activity::Activity;
use self::habits::Habits;
use self::member::PoolState;
use self::source::Source;
use super::account::ACCOUNT_ID;

/// So many activities are remembered.
const ACTIVITIES: usize = 400;

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its value.
    pub value: String,
    /// Whether instances that are launched from now on get it.
    pub propagates: bool,
}

/// How many percent of the desired capacity there are at least and at most while instances are
/// replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// From 0 to 100; -1 where the policy is taken away.
    pub least: i64,
    /// From 100 to 200; -1 where the policy is taken away.
    pub most: i64,
}

/// Instances that are prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WarmPool {
    /// So many at least.
    pub least: u64,
    /// So many together with those that serve, at most; none: as many as the group may have.
    pub prepared: Option<u64>,
    /// How they wait.
    pub state: PoolState,
    /// Whether instances go back there. They do not here.
    pub reuses: Option<bool>,
    /// Whether it is being emptied, and then gone.
    pub deleting: bool,
}

/// How an instance refresh that is under way steers its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steering {
    /// The refresh.
    pub id: String,
    /// What is launched instead of what the group would.
    pub source: Option<Source>,
    /// How many more than the desired capacity there are to be for a while.
    pub surge: u64,
}

/// What becomes of launches that fail: the next is tried later and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// So many have failed since the last that did not.
    pub failures: u32,
    /// Before then none is tried.
    pub next: Option<Instant>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "as many switches as AWS has, all independent")]
pub struct Group {
    /// Its name, of which a region has one.
    pub name: String,
    /// Like a UUID, in its ARN.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it launches.
    pub launches: Option<Source>,
    /// What it launches, as groups did before there were launch templates: a name. Nothing is
    /// launched from one here.
    pub configuration: Option<String>,
    /// Instances that are only shown, and the template's version that each was launched with.
    pub instances: Vec<(String, String)>,
    /// So many at least.
    pub min: u64,
    /// So many at most.
    pub max: u64,
    /// So many it wants.
    pub desired: u64,
    /// Seconds between two scaling activities. Here nothing waits for it.
    pub cooldown: u64,
    /// Its zones.
    pub zones: Vec<String>,
    /// Its subnets, in the order in which they were said; empty: those of its zones.
    pub subnets: Vec<String>,
    /// For how many seconds the health of an instance in service is not looked at.
    pub grace: u64,
    /// After how many seconds in service an instance counts as warmed up.
    pub warmup: Option<u64>,
    /// How many there are while instances are replaced.
    pub maintenance: Option<Maintenance>,
    /// Whether spot instances at risk are replaced.
    pub rebalances: bool,
    /// Whether new instances are spared when it shrinks.
    pub protects: bool,
    /// Seconds that an instance lives. Here it may live on.
    pub lifetime: Option<u64>,
    /// `Default`, `OldestInstance`, …
    pub termination: Vec<String>,
    /// Whether instances stay whose terminate hook was abandoned.
    pub retains: bool,
    /// `none`, `prevent-force-deletion`, `prevent-all-deletion`.
    pub deletion_protection: Option<String>,
    /// The ARN of the role that it acts as.
    pub role: Option<String>,
    /// Its tags by key.
    pub tags: BTreeMap<String, Tag>,
    /// Hooks, suspended processes, target groups, health checks.
    pub habits: Habits,
    /// Its warm pool.
    pub warm_pool: Option<WarmPool>,
    /// Whether it is being deleted, and its instances with it.
    pub deleting: bool,
    /// What it has done, the newest last.
    pub activities: Vec<Activity>,
    /// What somebody asked for that it is still at work on: the beginning of the causes.
    pub asked: Option<String>,
    /// How a refresh steers it.
    pub steering: Option<Steering>,
    /// What becomes of launches that fail.
    #[serde(skip)]
    pub trouble: Trouble,
    /// So many unhealthy instances were let go whose replacements are not launched yet.
    #[serde(skip)]
    pub owes: u64,
}

impl Group {
    /// Its ARN.
    pub fn arn(&self, region: &str) -> String {
        format!(
            "arn:aws:autoscaling:{region}:{ACCOUNT_ID}:autoScalingGroup:{}:autoScalingGroupName/{}",
            self.id, self.name
        )
    }

    /// What it launches now: what a refresh says, or its own.
    pub fn source(&self) -> Option<&Source> {
        let steered = self.steering.as_ref().and_then(|one| one.source.as_ref());
        steered.or(self.launches.as_ref())
    }

    /// How many instances more than desired a refresh wants.
    pub fn surge(&self) -> u64 {
        self.steering.as_ref().map_or(0, |one| one.surge)
    }

    /// Whether a replacement is in service before what it replaces goes, where nothing else is said.
    pub fn launches_first(&self) -> bool {
        self.maintenance.is_some_and(|policy| policy.least >= 100)
    }

    /// How many instances its warm pool is to have.
    pub fn warm_wanted(&self) -> u64 {
        match &self.warm_pool {
            Some(pool) if !pool.deleting && !self.deleting => {
                let prepared = pool.prepared.unwrap_or(self.max);
                pool.least.max(prepared.saturating_sub(self.desired))
            }
            _ => 0,
        }
    }

    /// Writes down what it does.
    pub fn note(&mut self, activity: Activity) -> String {
        let id = activity.id.clone();
        self.activities.push(activity);
        let more = self.activities.len().saturating_sub(ACTIVITIES);
        self.activities.drain(..more);
        id
    }
}
