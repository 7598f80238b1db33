//! The envoy: a child that says one thing to AWS, and ends.
//!
//! The guard stays for months and must be small, so the SDK, its credentials and their memory live in
//! a process of their own, started when there is something to say. It always answers.

use std::net::Ipv4Addr;
use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::aws::asg::{self, Hook, Transition, Verdict};
use crate::aws::ecs::{self, drain};
use crate::aws::imds::Imds;
use crate::aws::{self, Failure, elb, ssm};
use crate::error::Fault;
use crate::event::Events;
use crate::group::ledger::{LOCAL, Ledger};
use crate::group::{self, Reported, Told, Us};
use crate::sys::{Cmd, CmdError, Runner, Tool};

/// How long all of it may take. A drain goes on without it.
const DEADLINE: Duration = Duration::from_secs(25);

/// How long the metadata service may be silent.
const IMDS: Duration = Duration::from_secs(10);

/// After this long the child itself is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of which host the envoy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The instance.
    pub instance_id: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The region that is called.
    pub region: String,
    /// Where AWS is, if not at its own addresses.
    pub endpoint_url: Option<String>,
    /// Where the metadata service is, if not at its own address.
    pub imds: Option<String>,
}

/// What an envoy is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who asks.
    pub sender: Sender,
    /// What is to be done.
    pub errand: Errand,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Errand {
    /// Find out where this host is in its group, and who waits for it to go.
    Place {
        /// The terminate hook that is hostkit's, where the group has several.
        hook: Option<String>,
        /// The cluster of a container host.
        cluster: Option<String>,
    },
    /// Ask a hook for more time.
    Beat(Waiting),
    /// Tell a hook that this host may go.
    Go(Waiting),
    /// Tell the group that this host does not serve.
    Unhealthy {
        /// Why, in a line.
        why: String,
        /// Where the file system of a controller is mounted, and its id.
        home: Option<(Utf8PathBuf, String)>,
    },
    /// Write how this host stands into a parameter.
    Report {
        /// The parameter.
        parameter: String,
        /// What is written.
        text: String,
    },
    /// Take this host from a load balancer.
    Leave {
        /// The target group; those of the Auto Scaling group where none is named.
        target_group: Option<String>,
    },
    /// Have ECS move the tasks of this host away.
    Move {
        /// The cluster.
        cluster: String,
    },
    /// Have ECS place tasks on this host again.
    Stay {
        /// The cluster.
        cluster: String,
    },
    /// Have ECS forget this host, whatever runs there.
    Deregister {
        /// The cluster.
        cluster: String,
    },
    /// Count the tasks that are left.
    Tasks {
        /// The cluster.
        cluster: String,
    },
}

/// A hook that waits for this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Without a heartbeat the group decides after so many seconds.
    pub timeout: u64,
    /// With heartbeats, after so many.
    pub at_most: u64,
}

/// Where this host is in its group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The group; absent where it is in none.
    pub group: Option<String>,
    /// `InService`, `Terminating:Wait`, …; empty where it may not be seen.
    pub state: String,
    /// The hook that waits when the host goes.
    pub hook: Option<Waiting>,
    /// Whether the group replaces a host that the load balancer does not reach.
    pub replaces: bool,
    /// How many such hosts the group has at least.
    pub min: u32,
    /// Who moves the tasks of an ECS host away, if it is not the host itself.
    pub drained_by: Option<String>,
}

impl Place {
    /// Whether the group is taking the host away and waits for its word.
    pub fn waits(&self) -> bool {
        let state = self.state.strip_prefix("Warmed:").unwrap_or(&self.state);
        self.group.is_some() && state.starts_with("Terminating") && !state.ends_with("Proceed")
    }
}

/// What an envoy answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Where this host is.
    Place(Box<Place>),
    /// It is done. Perhaps what was found.
    Done(Option<String>),
    /// So much is left, in words.
    Left(String),
    /// It was done too often; again at this time.
    TooOften(Timestamp),
    /// It was not done.
    Failed {
        /// Why.
        why: String,
        /// What may help.
        hint: Option<String>,
    },
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::Failed { why: fault.to_string(), hint: fault.hint_text().map(str::to_owned) }
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Fault::from(failure).into()
    }
}

