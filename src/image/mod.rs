//! From a plan to an image: build one tree, clean it, pack it.
//!
//! [`bake`] is the table of contents. Nothing outside the output folder, the cache and one work
//! folder is written; the previous image stays until the new one is whole; whatever ends a bake,
//! its mounts and processes are gone and its work folder goes with it (or with the next bake).

mod agreement;
pub mod ami;
pub mod archive;
mod base;
pub mod block_table;
pub mod blocks;
pub mod builder;
pub mod cache;
pub mod checks;
mod claim;
pub mod compare;
pub mod contents;
pub mod difference;
pub mod disk;
mod efi;
mod existing;
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
pub mod sbom;
pub mod secrets;
pub mod shell;
mod sparse;
mod stamp;
mod store;
pub mod tree;
pub mod upload;
pub mod workspace;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use futures::future::LocalBoxFuture;

use self::hygiene::Terms;
use self::sbom::Bom;
use crate::error::{Blamed as _, Fault};
use crate::event::{Events, Outcome};
use crate::plan::Plan;
use crate::plan::lock::Image;
use crate::plan::test::On;
use crate::secret::Secrets;

pub use manifest::Manifest;

/// Where a bake takes from and puts to, and what it may take from there.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
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
    /// Whether a step that fails opens a shell in its tree.
    pub shell_on_error: bool,
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

/// What an image must stand before it is published, if anything: given the packed disk and its
/// manifest.
pub type Trial =
    Box<dyn FnOnce(Utf8PathBuf, Manifest) -> LocalBoxFuture<'static, anyhow::Result<()>>>;

/// Bakes `plan` into a disk image and its manifest, from the packages that it is locked to.
pub async fn bake(
    plan: &Plan,
    locked: Option<&Image>,
    places: &Places,
    secrets: &Secrets,
    events: &Events,
    trial: Option<Trial>,
) -> anyhow::Result<Baked> {
    let locked = locked.filter(|_| !places.update_lock);
    if let Some(baked) = already_there(plan, locked, places).filter(|_| !places.no_cache) {
        // It may have been made without a trial, or for another one.
        let outputs = publish::published(&baked.manifest, &places.output);
        try_out(trial, &baked.manifest, &outputs).await?;
        return Ok(baked);
    }
    let terms = Terms::of(plan)?.mount_points(plan.immutable.clone());
    preflight::check(places).await?;
    std::fs::create_dir_all(&places.output)
        .with_context(|| Fault::environment(format!("{} cannot be made", places.output)))?;
    let stem = manifest::stem(&plan.recipe, plan.target);
    let _claim = claim::Claim::take(&places.output, &stem)?;
    publish::sweep(&places.output, &stem);
    let work = workspace::Workspace::create(&places.cache)?;
    let mut clock = Clock::new(events);

    let job = tree::Job { plan, terms: &terms, locked, places, secrets, work: &work, events };
    let mut made = match &plan.base.image {
        Some(image) => existing::make(&job, image, &mut clock).await?,
        None => from_packages(&job, &mut clock).await?,
    };
    let manifest =
        Manifest::new(plan, &layers::image_digest(plan, &made.locked), &made, clock.phases());
    try_out(trial, &manifest, &made.packed.outputs).await?;
    let outputs = std::mem::take(&mut made.packed.outputs);
    publish::publish(&manifest, outputs, &places.output).await?;
    cache::shrink(&places.cache, places.cache_limit, events);
    Ok(Baked { manifest, outcome: Outcome::Changed, locked: made.locked })
}

/// An image in the work folder, whatever it was made from.
#[derive(Clone, Debug)]
struct Made {
    packed: pack::Packed,
    /// The key of its foundation, if it has one.
    foundation: Option<String>,
    /// The clock of all programs that ran, in seconds since 1970.
    epoch: i64,
    /// The versions of all packages, by name.
    packages: BTreeMap<String, String>,
    /// The bill of materials.
    bom: manifest::File,
    /// What the next bake of it is locked to.
    locked: Image,
}

