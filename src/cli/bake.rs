//! `hostkit bake`: from a recipe to an image.

use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use futures::FutureExt as _;
use indicatif::HumanBytes;
use serde::Serialize;

use super::bake_ami::{self, Ami, Build, Cloud, OnError, Published};
use super::bake_instance::{Builder, Order, Via};
use super::cache::{self, Place};
use super::lock::LockFile;
use super::which::{Planned, Product, Which, absolute};
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::image::ami::build::Made;
use crate::image::ami::name::Labels;
use crate::image::{self, Baked, Manifest, Places, Trial, checks, layers};
use crate::plan::Plan;
use crate::plan::lock::Image;
use crate::secret::Secrets;
use crate::ui::{self, Format};

/// Bakes a recipe into an image.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Where the image and its manifest go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: Utf8PathBuf,
    #[command(flatten)]
    place: Place,
    /// How large the cache may be after the bake
    #[arg(long, value_name = "SIZE", value_parser = cache::size, default_value = "20G")]
    cache_size: u64,
    /// Build everything anew, whatever is in the cache (downloaded packages are still used)
    #[arg(long)]
    no_cache: bool,
    /// Take today's packages, and move hostkit.lock to them
    #[arg(long)]
    update_lock: bool,
    /// Fail if hostkit.lock would have to change
    #[arg(long, conflicts_with = "update_lock")]
    locked: bool,
    /// What becomes of what was made when something fails: `cleanup` removes it, `keep` leaves it for
    /// --resume, `shell` opens a shell where a step failed
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    #[arg(hide_possible_values = true)]
    on_error: OnError,
    /// Boot the image and run its tests before it is published
    #[cfg(feature = "sim")]
    #[arg(long)]
    boot_test: bool,
    /// Write the disk as qcow2, too
    #[arg(long)]
    qcow2: bool,
    #[command(flatten)]
    ami: Ami,
    #[command(flatten)]
    builder: Builder,
}

/// `hostkit bake`.
pub async fn run(args: Args, format: Format) -> anyhow::Result<ExitCode> {
    let Planned { plan, secrets, .. } = args.which.plan()?.complete()?;
    let lock = LockFile::of(&args.which.recipe)?;
    let entry = lock.read()?.entry(&plan).cloned();
    if args.locked && entry.is_none() {
        return Err(lock.lacks(&plan).into());
    }
    let (events, printer) = ui::start(format);
    let (plan, entry) = (&plan, entry.as_ref());
    let work = Work { plan, entry, lock: &lock, secrets: &secrets, events: &events };
    let end = Box::pin(args.bake(work)).await;
    drop(events);
    printer.finish().await;
    let made = end?;
    if format == Format::Human {
        ui::text(&recap(&made, &args.output));
    }
    let told = match &made.published {
        Some((cloud, published)) => cloud.tell(published, &args.ami, &args.output, format),
        None => Ok(()),
    };
    if format == Format::Json {
        ui::json(&Line {
            outcome: made.outcome(),
            manifest: made.baked.as_ref().map(|baked| &baked.manifest),
            ami: made.ami.as_ref(),
        });
    }
    told.map(|()| ExitCode::SUCCESS)
}

/// What is baked.
#[derive(Clone, Copy)]
struct Work<'a> {
    plan: &'a Plan,
    /// What the image is locked to, if it is.
    entry: Option<&'a Image>,
    /// Where that is written down.
    lock: &'a LockFile,
    secrets: &'a Secrets,
    events: &'a Events,
}

/// What a bake came to.
struct Done {
    /// What is in the output folder; nothing where only AWS was asked.
    baked: Option<Baked>,
    /// What is on AWS, if that was wanted.
    ami: Option<Made>,
    /// Where it was published, and by whom.
    published: Option<(Cloud, Published)>,
}

impl Done {
    /// Whether anything is there that was not there before.
    fn outcome(&self) -> Outcome {
        let baked = self.baked.as_ref().is_some_and(|baked| baked.outcome == Outcome::Changed);
        // One that was built on an instance was not sent from here.
        let elsewhere = self.baked.as_ref().is_some_and(|baked| baked.manifest.disk.is_none());
        let ami = self.ami.as_ref().map(|made| made.sent.is_some() || elsewhere && baked);
        Outcome::changed(ami.unwrap_or(baked))
    }
}

impl Args {
    async fn bake(&self, work: Work<'_>) -> anyhow::Result<Done> {
        let Work { plan, lock, events, .. } = work;
        self.builder.check(plan, self.which.product() == Product::Ami)?;
        if self.which.product() != Product::Ami {
            self.ami.unused()?;
            let places = self.places()?;
            let baked = self.make(work, &places).await?;
            lock.keep(&baked.locked)?;
            return Ok(Done { baked: Some(baked), ami: None, published: None });
        }
        let cloud = self.ami.sign_in().await?;
        let (baked, made) = match self.builder.via {
            Via::Disk => self.as_disk(&cloud, work).await?,
            Via::Instance => self.on_instance(&cloud, work).await?,
        };
        let published = cloud.publish(&made, &self.ami, &self.output, events);
        let published = Box::pin(published).await?;
        // Encrypting makes another image of it.
        let made = published.home().map_or(made.clone(), |image| Made {
            image: image.id.clone(),
            name: image.name.clone(),
            snapshot: image.snapshots().into_iter().next(),
            ..made
        });
        Ok(Done { baked, ami: Some(made), published: Some((cloud, published)) })
    }

