//! The record of a claim: what `lease/head` and the `gen-N.json` files hold.
//!
//! Pure: text in, types out. Unknown keys are allowed, because a newer hostkit may add some; one that
//! must not be understood by this one raises `version`. Nothing that was ever written becomes
//! unreadable: `tests/fixtures/lease/` has a record of every form.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The newest form of the record that this hostkit can read.
pub const VERSION: u32 = 1;

/// No home comes so far. A record that says more was not written by hostkit.
const LAST: u64 = u64::MAX / 2;

/// One claim of a home, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The form of this record; see [`VERSION`].
    pub version: u32,
    /// Counts the claims of this home, from 1.
    pub generation: u64,
    /// Whether it is held.
    pub state: State,
    /// Who holds it, or held it last.
    pub holder: Holder,
    /// Set where nobody ever held this generation: an operator used it up to break the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Whether a home is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Somebody may be writing.
    Held,
    /// The last holder stopped Jenkins, flushed everything and said so; or an operator spoke for it.
    Released,
}

/// Who holds a home.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The file system that it holds: a restored copy carries the id of the original.
    pub fs_id: String,
    /// Its region.
    pub region: String,
    /// Its account.
    pub account: String,
    /// The EC2 instance; of a task on EC2 the one that it runs on, of a task on Fargate none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The ECS task, if the controller runs as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The kernel's boot id: a reboot makes another one.
    pub boot_id: String,
    /// When AWS last started the instance (`pendingTime` of its identity document), by AWS's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub launched: Option<Timestamp>,
    /// Its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami: Option<String>,
    /// Its hostkit's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostkit: Option<String>,
    /// When it took the home, by its own clock: for people, never for a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
}

/// A controller that runs as an ECS task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// `arn:aws:ecs:…:task/CLUSTER/ID`.
    pub arn: String,
    /// What it runs on.
    pub launch: Launch,
}

/// What an ECS task runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Launch {
    /// An instance, whose death can be proven.
    Ec2,
    /// A machine that nobody sees.
    Fargate,
}

/// What an operator said who broke a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Broken {
    /// The generation that was broken.
    pub generation: u64,
    /// Why.
    pub reason: String,
    /// How the operator knows that the holder is dead, where AWS does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What AWS said of the holder at that moment.
    pub evidence: String,
    /// The operator, as the host knows them.
    pub by: String,
    /// When, by the clock of the host.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl Holder {
    /// Whether both are the same instance or task, in whatever boot.
    pub fn is_same_host(&self, other: &Self) -> bool {
        (&self.task, &self.account, &self.region) == (&other.task, &other.account, &other.region)
            && self.instance_id == other.instance_id
    }

    /// Whether both are the same instance or task, and it was not restarted in between.
    pub fn is_same_boot(&self, other: &Self) -> bool {
        self.is_same_host(other) && self.boot_id == other.boot_id
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        let task = self.task.as_ref().map(|task| task.arn.as_str());
        task.or(self.instance_id.as_deref()).unwrap_or("nobody")
    }
}

/// What a text turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// A record.
    Record(Box<Record>),
    /// A record of a hostkit that is newer than this one, with its generation if that can be read.
    Newer {
        /// Its form.
        version: u32,
        /// Its generation.
        generation: Option<u64>,
    },
    /// No record, and why not.
    Garbage(String),
}

/// Reads a record.
pub fn read(text: &str) -> Reading {
    // The version decides alone whether the rest may be understood.
    let form = match serde_json::from_str::<Form>(text) {
        Ok(form) => form,
        Err(error) => return Reading::Garbage(format!("it is not a lease record: {error}")),
    };
    if form.version > VERSION {
        let generation = form.generation.and_then(|generation| generation.as_u64());
        return Reading::Newer { version: form.version, generation };
    }
    match serde_json::from_str::<Record>(text) {
        Err(error) => Reading::Garbage(format!("it is not a lease record: {error}")),
        Ok(record) => match fault(&record) {
            Some(fault) => Reading::Garbage(format!("it is not a lease record: {fault}")),
            None => Reading::Record(Box::new(record)),
        },
    }
}

/// What makes a record that can be parsed worthless.
fn fault(record: &Record) -> Option<&'static str> {
    let Holder { fs_id, region, account, instance_id, task, boot_id, .. } = &record.holder;
    let named = [fs_id, region, account, boot_id].iter().all(|text| !text.is_empty());
    let somebody = instance_id.as_deref().is_some_and(|id| !id.is_empty())
        || task.as_ref().is_some_and(|task| !task.arn.is_empty());
    match () {
        () if record.version == 0 => Some("it has no version"),
        () if record.generation == 0 => Some("generations begin at 1"),
        // There is always a next one.
        () if record.generation > LAST => Some("its generation is none that was ever counted to"),
        () if !named => Some("the holder is not named in full"),
        () if !somebody => Some("the holder is neither an instance nor a task"),
        () => None,
    }
}