/// Builds a tree from packages and packs it.
async fn from_packages(job: &tree::Job<'_>, clock: &mut Clock<'_>) -> anyhow::Result<Made> {
    let tree::Job { plan, places, secrets, work, events, .. } = *job;
    let built = tree::build(job, clock).await.map_err(explain)?;
    let proving = prove(&built, plan, secrets, work, events);
    clock.phase("prove", "testing the tree", proving).await?;
    let bom = Bom::of_tree(&built.host, plan, built.epoch).await?;
    let packing = pack::pack(&built, plan, places, work, events);
    let mut packed = clock.phase("pack", "packing the image", packing).await?;
    pack::search(&packed, secrets)?;
    Ok(Made {
        bom: pack::add_bom(&bom, plan, work.path(), &mut packed)?,
        packed,
        foundation: Some(built.foundation_key.clone()),
        epoch: built.epoch,
        packages: built.packages.clone(),
        locked: built.locked.clone(),
    })
}

/// Puts a packed disk to the test that it must stand before it is published.
async fn try_out(
    trial: Option<Trial>,
    manifest: &Manifest,
    outputs: &[publish::Output],
) -> anyhow::Result<()> {
    let Some(trial) = trial else { return Ok(()) };
    let disk = manifest.disk.as_ref().map(|disk| &disk.file);
    let disk = outputs.iter().find(|output| Some(&output.name) == disk);
    let disk = disk.ok_or_else(|| Fault::usage("only a disk can be booted"))?;
    trial(disk.from.clone(), manifest.clone()).await
}

/// What must hold of a finished tree before it is packed.
async fn prove(
    built: &tree::Built,
    plan: &Plan,
    secrets: &Secrets,
    work: &workspace::Workspace,
    events: &Events,
) -> anyhow::Result<()> {
    let found = secrets::search_tree(built.host.root.path(), secrets)?;
    secrets::refuse("the image", &found)?;
    if plan.tests.iter().any(|test| test.on == On::Tree) {
        // What a test writes must not get into the image.
        let tree = built.throw_away(work.path())?;
        checks::in_tree(&plan.tests, &tree.host.runner, events).await?;
    }
    Ok(())
}

/// The same digest is the same image: there is nothing to do.
fn already_there(plan: &Plan, locked: Option<&Image>, places: &Places) -> Option<Baked> {
    let locked = locked?;
    let manifest = Manifest::read(&places.output, &plan.recipe, plan.target)?;
    let asked = !places.qcow2 || manifest.qcow2.is_some();
    let same = manifest.digest == layers::image_digest(plan, locked);
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
        end.map_err(explain).or_blame(|| Fault::step(format!("{title} failed")))
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

/// A disk without space is seen first by whoever writes next, which may be a program in the tree.
fn explain(error: anyhow::Error) -> anyhow::Error {
    let full = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>();
        let ours = io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull);
        ours || cause.to_string().contains("No space left on device")
    };
    if !error.chain().any(full) {
        return error;
    }
    error.context(
        Fault::environment("the disk is full")
            .hint("free some space, or name another place with --output or --cache"),
    )
}

/// The directory that holds `path`.
fn directory_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().unwrap_or_else(|| Utf8Path::new("."))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_image_that_is_there_already_is_tried_out_where_it_is() {
        let text = include_bytes!("../../tests/fixtures/manifests/first.json");
        let manifest = Manifest::parse(text).unwrap();
        let outputs = publish::published(&manifest, Utf8Path::new("/out"));
        let trial = |disk: Utf8PathBuf, _: Manifest| {
            async move { Err(anyhow::anyhow!("{disk} does not boot")) }.boxed_local()
        };
        let end = try_out(Some(Box::new(trial)), &manifest, &outputs).await;
        let error = end.unwrap_err().to_string();
        assert_eq!(error, "/out/jenkins-controller.raw does not boot");
    }
}
