//! How the lease of a home stands: `hostkit lease status`.
//!
//! What the clerk was shown, what AWS said and what a newcomer would do become one value, which is
//! told to people ([`Status::render`]) or printed as it is. Pure; nothing here decides.

mod render;
#[cfg(test)]
mod tests;
mod warning;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::advice::{self, Advice};
use super::clerk::Shown;
use super::order::Order;
use super::outlook::{Does, Outlook};
use super::record::{Broken, Holder};
use super::stand::Stand;
use super::word::{Guards, Proof, Word, proof};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// How a lease stands.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Status {
    /// The version of this form.
    pub version: u32,
    /// When it was looked, by the clock of this host.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The file system.
    pub fs_id: String,
    /// Where it is mounted.
    pub mount_point: String,
    /// This host.
    pub host: String,
    /// Whether this host, in this boot, is the holder.
    pub is_holder: bool,
    /// How it stands.
    pub state: Standing,
    /// The generation of the last claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Whether the head says so, too.
    pub announced: bool,
    /// Who made the last claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// Set where the last claim is an operator's, who broke the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// How old the last claim is, in seconds, by the file server's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// The last heartbeat. It decides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// What AWS says of the holder, and what that proves; absent where it need not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What a host that wants the home would do now.
    pub newcomer: Outlook,
    /// What a person must look at, where the state is `unclear`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What brings a host further that wants the home; absent where only waiting does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
    /// What is odd beside that.
    pub warnings: Vec<String>,
}

/// The ways in which a lease may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nobody has ever held this home.
    Free,
    /// Somebody may be writing.
    Held,
    /// The last holder gave it up, or an operator spoke for it.
    Released,
    /// The record cannot be trusted, or is about another file system: a person must look.
    Unclear,
}

/// The last heartbeat of a holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Heartbeat {
    /// Of which generation.
    pub generation: u64,
    /// How many that generation has sent.
    pub count: u64,
    /// When, by the holder's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How old it is, in seconds, by the file server's clock.
    pub age: u64,
}

/// What AWS says of a holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Evidence {
    /// What, in a sentence without its end.
    pub says: String,
    /// Whether that proves that the holder is dead.
    pub is_proof: bool,
}

/// What a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// What is wrong.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl Status {
    /// What was observed, as one value. `heard` is what AWS said of the holder of a generation.
    pub fn new(
        order: &Order,
        shown: &Shown,
        heard: Option<&(u64, Word)>,
        newcomer: Outlook,
        now: Timestamp,
    ) -> Self {
        let stand = Stand::of(shown, &order.me.fs_id);
        let last = stand.last();
        let evidence = last.and_then(|last| {
            let (_, word) = heard.filter(|(generation, _)| *generation == last.generation)?;
            Some(Evidence::new(&order.me, &last.holder, word))
        });
        let heartbeat = shown.beat.as_ref().map(|(beat, age)| Heartbeat {
            generation: beat.generation,
            count: beat.count,
            at: beat.at,
            age: age.as_secs(),
        });
        Self {
            version: VERSION,
            at: now,
            fs_id: order.me.fs_id.clone(),
            mount_point: order.mount_point.to_string(),
            host: order.me.name().to_owned(),
            is_holder: is_holder(&stand, &order.me),
            state: standing(&stand),
            generation: Some(stand.generation()).filter(|generation| *generation > 0),
            announced: stand.last().is_some_and(|last| is_announced(shown, last.generation)),
            holder: last.map(|last| last.holder.clone()),
            broken: last.and_then(|last| last.broken.clone()),
            age: shown.age.map(|age| age.as_secs()),
            heartbeat,
            evidence,
            problem: problem(&stand, &newcomer),
            advice: advise(&stand, &order.me, heard),
            warnings: warning::all(&stand, order, shown, now),
            newcomer,
        }
    }

    /// The exit code of `hostkit lease status`.
    pub const fn exit_code(&self) -> u8 {
        match self.state {
            Standing::Free | Standing::Held | Standing::Released => 0,
            Standing::Unclear => 5,
        }
    }
}

impl Evidence {
    /// What `word` about `holder` means to `me`.
    pub fn new(me: &Holder, holder: &Holder, word: &Word) -> Self {
        match proof(Guards::default(), me, holder, word) {
            Proof::Dead(says) => Self { says, is_proof: true },
            Proof::MayLive(says) => Self { says, is_proof: false },
        }
    }
}

/// Whether `me` holds the home, in this boot.
pub fn is_holder(stand: &Stand, me: &Holder) -> bool {
    stand.is_held() && stand.last().is_some_and(|last| last.holder.is_same_boot(me))
}

const fn standing(stand: &Stand) -> Standing {
    match stand {
        Stand::Free => Standing::Free,
        Stand::Claimed(record) => match record.state {
            super::State::Held => Standing::Held,
            super::State::Released => Standing::Released,
        },
        Stand::Copy(_) | Stand::Lost { .. } | Stand::Newer(..) | Stand::Strange(_) => {
            Standing::Unclear
        }
    }
}

fn is_announced(shown: &Shown, generation: u64) -> bool {
    matches!(&shown.head, super::claim::Head::Record(head) if head.generation == generation)
}

fn advise(stand: &Stand, me: &Holder, heard: Option<&(u64, Word)>) -> Option<Advice> {
    match stand {
        Stand::Claimed(last) if stand.is_held() && !is_holder(stand, me) => {
            let (_, word) = heard.filter(|(generation, _)| *generation == last.generation)?;
            let proven = Evidence::new(me, &last.holder, word).is_proof;
            if proven { None } else { advice::against(&last.holder, word) }
        }
        Stand::Copy(_) | Stand::Lost { .. } => Some(advice::break_it(stand.generation())),
        Stand::Free | Stand::Claimed(_) | Stand::Newer(..) | Stand::Strange(_) => None,
    }
}

/// What the newcomer says who does not start; or what it has not come across yet.
fn problem(stand: &Stand, newcomer: &Outlook) -> Option<Problem> {
    if standing(stand) != Standing::Unclear {
        return None;
    }
    if let (Does::Refuse, Some(hint)) = (newcomer.does, &newcomer.hint) {
        return Some(Problem { why: newcomer.why.clone(), hint: hint.clone() });
    }
    let why = match stand {
        Stand::Lost { why, .. } => why.clone(),
        Stand::Newer(file, version) => {
            format!("{file} has form {version}, written by a newer hostkit")
        }
        Stand::Strange(found) => format!("the file system is no home and has `{found}` on it"),
        Stand::Copy(record) => format!("the record is about {}", record.holder.fs_id),
        Stand::Free | Stand::Claimed(_) => return None,
    };
    let hint = "look again in a moment; if it stays so, read docs/lease.md".to_owned();
    Some(Problem { why, hint })
}
