//! `hostkit analyze`: where the time of a boot went.

use std::process::ExitCode;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use clap::Args;
use jiff::Timestamp;

use crate::boot::analyze::Analysis;
use crate::boot::status::Status;
use crate::boot::{Machine, home, records};
use crate::error::Fault;
use crate::sys::atomic;
use crate::ui::{self, Format};

/// Which boot to look at, and how to show it.
#[derive(Debug, Args)]
pub struct Analyze {
    /// Read the boot from a report or a record of one, else the last one of this host
    #[arg(long, value_name = "FILE", conflicts_with = "boot")]
    report: Option<Utf8PathBuf>,
    /// The last boot of this instance, from the records that `hostkit history` lists
    #[arg(long, value_name = "INSTANCE")]
    boot: Option<String>,
    /// Draw it into a file, too
    #[arg(long, value_name = "FILE")]
    svg: Option<Utf8PathBuf>,
}

pub(super) async fn run(args: Analyze, format: Format) -> anyhow::Result<ExitCode> {
    let machine = Machine::default();
    let instead =
        "hostkit analyze --boot INSTANCE reads the records there, in a child that can be killed";
    args.report.iter().try_for_each(|path| home::keep_off(&machine, path, instead))?;
    let instead = "draw it into a file elsewhere: --svg /root/boot.svg";
    args.svg.iter().try_for_each(|path| home::keep_off(&machine, path, instead))?;
    let status = match (&args.report, &args.boot) {
        (Some(path), _) => read(path)?,
        (None, Some(instance)) => recorded(&machine, instance).await?,
        (None, None) => Status::read(&machine)?,
    };
    let analysis = Analysis::new(&status, Timestamp::now());
    if let Some(path) = &args.svg {
        let svg = analysis.svg();
        atomic::write(path, svg.as_bytes(), 0o644).with_context(|| format!("writing {path}"))?;
    }
    match format {
        Format::Human => ui::text(&analysis.text()),
        Format::Json => ui::json(&analysis),
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Utf8PathBuf) -> anyhow::Result<Status> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::usage(format!("{path} cannot be read: {error}")))?;
    Status::parse(&text).map_err(|why| {
        Fault::usage(format!("{path} is no report of a boot: {why}"))
            .hint("/run/hostkit/report.json is one, and so are the files in .hostkit/boots/")
            .into()
    })
}

async fn recorded(machine: &Machine, instance: &str) -> anyhow::Result<Status> {
    let records = records::read(machine).await?;
    let of = |boot: &Status| boot.instance_id.as_deref() == Some(instance);
    records.boots.into_iter().find(of).ok_or_else(|| {
        Fault::usage(format!("there is no record of a boot of {instance}"))
            .hint("hostkit history lists them")
            .into()
    })
}