/// Sends an envoy, and waits for what it has to say.
pub async fn send(runner: &Runner, sender: &Sender, errand: Errand) -> Answer {
    let failed = |why: String| Answer::Failed { why, hint: None };
    let question = Question { sender: sender.clone(), errand };
    let json = serde_json::to_vec(&question).expect("a question has only string keys");
    let command = Cmd::new(Tool::Hostkit).args(["inner", "envoy"]).stdin(json).timeout(PATIENCE);
    match runner.run(&command).await {
        Ok(output) => serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            failed(format!("the child that speaks to AWS said nothing that is known: {error}"))
        }),
        Err(CmdError::Timeout { timeout, .. }) => {
            failed(format!("AWS did not answer within {} s", timeout.as_secs()))
        }
        Err(other) => failed(format!("the child that speaks to AWS failed: {other}")),
    }
}

/// What the child does: it has a runtime of its own, and always answers.
pub fn answer(question: &Question) -> Answer {
    let failed = |why: String| Answer::Failed { why, hint: None };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("the child has no event queue: {error}")),
    };
    runtime.block_on(async {
        let work = tokio::time::timeout(DEADLINE, Box::pin(run(question)));
        match work.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => fault.into(),
            Err(_elapsed) => failed(format!("AWS did not answer within {} s", DEADLINE.as_secs())),
        }
    })
}

async fn run(question: &Question) -> Result<Answer, Fault> {
    let us = connect(&question.sender).await?;
    let id = us.instance_id.as_str();
    let until = Instant::now() + DEADLINE;
    Ok(match &question.errand {
        Errand::Place { hook, cluster } => {
            let place = Box::pin(place(&us, hook.as_deref(), cluster.as_deref())).await?;
            Answer::Place(Box::new(place))
        }
        Errand::Beat(waiting) => {
            asg::heartbeat(&us.aws, &hook(waiting), id).await?;
            Answer::Done(None)
        }
        Errand::Go(waiting) => {
            match group::tell(&us, &hook(waiting), Verdict::Continue, until).await? {
                Told::Heard => Answer::Done(None),
                Told::Already => Answer::Done(Some("the group did not wait any more".to_owned())),
            }
        }
        Errand::Unhealthy { why, home } => {
            let ledger = Ledger { runner: Runner::Direct, local: LOCAL.into(), home: home.clone() };
            match group::report_unhealthy(&us, &ledger, why).await? {
                Reported::Told => Answer::Done(None),
                Reported::TooOften(next) => Answer::TooOften(next),
            }
        }
        Errand::Report { parameter, text } => {
            ssm::write(&us.aws, parameter, text).await?;
            Answer::Done(None)
        }
        Errand::Leave { target_group } => {
            leave(&us, question.sender.address, target_group.as_ref()).await?
        }
        Errand::Move { cluster } => match of_ecs(&us, cluster).await? {
            Some(arn) => match drain::begin(&us.aws, cluster, &arn).await? {
                drain::Begun::Asked => Answer::Done(None),
                drain::Begun::Before => Answer::Done(Some("ECS did so already".to_owned())),
                drain::Begun::Gone => Answer::Done(Some("ECS has no such host".to_owned())),
            },
            None => Answer::Done(Some(format!("the cluster {cluster} has no such host"))),
        },
        Errand::Stay { cluster } => {
            if let Some(arn) = of_ecs(&us, cluster).await? {
                drain::cancel(&us.aws, cluster, &arn).await?;
            }
            Answer::Done(None)
        }
        Errand::Deregister { cluster } => match of_ecs(&us, cluster).await? {
            Some(arn) if drain::deregister(&us.aws, cluster, &arn).await? => Answer::Done(None),
            _ => Answer::Done(Some(format!("the cluster {cluster} has no such host"))),
        },
        Errand::Tasks { cluster } => match of_ecs(&us, cluster).await? {
            Some(arn) => match drain::tasks_left(&us.aws, cluster, &arn).await? {
                left if left.is_empty() => Answer::Done(None),
                left => Answer::Left(left.tell()),
            },
            None => Answer::Done(Some(format!("the cluster {cluster} has no such host"))),
        },
    })
}

