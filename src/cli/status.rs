//! `hostkit status`: how the last boot of this host went, and how it stands.

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::Serialize;

use crate::boot::Machine;
use crate::boot::live::Live;
use crate::boot::status::Status;
use crate::ui::{self, Format};

/// All of it, as JSON.
#[derive(Serialize, JsonSchema)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    status: &'a Status,
    live: &'a Live,
}

pub(super) async fn run(format: Format) -> anyhow::Result<ExitCode> {
    let machine = Machine::default();
    let status = Status::read(&machine)?;
    let live = Live::look(&machine, &status).await;
    match format {
        Format::Human => ui::text(&(status.render() + &live.render())),
        Format::Json => ui::json(&Whole { status: &status, live: &live }),
    }
    Ok(ExitCode::from(status.exit_code()))
}
