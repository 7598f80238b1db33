//! From a plan to an image: build one tree, clean it, pack it.
//!
//! [`bake`] is the table of contents. Nothing outside the output folder, the cache and one work
//! folder is written; the previous image stays until the new one is whole; whatever ends a bake,
//! its mounts and processes are gone and its work folder goes with it (or with the next bake).

pub mod archive;
mod base;
pub mod blocks;
pub mod cache;
mod claim;
pub mod compare;
pub mod contents;
pub mod difference;
pub mod disk;
mod efi;
mod ext4;
pub mod files;
mod firmware;
mod foundation;
mod growth;
pub mod grub;
pub mod hygiene;
mod keystore;
pub mod layers;
pub mod layout;
pub mod manifest;
mod oci;
mod pack;
mod parallel;
pub mod preflight;
pub mod publish;
mod sparse;
mod stamp;
mod store;
pub mod tree;
pub mod workspace;

use std::time::Instant;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Blamed as _, Fault};
use crate::event::{Events, Outcome};
use crate::plan::Plan;
use crate::plan::lock::Image;
use crate::secret::Secrets;

pub use manifest::Manifest;

/// Where a bake takes from and puts to, and what it may take from there.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the finished images.
    pub output: Utf8PathBuf,
    /// What may be lost at any time: layers, downloaded packages, work folders.
    pub cache: Utf8PathBuf,
    /// Whether a disk is made as qcow2, too.
    pub qcow2: bool,
    /// How large the cache may be after a bake, in bytes.
    pub cache_limit: u64,
    /// Build every layer, whatever is in the cache, and an image that is there already.
    pub no_cache: bool,
    /// Take today's packages instead of those in the lock.
    pub update_lock: bool,
    /// Fail if the lock would have to change.
    pub frozen: bool,
    /// The clock of a bake that has none in the lock: seconds since 1970.
    pub epoch: Option<i64>,
}

/// What a bake came to.
#[derive(Clone, Debug)]
pub struct Baked {
    /// What the image is.
    pub manifest: Manifest,
    /// Whether the image was there already.
    pub outcome: Outcome,
    /// What the next bake of it is locked to.
    pub locked: Image,
}

/// Bakes `plan` into a disk image and its manifest, from the packages that it is locked to.
pub async fn bake(
    plan: &Plan,
    locked: Option<&Image>,
    places: &Places,
    secrets: &Secrets,
    events: &Events,
) -> anyhow::Result<Baked> {
    let locked = locked.filter(|_| !places.update_lock);
    if let Some(baked) = already_there(plan, locked, places).filter(|_| !places.no_cache) {
        return Ok(baked);
    }
    preflight::check(places).await?;
    std::fs::create_dir_all(&places.output)
        .with_context(|| Fault::environment(format!("{} cannot be made", places.output)))?;
    let _claim = claim::Claim::take(&places.output, &manifest::stem(&plan.recipe, plan.target))?;
    let work = workspace::Workspace::create(&places.cache)?;
    let mut clock = Clock::new(events);

    let job = tree::Job { plan, locked, places, secrets, work: &work, events };
    let built = tree::build(&job, &mut clock).await?;
    let packing = pack::pack(&built, plan, places, &work, events);
    let packed = clock.phase("pack", "packing the image", packing).await?;

    let locked = built.locked.clone();
    let manifest = Manifest::new(plan, &locked.digest(plan), &built, &packed, clock.phases());
    publish::publish(&manifest, packed.outputs, &places.output).await?;
    cache::shrink(&places.cache, places.cache_limit, events);
    Ok(Baked { manifest, outcome: Outcome::Changed, locked })
}

/// The same digest is the same image: there is nothing to do.
fn already_there(plan: &Plan, locked: Option<&Image>, places: &Places) -> Option<Baked> {
    let locked = locked?;
    let manifest = Manifest::read(&places.output, &plan.recipe, plan.target)?;
    let asked = !places.qcow2 || manifest.qcow2.is_some();
    let same = manifest.digest == locked.digest(plan);
    let locked = locked.clone();
    (asked && same && manifest.is_whole(&places.output)).then_some(Baked {
        manifest,
        outcome: Outcome::Unchanged,
        locked,
    })
}

/// Times the phases of a bake and says them.
struct Clock<'a> {
    events: &'a Events,
    phases: Vec<(String, f64)>,
    since: Instant,
    open: Option<String>,
}

impl<'a> Clock<'a> {
    fn new(events: &'a Events) -> Self {
        Self { events, phases: Vec::new(), since: Instant::now(), open: None }
    }

    /// Runs one phase: said when it starts, said how it ended.
    async fn phase<T>(
        &mut self,
        name: &str,
        title: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.mark(name);
        self.events.started(name, title);
        let end = work.await;
        let outcome = match &end {
            Ok(_) => Outcome::Changed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        self.events.finished(name, outcome, self.since.elapsed());
        end.map_err(|error| if is_full(&error) { error.context(disk_full()) } else { error })
            .or_blame(|| Fault::step(format!("{title} failed")))
    }

    /// Begins a phase and ends the one before.
    fn mark(&mut self, name: &str) {
        self.close();
        self.open = Some(name.to_owned());
        self.since = Instant::now();
    }

    fn close(&mut self) {
        if let Some(name) = self.open.take() {
            let seconds = (self.since.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
            match self.phases.iter_mut().find(|(phase, _)| *phase == name) {
                Some((_, sum)) => *sum += seconds,
                None => self.phases.push((name, seconds)),
            }
        }
    }

    fn phases(mut self) -> Vec<(String, f64)> {
        self.close();
        self.phases
    }
}

fn disk_full() -> Fault {
    Fault::environment("the disk is full")
        .hint("free some space, or name another place with --output or --cache")
}

/// Whether an error comes from a disk without space.
fn is_full(error: &anyhow::Error) -> bool {
    let full = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
    };
    error.chain().any(full)
}

/// The directory that holds `path`.
fn directory_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().unwrap_or_else(|| Utf8Path::new("."))
}
