//! The start of what ships the journal, as early as it is known that it is wanted: what a failed boot
//! says must get away before the host goes.

use super::context::Context;
use super::steps::CONFIG_STEP as STEP;
use crate::sys::systemd;

const UNIT: &str = "hostkit-logs.service";

/// Starts it. A host whose journal stays where it is serves all the same.
pub(super) async fn start(context: &Context) {
    if let Err(error) = systemd::start_no_block(&context.machine.runner, UNIT).await {
        context.events.log(STEP, format!("the journal is not shipped: {error}"));
    }
}
