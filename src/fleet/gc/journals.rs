//! The journals of builds that are removed: held while that goes on, so that nobody carries such a
//! build on meanwhile, and removed with the last of what they tell of.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::Rule;
use crate::aws::operator::{Identity, region};
use crate::teardown::{self, Header, Journal};

/// See the module.
#[derive(Debug)]
pub struct Journals {
    folder: Option<Utf8PathBuf>,
    account: String,
    endpoint_url: Option<String>,
    regions: BTreeSet<String>,
    held: BTreeMap<String, Journal>,
    at_work: BTreeSet<String>,
}

impl Journals {
    /// Of builds in an account, in these regions. None is held yet.
    pub(super) fn new(folder: Option<&Utf8Path>, who: &Identity, configs: &[SdkConfig]) -> Self {
        Self {
            folder: folder.map(Utf8Path::to_owned),
            account: who.account.clone(),
            endpoint_url: configs.first().and_then(SdkConfig::endpoint_url).map(str::to_owned),
            regions: configs.iter().map(|config| region(config).to_owned()).collect(),
            held: BTreeMap::new(),
            at_work: BTreeSet::new(),
        }
    }

    /// The builds that another hostkit on this machine works on.
    pub const fn at_work(&self) -> &BTreeSet<String> {
        &self.at_work
    }

    /// Holds the journals of these builds, where there are any.
    pub(super) fn hold(&mut self, builds: &BTreeSet<String>) {
        let Some(folder) = self.folder.clone() else { return };
        for build in builds {
            self.hold_one(build, &folder.join(format!("{build}.jsonl")));
        }
    }

    /// Holds the journals of builds that ended early and of which nothing was found. Those of young
    /// builds are not even opened: their hostkit may be about to.
    pub(super) fn hold_forgotten(&mut self, rule: &Rule, now: Option<Timestamp>) {
        let Some(folder) = self.folder.clone() else { return };
        for (path, (header, regions)) in journals_in(&folder) {
            let old = now.is_some_and(|now| now.duration_since(header.started) >= rule.older_than);
            let meant = match &rule.build {
                Some(build) => *build == header.build,
                None => old,
            };
            if meant && self.concerns(&header) && regions.is_subset(&self.regions) {
                self.hold_one(&header.build, &path);
            }
        }
    }

    /// Whether a build is of this account. Where its services were may be said in several ways, so
    /// that only a contradiction counts.
    fn concerns(&self, header: &Header) -> bool {
        let elsewhere = header.endpoint_url.as_ref().zip(self.endpoint_url.as_ref());
        header.account == self.account && elsewhere.is_none_or(|(then, now)| then == now)
    }

    fn hold_one(&mut self, build: &str, path: &Utf8Path) {
        if self.held.contains_key(build) {
            return;
        }
        match Journal::open(path) {
            Ok(journal) => {
                self.held.insert(build.to_owned(), journal);
            }
            Err(refusal) if teardown::is_at_work(&refusal) => {
                self.at_work.insert(build.to_owned());
            }
            // There is none, or it is none: the tags tell as much.
            Err(refusal) => tracing::debug!(%refusal, "no journal"),
        }
    }

    /// Removes the journals of builds that are not done and of which nothing is left; `left` are the
    /// builds of which something is. Returns the builds whose journal is gone.
    pub fn forget(&mut self, left: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
        let mut forgotten = Vec::new();
        for (build, journal) in std::mem::take(&mut self.held) {
            let elsewhere = |region: &String| !self.regions.contains(region);
            let known = journal.unsettled().iter().all(|(_, it)| !elsewhere(&it.region));
            if !left.contains(&build)
                && !journal.is_done()
                && known
                && self.concerns(journal.header())
            {
                journal.discard()?;
                forgotten.push(build);
            }
        }
        Ok(forgotten)
    }
}

/// The regions in which a build made something, by its journal.
pub fn regions_of(folder: &Utf8Path, build: &str) -> BTreeSet<String> {
    let journal = teardown::peek(&folder.join(format!("{build}.jsonl")));
    journal.map(|(_, regions)| regions).unwrap_or_default()
}

fn journals_in(folder: &Utf8Path) -> Vec<(Utf8PathBuf, (Header, BTreeSet<String>))> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path().to_owned());
    let journals = files.filter(|path| path.extension() == Some("jsonl"));
    journals.filter_map(|path| Some((path.clone(), teardown::peek(&path)?))).collect()
}
