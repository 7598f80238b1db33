//! The name of this host: the first label of its private DNS name, as EC2 has it.
//!
//! A step of its own, beside what is asked of AWS: the service of systemd that sets it is started for that,
//! which takes longer than all that is asked of the metadata service.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use crate::event::Outcome;
use crate::sys::{Cmd, Tool};

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    Ok(set(&context).await)
}

/// Sets it, if nobody has in this boot; whoever asks meanwhile waits. A host with a wrong name still serves,
/// so what fails is only told.
pub(super) async fn set(context: &Context) -> Outcome {
    context.named.get_or_init(|| change(context)).await.clone()
}

async fn change(context: &Context) -> Outcome {
    let name = &context.must_know().identity.hostname;
    let now = std::fs::read_to_string(context.machine.path("proc/sys/kernel/hostname"));
    if now.is_ok_and(|now| now.trim() == name) {
        return Outcome::Unchanged;
    }
    // Over D-Bus: this service may not change the name of the machine itself.
    let command = Cmd::new(Tool::Hostnamectl)
        .args(["--no-ask-password", "hostname", name])
        .timeout(Duration::from_secs(30));
    match context.machine.runner.run(&command).await {
        Ok(_) => Outcome::Changed,
        Err(error) => Outcome::Degraded(format!("the host name could not be set: {error}")),
    }
}
