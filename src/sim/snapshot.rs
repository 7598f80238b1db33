//! An EBS snapshot: what is known of it, and which block of it has which content.
//!
//! Contents are kept elsewhere (the store of blocks), each under its SHA-256.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::region::{Due, Region, Tags};
use super::store::BlockDigest;

/// The size of a block, in bytes: the only one that EBS has.
pub const BLOCK_BYTES: usize = 512 << 10;

/// What EC2 says of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being written by somebody (none), or on its way to be completed.
    Pending(Option<Due>),
    /// It is whole.
    Completed,
    /// It will never be.
    Error(String),
}

impl State {
    /// AWS's word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Completed => "completed",
            Self::Error(_) => "error",
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snap-…`
    pub id: String,
    /// The size of the volume, in GiB.
    pub volume_gib: u64,
    /// Its state.
    pub state: State,
    /// When it was started, by the clock of the world.
    pub started: jiff::Timestamp,
    /// Whatever was said of it.
    pub description: String,
    /// Its tags.
    pub tags: Tags,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// The volume that it was made of; none where its blocks were put.
    pub volume: Option<String>,
    /// The snapshot that it was started from.
    pub parent: Option<String>,
    /// The SHA-256 of every block that it has, its parents' blocks included.
    #[serde(with = "digests")]
    pub blocks: BTreeMap<u32, BlockDigest>,
    /// Those that were put into it.
    pub put: BTreeSet<u32>,
    /// The accounts that may make volumes of it; `all` is everybody.
    pub shared_with: BTreeSet<String>,
}

impl Snapshot {
    /// Whether it is whole.
    pub const fn is_completed(&self) -> bool {
        matches!(self.state, State::Completed)
    }
}

/// What is known of a snapshot only while it is being written.
#[derive(Clone, Debug)]
pub struct Writing {
    /// From when on its blocks can be put.
    pub appears: Instant,
    /// After how long without a put it is given up.
    pub patience: Duration,
    /// When something was last done with it.
    pub last: Instant,
    /// How many blocks can be put at once.
    pub puts: Allowance,
    /// Why it will end in error once it would be completed.
    pub doom: Option<String>,
}

/// So many a second, and a tenth of that at once.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    left: f64,
    counted: Instant,
}

impl Allowance {
    /// All of it.
    pub const fn full(now: Instant) -> Self {
        Self { left: f64::MAX, counted: now }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant, a_second: u32) -> bool {
        let rate = f64::from(a_second);
        let fresh = now.saturating_duration_since(self.counted).as_secs_f64() * rate;
        self.left = (self.left + fresh).min((rate / 10.0).max(1.0));
        self.counted = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

/// Has happen to the snapshots of a region what time has brought.
pub fn settle(region: &mut Region, now: Instant) {
    for (id, snapshot) in &mut region.snapshots {
        let writing = region.writing.get(id);
        let settled = match (&snapshot.state, writing) {
            (State::Pending(Some(due)), _) if now >= due.at => {
                match writing.and_then(|writing| writing.doom.clone()) {
                    Some(doom) => State::Error(doom),
                    None => State::Completed,
                }
            }
            (State::Pending(None), Some(writing)) if now >= writing.last + writing.patience => {
                State::Error("The snapshot was not completed in time.".to_owned())
            }
            _ => continue,
        };
        snapshot.state = settled;
        region.writing.remove(id);
    }
    // What was deleted is not written any more.
    region.writing.retain(|id, _| region.snapshots.contains_key(id));
}

/// Digests as text.
mod digests {
    use std::collections::BTreeMap;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::sim::random::{from_hex, to_hex};
    use crate::sim::store::BlockDigest;

    pub(super) fn serialize<S: Serializer>(
        blocks: &BTreeMap<u32, BlockDigest>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(blocks.iter().map(|(index, digest)| (index, to_hex(digest))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u32, BlockDigest>, D::Error> {
        let text = BTreeMap::<u32, String>::deserialize(deserializer)?;
        let digest = |hex: &str| from_hex(hex)?.try_into().ok();
        text.into_iter()
            .map(|(index, hex)| Some((index, digest(&hex)?)))
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("a block's digest is 64 hexadecimal digits"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A completed snapshot without blocks.
    pub(in crate::sim) fn empty(id: &str, volume_gib: u64) -> Snapshot {
        Snapshot {
            id: id.to_owned(),
            volume_gib,
            state: State::Completed,
            started: jiff::Timestamp::now(),
            description: String::new(),
            tags: Tags::new(),
            kms_key: None,
            volume: None,
            parent: None,
            blocks: BTreeMap::new(),
            put: BTreeSet::new(),
            shared_with: BTreeSet::new(),
        }
    }

    #[test]
    fn a_tenth_of_a_second_can_be_had_at_once() {
        let now = Instant::now();
        let mut puts = Allowance::full(now);
        let taken = (0..1000).filter(|_| puts.take(now, 1000)).count();
        assert_eq!(taken, 100);
        let later = now + Duration::from_millis(50);
        assert_eq!((0..1000).filter(|_| puts.take(later, 1000)).count(), 50);
        assert!((0..10).filter(|_| puts.take(later + Duration::from_secs(9), 1)).count() == 1);
    }

    #[test]
    fn it_is_the_same_in_text_and_back() {
        let mut snapshot = empty("snap-1", 8);
        snapshot.blocks.insert(70_000, [171; 32]);
        let text = serde_json::to_string(&snapshot).unwrap();
        assert!(text.contains(r#""70000":"abab"#), "{text}");
        let back: Snapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(back.blocks, snapshot.blocks);
    }
}
