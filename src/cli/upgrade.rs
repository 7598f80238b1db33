//! `hostkit upgrade`: a new image in service, proven, or the old one back.

use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use camino::Utf8PathBuf;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use schemars::JsonSchema;
use serde::Serialize;

use super::asg::role;
use super::asked_to_stop;
use super::aws::Aws;
use super::cache::age;
use crate::aws::operator::Identity;
use crate::error::Fault;
use crate::fleet::rollout::{self, Amended, Ask, Ended, Operator, Pace, Prospect, Resume, Setting};
use crate::host::Role;
use crate::ui::{self, Format};

/// Ends with this where `--plan` would change something.
const WOULD_CHANGE: u8 = 10;
/// How long builds are waited for, where nobody says it.
const BUILDS_PATIENCE: Duration = Duration::from_mins(30);
/// How long a replacement may take until it is proven, where nobody says it.
const PATIENCE: Duration = Duration::from_mins(20);

/// Put a new image in service: proven, or the old one back
///
/// Looks at everything first and says at once all that speaks against it; shows what would be done;
/// then has Jenkins begin no builds, waits for those that run, has the group replace its host, and
/// looks whether the new one serves. If it does not, the old one is put back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with 0 when the new image serves or served already, with 5 when the old \
    one was put back,\nwith 10 when --plan would change something."
)]
pub struct Upgrade {
    /// The recipe of the image; its `latest` is what shall serve
    #[arg(value_name = "RECIPE")]
    recipe: Option<String>,
    /// The image that shall serve, in place of the recipe's latest
    #[arg(long, value_name = "AMI")]
    image: Option<String>,
    /// Carry on what was interrupted; --builds, --builds-patience, --patience and --soak count from
    /// now on
    #[arg(long, conflicts_with_all = [
        "recipe", "image", "plan", "role", "strategy", "controller", "alarms", "folders",
    ])]
    resume: bool,
    /// With --resume: go back to what served before
    #[arg(long, requires = "resume")]
    back: bool,
    /// With --resume: though the process that began it may still be at work
    #[arg(long, requires = "resume")]
    take_over: bool,
    #[command(flatten)]
    how: How,
}

/// What upgrade and rollback share.
#[derive(Debug, clap::Args)]
pub struct How {
    /// The Auto Scaling group
    #[arg(long = "asg", value_name = "NAME")]
    group: String,
    /// What its hosts are: controller, agent or ecs; found out if not given
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Option<Role>,
    /// How hosts are replaced; by default as fits what they are
    #[arg(long, value_enum, value_name = "HOW")]
    strategy: Option<Strategy>,
    /// What builds are worth that run [default: wait]
    #[arg(long, value_enum, value_name = "WHAT")]
    builds: Option<Builds>,
    /// How long builds are waited for [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = age)]
    builds_patience: Option<Duration>,
    /// How long a replacement may take until it is proven [default: 20m]
    #[arg(long, value_name = "TIME", value_parser = age)]
    patience: Option<Duration>,
    /// For build agents: the group of their controller, which is not replaced at the same time, and
    /// says whether the new ones are online; by default the one whose user-data names this group
    #[arg(long = "controller-asg", value_name = "NAME")]
    controller: Option<String>,
    /// How long the new image must go on serving before it counts, as AWS's bake time; until then the
    /// former version is put back if it does not, or an alarm fires [default: it counts at once]
    #[arg(long, value_name = "TIME", value_parser = age)]
    soak: Option<Duration>,
    /// A CloudWatch alarm that is watched until the new image counts: once it fires, the former version
    /// is put back. Several may be given, ten at most
    #[arg(long = "alarm", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    alarms: Vec<String>,
    /// Where manifests of baked images are, to tell packages by
    #[arg(long = "manifests", value_name = "DIR", default_value = "out")]
    folders: Vec<Utf8PathBuf>,
    /// Only show what would be done
    #[arg(long)]
    plan: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    aws: Aws,
}

