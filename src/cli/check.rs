//! `hostkit check`: everything that is wrong with recipes, at once and offline.

use std::process::ExitCode;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum as _;
use serde::Serialize;

use super::which::{Settings, absolute};
use crate::error::{self, Blame, Fault};
use crate::host;
use crate::image::hygiene::{self, Violation};
use crate::plan;
use crate::recipe::assets::Assets;
use crate::recipe::platform::{Arch, Target};
use crate::recipe::problem::Severity;
use crate::recipe::vars::STAND_IN;
use crate::recipe::{self, Pinned, Problem, Reading, Recipe};
use crate::step::openpgp::{Outlook, outlook};
use crate::ui::{self, Format};

/// Looks for everything that is wrong with recipes, offline.
///
/// Ends with 3 if there is an error. Warnings are no errors. A variable that nobody has set is no
/// error here: what needs it is told, and what depends on its value is not checked.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("arch", |arch| arch.help("The processor that is looked at; all if not given")),
    mut_arg("target", |target| target.help("The target that is looked at; all if not given"))
)]
pub struct Args {
    /// Names of recipes, or paths that end in .toml; if none is given, all of the project, or else those that are shipped
    recipes: Vec<String>,
    /// A host.toml, or the user-data of an instance, that is looked at instead of recipes
    #[arg(long, value_name = "FILE", conflicts_with = "recipes")]
    host: Option<Utf8PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// `hostkit check`.
pub async fn run(args: &Args, format: Format) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.host {
        let checked = host_file(path)?;
        show(&checked, format);
        return Ok(verdict(checked.errors));
    }
    let assets = Assets::new(absolute(Utf8Path::new("."))?);
    let names =
        if args.recipes.is_empty() { assets.own_or_shipped() } else { args.recipes.clone() };
    let mut errors = 0;
    for name in &names {
        let checked = check(name, &assets, &args.settings).await?;
        errors += checked.errors;
        show(&checked, format);
    }
    Ok(verdict(errors))
}

fn show(checked: &Checked, format: Format) {
    match format {
        Format::Human => ui::text(&checked.describe()),
        Format::Json => ui::json(checked),
    }
}

fn verdict(errors: usize) -> ExitCode {
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(Blame::Recipe.exit_code()) }
}

/// What is wrong with one layer of what a host is told. What is missing may be in another layer.
fn host_file(path: &Utf8Path) -> anyhow::Result<Checked> {
    let text = std::fs::read_to_string(path)
        .with_context(|| Fault::environment(format!("{path} cannot be read")))?;
    let (config, mut problems) = recipe::read_host(path.as_str(), &text);
    let errors = problems.iter().filter(|it| it.severity == Severity::Error).count();
    let missing = if errors == 0 { host::missing(&config) } else { Vec::new() };
    problems.extend(missing.iter().map(|it| {
        let hint = format!("{}: here, or in the other of host.toml and user-data", it.hint);
        Problem::warning(it.what).hint(hint)
    }));
    Ok(Checked {
        version: crate::report::VERSION,
        recipe: path.to_string(),
        errors,
        warnings: problems.len() - errors,
        needs: Vec::new(),
        problems: problems.iter().map(Line::new).collect(),
    })
}

/// What is wrong with one recipe.
#[derive(Serialize)]
struct Checked {
    version: u32,
    recipe: String,
    errors: usize,
    warnings: usize,
    problems: Vec<Line>,
    /// The variables that a bake must set.
    needs: Vec<String>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "a line of a file is called so")]
