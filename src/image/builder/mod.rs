//! An AMI by way of an instance: for bases that cannot be built offline, as Amazon Linux, or an
//! Ubuntu AMI with a driver.
//!
//! [`begin`] and [`Job::make`] are the table of contents. Nothing is driven by strings in a shell on the other side:
//! hostkit copies itself and the plan there, applies it, and says what the other hostkit says.
//! What is made on AWS is in the journal before it is made: whoever calls undoes what is open there,
//! whatever ended the bake. An image that AWS takes long to make stays in it with its id.
//!
//! Nothing here opens a port to the world, takes a host key on trust, or sends a private key.

pub mod aboard;
mod base;
mod clean;
mod console;
mod doors;
mod finish;
mod keys;
mod launch;
mod login;
mod options;
mod place;
mod relay;
mod remote;
mod user_data;
mod work;

use anyhow::Context as _;
use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};

pub use self::options::{Interface, Options};

pub use crate::image::ami::build::Pending;

use self::base::Base;
use self::keys::Keys;
use self::remote::Remote;
use super::manifest::Manifest;
use super::{Clock, layers};
use crate::aws::{Failure, image, operator};
use crate::error::{Blamed as _, Fault};
use crate::event::Events;
use crate::image::ami::build::Made;
use crate::image::ami::name::{self, Labels, Tags};
use crate::image::ami::undo;
use crate::plan::Plan;
use crate::plan::lock::Image;
use crate::secret::Secrets;
use crate::sys::{Tool, atomic};
use crate::teardown::{Journal, Kind, Resource};

/// Everything that a bake on an instance is told.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What is baked.
    pub plan: &'a Plan,
    /// The values of the secret variables.
    pub secrets: &'a Secrets,
    /// How calls are made.
    pub config: &'a SdkConfig,
    /// How it is done.
    pub options: &'a Options,
    /// The hostkit for the builder's processor.
    pub binary: &'a Utf8Path,
    /// Names this build.
    pub build: &'a str,
    /// The folder of journals.
    pub journals: &'a Utf8Path,
    /// Where the manifest goes.
    pub output: &'a Utf8Path,
    /// The listener.
    pub events: &'a Events,
}

/// What a bake begins with. Nothing is made for it.
#[derive(Clone, Debug)]
pub struct Beginning {
    base: Base,
    /// What the image is locked to.
    pub locked: Image,
    /// What is known of the image before it is made.
    pub manifest: Manifest,
}

/// What a bake came to.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image on AWS.
    pub made: Made,
    /// What it is.
    pub manifest: Manifest,
}

/// Finds the AMI that a plan begins with: the one that it is locked to, unless the recipe names
/// another one now. With `frozen` the lock must have it.
///
/// # Errors
/// There is no such AMI, or the plan cannot be applied to it.
pub async fn begin(
    plan: &Plan,
    locked: Option<&Image>,
    frozen: bool,
    config: &SdkConfig,
    events: &Events,
) -> anyhow::Result<Beginning> {
    let asked = base::Question { plan, locked, frozen, config, events };
    let base = base::resolve(&asked).await?;
    let locked = base.lock(&asked);
    let digest = layers::image_digest(plan, &locked);
    let manifest = Manifest::of_plan(plan, &digest, locked.epoch);
    Ok(Beginning { base, locked, manifest })
}

impl Job<'_> {
    /// Bakes the image, or waits for the one that an earlier run has begun. What was made and is not
    /// part of the image stays open in the journal, for who undoes.
    ///
    /// # Errors
    /// What stood in the way; [`Pending`] is among the causes where AWS takes longer than it was
    /// given, and will be done.
    pub async fn make(
        &self,
        beginning: &Beginning,
        journal: &mut Journal,
    ) -> anyhow::Result<Built> {
        Tool::require(Remote::TOOLS)?;
        let Beginning { base, locked, manifest } = beginning.clone();
        let clock = Clock::new(self.events);
        let mut build = Build { job: self, base, locked, manifest, clock };
        if self.has_begun_image(journal).await? {
            build.manifest = Manifest::load(&self.kept_manifest())?;
            return build.await_image(journal).await;
        }
        // A run that was killed left what this one cannot use: its keys are gone.
        let left = undo::all(journal, self.config, "launch", self.events).await?;
        if let Some(undo::Left { failure, .. }) = left.first() {
            return Err(operator::fault(failure).into());
        }
        self.name_is_free(&build.manifest).await?;
        Box::pin(build.run(journal)).await
    }

    /// Whether an earlier run has asked for the image, and AWS makes it.
    async fn has_begun_image(&self, journal: &Journal) -> anyhow::Result<bool> {
        let open = journal.unsettled().into_iter().map(|(_, resource)| resource);
        match open.into_iter().find(|resource| resource.kind == Kind::Image) {
            None => Ok(false),
            Some(Resource { id: Some(_), .. }) => Ok(true),
            Some(Resource { token, .. }) => Ok(finish::by_name(self, &token).await?.is_some()),
        }
    }

    /// A name that another image has is found out before anything is made.
    async fn name_is_free(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let name = self.image_name(&manifest.digest);
        let there = image::by_name(self.config, &name).await;
        let there = there.called(|| format!("the name {name} cannot be looked up"))?;
        let Some(there) = there else { return Ok(()) };
        let hint = if there.tag(name::DIGEST_TAG) == Some(&manifest.digest) {
            "another bake makes it, or has left it: wait, or see `hostkit gc`"
        } else {
            "deregister it, or give the recipe another version"
        };
        Err(Fault::aws(format!("the name {name} belongs to {}", there.id)).hint(hint).into())
    }

    fn image_name(&self, digest: &str) -> String {
        let Plan { recipe, image_version, base, .. } = self.plan;
        name::image_name(recipe, base.arch, image_version, digest)
    }

    /// What the key pair, the security group and tokens are called.
    fn own_name(&self) -> String {
        format!("hostkit-{}", self.build)
    }

    /// Where the manifest of an image is kept while AWS makes it.
    fn kept_manifest(&self) -> Utf8PathBuf {
        self.journals.join(format!("{}.{MANIFEST}", self.build))
    }

    /// Where its bill of materials is kept.
    fn kept_bom(&self) -> Utf8PathBuf {
        self.journals.join(format!("{}.{BOM}", self.build))
    }

    fn keep_manifest(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(manifest).context("writing the manifest")?;
        self.keep_file(&self.kept_manifest(), &text)
    }

    fn keep_file(&self, path: &Utf8Path, bytes: &[u8]) -> anyhow::Result<()> {
        let written = atomic::write(path, bytes, 0o600);
        written
            .map(drop)
            .with_context(|| Fault::environment(format!("{} cannot be written to", self.journals)))
    }

    fn tags(&self, manifest: &Manifest) -> Tags {
        let mut tags = name::building(&Labels::of(manifest), self.build, &self.options.tags);
        tags.extend(name::contents(manifest));
        tags.insert("Name".to_owned(), self.own_name());
        tags
    }
}

