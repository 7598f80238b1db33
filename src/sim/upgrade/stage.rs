//! What stands around an upgrade: an account with two images, a group behind a load balancer, machines
//! for its instances, and one file system.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::task::JoinHandle;

use super::Options;
use super::ami::Ami;
use super::log::{Log, Sight};
use super::watch::{self, Watched, Watching};
use crate::error::Fault;
use crate::event::Events;
use crate::sim::account::{REGION, ZONE};
use crate::sim::cloud::{self, Cloud};
use crate::sim::endpoint::{act, with};
use crate::sim::fleet::{HeadWatch, Story};
use crate::sim::instance::State;
use crate::sim::machines::{self, Machines};
use crate::sim::nfs::Record;
use crate::sim::parameters;
use crate::sim::service::Service;
use crate::sim::vm::run_dir::RunDir;
use crate::sys::{Runner, Tool};

/// The group.
pub(super) const GROUP: &str = "rehearsal";
/// What is named after nothing else: the role's profile, the template, the load balancer.
const NAME: &str = "hostkit-rehearsal";
/// How long the launch hook waits for a heartbeat: several times what an emulated boot takes.
const LAUNCH_HOOK: &str = "600";
/// How long the terminate hook does: a host that stands still is waited for so long.
const TERMINATE_HOOK: &str = "120";
/// How often is looked whether something has come.
const GLANCE: Duration = Duration::from_millis(100);

/// See the module. Dropping it ends all of it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) options: Options,
    pub(super) story: Story,
    pub(super) log: Log,
    pub(super) old: Ami,
    pub(super) new: Ami,
    /// The folder that is the file system.
    pub(super) folder: PathBuf,
    _watching: Watching,
    head_task: JoinHandle<()>,
    pub(super) machines: Machines,
    pub(super) cloud: Cloud,
    _run_dir: RunDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.head_task.abort();
    }
}

impl Stage {
    /// Makes all of it. The group launches its first host at once.
    pub(super) async fn open(options: &Options, events: &Events) -> anyhow::Result<Self> {
        Tool::require(&[Tool::Qemu, Tool::QemuImg, Tool::SshKeygen, Tool::Ganesha])?;
        let (old, new) = images(options)?;
        let host = said(options)?;
        let run_dir = RunDir::create()?;
        let story = Story::new(events.clone());
        let parameters = match &options.parameters {
            Some(file) => parameters::load(file)?,
            None => parameters::generate(&Runner::Direct, run_dir.path()).await?,
        };
        let cloud = Cloud::open(cloud::Options { parameters, ..cloud::Options::default() })?;
        for (ami, name) in [(&old, "OLD"), (&new, "NEW")] {
            ami.register(&cloud.account);
            story.name(&ami.id, name);
            story.tell(name, &format!("{}: {}", ami.id, ami.file.display()));
        }
        let folder = file_system(&run_dir)?;
        let machines = machines(options, &cloud, &folder, &[&old, &new], &story, events).await?;
        let target_group = furnish(&cloud, &old, &host)?;
        let watched = Watched {
            account: Arc::clone(&cloud.account),
            story: story.clone(),
            log: Log::default(),
            standing: format!("/hostkit/asg/{GROUP}/host"),
            target_group,
        };
        let head = Arc::new(HeadWatch::start(&folder, "EFS", story.clone()));
        Ok(Self {
            options: options.clone(),
            story,
            log: watched.log.clone(),
            old,
            new,
            folder,
            _watching: watch::start(watched.clone()),
            head_task: watch::follow_head(&head, watched),
            machines,
            cloud,
            _run_dir: run_dir,
        })
    }

    /// Now, on the clock of the story.
    pub(super) fn now(&self) -> Duration {
        self.story.began().elapsed()
    }

    /// What hosts did to the file system.
    pub(super) fn record(&self) -> anyhow::Result<Record> {
        self.machines.record().context("there is no file system")
    }

