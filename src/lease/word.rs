//! What AWS says of a holder, and whether that proves that it is dead.
//!
//! Only what cannot be undone is a proof: a machine that does not exist any more, or that lost its
//! memory. Everything else, silence above all, proves nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::{Holder, Launch};

/// How long EC2 may not know an instance that it has just started: eventual consistency takes
/// seconds, and a terminated one is forgotten after about an hour.
pub const FORGOTTEN_AFTER: Duration = Duration::from_hours(2);

/// `pendingTime` of the identity document and `LaunchTime` of `DescribeInstances` mean the same moment
/// and may differ by a rounding.
const SAME_LAUNCH: SignedDuration = SignedDuration::from_secs(10);

/// What was heard of a holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// EC2 knows the instance.
    Instance(Instance),
    /// EC2 knows no such instance. `age` is that of the claim, by the file server's own clock; none
    /// where it could not be found out.
    NotFound {
        /// How old the claim is.
        age: Option<Duration>,
    },
    /// ECS knows the task; with the word on the instance that it runs on, if it runs on one.
    Task {
        /// Whether ECS says `STOPPED`.
        stopped: bool,
        /// What EC2 says of its instance.
        instance: Option<Box<Word>>,
    },
    /// AWS was asked and refuses to say.
    Denied(String),
    /// AWS could not be asked, or did not answer.
    Silent(String),
}

/// An instance as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// Its state.
    pub state: InstanceState,
    /// Whether its memory may be kept while it is stopped; true where EC2 does not say.
    pub hibernates: bool,
    /// When it was last started.
    pub launched: Option<Timestamp>,
    /// Its Auto Scaling Group, from the tag that AWS sets.
    pub group: Option<String>,
    /// Where its group has it: `InService`, `Terminating:Wait`, …; none where that is not known.
    pub lifecycle: Option<String>,
}

/// The states of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It is being started.
    Pending,
    /// It runs, or could go on any moment.
    Running,
    /// It is being terminated, which may take hours: it may still write.
    ShuttingDown,
    /// It does not exist any more.
    Terminated,
    /// It is being stopped: it may still write.
    Stopping,
    /// It is off.
    Stopped,
    /// A state that this hostkit does not know.
    Other(String),
}

impl InstanceState {
    /// By EC2's name of it.
    pub fn named(name: &str) -> Self {
        match name {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "shutting-down" => Self::ShuttingDown,
            "terminated" => Self::Terminated,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            other => Self::Other(other.to_owned()),
        }
    }

    /// EC2's name of it.
    pub fn name(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Other(name) => name,
        }
    }
}

/// Everything that stands between a newcomer and the home. Each is a reason to wait; without any of
/// them two controllers could hold one home, which the model shows for each (`model`, a test).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// `shutting-down` and `stopping` are not dead.
    Ended,
    /// A stopped machine whose memory was kept goes on where it was.
    MemoryIsLost,
    /// An answer about an earlier start of the instance says nothing about this one.
    ThisLaunch,
    /// An instance that EC2 does not know yet is not one that it has forgotten.
    OldEnough,
    /// Another account or region does not know our instances.
    OwnAccountAndRegion,
    /// No answer is no proof.
    AnAnswer,
    /// A record that was copied with the file system says nothing about the original's holder today.
    OwnFileSystem,
    /// Only the own instance may take what it held before a reboot.
    OwnInstance,
    /// What this boot has given up it does not take up again.
    NotGivenUp,
    /// A task that ECS calls stopped may live on where its host does.
    HostOfTheTask,
    /// What a dead machine has sent arrives before the next one begins.
    Settled,
    /// Jenkins is down before the home is released.
    JenkinsIsDown,
    /// What Jenkins left in the machine's memory is on the server before the home is released.
    Synced,
    /// A holder that reads a higher generation stops.
    HigherGeneration,
    /// A break is for the generation that the operator looked at.
    SameGeneration,
    /// A claim is created exclusively.
    Exclusive,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Ended,
        Self::MemoryIsLost,
        Self::ThisLaunch,
        Self::OldEnough,
        Self::OwnAccountAndRegion,
        Self::AnAnswer,
        Self::OwnFileSystem,
        Self::OwnInstance,
        Self::NotGivenUp,
        Self::HostOfTheTask,
        Self::Settled,
        Self::JenkinsIsDown,
        Self::Synced,
        Self::HigherGeneration,
        Self::SameGeneration,
        Self::Exclusive,
    ];
}

/// The guards that are in force: all, but in the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guards {
    without: Option<Guard>,
}

impl Guards {
    /// All but one.
    #[cfg(test)]
    pub(crate) const fn without(guard: Guard) -> Self {
        Self { without: Some(guard) }
    }

    /// Whether `condition` holds, as `guard` demands.
    pub(crate) fn demand(self, guard: Guard, condition: bool) -> bool {
        condition || self.without == Some(guard)
    }
}

