//! `hostkit apply`: the steps of a plan on this machine, or on a tree; and what differs from them.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::which::absolute;
use crate::apply::Run;
use crate::error::Fault;
use crate::event::Outcome;
use crate::plan::{self, Plan};
use crate::recipe::platform::{Arch, Os};
use crate::report::Report;
use crate::secret::{REFERENCE, Secrets};
use crate::step::{Mode, Step};
use crate::sys::{Host, Root};
use crate::ui::{self, Format};

/// What a check ends with that found a difference.
const DIFFERS: u8 = 10;

/// Names of releases that are another release every two years: what they are, a host does not say.
const MOVING: &[&str] = &["sid", "unstable", "testing", "stable", "oldstable"];

/// Applies a plan to this machine or to a tree, or checks it against one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A plan, as `hostkit plan --format json` prints it; `-` reads it from standard input
    plan: Utf8PathBuf,
    /// The machine: `/`, or the folder of a tree
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: Utf8PathBuf,
    /// Change nothing; say what differs, and end with 10 if anything does
    #[arg(long)]
    check: bool,
    /// Show the lines of files that change
    #[arg(long)]
    diff: bool,
}

/// `hostkit apply`.
pub async fn run(args: Args, format: Format) -> anyhow::Result<ExitCode> {
    let plan = read(&args.plan)?;
    let host = host(&args.root)?;
    fits(&plan, &host)?;
    let secrets = secrets(&plan);
    let mode = if args.check { Mode::Check } else { Mode::Apply };
    let (events, printer) = ui::start(format);
    let run = Run { host: &host, secrets: &secrets, events: &events, mode, diff: args.diff };
    let end = tokio::select! {
        end = run.all(&plan.steps) => end,
        () = super::stop_signal() => Err(Fault::interrupted().into()),
    };
    drop(events);
    let report = printer.finish().await;
    match format {
        Format::Human => ui::text(&recap(&plan, host.root.path(), &report)),
        Format::Json => ui::json(&Line::new(&report)),
    }
    let differs = end? == Outcome::Differs;
    Ok(if differs { ExitCode::from(DIFFERS) } else { ExitCode::SUCCESS })
}

pub(super) fn read(path: &Utf8Path) -> anyhow::Result<Plan> {
    let mut text = String::new();
    let read = if path == "-" {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.with_context(|| Fault::usage(format!("the plan {path} cannot be read")))?;
    let hint = "a plan is what `hostkit plan RECIPE --format json` prints";
    let plan: Plan = serde_json::from_str(&text)
        .with_context(|| Fault::recipe(format!("{path} is no plan")).hint(hint))?;
    if plan.version == plan::VERSION {
        return Ok(plan.sound()?);
    }
    let what =
        format!("the plan has form {}, and this hostkit reads {}", plan.version, plan::VERSION);
    Err(Fault::recipe(what).hint("plan and apply with the same hostkit").into())
}

fn host(root: &Utf8Path) -> anyhow::Result<Host> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("applying a plan needs root")
            .hint("sudo hostkit apply …")
            .into());
    }
    let absent = || Fault::environment(format!("{root} is no folder that can be opened"));
    let root = Root::open(absolute(root)?).with_context(absent)?;
    if root.path() == "/" { Ok(Host::live(root)) } else { Ok(Host::folder(root)) }
}

/// A plan for one release of a distribution does harm on another.
fn fits(plan: &Plan, host: &Host) -> anyhow::Result<()> {
    let place = host.root.path();
    let release = match host.root.read_text("/etc/os-release")? {
        Some(release) => release,
        None => host.root.read_text("/usr/lib/os-release")?.ok_or_else(|| {
            Fault::usage(format!("{place} is no tree of a system: it has no /etc/os-release"))
        })?,
    };
    let field = |name: &str| {
        let lines = release.lines().filter_map(|line| line.split_once('='));
        let value = lines.filter(|(key, _)| *key == name).map(|(_, value)| value).next();
        value.map_or("", |value| value.trim_matches(['"', '\'']))
    };
    let base = &plan.base;
    let id = if field("ID") == "amzn" { "amazon" } else { field("ID") };
    let is = match base.distribution {
        Os::Debian | Os::Ubuntu => field("VERSION_CODENAME"),
        Os::Amazon => field("VERSION_ID"),
    };
    let wanted = base.distribution.name();
    if id != wanted {
        let what = format!("the plan is for {wanted}, and {place} is {id}");
        return Err(Fault::recipe(what).hint("plan with a base of that distribution").into());
    }
    if is != base.suite && !MOVING.contains(&base.suite.as_str()) {
        let what = format!("the plan is for {wanted} {}, and {place} is {is}", base.suite);
        return Err(Fault::recipe(what).hint("plan with a base of that release").into());
    }
    match arch(host) {
        Some(arch) if arch != base.arch => {
            let what = format!("the plan is for {}, and {place} is {arch}", base.arch);
            Err(Fault::recipe(what).hint(format!("plan with --arch {arch}")).into())
        }
        _ => Ok(()),
    }
}

/// The processor whose programs a host has, as its shell says in the header of its file.
fn arch(host: &Host) -> Option<Arch> {
    let shell = host.root.read("/bin/sh").ok()??;
    match shell.get(18..20) {
        Some([0x3e, 0]) if shell.starts_with(b"\x7fELF") => Some(Arch::Amd64),
        Some([0xb7, 0]) if shell.starts_with(b"\x7fELF") => Some(Arch::Arm64),
        _ => None,
    }
}

/// The secrets that the plan refers to, from where a bake finds them in the environment. A step
/// that needs one which is not there says so.
pub(super) fn secrets(plan: &Plan) -> Secrets {
    let mut secrets = Secrets::default();
    let values = plan.steps.iter().flat_map(|planned| match &planned.step {
        Step::Script(script) => script.env.values().collect(),
        Step::Fetch(fetch) => fetch.headers.values().collect(),
        _ => Vec::new(),
    });
    for name in values.filter_map(|value| value.strip_prefix(REFERENCE)) {
        if let Ok(value) = std::env::var(format!("HOSTKIT_VAR_{name}")) {
            secrets.insert(name, value);
        }
    }
    secrets
}

/// The words of the recap, in order.
const WORDS: &[&str] = &["unchanged", "changed", "differs", "skipped", "failed"];

/// The last line, for programs.
#[derive(Serialize)]
struct Line {
    version: u32,
    recap: std::collections::BTreeMap<&'static str, usize>,
}

impl Line {
    fn new(report: &Report) -> Self {
        let recap = WORDS.iter().map(|word| (*word, report.count(word))).collect();
        Self { version: crate::report::VERSION, recap }
    }
}

/// How many steps ended how, and which those are that somebody must look at.
fn recap(plan: &Plan, root: &Utf8Path, report: &Report) -> String {
    let mut text = format!("\n{} {} on {root}\n", plan.recipe, plan.image_version);
    let counts = WORDS.iter().map(|word| (word, report.count(word))).filter(|(_, n)| *n > 0);
    for (word, count) in counts {
        text += &format!("  {word:<9}  {count:>4}");
        if !["unchanged", "changed"].contains(word) {
            let steps = report.steps.iter();
            let steps = steps.filter(|s| s.outcome.as_ref().is_some_and(|o| o.word() == *word));
            let steps: Vec<_> = steps.map(|step| step.step.as_str()).collect();
            text += &format!("  {}", steps.join(", "));
        }
        text += "\n";
    }
    text
}