/// How hosts are replaced.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Strategy {
    /// The only host goes, then the new one comes: for a controller
    TerminateFirst,
    /// Some at a time, each drained first: for agents and container hosts
    Rolling,
    /// The host keeps its id and gets a new root volume; not verified against AWS
    ReplaceRootVolume,
}

/// What builds are worth.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Builds {
    /// If they take too long, nothing is replaced
    Wait,
    /// If they take too long, they are lost
    WaitThenForce,
    /// They are not waited for
    Force,
}

impl How {
    /// What is asked for.
    ///
    /// # Errors
    /// More alarms than AWS watches, or than the journal has room for; a soak in which nobody looks after
    /// the host.
    pub(super) fn ask(
        &self,
        recipe: Option<String>,
        image: Option<String>,
        rollback: bool,
    ) -> Result<Ask, Fault> {
        if self.soak.is_some_and(|soak| !soak.is_zero())
            && matches!(self.strategy, Some(Strategy::ReplaceRootVolume))
        {
            return Err(rollout::soak::unattended());
        }
        Ok(Ask {
            recipe,
            image,
            rollback,
            role: self.role,
            strategy: self.strategy.map(|strategy| match strategy {
                Strategy::TerminateFirst => rollout::Strategy::TerminateFirst,
                Strategy::Rolling => rollout::Strategy::Rolling,
                Strategy::ReplaceRootVolume => rollout::Strategy::ReplaceRootVolume,
            }),
            builds: self.builds().unwrap_or(rollout::Builds::Wait),
            builds_patience: self.builds_patience.unwrap_or(BUILDS_PATIENCE),
            patience: self.patience.unwrap_or(PATIENCE),
            soak: self.soak.unwrap_or_default(),
            folders: self.folders.clone(),
            controller: self.controller.clone(),
            alarms: rollout::alarms::chosen(&self.alarms)?,
            ..Ask::of(&self.group)
        })
    }

    fn builds(&self) -> Option<rollout::Builds> {
        self.builds.map(|builds| match builds {
            Builds::Wait => rollout::Builds::Wait,
            Builds::WaitThenForce => rollout::Builds::WaitThenForce,
            Builds::Force => rollout::Builds::Force,
        })
    }

    /// What is to be otherwise where a rollout is carried on.
    fn amended(&self) -> Amended {
        let Self { builds_patience, patience, soak, .. } = *self;
        Amended { builds: self.builds(), builds_patience, patience, soak }
    }
}

/// `hostkit upgrade`.
pub(super) async fn run(args: Upgrade, format: Format) -> anyhow::Result<ExitCode> {
    let Upgrade { recipe, image, how, resume, back, take_over } = args;
    if resume {
        let (config, identity) = how.aws.sign_in().await?;
        let resume = Resume { back, take_over, amended: how.amended() };
        return Box::pin(carry_on(&config, &identity, &how.group, resume, format)).await;
    }
    if recipe.is_none() && image.is_none() {
        return Err(Fault::usage("nothing says which image shall serve")
            .hint("name a recipe, or an image with --image")
            .into());
    }
    let ask = how.ask(recipe, image, false)?;
    Box::pin(roll(&how, &ask, format)).await
}

/// Looks, shows, asks, and does it.
pub(super) async fn roll(how: &How, ask: &Ask, format: Format) -> anyhow::Result<ExitCode> {
    let (config, identity) = how.aws.sign_in().await?;
    let prospect = Box::pin(rollout::prepare(&config, ask)).await?;
    show(&prospect, format);
    if let Some(refusal) = prospect.refusal() {
        return Err(refusal.into());
    }
    let Some(order) = prospect.order() else { return Ok(ExitCode::SUCCESS) };
    if how.plan {
        return Ok(ExitCode::from(WOULD_CHANGE));
    }
    agree(how, format)?;
    let (events, printer) = ui::start(format);
    let setting = setting(&config, &identity, &events);
    let (once, twice) = (asked_to_stop(1), asked_to_stop(2));
    let work = Box::pin(rollout::carry_out(&setting, order.clone(), once));
    let ended = unless_cut(work, twice, &how.group).await;
    drop(events);
    printer.finish().await;
    told(&ended?, format)
}

