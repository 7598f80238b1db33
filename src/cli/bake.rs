//! `hostkit bake` and `hostkit plan`: from a recipe to a plan, and from a plan to an image.

use std::process::ExitCode;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::digest::sha256_of;
use crate::error::Fault;
use crate::event::Outcome;
use crate::image::{self, Baked, Manifest, Places};
use crate::plan::{self, Inputs, Plan};
use crate::recipe::assets::Assets;
use crate::recipe::{Recipe, Vars, load};
use crate::secret::Secrets;
use crate::ui::{self, Format};

/// What says which plan is meant.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The name of a recipe, or the path of one that ends in .toml
    recipe: String,
    /// Sets a variable of the recipe
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    var: Vec<(String, String)>,
    /// What is made: a bootable disk image (`disk`)
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    target: Target,
}

/// What is made of the tree.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Target {
    /// A bootable disk image
    #[default]
    Disk,
}

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

/// Shows what a recipe comes to, without doing it.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    #[command(flatten)]
    which: Which,
}

/// `hostkit bake`.
pub async fn run(args: Args, format: Format) -> anyhow::Result<ExitCode> {
    let plan = make_plan(&args.which)?;
    let places =
        Places { output: args.output, cache: absolute(&args.cache)?, rebuild: args.rebuild };
    let secrets = Secrets::default();
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

/// `hostkit plan`.
pub fn show(args: &PlanArgs, format: Format) -> anyhow::Result<ExitCode> {
    let plan = make_plan(&args.which)?;
    match format {
        Format::Json => ui::json(&plan),
        Format::Human => ui::text(&describe(&plan)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads everything that planning needs, and plans.
fn make_plan(which: &Which) -> anyhow::Result<Plan> {
    let assets = Assets::new(absolute(Utf8Path::new("."))?);
    let loaded = load(&which.recipe, &assets)?;
    // A variable of the environment that is not text cannot be one of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let vars = Vars::resolve(&loaded.recipe.vars, &which.var, environment)?;
    let recipe = vars.fill(&loaded.recipe)?;
    recipe.check()?;
    let inputs = read_inputs(&recipe, &assets)?;
    plan::plan(&recipe, &vars, &inputs)
}

fn read_inputs(recipe: &Recipe, assets: &Assets) -> anyhow::Result<Inputs> {
    let mut inputs = Inputs {
        arch: "amd64".to_owned(),
        target: "disk".to_owned(),
        agent_sha256: sha256_of(Utf8Path::new("/proc/self/exe")).context("reading hostkit")?,
        ..Inputs::default()
    };
    for name in plan::named_files(recipe) {
        let asset = assets.find(name);
        let asset = asset.with_context(|| Fault::recipe(format!("{name} cannot be read")))?;
        if let Some(asset) = asset {
            inputs.assets.insert(name.clone(), asset);
        }
    }
    for path in Assets::shipped("templates/") {
        let asset = assets.find(path)?.context("a shipped file is always there")?;
        let name = path.trim_start_matches("templates/").to_owned();
        inputs.boot_templates.insert(name, asset);
    }
    for name in plan::local_files(recipe) {
        let path = assets.on_disk(name);
        let sha256 = sha256_of(&path).with_context(|| {
            Fault::recipe(format!("the package file {name} cannot be read"))
                .hint("a package is a name, name=version, or a path relative to this folder")
        })?;
        inputs.package_files.insert(name.clone(), (path.into_string(), sha256));
    }
    Ok(inputs)
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

fn describe(plan: &Plan) -> String {
    let mut text = format!(
        "{} {} on {}:{} ({})\n",
        plan.recipe,
        plan.image_version,
        plan.base.distribution,
        plan.base.suite,
        plan.short_digest()
    );
    for (n, planned) in plan.steps.iter().enumerate() {
        text += &format!("{:>4}  {}\n", n + 1, planned.step.title());
    }
    text
}

fn absolute(path: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    camino::absolute_utf8(path).with_context(|| format!("finding {path}"))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("wanted NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
