//! `hostkit support-bundle`: what somebody needs who was not there.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::Args;

use crate::boot::{Machine, bundle, home};
use crate::error::Fault;
use crate::ui::{self, Format};

/// Where it goes.
#[derive(Debug, Args)]
pub struct SupportBundle {
    /// The file to write, else one here that has the instance's id and the time in its name
    #[arg(short, value_name = "FILE")]
    output: Option<Utf8PathBuf>,
}

pub(super) async fn run(args: SupportBundle, format: Format) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can read what belongs into a bundle")
            .hint("sudo hostkit support-bundle")
            .into());
    }
    let machine = Machine::default();
    let path = args.output.unwrap_or_else(|| bundle::usual_name(&machine).into());
    home::keep_off(&machine, &path, "name a file elsewhere: -o /root/bundle.tar.gz")?;
    let bundle = bundle::write(&machine, &path).await?;
    match format {
        Format::Human => ui::text(&bundle.render()),
        Format::Json => ui::json(&bundle),
    }
    Ok(ExitCode::SUCCESS)
}