/// What is kept beside the journal while AWS makes the image.
const MANIFEST: &str = "manifest.json";
const BOM: &str = "cdx.json";

/// Removes what was kept beside a journal whose build has come to its end.
pub fn forget(journal: &Journal) {
    for ending in [MANIFEST, BOM] {
        let path = journal.path().with_extension(ending);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::trace!(%error, %path, "there was none");
        }
    }
}

/// One bake.
struct Build<'a> {
    job: &'a Job<'a>,
    base: Base,
    locked: Image,
    manifest: Manifest,
    clock: Clock<'a>,
}

impl Build<'_> {
    async fn run(&mut self, journal: &mut Journal) -> anyhow::Result<Built> {
        let keys = Keys::make(self.job.build).await?;
        let remote = Box::pin(self.reach(&keys, journal)).await?;
        let worked = self.work(&remote).await;
        if worked.is_err() && self.job.options.shell_on_error {
            remote.shell(self.job.events).await;
        }
        worked?;
        self.make_image(&remote, journal).await
    }

    /// From nothing to an instance that lets us in.
    async fn reach(&mut self, keys: &Keys, journal: &mut Journal) -> anyhow::Result<Remote> {
        let Self { job, base, manifest, clock, .. } = self;
        let tags = job.tags(manifest);
        let launching = Box::pin(async {
            let subnets = launch::subnets(job).await?;
            let doors = doors::open(job, &subnets, keys, &tags, journal).await?;
            let user_data = launch::user_data(job, keys)?;
            let search = launch::Search { job, base, doors: &doors, tags: &tags, user_data };
            search.launch(&subnets, journal).await
        });
        let instance = clock.phase("launch", "launching a builder", launching).await?;
        let logging_in = login::log_in(job, keys, &instance);
        clock.phase("login", "waiting for the builder to let us in", logging_in).await
    }

    /// What is done on the instance.
    async fn work(&mut self, remote: &Remote) -> anyhow::Result<()> {
        let Self { job, manifest, locked, clock, .. } = self;
        let settling = work::settle(job, remote);
        clock.phase("settle", "waiting for the first boot to end", settling).await?;
        let shipping = work::ship(job, remote);
        clock.phase("ship", "taking hostkit and the plan there", shipping).await?;
        let applying = work::apply(job, remote);
        clock.phase("steps", "applying the plan there", applying).await?;
        let proving = work::prove(job, remote);
        clock.phase("prove", "testing the builder", proving).await?;
        let asking = clean::inventory(remote, locked.epoch);
        let inventory = clock.phase("inventory", "asking what is installed", asking).await?;
        job.keep_file(&job.kept_bom(), inventory.bom.as_bytes())?;
        manifest.packages = inventory.packages;
        let cleaning = clean::clean(job, remote);
        clock.phase("clean", "cleaning the builder", cleaning).await?;
        Ok(())
    }
}

/// Says who must act where a call failed.
trait Called<T> {
    /// With what it was for.
    fn called(self, what: impl FnOnce() -> String) -> anyhow::Result<T>;
}

impl<T> Called<T> for Result<T, Failure> {
    fn called(self, what: impl FnOnce() -> String) -> anyhow::Result<T> {
        let ended = self.map_err(|failure| operator::fault(&failure).into());
        ended.or_blame(|| Fault::aws(what()))
    }
}
