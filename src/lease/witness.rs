//! The witness: a child that asks AWS about one holder, once, and ends.
//!
//! The SDK, its credentials and its memory live in a process of their own, because the holder of a
//! lease stays for months and must be small. It says what it heard; what that proves is decided
//! elsewhere ([`super::word`]). It never takes silence for an answer.
//!
//! A holder that is an ECS task is not asked about yet: the word on it is [`Word::Silent`], so
//! nobody takes over from it unless it releases the home or an operator breaks the lease.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::order::Order;
use super::record::Holder;
use super::word::{Instance, InstanceState, Word};
use crate::aws::imds::Imds;
use crate::aws::{self, Clock, Failure, asg, ec2};
use crate::error::Fault;
use crate::sys::{Cmd, CmdError, Runner, Tool};

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(45);

/// How long the metadata service may be silent.
const IMDS: Duration = Duration::from_secs(15);

/// How long the state in the group may take, which only people read.
const LIFECYCLE: Duration = Duration::from_secs(5);

/// After this long the child itself is given up.
const PATIENCE: Duration = Duration::from_secs(50);

/// What a witness is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// This host, and where AWS is.
    pub order: Order,
    /// What it is to do.
    #[serde(flatten)]
    pub errand: Errand,
}

/// What a witness is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Errand {
    /// Find out about this holder.
    About(Box<Holder>),
    /// Terminate the machine of this holder, if it is of this host's group.
    Terminate(Box<Holder>),
}

/// What a witness answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Testimony {
    /// What it heard.
    Word(Word),
    /// The termination was accepted.
    Done,
    /// It was not done.
    Failed {
        /// Why.
        why: String,
        /// What may help.
        hint: String,
    },
}

/// Has a child ask about a holder. The age of the claim is left open in [`Word::NotFound`].
pub async fn ask(runner: &Runner, order: &Order, holder: &Holder) -> Word {
    match send(runner, order, Errand::About(Box::new(holder.clone()))).await {
        Ok(Testimony::Word(word)) => word,
        Ok(other) => Word::Silent(format!("the witness answered {other:?}")),
        Err(why) => Word::Silent(why),
    }
}

/// Has a child terminate the machine of a holder, which checks once more that it may.
pub async fn terminate(runner: &Runner, order: &Order, holder: &Holder) -> Result<(), Fault> {
    match send(runner, order, Errand::Terminate(Box::new(holder.clone()))).await {
        Ok(Testimony::Done) => Ok(()),
        Ok(Testimony::Failed { why, hint }) => Err(Fault::aws(why).hint(hint)),
        Ok(other) => Err(Fault::aws(format!("the witness answered {other:?}"))),
        Err(why) => Err(Fault::aws(why)),
    }
}

async fn send(runner: &Runner, order: &Order, errand: Errand) -> Result<Testimony, String> {
    let question = Question { order: order.clone(), errand };
    let json = serde_json::to_vec(&question).expect("a question has only string keys");
    let command = Cmd::new(Tool::Hostkit).args(["inner", "witness"]).stdin(json).timeout(PATIENCE);
    let output = runner.run(&command).await.map_err(|error| match error {
        CmdError::Timeout { timeout, .. } => {
            format!("the child that asks AWS did not end within {} s", timeout.as_secs())
        }
        other => format!("the child that asks AWS failed: {}", other.to_string().trim_end()),
    })?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the child that asks AWS said nothing that is known: {error}"))
}

/// What the child does: it has a runtime of its own, and always answers.
pub fn answer(question: &Question) -> Testimony {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(testify(question)),
        Err(error) => question.errand.in_vain(format!("the child has no event queue: {error}")),
    }
}

impl Errand {
    /// The answer where nothing could be done.
    fn in_vain(&self, why: String) -> Testimony {
        match self {
            Self::About(_) => Testimony::Word(Word::Silent(why)),
            Self::Terminate(_) => {
                Testimony::Failed { why, hint: "it is tried again in a while".to_owned() }
            }
        }
    }
}

async fn testify(question: &Question) -> Testimony {
    let Question { order, errand } = question;
    let work = async {
        match errand {
            Errand::About(holder) => Testimony::Word(word(order, holder).await),
            Errand::Terminate(holder) => end(order, holder).await,
        }
    };
    let silent = || errand.in_vain(format!("AWS did not answer within {} s", DEADLINE.as_secs()));
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_elapsed| silent())
}

async fn connect(order: &Order) -> Result<aws_config::SdkConfig, String> {
    let brief = |error: anyhow::Error| format!("{error:#}");
    let imds = Imds::new(order.imds.as_deref(), IMDS).map_err(brief)?;
    let role = imds.role().await.map_err(brief)?;
    Ok(aws::config(&order.me.region, order.endpoint_url.as_deref(), &imds, &role))
}