struct Line {
    severity: Severity,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

async fn check(name: &str, assets: &Assets, settings: &Settings) -> anyhow::Result<Checked> {
    let mut read = recipe::read(name, assets, &settings.given(true)?);
    if read.errors() == 0
        && let Some(recipe) = read.recipe.take()
    {
        let planning = planning(&recipe, &read, assets, settings);
        read.problems.extend(planning);
    }
    let keys = keys(&read, assets).await;
    read.problems.extend(keys);
    let known: Vec<_> = read.secrets.iter().map(|(name, _)| name).collect();
    let secrets = read.vars.secrets().filter(|name| !known.contains(name));
    Ok(Checked {
        version: crate::report::VERSION,
        recipe: name.to_owned(),
        errors: read.errors(),
        warnings: read.problems.len() - read.errors(),
        needs: read.vars.stand_ins().chain(secrets).map(str::to_owned).collect(),
        problems: read.problems.iter().map(Line::new).collect(),
    })
}

/// What only planning finds, for every processor and everything that can be made.
fn planning(recipe: &Recipe, read: &Reading, assets: &Assets, settings: &Settings) -> Vec<Problem> {
    let arches = settings.arch.map_or_else(|| Arch::value_variants().to_vec(), |arch| vec![arch]);
    let targets = settings
        .target
        .map_or_else(|| Target::value_variants().to_vec(), |product| vec![product.target()]);
    let mut problems = Vec::new();
    for arch in arches {
        for &target in &targets {
            let inputs = plan::Inputs { arch, target, ..plan::Inputs::default() };
            let planned = Settings::read_files(inputs, recipe, assets)
                .and_then(|inputs| plan::plan(recipe, &read.vars, &inputs));
            let found = match planned {
                Ok(plan) => refused(&plan, read),
                Err(error) => {
                    let hint = error::fault(&error).and_then(error::Fault::hint_text);
                    let message = format!("{error:#}");
                    vec![Problem::error(message).hint(hint.map(str::to_owned))]
                }
            };
            for problem in found {
                if !problem.message.contains(STAND_IN) && !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
    }
    problems
}

/// What no bake would put into an image.
fn refused(plan: &plan::Plan, read: &Reading) -> Vec<Problem> {
    let refused = hygiene::refused(plan).into_iter();
    let problems = refused.map(|Violation { path, why }| {
        let place = read.put.iter().find(|(put, _)| *put == path).map(|(_, place)| place.clone());
        let message = format!("no image may hold {path}: {why}");
        Problem::error(message).at(place).hint(hygiene::AT_BOOT.to_owned())
    });
    problems.collect()
}

/// What is wrong with the pinned keys that are files of this machine. Others cannot be looked at
/// without the network.
async fn keys(read: &Reading, assets: &Assets) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Pinned { url, fingerprint, place } in &read.pinned {
        let Some(path) = url.strip_prefix("file:") else { continue };
        let path = path.strip_prefix("//").unwrap_or(path);
        let file = assets.on_disk(path);
        if !file.is_file() {
            problems.push(Problem::error(format!("there is no file {path}")).at(place.clone()));
            continue;
        }
        let problem = match outlook(&file, fingerprint).await {
            Ok(Outlook::Good) => continue,
            Ok(Outlook::Soon(days)) => Problem::warning(format!("this key expires in {days} days"))
                .hint(
                    "ask its owner for the next one, and pin both while both are in use".to_owned(),
                ),
            Ok(Outlook::Refused(why)) => Problem::error(format!("this key is refused: {why}"))
                .hint(format!("pinned is {fingerprint}")),
            Err(error) => Problem::warning(format!("this key was not checked: {error:#}")),
        };
        problems.push(problem.at(place.clone()));
    }
    problems
}

impl Line {
    fn new(problem: &Problem) -> Self {
        let place = problem.place.as_ref();
        Self {
            severity: problem.severity,
            message: problem.message.clone(),
            file: place.map(|place| place.file.clone()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            excerpt: place.and_then(recipe::problem::Place::excerpt),
            hint: problem.hint.clone(),
        }
    }

    fn describe(&self) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut text = format!("{word}: {}\n", self.message);
        if let (Some(file), Some(line), Some(column)) = (&self.file, self.line, self.column) {
            text += &format!("  --> {file}:{line}:{column}\n");
        }
        if let Some(excerpt) = &self.excerpt {
            text += &format!("{excerpt}\n");
        }
        if let Some(hint) = &self.hint {
            text += &format!("  hint: {hint}\n");
        }
        text + "\n"
    }
}

impl Checked {
    fn describe(&self) -> String {
        let mut text: String = self.problems.iter().map(Line::describe).collect();
        let counted = |n: usize, what: &str| match n {
            0 => None,
            1 => Some(format!("1 {what}")),
            n => Some(format!("{n} {what}s")),
        };
        let counts = [counted(self.errors, "error"), counted(self.warnings, "warning")];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        let verdict = if counts.is_empty() { "ok".to_owned() } else { counts.join(", ") };
        text += &format!("{}: {verdict}", self.recipe);
        if !self.needs.is_empty() {
            text += &format!(" (a bake must set {})", self.needs.join(", "));
        }
        text + "\n"
    }
}
