//! `hostkit images prune`: images on AWS that nobody needs any more.

use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use clap::Args;
use futures::future::try_join_all;
use jiff::SignedDuration;
use serde::Serialize;

use crate::cli::cache::age;
use crate::cli::gc::{names, told};
use crate::cli::regions::Regions;
use crate::cli::table::table;
use crate::error::Fault;
use crate::fleet::prune::{self, Decision, Found, Rule, Verdict};
use crate::ui::{self, Format};

/// `hostkit images prune`
#[derive(Debug, Args)]
#[command(
    after_help = "What anything refers to stays: a launch template's $Default, $Latest or a \
    version that a group or an instance uses, an instance, a pointer, what serves, what served \
    before. So does what is protected.\n\n\
    Ends with 6 if something could not be removed; all else is then gone."
)]
pub struct Prune {
    /// Images of this recipe
    #[arg(required_unless_present = "all")]
    recipe: Option<String>,
    /// Images of all recipes
    #[arg(long, conflicts_with = "recipe")]
    all: bool,
    /// So many of the newest stay, of each recipe and processor
    #[arg(long, value_name = "N", default_value_t = 3)]
    keep: usize,
    /// Only what is older than this: a number of days, or 12h
    #[arg(long, value_name = "DAYS", value_parser = days)]
    older_than: Option<Duration>,
    /// Also images that other accounts may launch
    #[arg(long)]
    include_shared: bool,
    /// Remove them
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    regions: Regions,
}

/// A verdict, for programs.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    region: &'a str,
    #[serde(flatten)]
    decision: &'a Decision,
}

/// Runs it.
pub(super) async fn run(args: &Prune, format: Format) -> anyhow::Result<ExitCode> {
    let rule = args.rule()?;
    let (configs, _) = args.regions.sign_in(&[].into()).await?;
    let found = try_join_all(configs.iter().map(|config| prune::look(config, &rule))).await?;
    show(&found, &configs, &rule, format);
    let summary = Summary::of(&found);
    if args.yes && summary.images > 0 {
        return remove(&configs, &found, format).await;
    }
    if summary.images > 0 {
        ui::note(&format!("{summary} would be removed: --yes removes"));
    } else if format == Format::Human {
        ui::text("nothing is to be removed");
    }
    Ok(ExitCode::SUCCESS)
}

impl Prune {
    fn rule(&self) -> Result<Rule, Fault> {
        let older_than = self.older_than.map(SignedDuration::try_from).transpose();
        Ok(Rule {
            recipe: self.recipe.clone(),
            keep: self.keep,
            older_than: older_than.map_err(|_| Fault::usage("--older-than is too long"))?,
            include_shared: self.include_shared,
        })
    }
}

async fn remove(
    configs: &[SdkConfig],
    found: &[Found],
    format: Format,
) -> anyhow::Result<ExitCode> {
    let (events, printer) = ui::start(format);
    let mut outcomes = Ok(Vec::new());
    for (config, found) in configs.iter().zip(found) {
        let removed = prune::remove(config, &found.region, &found.decisions, &events).await;
        outcomes = outcomes.and_then(|mut all: Vec<_>| {
            all.extend(removed?);
            Ok::<_, Fault>(all)
        });
    }
    drop(events);
    printer.finish().await;
    told(&outcomes?, format)
}

fn show(found: &[Found], configs: &[SdkConfig], rule: &Rule, format: Format) {
    for note in found.iter().flat_map(|found| &found.notes) {
        ui::note(note);
    }
    let decisions =
        || found.iter().flat_map(|at| at.decisions.iter().map(|it| (at.region.as_str(), it)));
    match format {
        Format::Json => decisions()
            .for_each(|(region, decision)| ui::json(&Line { version: 1, region, decision })),
        Format::Human if decisions().next().is_none() => {
            let recipe = rule.recipe.as_ref().map(|it| format!(" of the recipe `{it}`"));
            let recipe = recipe.unwrap_or_default();
            ui::text(&format!("there are no images{recipe} in {}", names(configs)));
        }
        Format::Human => ui::text(&render(decisions())),
    }
}

fn render<'a>(decisions: impl Iterator<Item = (&'a str, &'a Decision)>) -> String {
    let rows: Vec<_> = decisions
        .map(|(region, it)| {
            let made = it.created.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
            let fate = match &it.verdict {
                Verdict::Remove { snapshots, .. } if snapshots.is_empty() => {
                    "goes; its snapshot stays".to_owned()
                }
                Verdict::Remove { gib, .. } => format!("goes, frees up to {gib} GiB"),
                Verdict::Keep(reason) => format!("stays: {reason}"),
            };
            let (recipe, version) = (it.recipe.clone(), it.image_version.clone());
            let (arch, region) = (it.arch.clone(), region.to_owned());
            [recipe, version, arch, it.image.clone(), region, made.unwrap_or_default(), fate]
        })
        .collect();
    table(["RECIPE", "VERSION", "ARCH", "IMAGE", "REGION", "MADE (UTC)", ""], &rows)
}

/// How much goes.
struct Summary {
    images: usize,
    snapshots: usize,
    gib: u64,
}

impl Summary {
    fn of(found: &[Found]) -> Self {
        let mut all = Self { images: 0, snapshots: 0, gib: 0 };
        for decision in found.iter().flat_map(|found| &found.decisions) {
            if let Verdict::Remove { snapshots, gib } = &decision.verdict {
                all.images += 1;
                all.snapshots += snapshots.len();
                all.gib += gib;
            }
        }
        all
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { images, snapshots, gib } = self;
        let many = |count: &usize| if *count == 1 { "" } else { "s" };
        write!(
            f,
            "{images} image{} with {snapshots} snapshot{} of up to {gib} GiB",
            many(images),
            many(snapshots)
        )
    }
}

/// A number of days, or a time as `30d` or `12h`.
fn days(text: &str) -> Result<Duration, String> {
    let whole = text.bytes().all(|digit| digit.is_ascii_digit()) && !text.is_empty();
    if whole { age(&format!("{text}d")) } else { age(text) }
}
