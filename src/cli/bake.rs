//! `hostkit bake`: from a recipe to an image.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use indicatif::HumanBytes;
use serde::Serialize;

use super::which::{Planned, Which, absolute};
use crate::error::Fault;
use crate::event::Outcome;
use crate::image::{self, Baked, Manifest, Places};
use crate::ui::{self, Format};

/// Bakes a recipe into an image.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Where the image and its manifest go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: Utf8PathBuf,
    /// Where base trees and downloaded packages are kept
    #[arg(
        long,
        value_name = "DIR",
        env = "HOSTKIT_CACHE",
        hide_env_values = true,
        default_value = "/var/cache/hostkit"
    )]
    cache: Utf8PathBuf,
    /// Bake again even if nothing has changed, with the newest packages
    #[arg(long)]
    rebuild: bool,
}

/// `hostkit bake`.
pub async fn run(args: Args, format: Format) -> anyhow::Result<ExitCode> {
    let Planned { plan, secrets, .. } = args.which.plan()?.complete()?;
    let places =
        Places { output: args.output, cache: absolute(&args.cache)?, rebuild: args.rebuild };
    let (events, printer) = ui::start(format);
    let end = tokio::select! {
        end = image::bake(&plan, &places, &secrets, &events) => end,
        () = super::stop_signal() => Err(Fault::interrupted().into()),
    };
    drop(events);
    printer.finish().await;
    let baked = end?;
    match format {
        Format::Human => ui::text(&recap(&baked)),
        Format::Json => ui::json(&Line { outcome: baked.outcome, manifest: &baked.manifest }),
    }
    Ok(ExitCode::SUCCESS)
}

/// The last line of a bake, for programs.
#[derive(Serialize)]
struct Line<'a> {
    outcome: Outcome,
    manifest: &'a Manifest,
}

fn recap(baked: &Baked) -> String {
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
    text += &format!(
        "  disk      {}  {}, {} of it used\n  sha256    {}\n  packages  {}\n",
        baked.disk,
        HumanBytes(manifest.disk.bytes),
        HumanBytes(manifest.disk.allocated),
        manifest.disk.sha256,
        manifest.packages.len()
    );
    if baked.outcome == Outcome::Changed {
        let total: f64 = manifest.phases.iter().map(|phase| phase.seconds).sum();
        let each = manifest.phases.iter().map(|p| format!("{} {:.1} s", p.name, p.seconds));
        text += &format!("  time      {total:.1} s: {}\n", each.collect::<Vec<_>>().join(", "));
    }
    text
}
