//! `hostkit bake --target ami --via instance`: the arguments of a builder, and what happens to its
//! build.

use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;

use super::bake_ami::{Ami, Cloud, OnError, first};
use super::cache::age;
use super::which::absolute;
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::image::Baked;
use crate::image::ami::build::Made;
use crate::image::ami::name::Labels;
use crate::image::builder::{self, Interface, Job, Options};
use crate::plan::lock::Image;
use crate::plan::{Arch, Plan};
use crate::secret::Secrets;

/// Where an AMI is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// As a disk on this machine, of which the blocks that differ are sent.
    #[default]
    Disk,
    /// On an instance of the AMI that the recipe begins with.
    Instance,
}

/// Which address of a builder is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Address {
    /// The one in the world.
    Public,
    /// The one in its VPC.
    Private,
}

/// What only a builder has.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "With --via instance")]
pub struct Builder {
    /// Where it is made: as a `disk` on this machine (if not given), or on an `instance` of the AMI
    /// that the recipe begins with
    #[arg(long, value_enum, value_name = "WAY", hide_possible_values = true, default_value_t)]
    #[arg(help_heading = "With --target ami")]
    pub(super) via: Via,
    /// The instance type; of several, the first that is to be had
    #[arg(long, value_name = "TYPE")]
    instance_type: Vec<String>,
    /// The subnet; of several, the first that has room. Those of the default VPC if not given
    #[arg(long, value_name = "ID")]
    subnet: Vec<String>,
    /// Try a spot instance first
    #[arg(long)]
    spot: bool,
    /// The address that it is reached by: `public` (if not given), or `private` (if not given, with
    /// --proxy-command)
    #[arg(long, value_enum, value_name = "WHICH", hide_possible_values = true)]
    ssh_interface: Option<Address>,
    /// Where SSH is let in from, as 203.0.113.7/32; never from everywhere
    #[arg(long, value_name = "CIDR")]
    ssh_from: Vec<String>,
    /// The login user; that of the distribution's own AMIs if not given
    #[arg(long, value_name = "NAME")]
    ssh_user: Option<String>,
    /// Where its SSH server listens
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    ssh_port: u16,
    /// A command that is the connection, as ssh's `ProxyCommand`: `%n` is the instance's id, `%h` its
    /// address, `%p` the port
    #[arg(long, value_name = "COMMAND")]
    proxy_command: Option<String>,
    /// The instance profile that it gets, by name or ARN; none if not given
    #[arg(long, value_name = "PROFILE")]
    instance_profile: Option<String>,
    /// Restart it once when all is done, so that the image has booted with it
    #[arg(long)]
    reboot: bool,
    /// How long it may take to let us in
    #[arg(long, value_name = "TIME", value_parser = age, default_value = "15m")]
    login_patience: Duration,
    /// After this long it ends itself, whatever becomes of this machine
    #[arg(long = "builder-lifetime", value_name = "TIME", value_parser = age)]
    #[arg(default_value = "6h")]
    lifetime: Duration,
}

/// What a bake on an instance is told beside that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub plan: &'a Plan,
    /// What the image is locked to.
    pub locked: Option<&'a Image>,
    /// Whether the lock must have it.
    pub frozen: bool,
    pub secrets: &'a Secrets,
    /// A hostkit for another processor than this machine's.
    pub agent: Option<&'a Utf8Path>,
    /// The size of the root volume, in GiB.
    pub root_gib: Option<u32>,
    /// How long AWS may take for the image.
    pub patience: Duration,
    /// Whether there must be a build to carry on with.
    pub resumes: bool,
    /// What is wanted of any AMI.
    pub ami: &'a Ami,
    pub on_error: OnError,
    pub output: &'a Utf8Path,
    pub events: &'a Events,
}

impl Builder {
    /// Whether the plan is made the way that it was asked for.
    pub(super) fn check(&self, plan: &Plan, is_ami: bool) -> Result<(), Fault> {
        match self.via {
            Via::Instance if !is_ami => {
                Err(Fault::usage("what an instance makes is an AMI").hint("give --target ami, too"))
            }
            Via::Disk if plan.base.ami.is_some() => {
                Err(Fault::recipe("the recipe begins with an AMI, which exists on AWS only")
                    .hint("build on an instance of it: --target ami --via instance"))
            }
            Via::Disk => self.unused(),
            Via::Instance => Ok(()),
        }
    }

