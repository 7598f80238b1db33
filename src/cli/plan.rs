//! `hostkit plan`: what a recipe comes to, without doing it.

use std::process::ExitCode;

use super::which::Which;
use crate::plan::Plan;
use crate::ui::{self, Format};

/// Shows what a recipe comes to, without doing it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// `hostkit plan`.
pub fn run(args: &Args, format: Format) -> anyhow::Result<ExitCode> {
    let plan = args.which.plan()?.plan;
    match format {
        Format::Json => ui::json(&plan),
        Format::Human => ui::text(&describe(&plan)),
    }
    Ok(ExitCode::SUCCESS)
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
