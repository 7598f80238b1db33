//! Commands that a person can run against a holder that may be alive, ready to be copied.

use schemars::JsonSchema;
use serde::Serialize;

use super::record::Holder;
use super::word::{InstanceState, Word};

/// Ends `holder`; none where nothing of it can be named to AWS.
fn end(holder: &Holder) -> Option<String> {
    let region = &holder.region;
    if let Some(instance) = &holder.instance_id {
        return Some(format!(
            "aws ec2 terminate-instances --region {region} --instance-ids {instance}"
        ));
    }
    let arn = &holder.task.as_ref()?.arn;
    // arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID
    let cluster = arn.rsplit('/').nth(1)?;
    Some(format!("aws ecs stop-task --region {region} --cluster {cluster} --task {arn}"))
}

/// Asks for the state of `holder`, for a machine that reaches AWS.
fn ask(holder: &Holder) -> Option<String> {
    let (region, instance) = (&holder.region, holder.instance_id.as_ref()?);
    Some(format!(
        "aws ec2 describe-instances --region {region} --instance-ids {instance} \
         --query 'Reservations[].Instances[].State.Name'"
    ))
}

/// A command, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Advice {
    /// What it is for, in two or three words.
    pub purpose: String,
    /// The command.
    pub command: String,
}

impl Advice {
    fn new(purpose: &str, command: String) -> Self {
        Self { purpose: purpose.to_owned(), command }
    }
}

/// What a newcomer that waits for `holder` would be helped by, after AWS said `word` and that
/// proves nothing; none where only waiting helps.
pub fn against(holder: &Holder, word: &Word) -> Option<Advice> {
    let to_end = || Some(Advice::new("to end it", end(holder)?));
    let to_ask = || Some(Advice::new("to ask", ask(holder)?));
    match word {
        Word::Instance(instance) => match instance.state {
            InstanceState::ShuttingDown | InstanceState::Terminated => None,
            _ => to_end(),
        },
        Word::Task { stopped: false, .. } => to_end(),
        Word::Task { instance: Some(word), .. } => against(holder, word),
        Word::Task { instance: None, .. }
        | Word::NotFound { .. }
        | Word::Denied(_)
        | Word::Silent(_) => to_ask(),
    }
}

/// How `generation` is broken.
pub fn break_it(generation: u64) -> Advice {
    let command = format!("hostkit lease break --generation {generation} --reason TEXT");
    Advice::new("to break it", command)
}