    /// Bakes into the output folder, until it is done or a person stops it.
    async fn make(&self, work: Work<'_>, places: &Places) -> anyhow::Result<Baked> {
        let Work { plan, entry, secrets, events, .. } = work;
        let trial = self.trial(events);
        tokio::select! {
            end = image::bake(plan, entry, places, secrets, events, trial).boxed_local() => end,
            () = super::stop_signal() => Err(Fault::interrupted().into()),
        }
    }

    /// Sends a disk that is baked here. The same digest is the same image, wherever it was baked: then
    /// there is nothing to do.
    async fn as_disk(
        &self,
        cloud: &Cloud,
        work: Work<'_>,
    ) -> anyhow::Result<(Option<Baked>, Made)> {
        let Work { plan, entry, lock, events, .. } = work;
        let known = entry.filter(|_| !self.no_cache && !self.update_lock);
        let digest = known.map(|entry| layers::image_digest(plan, entry));
        if let Some(digest) = &digest
            && let Some(made) = cloud.existing(digest, &self.ami, events).await?
        {
            return Ok((None, made));
        }
        let places = self.places()?;
        let baking = self.make(work, &places);
        let early = digest.map(|digest| Labels::planned(plan, digest));
        let (baked, build) = Box::pin(self.beside(cloud, early, baking, events)).await?;
        lock.keep(&baked.locked)?;
        let made = Box::pin(self.send(cloud, build, &baked, events)).await?;
        Ok((Some(baked), made))
    }

    /// Has the image made on an instance.
    async fn on_instance(
        &self,
        cloud: &Cloud,
        work: Work<'_>,
    ) -> anyhow::Result<(Option<Baked>, Made)> {
        let Work { plan, entry, lock, secrets, events } = work;
        self.ami.apart_from_disks()?;
        let given = [("--boot-test", self.is_boot_tested()), ("--qcow2", self.qcow2)];
        if let Some(option) = bake_ami::first(&given) {
            let fault = Fault::usage(format!("{option} is for disks that are baked here"));
            return Err(fault
                .hint("`hostkit apply` runs the recipe's tests on the builder")
                .into());
        }
        let order = Order {
            plan,
            locked: entry.filter(|_| !self.update_lock),
            frozen: self.locked,
            secrets,
            agent: self.which.agent_binary(),
            root_gib: self.ami.volume_size,
            patience: self.ami.patience,
            resumes: self.ami.resumes(),
            ami: &self.ami,
            on_error: self.on_error,
            output: &self.output,
            events,
        };
        let (baked, made) = Box::pin(self.builder.bake(cloud, &order)).await?;
        if let Some(baked) = &baked {
            lock.keep(&baked.locked)?;
        }
        Ok((baked, made))
    }

    /// Begins the snapshot of an image whose digest is known while it is being baked.
    async fn beside(
        &self,
        cloud: &Cloud,
        early: Option<Labels>,
        baking: impl Future<Output = anyhow::Result<Baked>>,
        events: &Events,
    ) -> anyhow::Result<(Baked, Option<Build>)> {
        let Some(labels) = early else { return Ok((baking.await?, None)) };
        let wish = self.ami.wish(cloud);
        let mut build = cloud.open(labels, self.ami.resumes(), events)?;
        let begin = cloud.begin_early(&mut build, &wish, events);
        match tokio::join!(baking, begin).0 {
            Ok(baked) => Ok((baked, Some(build))),
            Err(error) => Err(cloud.give_up(error, build, self.on_error, events).await),
        }
    }

    /// Makes an AMI of what was baked, unless it turns out to be there.
    async fn send(
        &self,
        cloud: &Cloud,
        build: Option<Build>,
        baked: &Baked,
        events: &Events,
    ) -> anyhow::Result<Made> {
        let manifest = &baked.manifest;
        let build = match build {
            Some(build) if build.digest() == manifest.digest => build,
            other => {
                if let Some(build) = other {
                    // It is another image than was thought: nothing of the build is of use.
                    cloud.discard(build, events).await?;
                }
                if let Some(made) = cloud.existing(&manifest.digest, &self.ami, events).await? {
                    return Ok(made);
                }
                cloud.open(Labels::of(manifest), self.ami.resumes(), events)?
            }
        };
        let wish = self.ami.wish(cloud);
        cloud.make(build, &wish, self.on_error, (manifest, &self.output), events).await
    }