/// What a word proves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The holder's machine is dead, and why that is certain.
    Dead(String),
    /// It may be alive, and why.
    MayLive(String),
}

/// What `word` proves about `holder`, to a host that asked as `me`.
pub fn proof(guards: Guards, me: &Holder, holder: &Holder, word: &Word) -> Proof {
    match word {
        Word::Task { stopped, instance } if holder.task.is_some() => {
            of_task(guards, me, holder, *stopped, instance.as_deref())
        }
        Word::Instance(_) | Word::NotFound { .. } if holder.task.is_some() => {
            let name = holder.name();
            Proof::MayLive(format!("EC2 was asked about an instance, and {name} is a task"))
        }
        word => of_machine(guards, me, holder, word),
    }
}

/// What is known of the machine of a holder.
fn of_machine(guards: Guards, me: &Holder, holder: &Holder, word: &Word) -> Proof {
    match word {
        Word::Instance(instance) => of_instance(guards, holder, instance),
        Word::NotFound { age } => forgotten(guards, me, holder, *age),
        Word::Denied(why) | Word::Silent(why) if guards.demand(Guard::AnAnswer, false) => {
            Proof::Dead(format!("nobody says otherwise: {why}"))
        }
        Word::Denied(why) => Proof::MayLive(format!("EC2 refuses to say: {why}")),
        Word::Silent(why) => Proof::MayLive(format!("EC2 could not be asked: {why}")),
        Word::Task { .. } => {
            let name = holder.name();
            Proof::MayLive(format!("ECS was asked about a task, and {name} is an instance"))
        }
    }
}

fn of_instance(guards: Guards, holder: &Holder, instance: &Instance) -> Proof {
    let says = format!("EC2 says that {} is {}", holder.name(), instance.state.name());
    match instance.state {
        InstanceState::Stopped if !guards.demand(Guard::MemoryIsLost, !instance.hibernates) => {
            Proof::MayLive(format!("{says}, and it may have kept its memory (hibernation)"))
        }
        InstanceState::Stopped
            if !guards.demand(Guard::ThisLaunch, is_this_launch(holder, instance)) =>
        {
            Proof::MayLive(format!("{says}, which may be about an earlier start of it"))
        }
        InstanceState::Terminated | InstanceState::Stopped => Proof::Dead(says),
        InstanceState::ShuttingDown | InstanceState::Stopping
            if guards.demand(Guard::Ended, false) =>
        {
            Proof::Dead(says)
        }
        _ => Proof::MayLive(says),
    }
}

/// Whether EC2 speaks of the start that made the claim. A start sets `LaunchTime` anew.
fn is_this_launch(holder: &Holder, instance: &Instance) -> bool {
    let (Some(claimed), Some(described)) = (holder.launched, instance.launched) else {
        return false;
    };
    described.duration_since(claimed) >= -SAME_LAUNCH
}

fn forgotten(guards: Guards, me: &Holder, holder: &Holder, age: Option<Duration>) -> Proof {
    let name = holder.name();
    let ours = (&me.account, &me.region) == (&holder.account, &holder.region);
    if !guards.demand(Guard::OwnAccountAndRegion, ours) {
        let Holder { account, region, .. } = holder;
        return Proof::MayLive(format!(
            "EC2 does not know {name} here; it is in account {account}, region {region}"
        ));
    }
    if !guards.demand(Guard::OldEnough, age.is_some_and(|age| age > FORGOTTEN_AFTER)) {
        return Proof::MayLive(format!(
            "EC2 does not know {name}, which means something only {} hours after its claim",
            FORGOTTEN_AFTER.as_secs() / 3600
        ));
    }
    Proof::Dead(format!("EC2 has forgotten {name}, as it does an hour after a termination"))
}

fn of_task(
    guards: Guards,
    me: &Holder,
    holder: &Holder,
    stopped: bool,
    instance: Option<&Word>,
) -> Proof {
    let name = holder.name();
    if !stopped {
        return Proof::MayLive(format!("ECS does not say that {name} is stopped"));
    }
    let says = format!("ECS says that {name} is stopped");
    // On Fargate nobody can see the machine: this is the only evidence there is.
    let on_fargate = holder.task.as_ref().is_some_and(|task| task.launch == Launch::Fargate);
    if on_fargate {
        return Proof::Dead(says);
    }
    match instance.map(|word| of_machine(guards, me, holder, word)) {
        Some(Proof::Dead(why)) => Proof::Dead(format!("{says}; {why}")),
        _ if guards.demand(Guard::HostOfTheTask, false) => Proof::Dead(says),
        Some(Proof::MayLive(why)) => Proof::MayLive(format!("{says}, but {why}")),
        None => Proof::MayLive(format!("{says}, and nothing is known of its host")),
    }
}

#[cfg(test)]
mod tests;
