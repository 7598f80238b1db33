//! Publishes an image: copies it to other regions, says who may use it, and moves what points to it.
//!
//! Regions do not wait for each other, and what fails in one leaves the others good. Everything is
//! looked at before it is done, so that the same command again does the rest and nothing twice.
//! In a region the order is: an image that is available ([`super::copy`]), that is marked to stay, that
//! others may use, and only then what points to it ([`super::finish`]), the parameter last.
//!
//! Copies stand in a journal of their own, so that a build's journal knows only what it made.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use camino::Utf8Path;
use futures::future::join_all;

use super::name::{ARCH_TAG, DIGEST_TAG, RECIPE_TAG, VERSION_TAG};
use super::publication::Publication;
use super::{copy, finish, resume, undo};
use crate::aws::account;
use crate::aws::image::{Image, State};
use crate::aws::operator::{in_region, region};
use crate::digest::sha256;
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::teardown::{BUILDING, Header, Journal, STATE_TAG, VERSION};

/// An image that is published, with what its tags say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The image, in the region that it was registered in.
    pub image: Image,
    /// The recipe's name.
    pub recipe: String,
    /// The image's version.
    pub version: String,
    /// The processor, by Debian's name.
    pub arch: String,
    /// The digest of all that went in.
    pub digest: String,
    /// Whether it was made a moment ago, so that nothing can use it yet.
    pub fresh: bool,
}

impl Subject {
    /// Reads an image's tags.
    ///
    /// # Errors
    /// It is not one of hostkit's, or not one that can be published.
    pub fn of(image: Image) -> Result<Self, Fault> {
        let id = &image.id;
        let tag = |key: &str| {
            image.tag(key).map(str::to_owned).ok_or_else(|| {
                Fault::usage(format!("{id} has no tag `{key}`: hostkit did not make it"))
                    .hint("only what `hostkit bake --target ami` made can be published")
            })
        };
        let (recipe, version) = (tag(RECIPE_TAG)?, tag(VERSION_TAG)?);
        let (arch, digest) = (tag(ARCH_TAG)?, tag(DIGEST_TAG)?);
        if image.tag(STATE_TAG) == Some(BUILDING) {
            return Err(Fault::usage(format!("{id} is part of a build that is not done"))
                .hint("`hostkit bake --target ami --resume` carries on with it"));
        }
        if image.state != State::Available {
            return Err(Fault::aws(format!("{id} is not available: {:?}", image.state)));
        }
        Ok(Self { image, recipe, version, arch, digest, fresh: false })
    }

    /// The parameter that points to the latest image.
    pub fn pointer(&self) -> String {
        format!("/hostkit/{}/{}/latest", self.recipe, self.arch)
    }
}

/// What is published, how, and by whom.
#[derive(Debug)]
pub struct Job<'a> {
    /// How AWS is called, in the region of the image.
    pub config: &'a SdkConfig,
    /// The account that this is.
    pub account: &'a str,
    /// Where all services are, if not on AWS.
    pub endpoint_url: Option<&'a str>,
    /// The folder of journals.
    pub journals: &'a Utf8Path,
    /// The image.
    pub subject: &'a Subject,
    /// What is wanted.
    pub wanted: &'a Publication,
    /// How long AWS may take for a copy.
    pub patience: Duration,
    /// Who is told.
    pub events: &'a Events,
}

/// What came of it in one region.
#[derive(Debug)]
pub struct Place {
    /// The region.
    pub region: String,
    /// The image there, as soon as there is one.
    pub image: Option<Image>,
    /// What was done, in order, in few words each.
    pub done: Vec<String>,
    /// Why the rest was not.
    pub failure: Option<anyhow::Error>,
    /// How long it took.
    pub took: Duration,
}

impl Place {
    /// `published`, `unchanged` or `failed`.
    pub const fn state(&self) -> &'static str {
        match (&self.failure, self.done.is_empty()) {
            (Some(_), _) => "failed",
            (None, true) => "unchanged",
            (None, false) => "published",
        }
    }
}

/// One region while it is worked on.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) journal: Option<&'a RefCell<Journal>>,
    pub(super) config: SdkConfig,
    pub(super) region: String,
}

