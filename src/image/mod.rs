//! From a plan to an image: build one tree, clean it, pack it.
//!
//! [`bake`] is the table of contents. Nothing outside the output folder, the cache and one work
//! folder is written; the previous image stays until the new one is whole; whatever ends a bake,
//! its mounts and processes are gone and its work folder goes with it (or with the next bake).

pub mod checks;
pub mod disk;
mod existing;
mod growth;
pub mod grub;
pub mod hygiene;
pub mod layout;
pub mod manifest;
pub mod preflight;
pub mod sbom;
pub mod secrets;
pub mod tree;
pub mod workspace;

use std::time::Instant;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use self::hygiene::Terms;
use crate::apply::apply;
use crate::error::{Blamed as _, Fault};
use crate::event::{Events, Outcome};
use crate::plan::{Plan, Section};
use crate::secret::Secrets;
use crate::step::packages::installed_in;

pub use manifest::Manifest;

/// Where a bake takes from and puts to.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the finished images.
    pub output: Utf8PathBuf,
    /// What may be lost at any time: base trees, downloaded packages, work folders.
    pub cache: Utf8PathBuf,
    /// Bake even if the image is there, and from the newest packages.
    pub rebuild: bool,
}

/// What a bake came to.
#[derive(Clone, Debug)]
pub struct Baked {
    /// What the image is.
    pub manifest: Manifest,
    /// The disk.
    pub disk: Utf8PathBuf,
    /// Whether the image was there already.
    pub outcome: Outcome,
}

/// Bakes `plan` into a disk image and its manifest.
pub async fn bake(
    plan: &Plan,
    places: &Places,
    secrets: &Secrets,
    events: &Events,
) -> anyhow::Result<Baked> {
    if let Some(baked) = already_there(plan, places).filter(|_| !places.rebuild) {
        return Ok(baked);
    }
    let terms = Terms::of(plan)?;
    preflight::check(places).await?;
    std::fs::create_dir_all(&places.output)
        .with_context(|| Fault::environment(format!("{} cannot be made", places.output)))?;
    let work = workspace::Workspace::create(&places.cache)?;
    let mut clock = Clock::new(events);

    let base = tree::base(plan, &work, places, events);
    let host = clock.phase("base", "building the base tree", base).await?;
    clock.mark("steps");
    let late = plan.steps.partition_point(|planned| planned.section <= Section::Installed);
    let (foundation, late) = plan.steps.split_at(late);
    apply(foundation, &host, secrets, events).await?;
    let terms = terms.made(hygiene::identities(&host.root)?);
    apply(late, &host, secrets, events).await?;
    let packages = installed_in(&host.runner).await?;
    let cleaning = async { hygiene::clean(&host.root, &terms) };
    clock.phase("clean", "cleaning the tree", cleaning).await?;
    let packing = disk::pack(&host, plan, &work, events);
    let packed = clock.phase("pack", "packing the disk", packing).await?;

    let manifest = Manifest::new(plan, packages, &packed, clock.phases());
    let disk = manifest::publish(&manifest, &packed.path, &places.output).await?;
    Ok(Baked { manifest, disk, outcome: Outcome::Changed })
}

/// The same digest is the same image: there is nothing to do.
fn already_there(plan: &Plan, places: &Places) -> Option<Baked> {
    let manifest = Manifest::read(&places.output, &plan.recipe)?;
    let disk = places.output.join(&manifest.disk.file);
    let whole = std::fs::metadata(&disk).is_ok_and(|meta| meta.len() == manifest.disk.bytes);
    let same = whole && manifest.digest == plan.digest;
    same.then_some(Baked { manifest, disk, outcome: Outcome::Unchanged })
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
            self.phases.push((name, seconds));
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

/// The file name of a recipe's disk image.
fn disk_name(recipe: &str) -> String {
    format!("{recipe}.raw")
}

/// The directory that holds `path`.
fn directory_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().unwrap_or_else(|| Utf8Path::new("."))
}
