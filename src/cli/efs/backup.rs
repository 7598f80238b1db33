//! `hostkit efs backup`: backups of the home by AWS Backup.

use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use camino::Utf8Path;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::aws::Aws;
use crate::cli::table::table;
use crate::doctor::efs::visit;
use crate::doctor::recover::Setting;
use crate::doctor::recover::backup::text::{HEAD, row};
use crate::doctor::recover::backup::{self, Restored, Standing};
use crate::event::Events;
use crate::lease::order::Order;
use crate::sys::Runner;
use crate::ui::{self, Format};

/// The verbs of `hostkit efs backup`.
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Show how backups stand: the daily one, the newest, and jobs of the last days
    Status(Of),
    /// Have a backup made now
    ///
    /// Jenkins may go on: what it writes meanwhile may be in the backup or not.
    Start(Start),
    /// List what can be restored, the newest first
    List(Of),
    /// Have a backup restored beside what is there, into a folder of its own
    ///
    /// Nothing is overwritten: AWS Backup makes a folder `aws-backup-restore_…` at the top of the file
    /// system. `hostkit efs recover` then moves it in.
    Restore(Restore),
}

/// Which file system.
#[derive(Debug, Args)]
pub struct Of {
    /// The file system; on a host that of its home if not given
    #[arg(long, value_name = "FS-ID", value_parser = file_system)]
    file_system: Option<String>,
    #[command(flatten)]
    aws: Aws,
}

impl Of {
    /// The file system, and how AWS is called where it is.
    pub(super) async fn find(&self) -> anyhow::Result<(String, SdkConfig)> {
        let mut aws = self.aws.clone();
        let file_system = if let Some(id) = &self.file_system {
            id.clone()
        } else {
            let (id, region) = visit::home_of("/".into()).await?;
            aws.region.get_or_insert(region);
            id
        };
        Ok((file_system, aws.config().await?))
    }
}

/// `hostkit efs backup start`
#[derive(Debug, Args)]
pub struct Start {
    /// The vault that it goes into
    #[arg(long, value_name = "NAME", default_value = "Default")]
    vault: String,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    of: Of,
}

/// `hostkit efs backup restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The recovery point: its id, as `list` shows it, its ARN, or `newest`
    #[arg(value_name = "RECOVERY-POINT")]
    point: String,
    /// Only this file or folder, by its path from the top of the file system; may be given several
    /// times
    #[arg(long = "item", value_name = "PATH")]
    items: Vec<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    of: Of,
}

/// How a job is done.
#[derive(Debug, Args)]
struct How {
    /// The role that AWS Backup takes for it: a name or an ARN; its own default one if not given
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
    /// The same word begins it only once, however often it is asked for; another each time if not
    /// given
    #[arg(long, value_name = "WORD")]
    token: Option<String>,
}

impl How {
    fn token(&self) -> anyhow::Result<String> {
        match &self.token {
            Some(token) => Ok(token.clone()),
            None => backup::token(),
        }
    }
}

/// The id of a file system.
pub(super) fn file_system(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("fs-").unwrap_or_default();
    let fits = (8..=40).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_hexdigit());
    fits.then(|| text.to_owned()).ok_or_else(|| "wanted is fs- and hexadecimal digits".to_owned())
}

/// For programs.
#[derive(Serialize)]
struct Line<T: Serialize> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

fn json<T: Serialize>(content: T) {
    ui::json(&Line { version: 1, content });
}

/// Runs a verb.
pub(super) async fn run(verb: Backup, format: Format) -> anyhow::Result<ExitCode> {
    match verb {
        Backup::Status(args) => status(&args, format).await?,
        Backup::Start(args) => start(&args, format).await?,
        Backup::List(args) => list(&args, format).await?,
        Backup::Restore(args) => restore(args, format).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: &Of, format: Format) -> anyhow::Result<()> {
    let (file_system, config) = args.find().await?;
    let standing: Standing = Box::pin(backup::status(&config, &file_system)).await?;
    match format {
        Format::Json => json(&standing),
        Format::Human => ui::text(&standing.text()),
    }
    Ok(())
}

async fn list(args: &Of, format: Format) -> anyhow::Result<()> {
    let (file_system, config) = args.find().await?;
    let points = backup::list(&config, &file_system).await?;
    let now = Timestamp::now();
    match format {
        Format::Json => points.iter().for_each(json),
        Format::Human if points.is_empty() => {
            ui::text(&format!("{file_system} was never backed up"));
        }
        Format::Human => {
            let rows: Vec<_> = points.iter().map(|point| row(point, now)).collect();
            ui::text(&table(HEAD, &rows));
        }
    }
    Ok(())
}

async fn start(args: &Start, format: Format) -> anyhow::Result<()> {
    let (file_system, config) = args.of.find().await?;
    let order = backup::Order {
        file_system,
        vault: args.vault.clone(),
        role: args.how.role.clone(),
        wait: args.how.wait,
        token: args.how.token()?,
    };
    let (events, printer) = ui::start(format);
    let job = Box::pin(backup::start(&config, &order, &events)).await;
    drop(events);
    printer.finish().await;
    let job = job?;
    match format {
        Format::Json => json(&job),
        Format::Human if job.is_over() => {
            let point = job.point.as_deref().unwrap_or_default();
            ui::text(&format!("{} is backed up: {point}", order.file_system));
        }
        Format::Human => ui::text(&format!(
            "the backup is begun\nhostkit efs backup status --file-system {}",
            order.file_system
        )),
    }
    Ok(())
}

async fn restore(args: Restore, format: Format) -> anyhow::Result<()> {
    let (file_system, config) = args.of.find().await?;
    let asked = backup::Asked {
        file_system,
        token: args.how.token()?,
        point: args.point,
        items: args.items,
        role: args.how.role,
        wait: args.how.wait,
    };
    let (events, printer) = ui::start(format);
    let restored = Box::pin(backup::restore(&config, &asked, &events)).await;
    drop(events);
    printer.finish().await;
    let mut restored: Restored = restored?;
    if restored.job.is_over() {
        restored.folder = folder(&restored).await;
    }
    match format {
        Format::Json => json(&restored),
        Format::Human => ui::text(&restored.text()),
    }
    Ok(())
}

/// The folder that a restore made, if this is the host that has the file system mounted.
async fn folder(restored: &Restored) -> Option<String> {
    let root = Utf8Path::new("/");
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let order = Order::find(root).await.ok()?;
    if order.me.fs_id != restored.file_system {
        return None;
    }
    let setting = Setting {
        root,
        runner: &Runner::Direct,
        order: &order,
        user: "jenkins",
        aws: Err("nothing is asked of AWS".to_owned()),
        by: "",
        events: &Events::silent(),
        second: Duration::from_secs(1),
    };
    backup::folder(&setting, &restored.job).await
}
