//! How a refresh is to be done.

use serde::{Deserialize, Serialize};

use crate::sim::autoscaling::{Asked, list, structure, validation};
use crate::sim::http::Reply;
use crate::sim::xml::{leaf, node};

/// Seconds at a checkpoint where nothing is said.
const CHECKPOINT_DELAY: u64 = 3600;
/// Two days, in seconds.
const LONGEST: u64 = 172_800;
/// So many alarms can be named.
const ALARMS: usize = 10;

/// What is done with instances that are in the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encounter {
    /// They are replaced, or terminated.
    Replace,
    /// They are left alone.
    Ignore,
    /// It is waited for them to be no more in the way, for an hour.
    #[default]
    Wait,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// At least so many percent are well all the time.
    pub least: Option<u64>,
    /// At most so many percent are there.
    pub most: Option<u64>,
    /// An instance counts so many seconds after it came into service.
    pub warmup: Option<u64>,
    /// It is waited when so many percent are replaced, each time.
    pub checkpoints: Vec<u64>,
    /// For so many seconds.
    pub checkpoint_delay: Option<u64>,
    /// Instances stay that are as they shall be.
    pub skip_matching: bool,
    /// It is undone if it fails.
    pub auto_rollback: bool,
    /// What is done with instances that are protected.
    pub protected: Encounter,
    /// What is done with instances in standby.
    pub standby: Encounter,
    /// The alarms of CloudWatch that end it once one of them fires.
    pub alarms: Vec<String>,
    /// It is waited for so many seconds in the end.
    pub bake: Option<u64>,
}

impl Preferences {
    /// What a request says.
    pub(super) fn of(asked: &Asked) -> Result<Self, Reply> {
        let asked = &structure(asked, "Preferences").unwrap_or_default();
        let number = |name: &str, least: u64, most: u64| bounded(asked, name, least, most);
        let preferences = Self {
            least: number("MinHealthyPercentage", 0, 100)?,
            most: number("MaxHealthyPercentage", 100, 200)?,
            warmup: number("InstanceWarmup", 0, u64::MAX)?,
            checkpoints: checkpoints(asked)?,
            checkpoint_delay: number("CheckpointDelay", 0, LONGEST)?,
            skip_matching: flag(asked, "SkipMatching")?,
            auto_rollback: flag(asked, "AutoRollback")?,
            protected: encounter(asked, "ScaleInProtectedInstances", "Refresh")?,
            standby: encounter(asked, "StandbyInstances", "Terminate")?,
            alarms: list(asked, "AlarmSpecification.Alarms"),
            bake: number("BakeTime", 0, LONGEST)?,
        };
        preferences.check().map(|()| preferences)
    }

    fn check(&self) -> Result<(), Reply> {
        match (self.least, self.most) {
            (None, Some(_)) => Err(validation(
                "You must specify MinHealthyPercentage when you specify MaxHealthyPercentage.",
            )),
            (Some(least), Some(most)) if most - least > 100 => Err(validation(
                "The difference between MinHealthyPercentage and MaxHealthyPercentage cannot be \
                 greater than 100.",
            )),
            _ if self.checkpoint_delay.is_some() && self.checkpoints.is_empty() => Err(validation(
                "You cannot specify a CheckpointDelay without specifying CheckpointPercentages.",
            )),
            _ if self.alarms.len() > ALARMS => {
                Err(validation("You can specify at most 10 CloudWatch alarms."))
            }
            _ => Ok(()),
        }
    }

    /// How long it stays at a checkpoint, in seconds.
    pub fn pause(&self) -> u64 {
        self.checkpoint_delay.unwrap_or(CHECKPOINT_DELAY)
    }

    /// As answers show them.
    pub(super) fn shape(&self) -> String {
        let numbers = [
            ("MinHealthyPercentage", self.least),
            ("MaxHealthyPercentage", self.most),
            ("InstanceWarmup", self.warmup),
            ("CheckpointDelay", (!self.checkpoints.is_empty()).then(|| self.pause())),
            ("BakeTime", self.bake),
        ];
        let numbers =
            numbers.into_iter().filter_map(|(name, number)| Some(leaf(name, &number?.to_string())));
        let each = |all: &mut dyn Iterator<Item = String>| {
            all.map(|one| leaf("member", &one)).collect::<String>()
        };
        let mut shape = numbers.collect::<String>()
            + &leaf("SkipMatching", truth(self.skip_matching))
            + &leaf("AutoRollback", truth(self.auto_rollback))
            + &leaf("ScaleInProtectedInstances", word(self.protected, "Refresh"))
            + &leaf("StandbyInstances", word(self.standby, "Terminate"));
        if !self.checkpoints.is_empty() {
            let all = each(&mut self.checkpoints.iter().map(u64::to_string));
            shape += &node("CheckpointPercentages", &all);
        }
        if !self.alarms.is_empty() {
            let all = each(&mut self.alarms.iter().cloned());
            shape += &node("AlarmSpecification", &node("Alarms", &all));
        }
        node("Preferences", &shape)
    }
}

const fn truth(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

const fn word(encounter: Encounter, replace: &'static str) -> &'static str {
    match encounter {
        Encounter::Replace => replace,
        Encounter::Ignore => "Ignore",
        Encounter::Wait => "Wait",
    }
}

fn bounded(asked: &Asked, name: &str, least: u64, most: u64) -> Result<Option<u64>, Reply> {
    let Some(text) = asked.get(name) else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => {
            let at = name[..1].to_lowercase() + &name[1..];
            Err(validation(&format!(
                "1 validation error detected: Value '{text}' at 'preferences.{at}' failed to \
                 satisfy constraint: Member must have value between {least} and {most}"
            )))
        }
    }
}

fn flag(asked: &Asked, name: &str) -> Result<bool, Reply> {
    match asked.get(name).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(validation(&format!("{name} is true or false, not {other}"))),
    }
}

fn encounter(asked: &Asked, name: &str, replace: &str) -> Result<Encounter, Reply> {
    match asked.get(name).map(String::as_str) {
        None | Some("Wait") => Ok(Encounter::Wait),
        Some("Ignore") => Ok(Encounter::Ignore),
        Some(word) if word == replace => Ok(Encounter::Replace),
        Some(other) => {
            let at = name[..1].to_lowercase() + &name[1..];
            Err(validation(&format!(
                "1 validation error detected: Value '{other}' at 'preferences.{at}' failed to \
                 satisfy constraint: Member must satisfy enum value set: [{replace}, Ignore, Wait]"
            )))
        }
    }
}

fn checkpoints(asked: &Asked) -> Result<Vec<u64>, Reply> {
    let mut found = Vec::new();
    for text in list(asked, "CheckpointPercentages") {
        match text.parse::<u64>() {
            Ok(percent) if (1..=100).contains(&percent) => found.push(percent),
            _ => {
                let message = "CheckpointPercentages must be between 1 and 100 inclusive.";
                return Err(validation(message));
            }
        }
    }
    if found.windows(2).any(|pair| pair[0] >= pair[1]) {
        let message = "CheckpointPercentages must be unique and in ascending order.";
        return Err(validation(message));
    }
    Ok(found)
}
