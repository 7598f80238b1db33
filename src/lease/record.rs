//! `lease/head`: its types, and what a host may conclude from reading it.

use serde::{Deserialize, Serialize};

/// The newest form of the record that this hostkit can read.
pub const VERSION: u32 = 1;

/// The content of `lease/head`.
///
/// Unknown keys are allowed: a newer hostkit may add some. It raises `version` when an older one
/// must not draw conclusions any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The form of this record; see [`VERSION`].
    pub version: u32,
    /// Counts the holders of this home.
    pub generation: u64,
    /// Whether it is held.
    pub state: State,
    /// Who holds it, or held it last.
    pub holder: Holder,
}

/// Whether a home is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Somebody may be writing.
    Held,
    /// The last holder stopped Jenkins, flushed everything and said so.
    Released,
}

/// Who holds a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The EC2 instance.
    pub instance_id: String,
    /// The kernel's boot id: a reboot makes another one.
    pub boot_id: String,
    /// Its region.
    pub region: String,
    /// Its account.
    pub account: String,
    /// The file system that it was told to hold: a restored copy carries a foreign one.
    pub fs_id: String,
    /// When it took the home, for people.
    #[serde(default)]
    pub since: Option<String>,
}

/// What a host that reads a record may conclude.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody else holds it.
    Free,
    /// Another host holds it, or may hold it.
    HeldBy(Box<Head>),
    /// The record says nothing that can be trusted, and why.
    Unreadable(String),
}

/// Judges the record (absent on a home that never had a holder) as `instance_id` sees it.
///
/// When in doubt the answer is never [`Claim::Free`].
pub fn judge(record: Option<&str>, instance_id: &str) -> Claim {
    let Some(text) = record else { return Claim::Free };
    // The version decides alone whether the rest may be understood.
    let version = match serde_json::from_str::<Version>(text) {
        Ok(Version { version }) => version,
        Err(error) => return Claim::Unreadable(format!("it is not a lease record: {error}")),
    };
    if version > VERSION {
        return Claim::Unreadable(format!(
            "it has version {version}, written by a newer hostkit; this one reads {VERSION}"
        ));
    }
    match serde_json::from_str::<Head>(text) {
        Err(error) => Claim::Unreadable(format!("it is not a lease record: {error}")),
        Ok(head) if head.state == State::Released || head.holder.instance_id == instance_id => {
            Claim::Free
        }
        Ok(head) => Claim::HeldBy(Box::new(head)),
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = include_str!("../../tests/fixtures/lease/head-held-v1.json");
    const RELEASED: &str = include_str!("../../tests/fixtures/lease/head-released-v1.json");
    const NEWER: &str = include_str!("../../tests/fixtures/lease/head-v2.json");
    const HOLDER: &str = "i-0aaaaaaaaaaaaaaaa";
    const OTHER: &str = "i-0bbbbbbbbbbbbbbbb";

    #[test]
    fn a_home_that_never_had_a_holder_is_free() {
        assert_eq!(judge(None, OTHER), Claim::Free);
    }

    #[test]
    fn a_held_home_is_free_for_its_holder_only() {
        assert_eq!(judge(Some(HELD), HOLDER), Claim::Free);
        let Claim::HeldBy(head) = judge(Some(HELD), OTHER) else { panic!("it is held") };
        assert_eq!((head.generation, head.holder.instance_id.as_str()), (7, HOLDER));
    }

    #[test]
    fn a_released_home_is_free_for_everybody() {
        assert_eq!(judge(Some(RELEASED), OTHER), Claim::Free);
    }

    #[test]
    fn what_cannot_be_understood_is_never_free_not_even_for_the_holder() {
        for text in ["", "{", "null", "{\"version\":1}", NEWER] {
            for reader in [HOLDER, OTHER] {
                assert!(matches!(judge(Some(text), reader), Claim::Unreadable(_)), "{text}");
            }
        }
    }

    #[test]
    fn a_record_survives_a_round_trip() {
        let head: Head = serde_json::from_str(HELD).unwrap();
        let again: Head = serde_json::from_str(&serde_json::to_string(&head).unwrap()).unwrap();
        assert_eq!(head, again);
    }
}
