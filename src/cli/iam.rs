//! `hostkit iam`: x
#[derive(Debug, clap::Args)]
pub struct Iam {}
pub fn run(_: &Iam) -> anyhow::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::SUCCESS)
}
