//! `hostkit asg`: whether an Auto Scaling group is fit for what it holds.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::aws::Aws;
use crate::doctor::group::{Asked, check, read};
use crate::doctor::{Finding, Verdict, render, worst};
use crate::error::Blame;
use crate::host::Role;
use crate::ui::{self, Format};

/// The verbs of `hostkit asg`.
#[derive(Debug, Subcommand)]
pub enum Asg {
    /// Look for everything in a group that would harm what it holds
    ///
    /// Changes nothing. Each thing that is wrong comes with what shows it and the command that mends
    /// it. Ends with 5 if something is wrong.
    Check(Check),
}

/// `hostkit asg check`
#[derive(Debug, Args)]
pub struct Check {
    /// The Auto Scaling group
    #[arg(long, value_name = "NAME")]
    asg: String,
    /// What its hosts are: controller, agent or ecs; found out if not given
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Option<Role>,
    #[command(flatten)]
    aws: Aws,
}

/// A role by its name.
pub(super) fn role(text: &str) -> Result<Role, String> {
    let all = [Role::Controller, Role::Agent, Role::Ecs];
    let found = all.into_iter().find(|role| role.name() == text);
    found.ok_or_else(|| "wanted controller, agent or ecs".to_owned())
}

/// What was found, for programs.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    group: &'a str,
    role: &'static str,
    verdict: Verdict,
    findings: &'a [Finding],
}

/// Runs a verb.
pub async fn run(verb: &Asg, format: Format) -> anyhow::Result<ExitCode> {
    let Asg::Check(args) = verb;
    let config = args.aws.config().await?;
    let subject = Box::pin(read(&config, &Asked { group: &args.asg, role: args.role })).await?;
    let findings = check(&subject);
    let verdict = worst(&findings);
    let (group, role) = (subject.group.name.as_str(), subject.part.role.name());
    match format {
        Format::Json => {
            ui::json(&Line { version: 1, group, role, verdict, findings: &findings });
        }
        Format::Human => {
            let by = &subject.part.told_by;
            ui::text(&format!("{group}: {role}, by {by}\n\n{}", render(&findings)));
        }
    }
    Ok(match verdict {
        Verdict::Fail => ExitCode::from(Blame::Step.exit_code()),
        Verdict::Pass | Verdict::Skip | Verdict::Warn => ExitCode::SUCCESS,
    })
}