/// The text of a record, as it is written.
pub fn text(record: &Record) -> String {
    let json = serde_json::to_string_pretty(record);
    json.expect("a record has only string keys") + "\n"
}

/// The name of the file with the claim of a generation.
pub fn claim_file(generation: u64) -> String {
    format!("gen-{generation:06}.json")
}

/// The generation that a file of that name claims.
pub fn generation_of(file: &str) -> Option<u64> {
    let digits = file.strip_prefix("gen-")?.strip_suffix(".json")?;
    let all = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let generation = if all { digits.parse().ok()? } else { return None };
    // The name of a generation is unique.
    (claim_file(generation) == file && generation > 0).then_some(generation)
}

#[derive(Deserialize)]
struct Form {
    version: u32,
    #[serde(default)]
    generation: Option<serde_json::Value>,
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = include_str!("../../tests/fixtures/lease/head-held-v1.json");
    const RELEASED: &str = include_str!("../../tests/fixtures/lease/head-released-v1.json");
    const FULL: &str = include_str!("../../tests/fixtures/lease/head-full-v1.json");
    const TASK_ON_EC2: &str = include_str!("../../tests/fixtures/lease/head-task-on-ec2-v1.json");
    const TASK_ON_FARGATE: &str =
        include_str!("../../tests/fixtures/lease/head-task-on-fargate-v1.json");
    const BROKEN: &str = include_str!("../../tests/fixtures/lease/head-broken-v1.json");
    const NEWER: &str = include_str!("../../tests/fixtures/lease/head-v2.json");

    fn record(text: &str) -> Record {
        let Reading::Record(record) = read(text) else { panic!("{text}") };
        *record
    }

    #[test]
    fn records_that_were_written_once_can_be_read_for_ever() {
        let held = record(HELD);
        assert_eq!((held.generation, held.state), (7, State::Held));
        assert_eq!(held.holder.name(), "i-0aaaaaaaaaaaaaaaa");
        assert_eq!(record(RELEASED).state, State::Released);
        let full = record(FULL);
        assert!(full.holder.launched.is_some() && full.holder.hostkit.is_some());
        assert_eq!(full.generation, LAST);
        let launch = |text| record(text).holder.task.map(|task| task.launch);
        assert_eq!(launch(TASK_ON_EC2), Some(Launch::Ec2));
        assert_eq!(launch(TASK_ON_FARGATE), Some(Launch::Fargate));
        let broken = record(BROKEN);
        assert_eq!(broken.state, State::Released);
        assert_eq!(broken.broken.as_ref().map(|broken| broken.generation), Some(42));
        for record_then in [held, full, broken] {
            assert_eq!(record(&text(&record_then)), record_then, "and what is written now, too");
        }
    }

    #[test]
    fn what_a_newer_hostkit_wrote_is_told_from_garbage() {
        assert_eq!(read(NEWER), Reading::Newer { version: 2, generation: None });
        let numbered = "{\"version\": 9, \"generation\": 12, \"who\": []}";
        assert_eq!(read(numbered), Reading::Newer { version: 9, generation: Some(12) });
        for text in ["", "{", "null", "[]", "{\"version\":1}", "{\"version\":-1}", "\0\0\0\0"] {
            assert!(matches!(read(text), Reading::Garbage(_)), "{text}");
        }
    }

    #[test]
    fn a_record_without_a_holder_is_garbage() {
        let held = record(HELD);
        let spoil: [fn(&mut Record); 5] = [
            |record| record.generation = 0,
            |record| record.version = 0,
            |record| record.holder.fs_id.clear(),
            |record| record.holder.instance_id = None,
            |record| record.holder.instance_id = Some(String::new()),
        ];
        for spoil in spoil {
            let mut record = held.clone();
            spoil(&mut record);
            assert!(matches!(read(&text(&record)), Reading::Garbage(_)), "{record:?}");
        }
    }

    #[test]
    fn a_claim_has_one_name() {
        assert_eq!(claim_file(42), "gen-000042.json");
        for generation in [1, 42, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(generation_of(&claim_file(generation)), Some(generation));
        }
        for name in
            ["gen-42.json", "gen-0000042.json", "gen-000000.json", "head", "gen-00004x.json"]
        {
            assert_eq!(generation_of(name), None, "{name}");
        }
    }
}
