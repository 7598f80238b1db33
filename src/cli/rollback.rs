//! `hostkit rollback`: what served before, in service again.

use std::process::ExitCode;

use super::upgrade::{How, roll};
use crate::fleet::rollout::Ask;
use crate::ui::Format;

/// Put back what served before, as it is recorded
///
/// By the same way as an upgrade, with the same proof. A home that a newer Jenkins has written is not
/// given to an older one, unless it is put back with it (--restore-home): the gate between versions,
/// which the hosts keep, is looked at first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends as hostkit upgrade does. After it, what served until now is what another \
    rollback goes back to."
)]
pub struct Rollback {
    /// Another image than the recorded one
    #[arg(long, value_name = "AMI")]
    image: Option<String>,
    /// Put the home's configuration and plugins back, too, as this image had left them: needed where
    /// its Jenkins is older. What was written since is kept aside on the home
    #[arg(long)]
    restore_home: bool,
    #[command(flatten)]
    how: How,
}

/// `hostkit rollback`.
pub(super) async fn run(args: Rollback, format: Format) -> anyhow::Result<ExitCode> {
    let Rollback { image, restore_home, how } = args;
    let ask = Ask { restore_home, ..how.ask(None, image, true)? };
    Box::pin(roll(&how, &ask, format)).await
}
