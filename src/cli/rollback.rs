//! `hostkit rollback`: what served before, in service again.

use std::process::ExitCode;

use super::upgrade::{How, roll};
use crate::ui::Format;

/// Put back what served before, as it is recorded
///
/// By the same way as an upgrade, with the same proof. A home that a newer Jenkins has written is not
/// given to an older one: the gate between versions, which the hosts keep, is looked at first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends as hostkit upgrade does. After it, what served until now is what another \
    rollback goes back to."
)]
pub struct Rollback {
    /// Another image than the recorded one
    #[arg(long, value_name = "AMI")]
    image: Option<String>,
    #[command(flatten)]
    how: How,
}

/// `hostkit rollback`.
pub(super) async fn run(args: Rollback, format: Format) -> anyhow::Result<ExitCode> {
    let Rollback { image, how } = args;
    let ask = how.ask(None, image, true);
    Box::pin(roll(&how, &ask, format)).await
}