    fn places(&self) -> anyhow::Result<Places> {
        Ok(Places {
            output: self.output.clone(),
            cache: absolute(&self.place.cache)?,
            cache_limit: self.cache_size,
            qcow2: self.qcow2,
            no_cache: self.no_cache,
            update_lock: self.update_lock,
            frozen: self.locked,
            epoch: epoch()?,
            shell_on_error: self.on_error == OnError::Shell,
        })
    }

    #[cfg(feature = "sim")]
    const fn is_boot_tested(&self) -> bool {
        self.boot_test
    }

    #[cfg(not(feature = "sim"))]
    const fn is_boot_tested(&self) -> bool {
        false
    }

    /// What the image must stand before it is published.
    #[cfg(feature = "sim")]
    fn trial(&self, events: &Events) -> Option<Trial> {
        let events = events.clone();
        let boot = |disk: Utf8PathBuf, manifest: Manifest| {
            async move {
                let options = crate::sim::vm::Options::new(disk.into_std_path_buf());
                checks::require(&super::test::boot(options, &manifest, &events).await?)
            }
            .boxed_local()
        };
        self.boot_test.then(|| Box::new(boot) as Trial)
    }

    #[cfg(not(feature = "sim"))]
    fn trial(&self, _: &Events) -> Option<Trial> {
        None
    }
}

/// Where a tree is built that is not made an image of.
pub(super) fn places(place: &Place) -> anyhow::Result<Places> {
    Ok(Places {
        output: Utf8PathBuf::from("."),
        cache: absolute(&place.cache)?,
        qcow2: false,
        cache_limit: u64::MAX,
        no_cache: false,
        update_lock: false,
        frozen: false,
        epoch: epoch()?,
        shell_on_error: true,
    })
}

/// The clock that the caller asks for, as reproducible builds do everywhere.
fn epoch() -> anyhow::Result<Option<i64>> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let epoch = text.parse().ok().filter(|epoch| *epoch >= 0);
    let epoch = epoch.ok_or_else(|| {
        Fault::usage(format!("SOURCE_DATE_EPOCH is `{text}`"))
            .hint("it is a number of seconds since 1970, or not set")
    })?;
    if epoch > jiff::Timestamp::now().as_second() {
        return Err(Fault::usage("SOURCE_DATE_EPOCH lies in the future")
            .hint("no file in an image is younger than it: a bake today could not be repeated")
            .into());
    }
    Ok(Some(epoch))
}

/// The last line of a bake, for programs.
#[derive(Serialize)]
struct Line<'a> {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ami: Option<&'a Made>,
}

fn recap(done: &Done, folder: &Utf8Path) -> String {
    let word = match done.outcome() {
        Outcome::Unchanged => "unchanged",
        _ => "baked",
    };
    let Some(baked) = &done.baked else {
        let ami = done.ami.as_ref().map(bake_ami::recap).unwrap_or_default();
        return format!("\n{word}\n{ami}");
    };
    let manifest = &baked.manifest;
    let mut text = format!(
        "\n{word}  {} {} ({})\n",
        manifest.recipe,
        manifest.image_version,
        &manifest.digest[..8.min(manifest.digest.len())]
    );
    text += &outputs(manifest, folder);
    text += &format!("  packages  {}\n", manifest.packages.len());
    if baked.outcome == Outcome::Changed {
        let total: f64 = manifest.phases.iter().map(|phase| phase.seconds).sum();
        let each = manifest.phases.iter().map(|p| format!("{} {:.1} s", p.name, p.seconds));
        text += &format!("  time      {total:.1} s: {}\n", each.collect::<Vec<_>>().join(", "));
    }
    text + &done.ami.as_ref().map(bake_ami::recap).unwrap_or_default()
}

/// What was made, and how large it is.
fn outputs(manifest: &Manifest, folder: &Utf8Path) -> String {
    let mut text = String::new();
    if let Some(disk) = &manifest.disk {
        let (all, used) = (HumanBytes(disk.bytes), HumanBytes(disk.allocated));
        text += &format!("  disk      {}  {all}, {used} of it used\n", folder.join(&disk.file));
        text += &format!("  digest    {}\n", disk.digest.as_deref().unwrap_or("unknown"));
        if let Some(changed) = disk.changed {
            text += &format!("  blocks    {}\n", super::images::in_blocks(changed));
        }
    }
    if let Some(qcow2) = &manifest.qcow2 {
        let (file, bytes) = (folder.join(&qcow2.file), HumanBytes(qcow2.bytes));
        text += &format!("  qcow2     {file}  {bytes}\n");
    }
    if let Some(oci) = &manifest.oci {
        let (place, bytes) = (folder.join(&oci.folder), HumanBytes(oci.bytes));
        text += &format!("  layout    {place}  {bytes}\n  manifest  {}\n", oci.digest);
    }
    text
}