async fn carry_on(
    config: &SdkConfig,
    identity: &Identity,
    group: &str,
    how: Resume,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let (events, printer) = ui::start(format);
    let setting = setting(config, identity, &events);
    let (once, twice) = (asked_to_stop(1), asked_to_stop(2));
    let work = Box::pin(rollout::resume(&setting, group, how, once));
    let ended = unless_cut(work, twice, group).await;
    drop(events);
    printer.finish().await;
    told(&ended?, format)
}

/// Who asks to stop a second time does not wait for it: the journal has all that is needed.
async fn unless_cut(
    work: impl Future<Output = anyhow::Result<Ended>>,
    twice: impl Future<Output = ()>,
    group: &str,
) -> anyhow::Result<Ended> {
    tokio::select! {
        ended = work => ended,
        () = twice => Err(Fault::interrupted()
            .hint(format!(
                "what was begun goes on by itself: `hostkit upgrade --asg {group} --resume` carries it \
                 on, and with --back goes back"
            ))
            .into()),
    }
}

fn setting<'a>(
    config: &'a SdkConfig,
    identity: &Identity,
    events: &'a crate::event::Events,
) -> Setting<'a> {
    Setting { config, operator: Operator::this(&identity.arn), events, pace: Pace::default() }
}

fn show(prospect: &Prospect, format: Format) {
    match format {
        Format::Human => ui::text(&prospect.text()),
        Format::Json => ui::json(&prospect.line()),
    }
}

/// Nothing is begun that nobody agreed to.
fn agree(how: &How, format: Format) -> anyhow::Result<()> {
    if how.yes {
        return Ok(());
    }
    if format == Format::Json || !ui::can_ask() {
        return Err(Fault::usage("nothing is begun without --yes where nobody can be asked")
            .hint("--plan only shows what would be done")
            .into());
    }
    let question = format!("\nType the name of the group to begin ({}):", how.group);
    match ui::ask(&question, &how.group) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::usage("that is not its name: nothing was begun").into()),
        Err(error) => Err(Fault::environment(format!("no answer can be read: {error}")).into()),
    }
}

/// A line of what is said for programs: first what would be done, then what happens, then how it ended.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(super) enum Said<'a> {
    /// What would be done.
    Prospect(rollout::prospect::Line<'a>),
    /// Something that happens.
    Event(ui::Line<'a>),
    /// How it ended.
    Ended(Line<'a>),
}

/// How it ended, for programs.
#[derive(Serialize, JsonSchema)]
pub(super) struct Line<'a> {
    /// Of this form: 1.
    version: u32,
    #[serde(flatten)]
    ended: &'a Ended,
}

/// Says how it ended. Whatever is not as it was wanted is an error, with its cause.
fn told(ended: &Ended, format: Format) -> anyhow::Result<ExitCode> {
    match format {
        Format::Human => ui::text(&ended.text()),
        Format::Json => ui::json(&Line { version: 1, ended }),
    }
    match ended {
        Ended::Done(_) | Ended::Nothing { .. } => Ok(ExitCode::SUCCESS),
        Ended::Back(summary) => {
            let cause = summary.cause.clone();
            let cause = cause.unwrap_or_else(|| "what served before serves again".to_owned());
            Err(Fault::step(cause).into())
        }
        Ended::Stuck(stuck) => {
            let hint = "the commands above, in their order; docs/upgrade.md has the runbook";
            Err(Fault::step(stuck.cause.clone()).hint(hint).into())
        }
        Ended::Stopped(_) => Err(Fault::interrupted().into()),
    }
}
