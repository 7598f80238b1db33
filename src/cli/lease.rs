//! `hostkit lease …`: who holds the home of this host.

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8Path;
use clap::{Args, Subcommand};
use nix::unistd::{Uid, User};
use serde::Serialize;

use crate::error::{self, Fault};
use crate::lease::broken::{self, Wish, Words};
use crate::lease::hold::{self, Place};
use crate::lease::order::Order;
use crate::lease::record::Record;
use crate::lease::visit::{End, Visit};
use crate::sys::{Runner, journal};
use crate::ui::{self, Format};

/// How long nothing is said.
const QUIET: Duration = Duration::from_secs(2);

/// The verbs of `hostkit lease`.
#[derive(Debug, Subcommand)]
pub enum Lease {
    /// Wait until this host may have the home, and hold it
    ///
    /// What `hostkit-lease.service` runs. It ends when it is asked to, after it has released the home,
    /// or when somebody else has it, after it has killed Jenkins.
    Hold,
    /// Show who holds the home, and what a host that wants it would do
    ///
    /// Ends with 0 where the home is held, released or free, and with 5 where nobody may start before
    /// a person has looked.
    Status(Status),
    /// Declare the holder dead, so that this host may take the home
    ///
    /// Only where AWS cannot prove it: two controllers on one home destroy it. To terminate the
    /// instance of the holder is always better, and needs no break. It is recorded for ever.
    Break(Break),
}

/// `hostkit lease status`
#[derive(Debug, Args)]
pub struct Status {
    /// Do not ask AWS
    #[arg(long)]
    offline: bool,
}

/// `hostkit lease break`
#[derive(Debug, Args)]
pub struct Break {
    /// The generation to break, as `hostkit lease status` shows it
    #[arg(long, value_name = "N")]
    generation: u64,
    /// Why, in a line
    #[arg(long, value_name = "TEXT")]
    reason: Words,
    /// How you know that the holder is dead though AWS does not say so
    #[arg(long, value_name = "TEXT")]
    i_have_proof: Option<Words>,
}

/// What `break` did, as JSON.
#[derive(Serialize)]
struct Done<'a> {
    version: u32,
    changed: bool,
    record: &'a Record,
}

/// As `hostkit lease hold`, in a process that has nothing else: no parser, no printer that measures
/// steps, and diagnosis only where `RUST_LOG` asks for it.
pub fn hold() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        ui::trace::start();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the kernel gives every process an event queue");
    match runtime.block_on(hold_it(Format::Human)) {
        Ok(code) => code,
        Err(error) => {
            ui::fail(Format::Human, &error);
            ExitCode::from(error::blame(&error).exit_code())
        }
    }
}

/// Runs a verb.
pub async fn run(verb: Lease, format: Format) -> anyhow::Result<ExitCode> {
    root_only()?;
    let root = Utf8Path::new("/");
    match verb {
        Lease::Hold => hold_it(format).await,
        Lease::Status(args) => status(&Order::find(root).await?, &args, format).await,
        Lease::Break(args) => break_it(root, &Order::find(root).await?, args, format).await,
    }
}

fn root_only() -> Result<(), Fault> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Fault::environment("only root can look at the lease of this host")
        .hint("sudo hostkit lease …"))
}

async fn hold_it(format: Format) -> anyhow::Result<ExitCode> {
    root_only()?;
    let (events, printer) = match format {
        Format::Human => ui::lines(),
        Format::Json => ui::start(format),
    };
    let end = hold::hold(Place::default(), events).await;
    printer.finish().await;
    end.map(|_ended| ExitCode::SUCCESS)
}

async fn status(order: &Order, args: &Status, format: Format) -> anyhow::Result<ExitCode> {
    let mut visit = Visit::new(order, Runner::Direct).offline(args.offline);
    let status = patiently(format, visit.status()).await?;
    match format {
        Format::Human => ui::text(&status.render()),
        Format::Json => ui::json(&status),
    }
    Ok(ExitCode::from(status.exit_code()))
}

async fn break_it(
    root: &Utf8Path,
    order: &Order,
    args: Break,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let by = format!("{} on {}", operator(root), order.me.name());
    let Break { generation, reason, i_have_proof: proof } = args;
    let wish = Wish { generation, reason, proof, by };
    let mut visit = Visit::new(order, Runner::Direct);
    let end = patiently(format, visit.break_it(&wish)).await;
    let line = match &end {
        Ok(end) => broken::line(end.record()),
        Err(fault) => format!("lease: {} wanted to break it, in vain: {fault}", wish.by),
    };
    if let Err(error) = journal::warn(root, &line) {
        tracing::warn!(%error, "the journal was not told");
    }
    let end = end?;
    match format {
        Format::Human => {
            let mark = visit.shown().await.ok().and_then(|shown| shown.mark);
            ui::text(&told(order, &end, mark.as_deref()));
        }
        Format::Json => ui::json(&Done {
            version: 1,
            changed: !matches!(end, End::Nothing(_)),
            record: end.record(),
        }),
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells people who wait that something is done.
async fn patiently<T>(format: Format, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        end = &mut work => return end,
        () = tokio::time::sleep(QUIET) => {}
    }
    if format == Format::Human {
        ui::note("asking the file system and AWS; it takes a minute at most …");
    }
    work.await
}

fn told(order: &Order, end: &End, mark: Option<&str>) -> String {
    let old = match end {
        End::Broken(_, old) => old.as_deref(),
        End::Finished(_) | End::Nothing(_) => None,
    };
    let again = match end {
        End::Nothing(_) => "There was nothing to do any more.\n",
        End::Broken(..) | End::Finished(_) => "",
    };
    format!("{again}{}", broken::next(order, end.record(), mark, old))
}

/// The person at the keyboard, as far as this machine knows: root's name would tell nothing.
pub(super) fn operator(root: &Utf8Path) -> String {
    let name = |uid: u32| {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        user.map_or_else(|| format!("user {uid}"), |user| user.name)
    };
    // Set at the login and kept through sudo and su; -1 where nobody has logged in.
    let login = std::fs::read_to_string(root.join("proc/self/loginuid")).ok();
    let login = login.and_then(|text| text.trim().parse().ok()).filter(|uid| *uid != u32::MAX);
    let sudo = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty() && user != "root");
    match (sudo, login.map(name)) {
        (Some(sudo), Some(login)) if sudo != login => format!("{sudo} (logged in as {login})"),
        (Some(sudo), _) => sudo,
        (None, Some(login)) => login,
        (None, None) => name(nix::unistd::getuid().as_raw()),
    }
}
