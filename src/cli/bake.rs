//! `hostkit bake`: from a recipe to an image.

use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use futures::FutureExt as _;
use indicatif::HumanBytes;
use serde::Serialize;

use super::cache::{self, Place};
use super::lock::LockFile;
use super::which::{Planned, Which, absolute};
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::image::{self, Baked, Manifest, Places, Trial, checks};
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
    /// Open a shell in the tree when a step fails
    #[arg(long)]
    shell_on_error: bool,
    /// Boot the image and run its tests before it is published
    #[cfg(feature = "sim")]
    #[arg(long)]
    boot_test: bool,
    /// Write the disk as qcow2, too
    #[arg(long)]
    qcow2: bool,
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
    let trial = args.trial(&events);
    let places = Places {
        output: args.output,
        cache: absolute(&args.place.cache)?,
        cache_limit: args.cache_size,
        qcow2: args.qcow2,
        no_cache: args.no_cache,
        update_lock: args.update_lock,
        frozen: args.locked,
        epoch: epoch()?,
        shell_on_error: args.shell_on_error,
    };
    let output = places.output.clone();
    let end = tokio::select! {
        end = image::bake(&plan, entry.as_ref(), &places, &secrets, &events, trial) => end,
        () = super::stop_signal() => Err(Fault::interrupted().into()),
    };
    drop(events);
    printer.finish().await;
    let baked = end?;
    lock.keep(&baked.locked)?;
    match format {
        Format::Human => ui::text(&recap(&baked, &output)),
        Format::Json => ui::json(&Line { outcome: baked.outcome, manifest: &baked.manifest }),
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
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
    manifest: &'a Manifest,
}

fn recap(baked: &Baked, folder: &Utf8Path) -> String {
    let manifest = &baked.manifest;
    let word = match baked.outcome {
        Outcome::Unchanged => "unchanged",
        _ => "baked",
    };
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
    text
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