async fn word(order: &Order, holder: &Holder) -> Word {
    let id = match machine(holder) {
        Ok(id) => id,
        Err(why) => return Word::Silent(why),
    };
    let config = match connect(order).await {
        Ok(config) => config,
        Err(why) => return Word::Silent(why),
    };
    // Where its group has it is worth a line to people, and not worth waiting for.
    let lifecycle = tokio::time::timeout(LIFECYCLE, asg::membership(&config, id));
    let (described, lifecycle) = tokio::join!(ec2::describe(&config, id), lifecycle);
    let lifecycle = lifecycle.ok().and_then(Result::ok).flatten();
    match described {
        Ok(Some(instance)) => Word::Instance(Instance {
            state: InstanceState::named(&instance.state),
            hibernates: instance.hibernates.unwrap_or(true),
            launched: instance.launched,
            group: instance.group,
            lifecycle: lifecycle.map(|membership| membership.state),
        }),
        Ok(None) => Word::NotFound { age: None },
        Err(failure) => refused(id, &failure),
    }
}

/// The instance that a holder is.
fn machine(holder: &Holder) -> Result<&str, String> {
    if let Some(task) = &holder.task {
        return Err(format!("asking ECS about a task ({}) is not built in yet", task.arn));
    }
    holder.instance_id.as_deref().ok_or_else(|| "the holder has no instance".to_owned())
}

/// A failure as a word: what is refused has to be allowed, everything else may pass.
fn refused(id: &str, failure: &Failure) -> Word {
    if failure.code().is_some_and(|code| code.starts_with("InvalidInstanceID")) {
        return Word::Silent(format!("`{}` is no instance id to EC2", id.escape_debug()));
    }
    let why = explain(failure);
    if failure.is_denied() || failure.clock() != Clock::Fine && failure.code().is_some() {
        return Word::Denied(why);
    }
    Word::Silent(why)
}

/// What went wrong and what helps, in a line.
fn explain(failure: &Failure) -> String {
    match failure.clock() {
        Clock::Off(ahead) => {
            let side = if ahead.is_negative() { "ahead" } else { "behind" };
            let off = span(ahead.unsigned_abs());
            format!("{failure}; this host's clock is {off} {side}: look at `timedatectl`")
        }
        Clock::Suspect => {
            format!("{failure}; this host's clock may be off: look at `timedatectl`")
        }
        Clock::Fine if failure.is_denied() => {
            format!("{failure}; allow `{}` in the policy of the instance role", failure.wanted())
        }
        Clock::Fine => failure.to_string(),
    }
}

fn span(off: Duration) -> String {
    match off.as_secs() {
        seconds if seconds >= 2 * 3600 => format!("{} hours", seconds / 3600),
        seconds => format!("{} minutes", seconds / 60),
    }
}

/// Terminates the machine of a holder. Whose group it is in is asked again in this call: what was
/// known when it was decided may be old.
async fn end(order: &Order, holder: &Holder) -> Testimony {
    let failed = |why: String, hint: &str| Testimony::Failed { why, hint: hint.to_owned() };
    let again = "it is tried again in a while";
    let id = match machine(holder) {
        Ok(id) => id,
        Err(why) => return failed(why, "stop the task, or break the lease"),
    };
    let config = match connect(order).await {
        Ok(config) => config,
        Err(why) => return failed(why, again),
    };
    let instance = match ec2::describe(&config, id).await {
        Ok(Some(instance)) => instance,
        Ok(None) => return failed(format!("EC2 knows no instance {id}"), again),
        Err(failure) => return failed(explain(&failure), again),
    };
    let is_ours = instance.group.is_some() && instance.group == order.group;
    if !is_ours || order.me.instance_id.as_deref() == Some(id) {
        let group = instance.group.as_deref().unwrap_or("none");
        return failed(
            format!("{id} is not terminated: its group is {group}, which is not this host's"),
            "terminate it by hand if it is dead, or wait for it",
        );
    }
    match asg::membership(&config, id).await {
        Ok(Some(member)) if !member.state.starts_with("Terminating") => {}
        Ok(Some(_)) => return failed(format!("{id} is being drained by its group"), again),
        Ok(None) => return failed(format!("the group does not have {id} any more"), again),
        Err(failure) => return failed(explain(&failure), again),
    }
    match ec2::terminate(&config, id).await {
        Ok(()) => Testimony::Done,
        Err(failure) => failed(
            explain(&failure),
            "the role needs `ec2:TerminateInstances` on instances of its own group",
        ),
    }
}
