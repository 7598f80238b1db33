//! Where keys are brought to, at boot and whenever they are read again: what both need.

use std::time::Duration;

use aws_config::SdkConfig;

use super::context::{Context, Machine};
use crate::error::Fault;
use crate::event::Events;
use crate::host::HostConfig;
use crate::keys::ask::PATIENCE;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) machine: &'a Machine,
    pub(super) config: &'a HostConfig,
    pub(super) aws: &'a SdkConfig,
    pub(super) events: &'a Events,
    /// The step that speaks.
    pub(super) step: &'static str,
    /// How long Parameter Store is asked again.
    pub(super) budget: Duration,
}

impl<'a> Site<'a> {
    /// The site of the step `step` of a boot.
    pub(super) async fn of(context: &'a Context, step: &'static str) -> Result<Self, Fault> {
        Ok(Self {
            machine: &context.machine,
            config: context.config(),
            aws: context.aws().await?,
            events: &context.events,
            step,
            budget: PATIENCE.min(context.time_for(step) / 2),
        })
    }
}