async fn connect(sender: &Sender) -> Result<Us, Fault> {
    let silent = |error: anyhow::Error| match crate::error::fault(&error) {
        Some(fault) => fault.clone(),
        None => Fault::environment(format!("{error:#}")),
    };
    let imds = Imds::new(sender.imds.as_deref(), IMDS).map_err(silent)?;
    let role = imds.role().await.map_err(silent)?;
    Ok(Us {
        aws: aws::config(&sender.region, sender.endpoint_url.as_deref(), &imds, &role),
        imds,
        instance_id: sender.instance_id.clone(),
        events: Events::silent(),
        step: "guard",
        pause: Duration::from_millis(500),
    })
}

fn hook(waiting: &Waiting) -> Hook {
    Hook {
        group: waiting.group.clone(),
        name: waiting.name.clone(),
        transition: Transition::Terminating,
        timeout: Duration::from_secs(waiting.timeout),
        at_most: Duration::from_secs(waiting.at_most),
    }
}

async fn place(us: &Us, wanted: Option<&str>, cluster: Option<&str>) -> Result<Place, Fault> {
    let until = Instant::now() + DEADLINE;
    let Some(member) = group::insist(us, until, async || us.membership().await).await? else {
        return Ok(Place::default());
    };
    let group = member.group;
    let hooks = group::insist(us, until, async || {
        Ok(asg::hooks(&us.aws, &group, Transition::Terminating).await?)
    });
    let hooks = hooks.await?;
    let mut place = Place { group: Some(group.clone()), state: member.state, ..Place::default() };
    if let Some(cluster) = cluster {
        let names: Vec<_> = hooks.iter().map(|hook| hook.name.clone()).collect();
        if let drain::Drainer::Ecs(by) = drain::drainer(&us.aws, cluster, &group, &names).await? {
            place.drained_by = Some(by);
        }
    }
    place.hook = choose(hooks, wanted, &group)?;
    // Only who drains by hand needs to know it, and the role may not be allowed to ask.
    if let Ok(Some(group)) = asg::describe(&us.aws, &group).await {
        place.replaces = group.heeds_load_balancer();
        place.min = group.min;
    }
    Ok(place)
}

/// The hook that waits for hostkit: the one that is named, else the only one but that of ECS, which
/// completes its own.
fn choose(hooks: Vec<Hook>, wanted: Option<&str>, group: &str) -> Result<Option<Waiting>, Fault> {
    let mut ours: Vec<_> =
        hooks.into_iter().filter(|hook| hook.name != ecs::MANAGED_HOOK).collect();
    let names: Vec<_> = ours.iter().map(|hook| hook.name.clone()).collect();
    let names = names.join(", ");
    let one = match wanted {
        Some(wanted) => ours.into_iter().find(|hook| hook.name == wanted),
        None if ours.len() < 2 => ours.pop(),
        None => {
            let what = format!("the group {group} has several terminate hooks: {names}");
            return Err(Fault::recipe(what)
                .hint("name the one that waits for the drain as `drain.hook` in host.toml"));
        }
    };
    Ok(one.map(|hook| Waiting {
        group: hook.group,
        name: hook.name,
        timeout: hook.timeout.as_secs(),
        at_most: hook.at_most.as_secs(),
    }))
}

async fn leave(us: &Us, address: Ipv4Addr, target_group: Option<&String>) -> Result<Answer, Fault> {
    let groups = match target_group {
        Some(arn) => vec![arn.clone()],
        None => match asg::membership(&us.aws, &us.instance_id).await? {
            Some(member) => {
                let group = asg::describe(&us.aws, &member.group).await?;
                group.map(|group| group.target_groups).unwrap_or_default()
            }
            None => Vec::new(),
        },
    };
    if groups.is_empty() {
        return Ok(Answer::Done(Some("no load balancer knows this host".to_owned())));
    }
    // What its targets are is known to the boot, which has registered it; here it may be denied.
    let known = elb::target_groups(&us.aws, &groups).await.unwrap_or_default();
    for arn in &groups {
        let by_address = known.iter().any(|it| it.arn == *arn && it.kind == elb::Kind::Address);
        let target = if by_address { address.to_string() } else { us.instance_id.clone() };
        elb::deregister(&us.aws, arn, &target).await?;
    }
    Ok(Answer::Done(None))
}

async fn of_ecs(us: &Us, cluster: &str) -> Result<Option<String>, Fault> {
    Ok(ecs::find(&us.aws, cluster, &us.instance_id).await?)
}
