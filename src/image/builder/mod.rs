//! An AMI by way of an instance: for bases that cannot be built offline, as Amazon Linux, or an
//! Ubuntu AMI with a driver.
//!
//! [`bake`] is the table of contents. Nothing is driven by strings in a shell on the other side:
//! hostkit copies itself and the plan there, applies it, and says what the other hostkit says.
//! What is made on AWS is in the journal before it is made, and is gone when this ends, whatever
//! ends it, but for the image: that stays if it is whole, and its id is never lost.
//!
//! Nothing here opens a port to the world, takes a host key on trust, or sends a private key.

pub mod aboard;
mod base;
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

pub use self::options::{Interface, OnError, Options};

use self::base::Base;
use self::keys::Keys;
use self::remote::Remote;
use super::manifest::Manifest;
use super::{Clock, layers};
use crate::aws::operator::{Identity, region};
use crate::aws::{Failure, image, operator};
use crate::error::{Blamed as _, Fault};
use crate::event::{Events, Outcome};
use crate::image::ami::name::{self, Tags};
use crate::image::ami::{register, undo};
use crate::plan::Plan;
use crate::plan::lock::Image;
use crate::secret::Secrets;
use crate::sys::{Tool, atomic};
use crate::teardown::{self, Header, Journal};

/// Everything that a bake on an instance is told.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What is baked.
    pub plan: &'a Plan,
    /// What it is locked to.
    pub locked: Option<&'a Image>,
    /// The values of the secret variables.
    pub secrets: &'a Secrets,
    /// How calls are made.
    pub config: &'a SdkConfig,
    /// Where all services are, if not on AWS; for the journal.
    pub endpoint_url: Option<&'a str>,
    /// Who makes them.
    pub identity: &'a Identity,
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

/// What a bake came to.
#[derive(Clone, Debug)]
pub struct Built {
    /// `ami-…`
    pub image: String,
    /// Its name.
    pub name: String,
    /// Its snapshots.
    pub snapshots: Vec<String>,
    /// What the image is.
    pub manifest: Manifest,
    /// Whether it was there already.
    pub outcome: Outcome,
    /// What the next bake of it is locked to.
    pub locked: Image,
}

/// How far a bake came.
enum End {
    /// The image is there.
    Whole(Box<Built>),
    /// The image is being made, and takes longer than was to be waited for.
    Waiting(String),
}

/// Bakes the image of a plan on an instance, unless it is there already. When `stop` ends, so does
/// the bake, and what it made is undone.
///
/// # Errors
/// What stood in the way. Nothing is left on AWS then, unless that was asked for, or the image
/// takes longer than the deadline: the error says so, and the journal knows its id.
pub async fn bake(job: &Job<'_>, stop: impl Future<Output = ()>) -> anyhow::Result<Built> {
    Tool::require(Remote::TOOLS)?;
    job.options.check()?;
    let base = base::resolve(job).await?;
    let locked = base.lock(job);
    let digest = layers::image_digest(job.plan, &locked);
    let manifest = Manifest::of_plan(job.plan, &digest, locked.epoch);
    if let Some(built) = already_there(job, &manifest, &locked).await? {
        return Ok(built);
    }
    let mut journal = Journal::create(job.journals, job.header(&digest))?;
    let mut build = Build { job, base, locked, manifest, clock: Clock::new(job.events) };
    let end = tokio::select! {
        end = Box::pin(build.run(&mut journal)) => end,
        () = stop => Err(Fault::interrupted().into()),
    };
    settle(job, journal, end).await
}

/// Waits for the image of a bake that was given up while it was being made, and finishes it.
pub async fn resume(job: &Job<'_>, mut journal: Journal) -> anyhow::Result<Built> {
    let header = journal.header().clone();
    let locked = job.locked.cloned().context(Fault::recipe(
        "hostkit.lock does not have what this build began with, and so cannot be carried on",
    ))?;
    let build = Job { build: &header.build, ..*job };
    let manifest = Manifest::load(&build.kept_manifest())?;
    let clock = Clock::new(job.events);
    let base = base::locked(&build, &locked).await?;
    let mut build = Build { job: &build, base, locked, manifest, clock };
    let end = build.await_image(&mut journal).await;
    settle(job, journal, end).await
}

/// Undoes what is not to stay, and closes the journal.
async fn settle(
    job: &Job<'_>,
    mut journal: Journal,
    end: anyhow::Result<End>,
) -> anyhow::Result<Built> {
    let keep = match &end {
        Ok(End::Whole(_)) => false,
        Ok(End::Waiting(_)) => true,
        Err(error) => {
            let interrupted = crate::error::blame(error) == crate::error::Blame::Interrupted;
            job.options.on_error == OnError::Keep && !interrupted
        }
    };
    if keep {
        let path = journal.path().to_owned();
        job.events.log("undo", format!("what was made stays; it is in the journal {path}"));
        drop(journal);
    } else {
        let left = undo::all(&mut journal, job.config, "undo", job.events).await;
        let all_gone = left.as_ref().is_ok_and(Vec::is_empty);
        if all_gone {
            job.forget();
            journal.close()?;
        }
        // Why the bake failed matters more.
        if end.is_ok() {
            no_rest(&left?)?;
        }
    }
    match end? {
        End::Whole(built) => Ok(*built),
        End::Waiting(image) => {
            let hours = job.options.image_deadline.as_secs_f64() / 3600.0;
            let what = format!("the image {image} is not available after {hours:.1} h");
            Err(Fault::aws(what)
                .hint("AWS goes on with it: wait for it with `hostkit bake … --resume`")
                .into())
        }
    }
}

