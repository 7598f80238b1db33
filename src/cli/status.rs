//! `hostkit status`: how the last boot of this host went.

use std::process::ExitCode;

use crate::boot::Machine;
use crate::boot::status::Status;
use crate::ui::{self, Format};

pub(super) async fn run(format: Format) -> anyhow::Result<ExitCode> {
    let status = Status::read(&Machine::default())?;
    match format {
        Format::Human => ui::text(&status.render()),
        Format::Json => ui::json(&status),
    }
    Ok(ExitCode::from(status.exit_code()))
}
