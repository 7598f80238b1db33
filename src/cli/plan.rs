//! `hostkit plan`: what a bake would do, without doing it.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::cache::Place;
use super::lock::LockFile;
use super::which::Which;
use crate::image::Manifest;
use crate::image::hygiene::Terms;
use crate::image::layers::{self, Part};
use crate::plan::{Changes, Plan, Section};
use crate::step::Step;
use crate::ui::{self, Format};

/// How a plan ends that would change something.
const WOULD_CHANGE: u8 = 10;

/// Shows what a bake would do, without doing it.
///
/// Ends with 0 if the image is there already and a bake would do nothing, with 10 if it would do
/// something.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Where the last image is that the plan is compared with
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: Utf8PathBuf,
    #[command(flatten)]
    place: Place,
    /// Shows the text of scripts
    #[arg(short = 'v', long)]
    scripts: bool,
    /// Shows only what changed since the last image
    #[arg(long)]
    changes: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    recipe: &'a str,
    digest: &'a str,
    /// Whether there is an image to compare with.
    compared: bool,
    #[serde(flatten)]
    changes: &'a Changes,
    /// Which layers of the tree are in the cache.
    layers: &'a [layers::Status],
}

/// `hostkit plan`.
pub fn run(args: &Args, format: Format) -> anyhow::Result<ExitCode> {
    let plan = args.which.plan()?.plan;
    Terms::of(&plan)?;
    let lock = LockFile::of(&args.which.recipe)?.read()?;
    let locked = lock.entry(&plan);
    let last = Manifest::read(&args.output, &plan.recipe, plan.target);
    let digest = locked.map(|locked| layers::image_digest(&plan, locked));
    let is_there = last.as_ref().is_some_and(|last| Some(&last.digest) == digest.as_ref());
    let layers = layers::status(&plan, locked, &args.place.cache);
    let changes = last.as_ref().map(|last| plan.changes_since(&last.steps));
    match format {
        Format::Json if args.changes => ui::json(&Line {
            version: crate::report::VERSION,
            recipe: &plan.recipe,
            digest: &plan.digest,
            compared: changes.is_some(),
            changes: &changes.unwrap_or_default(),
            layers: &layers,
        }),
        Format::Json => ui::json(&plan),
        Format::Human => {
            let steps =
                if args.changes { String::new() } else { steps(&plan, &layers, args.scripts) };
            ui::text(&(steps + &verdict(is_there, changes.as_ref(), &args.output)));
        }
    }
    Ok(if is_there { ExitCode::SUCCESS } else { ExitCode::from(WOULD_CHANGE) })
}

fn steps(plan: &Plan, layers: &[layers::Status], scripts: bool) -> String {
    let cached = |part| {
        if layers.iter().any(|layer| layer.part == part && layer.cached) {
            "  (in the cache)"
        } else {
            ""
        }
    };
    let mut text = format!(
        "{} {} on {}:{} for {}, as {} ({})\n",
        plan.recipe,
        plan.image_version,
        plan.base.distribution,
        plan.base.suite,
        plan.base.arch,
        plan.target,
        plan.short_digest()
    );
    text += &format!("base{}\n", cached(Part::Base));
    let mut section: Option<Section> = None;
    for (n, planned) in plan.steps.iter().enumerate() {
        if section.replace(planned.section) != Some(planned.section) {
            let section = planned.section;
            text += &format!("{section}{}\n", cached(Part::Section(section)));
        }
        text += &format!("{:>4}  {}\n", n + 1, planned.step.title());
        if let Step::Script(script) = &planned.step
            && scripts
        {
            for line in script.run.lines() {
                text += &format!("      | {line}\n");
            }
        }
    }
    if !plan.tests.is_empty() {
        text += "tests\n";
        for test in &plan.tests {
            text += &format!("      {} (on {})\n", test.name, test.on);
        }
    }
    text + "\n"
}

fn verdict(is_there: bool, changes: Option<&Changes>, folder: &Utf8PathBuf) -> String {
    let Some(changes) = changes else {
        return format!("there is no image of it in {folder}: a bake would make one\n");
    };
    if is_there {
        return format!("the image in {folder} is this one: a bake would do nothing\n");
    }
    let mut text = format!("since the image in {folder}:\n");
    for (sign, list) in [('+', &changes.added), ('-', &changes.removed), ('~', &changes.changed)] {
        for id in list {
            text += &format!("  {sign} {id}\n");
        }
    }
    if changes.is_empty() {
        text += "  no step changed: it is another base, version, hostkit or choice of packages\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_says_what_changed() {
        let changes = Changes {
            added: vec!["file:/etc/motd".into(), "packages.install:htop".into()],
            removed: vec!["script:git".into()],
            changed: vec!["unit:a.service".into()],
        };
        let out = Utf8PathBuf::from("out");
        let all = [
            verdict(false, None, &out),
            verdict(true, Some(&Changes::default()), &out),
            verdict(false, Some(&Changes::default()), &out),
            verdict(false, Some(&changes), &out),
        ];
        insta::assert_snapshot!(all.concat());
    }
}
