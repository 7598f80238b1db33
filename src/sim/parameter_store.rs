//! The Parameter Store of one region: parameters with their versions, labels and tags.
//!
//! Values are in the clear here: nothing is encrypted, and who asks without decryption is not shown
//! the value of a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::parameters::{Kind, Parameters};
use super::region::{Due, Tags};

/// How many versions a parameter has at most; then the oldest goes.
pub const VERSIONS_LIMIT: usize = 100;
/// How many labels a version has at most.
pub const LABELS_LIMIT: usize = 10;

/// How large a parameter may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// 4 KiB.
    #[default]
    Standard,
    /// 8 KiB, for money.
    Advanced,
}

impl Tier {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Advanced => "Advanced",
        }
    }

    /// The longest value, in bytes.
    pub const fn limit(self) -> usize {
        match self {
            Self::Standard => 4096,
            Self::Advanced => 8192,
        }
    }
}

/// One version of a parameter.
#[derive(Clone, Serialize, Deserialize)]
pub struct Version {
    /// From 1.
    pub number: u64,
    /// The value in the clear.
    pub value: String,
    /// Its kind.
    pub kind: Kind,
    /// Its tier.
    pub tier: Tier,
    /// `text` or `aws:ec2:image`.
    pub data_type: String,
    /// What was said of it.
    pub description: Option<String>,
    /// What its value must match.
    pub allowed_pattern: Option<String>,
    /// The key of a secret.
    pub key: Option<String>,
    /// When it was written.
    pub written: Timestamp,
    /// Who wrote it.
    pub writer: String,
    /// Its labels.
    pub labels: BTreeSet<String>,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A parameter: its versions, the oldest first. It is there once it has one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stored {
    /// See the type.
    pub versions: Vec<Version>,
    /// A version that is being validated.
    pub candidate: Option<(Due, Version)>,
    /// Its tags.
    pub tags: Tags,
}

impl Stored {
    /// The newest version.
    pub fn latest(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// The version with a number or a label.
    pub fn selected(&self, selector: &str) -> Option<&Version> {
        let number: Option<u64> = selector.parse().ok();
        self.versions.iter().find(|version| {
            number.map_or_else(|| version.labels.contains(selector), |one| version.number == one)
        })
    }

    /// The number that the next version gets.
    pub fn next_number(&self) -> u64 {
        let candidate = self.candidate.as_ref().map(|(_, version)| version.number);
        let last = self.versions.last().map(|version| version.number);
        candidate.max(last).unwrap_or(0) + 1
    }

    /// Adds a version. The oldest goes if there are too many; says no if that has a label.
    pub fn add(&mut self, version: Version) -> bool {
        if self.versions.len() >= VERSIONS_LIMIT {
            if !self.versions[0].labels.is_empty() {
                return false;
            }
            self.versions.remove(0);
        }
        self.versions.push(version);
        true
    }
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterStore {
    by_name: BTreeMap<String, Stored>,
}

impl ParameterStore {
    /// One in which all `parameters` are in their first version.
    pub fn of(parameters: &Parameters) -> Self {
        let first = |parameter: &super::parameters::Parameter| Version {
            number: 1,
            value: parameter.value.clone(),
            kind: parameter.kind,
            tier: Tier::Standard,
            data_type: "text".to_owned(),
            description: None,
            allowed_pattern: None,
            key: (parameter.kind == Kind::SecureString).then(|| "alias/aws/ssm".to_owned()),
            written: parameters.written,
            writer: format!("arn:aws:iam::{}:root", super::account::ACCOUNT_ID),
            labels: BTreeSet::new(),
        };
        let stored = |parameter| Stored { versions: vec![first(parameter)], ..Stored::default() };
        let all = parameters.by_name.iter();
        Self { by_name: all.map(|(name, one)| (name.clone(), stored(one))).collect() }
    }

    /// A parameter that is there.
    pub fn get(&self, name: &str) -> Option<(&str, &Stored)> {
        let found = self.by_name.get_key_value(name)?;
        found.1.latest().map(|_| (found.0.as_str(), found.1))
    }

    /// A parameter that is there, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Stored> {
        self.by_name.get_mut(name).filter(|stored| !stored.versions.is_empty())
    }

    /// The place of a parameter, there or not.
    pub fn place(&mut self, name: &str) -> &mut Stored {
        self.by_name.entry(name.to_owned()).or_default()
    }

    /// Takes one away. Says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.get(name).is_some() && self.by_name.remove(name).is_some()
    }

    /// All that are there, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Stored)> {
        let there = self.by_name.iter().filter(|(_, stored)| !stored.versions.is_empty());
        there.map(|(name, stored)| (name.as_str(), stored))
    }

    /// Decides about candidates whose validation is over: whether their value is `good`.
    pub fn settle(&mut self, now: Instant, good: impl Fn(&str) -> bool) {
        for stored in self.by_name.values_mut() {
            let over = |(due, _): &mut (Due, Version)| due.at <= now;
            if let Some((_, version)) = stored.candidate.take_if(over)
                && good(&version.value)
            {
                stored.add(version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_version_goes_unless_it_has_a_label() {
        let parameters = Parameters::default().with("/a", Kind::String, "one");
        let mut store = ParameterStore::of(&parameters);
        let stored = store.place("/a");
        let again = |stored: &Stored| Version {
            number: stored.next_number(),
            ..stored.latest().unwrap().clone()
        };
        for _ in 0..VERSIONS_LIMIT {
            let version = again(stored);
            assert!(stored.add(version));
        }
        assert_eq!(stored.versions[0].number, 2);
        stored.versions[0].labels.insert("keep".into());
        let version = again(stored);
        assert!(!stored.add(version));
        assert_eq!(stored.selected("keep").unwrap().number, 2);
        assert_eq!(stored.selected("101").unwrap().number, 101);
        assert!(stored.selected("1").is_none());
    }
}