    /// Refuses what only a builder has, where there is none.
    fn unused(&self) -> Result<(), Fault> {
        let given = [
            ("--instance-type", !self.instance_type.is_empty()),
            ("--subnet", !self.subnet.is_empty()),
            ("--spot", self.spot),
            ("--ssh-interface", self.ssh_interface.is_some()),
            ("--ssh-from", !self.ssh_from.is_empty()),
            ("--ssh-user", self.ssh_user.is_some()),
            ("--proxy-command", self.proxy_command.is_some()),
            ("--instance-profile", self.instance_profile.is_some()),
            ("--reboot", self.reboot),
        ];
        let Some(option) = first(&given) else { return Ok(()) };
        Err(Fault::usage(format!("{option} is for builders")).hint("give --via instance, too"))
    }

    /// Has an AMI made on an instance, or finds it.
    pub(super) async fn bake(
        &self,
        cloud: &Cloud,
        order: &Order<'_>,
    ) -> anyhow::Result<(Option<Baked>, Made)> {
        let Order { plan, locked, frozen, events, .. } = *order;
        let options = self.options(order);
        options.check()?;
        let beginning = builder::begin(plan, locked, frozen, &cloud.config, events).await?;
        let labels = Labels::of(&beginning.manifest);
        if let Some(made) = cloud.existing(&labels.digest, order.ami, events).await? {
            return Ok((None, made));
        }
        let binary = binary(plan.base.arch, order.agent)?;
        let mut build = cloud.open(labels, order.resumes, events)?;
        let name = build.journal.header().build.clone();
        let journals = build.journal.path().parent().map(Utf8Path::to_owned);
        let job = Job {
            plan,
            secrets: order.secrets,
            config: &cloud.config,
            options: &options,
            binary: &binary,
            build: &name,
            journals: &journals.context("a journal is in a folder")?,
            output: order.output,
            events,
        };
        let end = tokio::select! {
            end = job.make(&beginning, &mut build.journal) => end,
            () = super::stop_signal() => Err(Fault::interrupted().into()),
        };
        match end {
            Ok(built) => {
                cloud.discard(build, events).await?;
                let (manifest, locked) = (built.manifest, beginning.locked);
                let baked = Baked { manifest, outcome: Outcome::Changed, locked };
                Ok((Some(baked), built.made))
            }
            Err(error) => Err(cloud.give_up(error, build, order.on_error, events).await),
        }
    }

    fn options(&self, order: &Order<'_>) -> Options {
        let usual = Options::new(order.plan.base.arch);
        let types = if self.instance_type.is_empty() {
            usual.instance_types
        } else {
            self.instance_type.clone()
        };
        Options {
            instance_types: types,
            subnets: self.subnet.clone(),
            spot: self.spot,
            interface: match self.ssh_interface {
                Some(Address::Private) => Interface::Private,
                None if self.proxy_command.is_some() => Interface::Private,
                Some(Address::Public) | None => Interface::Public,
            },
            ssh_from: self.ssh_from.clone(),
            ssh_user: self.ssh_user.clone(),
            ssh_port: self.ssh_port,
            proxy_command: self.proxy_command.clone(),
            profile: self.instance_profile.clone(),
            root_gib: order.root_gib.map(|gib| i32::try_from(gib).unwrap_or(i32::MAX)),
            lifetime: self.lifetime,
            login_deadline: self.login_patience,
            image_deadline: order.patience,
            reboot: self.reboot,
            shell_on_error: order.on_error == OnError::Shell,
            ..usual
        }
    }
}

/// The hostkit that does the work on the builder.
fn binary(arch: Arch, given: Option<&Utf8Path>) -> anyhow::Result<Utf8PathBuf> {
    match given {
        Some(path) => absolute(path),
        None if arch == Arch::HERE => Ok(Utf8PathBuf::from("/proc/self/exe")),
        None => Err(Fault::usage(format!("a builder for {arch} needs a hostkit for {arch}"))
            .hint("build one for it and give it with --agent-binary FILE")
            .into()),
    }
}
