//! How a lease stands: what the clerk was shown, put into the one case that it is.
//!
//! Pure, and for people only: a newcomer and a holder decide on what they read themselves.

use super::claim::Head;
use super::clerk::Shown;
use super::record::{Record, State, claim_file};

/// The case that a lease is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Nobody has ever held this home.
    Free,
    /// The last claim can be read, and is about this file system: held, or released.
    Claimed(Box<Record>),
    /// The last claim can be read, and is about another file system: this one is a copy.
    Copy(Box<Record>),
    /// There was a holder, and what says who it is cannot be trusted.
    Lost {
        /// The highest generation that has a claim; 0 where there is none.
        generation: u64,
        /// That claim, if it at least can be read.
        last: Option<Box<Record>>,
        /// What is wrong, for people.
        why: String,
    },
    /// A newer hostkit wrote something that this one cannot understand: in which file, of which form.
    Newer(String, u32),
    /// The file system is no home and not empty: what is on it.
    Strange(String),
}

impl Stand {
    /// What `shown` comes to on the file system `fs_id`.
    pub fn of(shown: &Shown, fs_id: &str) -> Self {
        match &shown.head {
            Head::New if shown.highest.is_none() => Self::Free,
            Head::Strange(found) => Self::Strange(found.clone()),
            Head::Newer { version, .. } => Self::Newer("head".to_owned(), *version),
            Head::Record(head) => between(Some(head), shown, fs_id),
            Head::New => between(None, shown, fs_id),
            Head::Gone => {
                lost("this was a controller's home, and its head is gone".to_owned(), shown, fs_id)
            }
            Head::Garbage(why) => lost(format!("the head cannot be trusted: {why}"), shown, fs_id),
        }
    }

    /// The generation of the last claim that is known; 0 where nobody has claimed yet.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Claimed(record) | Self::Copy(record) => record.generation,
            Self::Lost { generation, .. } => *generation,
            Self::Free | Self::Newer(..) | Self::Strange(_) => 0,
        }
    }

    /// The last claim, if it can be read.
    pub fn last(&self) -> Option<&Record> {
        match self {
            Self::Claimed(record) | Self::Copy(record) => Some(record),
            Self::Lost { last, .. } => last.as_deref(),
            Self::Free | Self::Newer(..) | Self::Strange(_) => None,
        }
    }

    /// Whether somebody must be supposed to hold the home.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Claimed(record) if record.state == State::Held)
    }
}

/// The head can be read, or is still to come: is it the last word?
fn between(head: Option<&Record>, shown: &Shown, fs_id: &str) -> Stand {
    let told = head.map_or(0, |head| head.generation);
    let highest = shown.highest.unwrap_or(0).max(told);
    if let Some(head) = head.filter(|head| head.generation == highest) {
        return readable(head, fs_id);
    }
    let file = claim_file(highest);
    let unreadable = |why: String| Stand::Lost { generation: highest, last: None, why };
    match &shown.beyond {
        Some(Head::Record(record)) if record.generation == highest => readable(record, fs_id),
        Some(Head::Newer { version, .. }) => Stand::Newer(file, *version),
        Some(Head::Garbage(why)) => unreadable(format!("{file} cannot be trusted: {why}")),
        Some(Head::Record(record)) => {
            unreadable(format!("{file} says that it is generation {}", record.generation))
        }
        _ => unreadable(format!("{file} is there, and cannot be read")),
    }
}

fn readable(record: &Record, fs_id: &str) -> Stand {
    let record = Box::new(record.clone());
    if record.holder.fs_id == fs_id { Stand::Claimed(record) } else { Stand::Copy(record) }
}

/// The head cannot be read: the highest claim tells who the last holder was, if it can be read.
fn lost(why: String, shown: &Shown, fs_id: &str) -> Stand {
    let generation = shown.highest.unwrap_or(0);
    match &shown.beyond {
        Some(Head::Newer { version, .. }) => Stand::Newer(claim_file(generation), *version),
        Some(Head::Record(record)) if record.generation == generation => {
            let copied = record.holder.fs_id != fs_id;
            let about = format!("{why}; and the last claim is about {}", record.holder.fs_id);
            let why = if copied { about } else { why };
            Stand::Lost { generation, last: Some(record.clone()), why }
        }
        _ => Stand::Lost { generation, last: None, why },
    }
}
