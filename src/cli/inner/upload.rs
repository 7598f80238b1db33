//! `hostkit inner upload`: the upload of a bake alone, for measurements and tests.

use std::num::NonZero;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8PathBuf;

use crate::aws::operator;
use crate::cli::aws::Aws;
use crate::error::Fault;
use crate::event::Events;
use crate::image::blocks::Table;
use crate::image::upload::{self, Begun, Encryption, Job, Options, Order, Sent};
use crate::ui;

/// What is uploaded, and how.
#[derive(Debug, clap::Args)]
pub struct Upload {
    /// The disk.
    disk: Utf8PathBuf,
    /// The digests of its blocks; measured if not given.
    #[arg(long)]
    table: Option<Utf8PathBuf>,
    /// The snapshot that it is compared with.
    #[arg(long)]
    parent: Option<String>,
    /// The digests of the parent's blocks; read from the parent if not given.
    #[arg(long, requires = "parent")]
    parent_table: Option<Utf8PathBuf>,
    /// Encrypt it with the account's default key.
    #[arg(long)]
    encrypted: bool,
    /// The same token carries on with the same snapshot.
    #[arg(long, default_value = "inner-upload")]
    token: String,
    /// What remembers the blocks that are there.
    #[arg(long)]
    record: Utf8PathBuf,
    /// Puts a second; 0 is no limit.
    #[arg(long, default_value_t = upload::RATE)]
    rate: f64,
    /// Puts under way at once.
    #[arg(long)]
    under_way: Option<u16>,
    /// Threads that send.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// Seconds until a put is given up.
    #[arg(long)]
    deadline: Option<u64>,
    /// Seconds without an acknowledged block until all is given up.
    #[arg(long)]
    patience: Option<u64>,
    #[command(flatten)]
    aws: Aws,
}

/// Runs in a process that has no runtime yet.
pub(super) fn run(arguments: &Upload) -> anyhow::Result<u8> {
    ui::trace::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = runtime.block_on(async {
        tokio::select! {
            sent = send(arguments) => sent,
            () = crate::cli::stop_signal() => Err(Fault::interrupted().into()),
        }
    })?;
    ui::json(&sent);
    Ok(0)
}

async fn send(arguments: &Upload) -> anyhow::Result<Sent> {
    let table = match &arguments.table {
        Some(path) => table(path)?,
        None => Table::of(&arguments.disk)?,
    };
    let config = arguments.aws.config().await?;
    let parent = match (&arguments.parent, &arguments.parent_table) {
        (_, Some(path)) => Some(self::table(path)?),
        (Some(parent), None) => {
            upload::parent::table(&config, parent).await.map_err(|it| operator::fault(&it))?
        }
        (None, None) => None,
    };
    let begun = begin(arguments, &config, &table, parent.as_ref()).await?;
    let job = Job {
        disk: &arguments.disk,
        table: &table,
        begun: &begun,
        parent: parent.as_ref(),
        record: &arguments.record,
    };
    let usual = Options::default();
    let options = Options {
        rate: (arguments.rate > 0.0).then_some(arguments.rate),
        under_way: arguments.under_way.unwrap_or(usual.under_way),
        threads: arguments.threads.map_or(usual.threads, NonZero::get),
        deadline: arguments.deadline.map_or(usual.deadline, Duration::from_secs),
        patience: arguments.patience.map_or(usual.patience, Duration::from_secs),
        ..usual
    };
    upload::upload(&config, &job, &options, &Events::silent(), "upload").await
}

async fn begin(
    arguments: &Upload,
    config: &aws_config::SdkConfig,
    table: &Table,
    parent: Option<&Table>,
) -> anyhow::Result<Begun> {
    let encryption =
        if arguments.encrypted { Encryption::DefaultKey } else { Encryption::Inherited };
    let order = Order {
        volume_gib: upload::volume_gib(table, parent),
        client_token: arguments.token.clone(),
        timeout_minutes: 60,
        parent: arguments.parent.clone(),
        encryption,
        ..Order::default()
    };
    upload::begin(config, &order).await
}

fn table(path: &Utf8PathBuf) -> anyhow::Result<Table> {
    let fault = || Fault::usage(format!("{path} is no table of blocks"));
    let bytes = std::fs::read(path).with_context(fault)?;
    Table::from_bytes(&bytes).with_context(fault)
}