/// Fails where something could not be undone.
fn no_rest(left: &[undo::Left]) -> Result<(), Fault> {
    let Some(undo::Left { resource, failure }) = left.first() else { return Ok(()) };
    let name = resource.id.as_ref().unwrap_or(&resource.token);
    let what = format!("the {} {name} is still there: {failure}", resource.kind.name());
    Err(Fault::aws(what).hint("the image is made; `hostkit gc` removes the rest"))
}

/// The same digest is the same image: there is nothing to do.
async fn already_there(
    job: &Job<'_>,
    manifest: &Manifest,
    locked: &Image,
) -> anyhow::Result<Option<Built>> {
    let found = register::find(job.config, &manifest.digest).await;
    let found = found.called(|| "the images of this account cannot be looked up".to_owned())?;
    let kept = |there: &image::Image| there.tag(teardown::STATE_TAG) != Some(teardown::BUILDING);
    let Some(there) = found.filter(kept) else { return name_is_free(job, manifest).await };
    let known = Manifest::read(job.output, &job.plan.recipe, job.plan.target);
    let known = known.filter(|known| known.digest == manifest.digest);
    Ok(Some(Built {
        snapshots: there.snapshots(),
        image: there.id,
        name: there.name,
        manifest: known.unwrap_or_else(|| manifest.clone()),
        outcome: Outcome::Unchanged,
        locked: locked.clone(),
    }))
}

/// A name that another image has is found out before anything is made.
async fn name_is_free(job: &Job<'_>, manifest: &Manifest) -> anyhow::Result<Option<Built>> {
    let name = job.image_name(&manifest.digest);
    let there = image::by_name(job.config, &name).await;
    let Some(there) = there.called(|| format!("the name {name} cannot be looked up"))? else {
        return Ok(None);
    };
    let hint = if there.tag(name::DIGEST_TAG) == Some(&manifest.digest) {
        "another bake makes it, or left it: wait, `hostkit bake … --resume`, or `hostkit gc`"
    } else {
        "deregister it, or give the recipe another version"
    };
    Err(Fault::aws(format!("the name {name} belongs to {}", there.id)).hint(hint).into())
}

impl Job<'_> {
    fn header(&self, digest: &str) -> Header {
        Header {
            version: teardown::VERSION,
            build: self.build.to_owned(),
            recipe: self.plan.recipe.clone(),
            digest: digest.to_owned(),
            account: self.identity.account.clone(),
            region: region(self.config).to_owned(),
            endpoint_url: self.endpoint_url.map(str::to_owned),
            started: jiff::Timestamp::now(),
        }
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
        self.journals.join(format!("{}.manifest.json", self.build))
    }

    /// Where its bill of materials is kept.
    fn kept_bom(&self) -> Utf8PathBuf {
        self.journals.join(format!("{}.cdx.json", self.build))
    }

    fn keep_manifest(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(manifest).context("writing the manifest")?;
        self.keep_file(&self.kept_manifest(), &text)
    }

    fn keep_file(&self, path: &Utf8Path, bytes: &[u8]) -> anyhow::Result<()> {
        let written = atomic::write(path, bytes, 0o600);
        written.map(drop).with_context(|| {
            Fault::environment(format!("{} cannot be written to", self.journals))
        })
    }

    /// Removes what was kept for a bake that is carried on with.
    fn forget(&self) {
        for path in [self.kept_manifest(), self.kept_bom()] {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::debug!(%error, %path, "not removed");
            }
        }
    }

    fn tags(&self, manifest: &Manifest) -> Tags {
        let mut tags = name::building(manifest, self.build, &self.options.tags);
        tags.insert("Name".to_owned(), self.own_name());
        tags
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
    async fn run(&mut self, journal: &mut Journal) -> anyhow::Result<End> {
        let keys = Keys::make(self.job.build).await?;
        let remote = self.reach(&keys, journal).await?;
        let worked = self.work(&remote).await;
        if worked.is_err() && self.job.options.on_error == OnError::Shell {
            remote.shell(self.job.events).await;
        }
        worked?;
        self.make_image(&remote, journal).await
    }

    /// From nothing to an instance that lets us in.
    async fn reach(&mut self, keys: &Keys, journal: &mut Journal) -> anyhow::Result<Remote> {
        let Self { job, base, manifest, clock, .. } = self;
        let tags = job.tags(manifest);
        let launching = async {
            let subnets = launch::subnets(job).await?;
            let doors = doors::open(job, &subnets, keys, &tags, journal).await?;
            launch::launch(job, base, &subnets, &doors, keys, &tags, journal).await
        };
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
        let cleaning = work::clean(job, remote, locked.epoch);
        let cleaned = clock.phase("clean", "cleaning the builder", cleaning).await?;
        job.keep_file(&job.kept_bom(), cleaned.bom.as_bytes())?;
        manifest.packages = cleaned.packages;
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
