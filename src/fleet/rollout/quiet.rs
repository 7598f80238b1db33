//! A controller made quiet through its tag, and what it answers.
//!
//! The tag `hostkit:drain` of the instance is all that an operator may say to a host; the guard there
//! answers in Parameter Store. Nothing here stops Jenkins.

use std::collections::BTreeMap;

use aws_config::SdkConfig;

use crate::aws::{Failure, tag};
use crate::group::standing::{Standing, State};

/// The tag.
pub const TAG: &str = "hostkit:drain";
/// Its value that has a host begin no more builds.
pub const QUIET: &str = "quiet";
/// Its value that takes that back.
pub const CANCEL: &str = "cancel";

/// What a host answers to the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    None,
    /// It begins no builds any more; so many run, where anybody knows.
    Quiet(Option<u32>),
    /// It goes already, or is gone.
    Going,
}

/// What `instance` answers.
pub fn answer(standing: Option<&Standing>, instance: &str) -> Answer {
    match standing.filter(|standing| standing.instance == instance) {
        None => Answer::None,
        Some(standing) => match standing.state {
            State::Serving => Answer::None,
            State::Quiet => Answer::Quiet(standing.builds),
            State::Draining | State::Drained => Answer::Going,
        },
    }
}

/// Has a host begin no more builds.
pub async fn ask(config: &SdkConfig, instance: &str) -> Result<(), Failure> {
    say(config, instance, QUIET).await
}

/// Has it begin builds again.
pub async fn cancel(config: &SdkConfig, instance: &str) -> Result<(), Failure> {
    say(config, instance, CANCEL).await
}

async fn say(config: &SdkConfig, instance: &str, word: &str) -> Result<(), Failure> {
    let tags = BTreeMap::from([(TAG.to_owned(), word.to_owned())]);
    tag::set(config, &[instance.to_owned()], &tags).await
}

/// What was last said to a host by its tag.
pub async fn said(config: &SdkConfig, instance: &str) -> Result<Option<String>, Failure> {
    tag::value(config, instance, TAG).await
}
