//! `hostkit efs check`: what is wrong with the storage under Jenkins, and the line that mends it.

use std::process::ExitCode;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde::Serialize;

use crate::boot::{Machine, home};
use crate::cli::aws::Aws;
use crate::cli::stop_signal;
use crate::doctor::Verdict;
use crate::doctor::efs::bundle::Bundle;
use crate::doctor::efs::explain;
use crate::doctor::efs::report::Report;
use crate::doctor::efs::table::{CHECKS, Id};
use crate::doctor::efs::text::{self, Paint};
use crate::doctor::efs::visit::{self, Seen, Visit, Wish};
use crate::error::{Blame, Fault};
use crate::event::Events;
use crate::recipe::problem::nearest;
use crate::sys::secrets;
use crate::ui::{self, Format};

/// Where a bundle does not belong.
const ELSEWHERE: &str = "name a file elsewhere, as /root/efs.json.gz";

/// `hostkit efs check`
#[derive(Debug, Args)]
pub struct Check {
    /// Look at this file system from outside, and not at that of this host
    #[arg(long, value_name = "FS-ID", conflicts_with_all = ["mount", "from_bundle"])]
    file_system: Option<String>,
    /// On a host: the file system that is mounted there, in place of the home
    #[arg(long, value_name = "PATH", conflicts_with = "from_bundle")]
    mount: Option<Utf8PathBuf>,
    /// Run these checks and what they rest on, and nothing else
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Make, find and read small files, too, to see how fast that is
    #[arg(long, conflicts_with_all = ["file_system", "from_bundle"])]
    benchmark: bool,
    /// Look again and again, and say what changes: every 30 seconds, or as often as said
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["bundle", "from_bundle"])]
    watch: Option<u64>,
    /// Write all that was seen to a new file, without secrets, for a colleague
    #[arg(long, value_name = "FILE", conflicts_with = "from_bundle")]
    bundle: Option<Utf8PathBuf>,
    /// Judge again what was seen elsewhere, from such a file; nothing is asked
    #[arg(long, value_name = "FILE")]
    from_bundle: Option<Utf8PathBuf>,
    /// Say what a check looks at, what it needs, and what its failure means
    #[arg(long, value_name = "ID", conflicts_with = "list")]
    explain: Option<String>,
    /// List all checks
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    aws: Aws,
}

/// Runs it.
pub(super) async fn run(args: Check, format: Format) -> anyhow::Result<ExitCode> {
    if args.list {
        list(format);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.explain {
        explained(check(name)?, format);
        return Ok(ExitCode::SUCCESS);
    }
    let which: Vec<Id> =
        args.only.iter().map(|name| check(name.trim())).collect::<Result<_, _>>()?;
    if let Some(path) = &args.from_bundle {
        return from_bundle(path, which, format);
    }
    if let Some(path) = &args.bundle {
        free(path)?;
    }
    let visit = prepare(&args).await?;
    match args.watch {
        Some(seconds) => watch(&visit, which, Duration::from_secs(seconds), format).await,
        None => once(visit, &which, args.bundle.as_deref(), format).await,
    }
}

/// The check of this name.
fn check(name: &str) -> Result<Id, Fault> {
    Id::find(name).ok_or_else(|| {
        let names = || CHECKS.iter().map(|check| check.id.name());
        let what = format!("there is no check `{}`", name.escape_debug());
        let near = nearest(name, names()).map(|near| format!("did you mean `{near}`? "));
        let near = near.unwrap_or_default();
        let all = names().collect::<Vec<_>>().join(", ");
        Fault::usage(what).hint(format!("{near}there are: {all}"))
    })
}

/// Refuses a bundle that could not be written in the end, before anything is looked at.
fn free(path: &Utf8Path) -> Result<(), Fault> {
    home::keep_off(&Machine::default(), path, ELSEWHERE)?;
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(Fault::usage(format!("{path} is there already"))
            .hint("a bundle is never written over something: name another file"));
    }
    Ok(())
}