    /// Waits until `wanted` tells something, and fails when it takes too long.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        wanted: impl Fn() -> Option<T>,
    ) -> anyhow::Result<T> {
        let (began, timeout) = (Instant::now(), self.options.timeout);
        loop {
            if let Some(found) = wanted() {
                return Ok(found);
            }
            if began.elapsed() > timeout {
                let passed = format!("{} s passed before {what}", timeout.as_secs());
                return Err(Fault::step(passed).into());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until something is seen of an instance, from a moment on.
    pub(super) async fn sees(
        &self,
        what: &str,
        instance: &str,
        from: Duration,
        wanted: impl Fn(&Sight) -> bool,
    ) -> anyhow::Result<Duration> {
        self.until(what, || self.log.first(instance, from, &wanted)).await
    }

    /// The instances that are not gone, with their images, in the order of their launch.
    pub(super) fn hosts(&self) -> Vec<(String, String)> {
        with(&self.cloud.account, |account| {
            let all = account.instances().iter();
            let there = all.filter(|one| one.state() != State::Terminated);
            there.map(|one| (one.id.clone(), one.image.clone())).collect()
        })
    }

    /// How many instances there ever were.
    pub(super) fn launched(&self) -> usize {
        with(&self.cloud.account, |account| account.instances().len())
    }

    /// The one host that is in service, serves, and gets requests: its id and its image. None where it
    /// is not so, or where there is another host.
    pub(super) fn serving(&self) -> Option<(String, String)> {
        let hosts = self.hosts();
        let [(id, image)] = hosts.as_slice() else { return None };
        let (mut in_service, mut serves, mut healthy) = (false, false, false);
        for moment in self.log.all().into_iter().filter(|one| one.instance == *id) {
            match moment.sight {
                Sight::Lifecycle(word) => in_service = word == "InService",
                Sight::Serves(_) => serves = true,
                Sight::Silent => serves = false,
                Sight::Target(state) => healthy = state == "healthy",
                _ => {}
            }
        }
        (in_service && serves && healthy).then(|| (id.clone(), image.clone()))
    }

    /// The value of a parameter of the group.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let name = format!("/hostkit/asg/{GROUP}/{name}");
        with(&self.cloud.account, |account| account.parameter(REGION, &name))
    }
}

fn images(options: &Options) -> anyhow::Result<(Ami, Ami)> {
    let (old, new) = (Ami::of(&options.old)?, Ami::of(&options.new)?);
    if old.id == new.id {
        let fault = Fault::usage("both images are the same: there is nothing to upgrade")
            .hint("bake the new one into another folder: `hostkit bake … --output DIR`");
        return Err(fault.into());
    }
    Ok((old, new))
}

/// What hosts are told by their user-data.
fn said(options: &Options) -> anyhow::Result<String> {
    let Some(file) = &options.host else { return Ok(String::new()) };
    std::fs::read_to_string(file)
        .with_context(|| Fault::usage(format!("reading {}", file.display())))
}

/// The folder of the file system: as the root of an EFS is, others may enter it.
fn file_system(run_dir: &RunDir) -> anyhow::Result<PathBuf> {
    let folder = run_dir.below("v")?.file("efs");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::create_dir(&folder)
        .and_then(|()| std::fs::set_permissions(run_dir.path(), mode.clone()))
        .and_then(|()| std::fs::set_permissions(&folder, mode))
        .context("making the file system's folder")?;
    Ok(folder)
}

async fn machines(
    options: &Options,
    cloud: &Cloud,
    folder: &std::path::Path,
    images: &[&Ami],
    story: &Story,
    events: &Events,
) -> anyhow::Result<Machines> {
    let disks = images.iter().map(|one| (one.snapshot.clone(), one.file.clone())).collect();
    let wanted = machines::Options {
        efs: Some(folder.to_owned()),
        acceleration: options.acceleration,
        memory_mib: options.memory_mib,
        cpus: options.cpus,
        disks,
        keep: options.keep.clone(),
        began: Some(story.began()),
    };
    Machines::of(cloud, wanted, events).await
}

/// Makes the template, the load balancer and the group of one controller. The ARN of the target group.
fn furnish(cloud: &Cloud, ami: &Ami, host: &str) -> anyhow::Result<String> {
    let account = &cloud.account;
    let subnet = with(account, |account| {
        let all = account.region(REGION).subnets.values();
        all.filter(|one| one.zone == ZONE).map(|one| one.id.clone()).next()
    });
    let subnet = subnet.context("the zone has no subnet")?;
    let encoded = STANDARD.encode(host);
    let mut template = vec![
        ("Action", "CreateLaunchTemplate"),
        ("Version", "2016-11-15"),
        ("LaunchTemplateName", NAME),
        ("LaunchTemplateData.ImageId", &ami.id),
        ("LaunchTemplateData.InstanceType", "m5.large"),
        ("LaunchTemplateData.IamInstanceProfile.Name", NAME),
        ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
        ("LaunchTemplateData.MetadataOptions.InstanceMetadataTags", "enabled"),
    ];
    if !host.is_empty() {
        template.push(("LaunchTemplateData.UserData", &encoded));
    }
    act(account, Service::Ec2, &template)?;
    let target_group = balance(cloud, &subnet)?;
    act(
        account,
        Service::AutoScaling,
        &[
            ("Action", "CreateAutoScalingGroup"),
            ("AutoScalingGroupName", GROUP),
            ("LaunchTemplate.LaunchTemplateName", NAME),
            ("LaunchTemplate.Version", "1"),
            ("MinSize", "1"),
            ("MaxSize", "1"),
            ("DesiredCapacity", "1"),
            ("VPCZoneIdentifier", &subnet),
            ("TargetGroupARNs.member.1", &target_group),
            ("HealthCheckType", "ELB"),
            // The launch hook holds a host until it is ready: nothing is left to wait for.
            ("HealthCheckGracePeriod", "0"),
            ("DefaultInstanceWarmup", "0"),
            ("InstanceMaintenancePolicy.MinHealthyPercentage", "0"),
            ("InstanceMaintenancePolicy.MaxHealthyPercentage", "100"),
            ("LifecycleHookSpecificationList.member.1.LifecycleHookName", "launch"),
            (
                "LifecycleHookSpecificationList.member.1.LifecycleTransition",
                "autoscaling:EC2_INSTANCE_LAUNCHING",
            ),
            ("LifecycleHookSpecificationList.member.1.HeartbeatTimeout", LAUNCH_HOOK),
            ("LifecycleHookSpecificationList.member.1.DefaultResult", "ABANDON"),
            ("LifecycleHookSpecificationList.member.2.LifecycleHookName", "drain"),
            (
                "LifecycleHookSpecificationList.member.2.LifecycleTransition",
                "autoscaling:EC2_INSTANCE_TERMINATING",
            ),
            ("LifecycleHookSpecificationList.member.2.HeartbeatTimeout", TERMINATE_HOOK),
            ("LifecycleHookSpecificationList.member.2.DefaultResult", "CONTINUE"),
        ],
    )?;
    let form = [
        ("Action", "SuspendProcesses"),
        ("AutoScalingGroupName", GROUP),
        ("ScalingProcesses.member.1", "AZRebalance"),
    ];
    act(account, Service::AutoScaling, &form)?;
    Ok(target_group)
}

/// The load balancer and its target group, whose ARN is told.
fn balance(cloud: &Cloud, subnet: &str) -> anyhow::Result<String> {
    let account = &cloud.account;
    let group = act(
        account,
        Service::Elb,
        &[
            ("Action", "CreateTargetGroup"),
            ("Name", NAME),
            ("Protocol", "HTTP"),
            ("Port", "8080"),
            ("TargetType", "instance"),
            ("HealthCheckPath", "/login"),
            ("HealthCheckIntervalSeconds", "5"),
            ("HealthCheckTimeoutSeconds", "4"),
            ("HealthyThresholdCount", "2"),
        ],
    )?;
    let group = tag(&group, "TargetGroupArn")?.to_owned();
    let balancer = act(
        account,
        Service::Elb,
        &[("Action", "CreateLoadBalancer"), ("Name", NAME), ("Subnets.member.1", subnet)],
    )?;
    act(
        account,
        Service::Elb,
        &[
            ("Action", "CreateListener"),
            ("LoadBalancerArn", tag(&balancer, "LoadBalancerArn")?),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", &group),
        ],
    )?;
    Ok(group)
}

/// The text of the first element of that name.
fn tag<'a>(text: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let found = text.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<'));
    found.map(|(value, _)| value).with_context(|| format!("the account tells no {name}"))
}
