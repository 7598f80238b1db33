//! `hostkit gc`: what builds left on AWS that were killed.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::SignedDuration;
use serde::Serialize;

use super::cache::age;
use super::regions::Regions;
use super::table::table;
use crate::aws::operator::region;
use crate::error::Fault;
use crate::fleet::Outcome;
use crate::fleet::gc::{self, Finding, Found, Rule, Verdict};
use crate::teardown;
use crate::ui::{self, Format};

/// Remove from AWS what builds left that were killed
///
/// Shows what would be removed, and removes nothing without --yes. It looks for what is tagged
/// `hostkit:state=building`, and leaves alone what anything refers to, and every build of which
/// anything is younger than --older-than by AWS's own clock.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 6 if something could not be removed; all else is then gone.")]
pub struct Gc {
    /// Only builds of which everything is as old as this: 24h, 3d, or 0h for all
    #[arg(long, value_name = "AGE", value_parser = age, default_value = "24h")]
    older_than: Duration,
    /// This build alone, however old it is
    #[arg(long, value_name = "ID", conflicts_with = "older_than")]
    build: Option<String>,
    /// Remove it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    regions: Regions,
}

/// A part of a build, for programs.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// `hostkit gc`.
pub async fn run(args: &Gc, format: Format) -> anyhow::Result<ExitCode> {
    let folder = teardown::folder().ok();
    let known = folder.as_deref().zip(args.build.as_deref());
    let known = known.map(|(folder, build)| gc::regions_of(folder, build)).unwrap_or_default();
    let (configs, identity) = args.regions.sign_in(&known).await?;
    let older_than = SignedDuration::try_from(args.older_than)
        .map_err(|_| Fault::usage("--older-than is too long"))?;
    let rule = Rule { older_than, build: args.build.clone() };
    let mut found = gc::look(&configs, &identity, folder.as_deref(), &rule).await?;
    show(&found, format);
    let going = found.findings.iter().filter(|it| it.is_removal()).count();
    if !args.yes {
        if going > 0 {
            ui::note(&format!("{} would be removed: --yes removes", things(going)));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let outcomes = remove(&configs, &found, format).await;
    let failed: BTreeSet<_> =
        outcomes.iter().filter(|it| it.failure.is_some()).map(|it| it.id.as_str()).collect();
    let left = found.findings.iter().filter(|it| !it.is_removal() || failed.contains(&*it.id));
    let left = left.map(|it| it.build.clone()).collect();
    for build in found.journals.forget(&left)? {
        ui::note(&format!("the journal of {build} is removed: nothing is left of it"));
    }
    told(&outcomes, format)
}

async fn remove(configs: &[SdkConfig], found: &Found, format: Format) -> Vec<Outcome> {
    let (events, printer) = ui::start(format);
    let mut outcomes = Vec::new();
    for config in configs {
        outcomes.extend(gc::remove(config, &found.findings, &events).await);
    }
    drop(events);
    printer.finish().await;
    outcomes
}

fn show(found: &Found, format: Format) {
    for note in &found.notes {
        ui::note(note);
    }
    match format {
        Format::Json => {
            found.findings.iter().for_each(|finding| ui::json(&Line { version: 1, finding }));
        }
        Format::Human if found.findings.is_empty() => {
            ui::text("no build has left anything");
        }
        Format::Human => ui::text(&render(&found.findings)),
    }
}

fn render(findings: &[Finding]) -> String {
    let rows: Vec<_> = findings
        .iter()
        .map(|it| {
            let since = it.since.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
            let fate = match &it.verdict {
                Verdict::Remove => "goes".to_owned(),
                Verdict::Keep(reason) => format!("stays: {reason}"),
            };
            let kind = it.kind.name().to_owned();
            [
                kind,
                it.id.clone(),
                it.region.clone(),
                it.build.clone(),
                since.unwrap_or_default(),
                fate,
            ]
        })
        .collect();
    table(["KIND", "ID", "REGION", "BUILD", "SINCE (UTC)", ""], &rows)
}

/// Says what became of what was to be removed. What is still there is an error of AWS's.
pub(super) fn told(outcomes: &[Outcome], format: Format) -> anyhow::Result<ExitCode> {
    let failed: Vec<_> = outcomes.iter().filter(|it| it.failure.is_some()).collect();
    match format {
        Format::Json => outcomes.iter().for_each(|it| ui::json(&Told { version: 1, removal: it })),
        Format::Human => {
            for it in &failed {
                let why = it.failure.as_deref().unwrap_or_default();
                let (kind, region) = (it.kind.name(), &it.region);
                ui::note(&format!("the {kind} {} in {region} is still there: {why}", it.id));
            }
            ui::text(&format!("removed {}", things(outcomes.len() - failed.len())));
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let text = format!("{} of {} could not be removed", failed.len(), things(outcomes.len()));
    Err(Fault::aws(text).hint("the same command tries again").into())
}

/// What became of one thing, for programs.
#[derive(Serialize)]
struct Told<'a> {
    version: u32,
    removal: &'a Outcome,
}

fn things(count: usize) -> String {
    format!("{count} {}", if count == 1 { "thing" } else { "things" })
}

/// The regions of calls, for people.
pub(super) fn names(configs: &[SdkConfig]) -> String {
    configs.iter().map(region).collect::<Vec<_>>().join(" and ")
}