impl Job<'_> {
    /// Publishes. The region of the image is the first of those that are returned.
    ///
    /// # Errors
    /// What is wanted cannot be, or nothing can be written down. What fails in a region is in its
    /// [`Place`].
    pub async fn run(&self) -> anyhow::Result<Vec<Place>> {
        let home = region(self.config).to_owned();
        let encrypted = copy::is_encrypted(&self.subject.image);
        self.wanted.check(&home, encrypted)?;
        self.check_defaults(&home).await?;
        let others = self.wanted.others(&home);
        let encrypts = !encrypted && self.wanted.keys.of(&home).is_some();
        let journal = if encrypts || !others.is_empty() { Some(self.journal()?) } else { None };
        let journal = journal.map(RefCell::new);
        let site = |region: &str| Site {
            job: self,
            journal: journal.as_ref(),
            config: in_region(self.config, region),
            region: region.to_owned(),
        };
        let sites: Vec<_> = others.iter().map(|region| site(region)).collect();
        let (mut first, rest) = if encrypts {
            // What the others copy is what is encrypted here.
            let first = Self::publish(site(&home), &self.subject.image).await;
            let rest = match &first.image {
                Some(source) => each(sites, source).await,
                None => sites.into_iter().map(|site| waiting(site, &first)).collect(),
            };
            (first, rest)
        } else {
            let image = &self.subject.image;
            futures::join!(Self::publish(site(&home), image), each(sites, image))
        };
        if encrypts && self.subject.fresh && first.failure.is_none() {
            let gone = copy::remove(&in_region(self.config, &home), &self.subject.image).await;
            match gone {
                Ok(()) => first.done.push(format!("{} removed", self.subject.image.id)),
                Err(error) => first.failure = Some(error),
            }
        }
        if let Some(journal) = journal {
            end(journal.into_inner())?;
        }
        Ok(std::iter::once(first).chain(rest).collect())
    }

    /// What is shared must not be with the account's default key, which an account may have for all
    /// that is new. Who may not ask that finds out when it is shared.
    async fn check_defaults(&self, home: &str) -> Result<(), Fault> {
        if self.wanted.audience.is_empty() {
            return Ok(());
        }
        for other in self.wanted.others(home) {
            let keyless = self.wanted.keys.of(&other).is_none();
            let there = in_region(self.config, &other);
            if keyless && account::encrypts_by_default(&there).await.unwrap_or(false) {
                let text = format!(
                    "all that is new in {other} is encrypted with the account's default key, and \
                     what is cannot be shared"
                );
                let hint = "give a key of your own whose policy lets them in: --kms-key";
                return Err(Fault::usage(text).hint(format!("{hint} {other}=KEY")));
            }
        }
        Ok(())
    }

    async fn publish(site: Site<'_>, source: &Image) -> Place {
        let begun = Instant::now();
        let (events, id) = (site.job.events, format!("publish-{}", site.region));
        events.started(&id, format!("publishing in {}", site.region));
        let mut place = Place {
            region: site.region.clone(),
            image: None,
            done: Vec::new(),
            failure: None,
            took: Duration::ZERO,
        };
        place.failure = site.work(source, &mut place).await.err();
        place.took = begun.elapsed();
        let outcome = match &place.failure {
            Some(failure) => Outcome::Failed(format!("{failure:#}")),
            None => Outcome::changed(!place.done.is_empty()),
        };
        events.finished(&id, outcome, place.took);
        place
    }

    /// The journal of an earlier attempt, or a new one.
    fn journal(&self) -> anyhow::Result<Journal> {
        // Not the digest itself: a build of it must not take this for its own.
        let digest = format!("publish:{}", self.subject.digest);
        let region = region(self.config);
        let Self { account, endpoint_url, .. } = *self;
        let place = resume::Place { account, region, endpoint_url };
        if let Some(journal) = resume::left(self.journals, &digest, &place).into_iter().next() {
            return Ok(journal);
        }
        let now = jiff::Timestamp::now();
        let unique = sha256(format!("{digest} {} {now:?}", std::process::id()));
        let recipe = self.subject.recipe.clone();
        let header = Header {
            version: VERSION,
            build: format!("{recipe}-publish-{}-{}", now.strftime("%Y%m%dT%H%M%S"), &unique[..6]),
            recipe,
            digest,
            account: account.to_owned(),
            region: region.to_owned(),
            endpoint_url: endpoint_url.map(str::to_owned),
            started: now,
        };
        Journal::create(self.journals, header)
    }

    /// Undoes what an attempt left that was stopped by a person. Says what could not be.
    pub async fn undo(&self) -> anyhow::Result<Vec<undo::Left>> {
        let digest = format!("publish:{}", self.subject.digest);
        let Self { account, endpoint_url, .. } = *self;
        let place = resume::Place { account, region: region(self.config), endpoint_url };
        let mut left = Vec::new();
        for mut journal in resume::left(self.journals, &digest, &place) {
            left.extend(undo::all(&mut journal, self.config, "undo", self.events).await?);
            end(journal)?;
        }
        Ok(left)
    }
}

impl Site<'_> {
    /// Everything in one region.
    async fn work(&self, source: &Image, place: &mut Place) -> anyhow::Result<()> {
        let image = copy::in_place(self, source, &mut place.done).await?;
        place.image = Some(image.clone());
        finish::all(self, &image, &mut place.done).await
    }

    /// Tells people.
    pub(super) fn say(&self, line: impl Into<String>) {
        let line = format!("{}: {}", self.region, line.into());
        self.job.events.log(&format!("publish-{}", self.region), line);
    }

    /// Whether the image was registered here.
    pub(super) fn is_home(&self) -> bool {
        self.region == region(self.job.config)
    }
}

async fn each(sites: Vec<Site<'_>>, source: &Image) -> Vec<Place> {
    join_all(sites.into_iter().map(|site| Job::publish(site, source))).await
}

/// A region that had to wait for the first one, which failed.
fn waiting(site: Site<'_>, first: &Place) -> Place {
    let text = format!("there is nothing to copy: {} failed", first.region);
    Place {
        region: site.region,
        image: None,
        done: Vec::new(),
        failure: Some(Fault::aws(text).into()),
        took: Duration::ZERO,
    }
}

/// What is open in the journal, the next attempt finds there.
fn end(journal: Journal) -> anyhow::Result<()> {
    if journal.resources().next().is_none() {
        return journal.discard();
    }
    if journal.unsettled().is_empty() { journal.close() } else { Ok(()) }
}