/// What is looked at, and with what.
async fn prepare(args: &Check) -> anyhow::Result<Visit> {
    if let Some(id) = &args.file_system {
        if !id.starts_with("fs-") {
            let what = format!("`{}` is no id of a file system", id.escape_debug());
            return Err(Fault::usage(what).hint("wanted is fs- and what follows").into());
        }
        return Ok(Visit::from_outside(id.clone(), &args.aws.config().await?, args.benchmark));
    }
    let Aws { region, profile, endpoint_url } = args.aws.clone();
    let instead = match profile {
        Some(_) => Some(args.aws.config().await?),
        None => None,
    };
    secrets::learn("/".into());
    let (mount, benchmark) = (args.mount.clone(), args.benchmark);
    Visit::here("/".into(), Wish { mount, region, endpoint_url, instead, benchmark }).await
}

async fn once(
    visit: Visit,
    which: &[Id],
    bundle: Option<&Utf8Path>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let Seen { observed, report } = look(&visit, which, format).await;
    show(&report, format);
    if let Some(path) = bundle {
        let bytes = Bundle::of(visit.asked, observed, &report).write(path)?;
        let kib = bytes.div_ceil(1024);
        ui::note(&format!(
            "{path}: {kib} KiB, without secrets; elsewhere: hostkit efs check --from-bundle {path}"
        ));
    }
    Ok(code(report.verdict))
}

async fn look(visit: &Visit, which: &[Id], format: Format) -> Seen {
    if format == Format::Json {
        return visit.look(which, &Events::silent()).await;
    }
    let (events, glance) = ui::glance();
    let seen = visit.look(which, &events).await;
    drop(events);
    glance.finish().await;
    seen
}

/// Looks until somebody stops it. The second look and those after it leave out what reads the whole
/// home, unless it was asked for.
async fn watch(
    visit: &Visit,
    mut which: Vec<Id>,
    pause: Duration,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let mut stop = std::pin::pin!(stop_signal());
    let mut before: Option<Report> = None;
    loop {
        let report = tokio::select! {
            seen = look(visit, &which, format) => seen.report,
            () = &mut stop => break,
        };
        match (&before, format) {
            (None, _) => show(&report, format),
            (Some(before), Format::Json) if report.changes(before).is_empty() => {}
            (Some(_), Format::Json) => ui::json(&report),
            (Some(before), Format::Human) => {
                let news = text::changes(&report, before, paint());
                if !news.is_empty() {
                    ui::text(&news);
                }
            }
        }
        if which.is_empty() {
            let large = [Id::Bloat, Id::Speed];
            which = CHECKS.iter().map(|it| it.id).filter(|id| !large.contains(id)).collect();
        }
        before = Some(report);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut stop => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn from_bundle(path: &Utf8Path, which: Vec<Id>, format: Format) -> anyhow::Result<ExitCode> {
    home::keep_off(&Machine::default(), path, "copy it elsewhere first")?;
    let bundle = Bundle::read(path)?;
    let recorded = || bundle.only.iter().filter_map(|name| Id::find(name)).collect();
    let which = if which.is_empty() { recorded() } else { which };
    let Bundle { asked, observed, at, took, .. } = &bundle;
    let report = visit::again(asked, observed, *at, *took, &which);
    if format == Format::Human {
        ui::note(&format!("seen by hostkit {} and judged by this one", bundle.hostkit));
    }
    show(&report, format);
    Ok(code(report.verdict))
}

fn show(report: &Report, format: Format) {
    match format {
        Format::Json => ui::json(report),
        Format::Human => ui::text(&text::render(report, paint())),
    }
}

fn paint() -> Paint {
    if ui::may_colour() { Paint::Coloured } else { Paint::Plain }
}

fn code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Fail => ExitCode::from(Blame::Step.exit_code()),
        Verdict::Pass | Verdict::Skip | Verdict::Warn => ExitCode::SUCCESS,
    }
}

/// A check, for programs.
#[derive(Serialize)]
struct Line {
    version: u32,
    #[serde(flatten)]
    row: explain::Row,
}

fn list(format: Format) {
    match format {
        Format::Human => ui::text(&explain::list()),
        Format::Json => {
            for check in CHECKS {
                ui::json(&Line { version: 1, row: explain::Row::of(check.id) });
            }
        }
    }
}

fn explained(id: Id, format: Format) {
    match format {
        Format::Human => ui::text(&explain::text(id)),
        Format::Json => ui::json(&Line { version: 1, row: explain::Row::of(id) }),
    }
}
