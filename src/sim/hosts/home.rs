//! The lease of a home as the account sees it: who holds it, and everybody who ever did.
//!
//! It stands for the record that a real host keeps on the file system, and it has the same rule: a
//! home goes from one host to another only when the last one gave it back or is proven gone. That it
//! did is written down by whoever claims, so that a test can judge a whole run. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::gate::{Passage, Rollout, Seen, Software};

/// What became of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A host that wants it must wait for the one that holds it.
    Waits,
    /// A host took it.
    Claimed,
    /// Its holder gave it back.
    Released,
    /// Its holder is gone, without a word.
    Gone,
    /// Its holder has an older Jenkins than has served it, and does not serve it.
    Refused,
    /// Its holder serves it as its Jenkins had left it once.
    PutBack,
}

/// One line of its story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, by the clock of the world.
    pub at: Timestamp,
    /// Of which host: `i-…`
    pub instance: String,
    /// Under which generation.
    pub generation: u64,
    /// What.
    pub what: What,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Home {
    /// The file system.
    pub file_system: String,
    /// Counts the claims, from 1; 0 where nobody ever held it.
    pub generation: u64,
    /// Which Jenkins has served it.
    pub seen: Seen,
    /// Who holds it: `i-…`
    pub holder: Option<String>,
    /// Its story, the oldest first.
    pub log: Vec<Entry>,
}

impl Home {
    /// One that nobody ever held.
    pub fn new(file_system: &str) -> Self {
        Self { file_system: file_system.to_owned(), ..Self::default() }
    }

    /// A host wants it: the generation that it holds from now on, or nothing while it has to wait.
    /// `gone` tells whether the holder can never write again.
    pub fn claim(&mut self, at: Timestamp, host: &str, gone: impl Fn(&str) -> bool) -> Option<u64> {
        match self.holder.clone() {
            Some(holder) if holder == host => return Some(self.generation),
            Some(holder) if gone(&holder) => self.write(at, &holder, What::Gone),
            Some(_) => {
                let waits = |entry: &Entry| entry.instance == host && entry.what == What::Waits;
                if !self.log.iter().any(waits) {
                    self.write(at, host, What::Waits);
                }
                return None;
            }
            None => {}
        }
        self.generation += 1;
        self.holder = Some(host.to_owned());
        self.write(at, host, What::Claimed);
        Some(self.generation)
    }

    /// A host gives it back, if it holds it.
    pub fn release(&mut self, at: Timestamp, host: &str) {
        if self.holder.as_deref() == Some(host) {
            self.holder = None;
            self.write(at, host, What::Released);
        }
    }

    /// Its holder wants to serve it with this; whether it may.
    pub fn pass(&mut self, at: Timestamp, own: Software, rollout: &Rollout) -> bool {
        let Some(holder) = self.holder.clone() else { return false };
        let passage = self.seen.pass(own, rollout);
        match passage {
            Passage::Open => {}
            Passage::PutBack => self.write(at, &holder, What::PutBack),
            Passage::Refused => self.write(at, &holder, What::Refused),
        }
        passage != Passage::Refused
    }

    fn write(&mut self, at: Timestamp, instance: &str, what: What) {
        let (instance, generation) = (instance.to_owned(), self.generation);
        self.log.push(Entry { at, instance, generation, what });
    }

    /// The hosts that held it, in their order.
    pub fn holders(&self) -> Vec<&str> {
        let claims = self.log.iter().filter(|entry| entry.what == What::Claimed);
        claims.map(|entry| entry.instance.as_str()).collect()
    }

    /// What is wrong with its story, read without believing how it came about: a claim while another
    /// holds it, a generation that does not grow, a release of what was not held.
    pub fn violations(&self) -> Vec<String> {
        let (mut found, mut holder, mut last) = (Vec::new(), None::<&str>, 0);
        for entry in &self.log {
            let Entry { at, instance, generation, what } = entry;
            let home = &self.file_system;
            match what {
                What::Waits => {}
                What::Refused | What::PutBack => {
                    if holder != Some(instance.as_str()) {
                        found.push(format!("{at}: {instance} changed {home} and did not hold it"));
                    }
                }
                What::Claimed => {
                    if let Some(other) = holder {
                        found.push(format!("{at}: {instance} took {home}, which {other} held"));
                    }
                    if *generation <= last {
                        found.push(format!("{at}: generation {generation} after {last}"));
                    }
                    (holder, last) = (Some(instance.as_str()), *generation);
                }
                What::Released | What::Gone => {
                    if holder != Some(instance.as_str()) {
                        found.push(format!("{at}: {instance} let {home} go and did not hold it"));
                    }
                    holder = None;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_home_changes_hands_only_when_the_last_one_let_go_or_is_gone() {
        let mut home = Home::new("fs-1");
        let alive = |_: &str| false;
        assert_eq!(home.claim(AT, "i-1", alive), Some(1));
        assert_eq!(home.claim(AT, "i-1", alive), Some(1), "it holds it");
        assert_eq!((home.claim(AT, "i-2", alive), home.claim(AT, "i-2", alive)), (None, None));
        home.release(AT, "i-2");
        assert_eq!(home.holder.as_deref(), Some("i-1"));
        home.release(AT, "i-1");
        assert_eq!(home.claim(AT, "i-2", alive), Some(2));
        assert_eq!(home.claim(AT, "i-3", |_| true), Some(3));
        assert_eq!(home.holders(), ["i-1", "i-2", "i-3"]);
        let waits = home.log.iter().filter(|entry| entry.what == What::Waits).count();
        assert_eq!((waits, home.violations()), (1, Vec::<String>::new()));
    }

    #[test]
    fn a_story_that_cannot_be_is_a_violation() {
        let mut home = Home::new("fs-1");
        home.claim(AT, "i-1", |_| false);
        home.write(AT, "i-2", What::Claimed);
        home.write(AT, "i-1", What::Released);
        let found = home.violations();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("i-2 took fs-1, which i-1 held"), "{found:?}");
    }
}
