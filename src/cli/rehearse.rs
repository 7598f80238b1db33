//! `hostkit rehearse`: plays bad nights on real machines before they come.

mod upgrade;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use self::upgrade::Upgrade;
use super::vm::Accel;
use crate::error::Blame;
use crate::sim::failover::{self, Check, Ended, Night, Options, Told};
use crate::sim::fleet::{self, Line};
use crate::sim::nights::{self, Played};
use crate::sim::vm::options::{parse_duration, parse_memory};
use crate::ui::{self, Format};

/// Play bad nights on virtual machines before they come
#[derive(Debug, Subcommand)]
pub enum Rehearse {
    /// Have controllers fail, and see that never two of them write one home
    Failover(Failover),
    /// Replace a controller by one of another image, as `hostkit upgrade` will do it
    Upgrade(Upgrade),
}

/// Has controllers fail, and sees that never two of them write one home
///
/// Boots an image several times in a simulated AWS account, on one file system: hosts wait for each
/// other, stand still, die, are broken by an operator. Everything that they do to the file system
/// is recorded, and each night ends with a verdict.
#[derive(Debug, Args)]
#[command(after_help = "Ends with 0 when every night was as it must be, with 5 when one was not.")]
pub struct Failover {
    /// The image of a controller, raw or qcow2
    image: PathBuf,
    /// A night to play; all by default
    #[arg(long, value_enum, value_name = "NIGHT")]
    night: Vec<NightName>,
    #[command(flatten)]
    machines: Machines,
}

/// The machines of a rehearsal, and how long they are waited for.
#[derive(Debug, Args)]
pub(super) struct Machines {
    /// How long anything that is waited for may take
    #[arg(long, default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    /// Keep the consoles, and what was recorded, in a folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The memory of each machine
    #[arg(long, default_value = "1024M", value_parser = parse_memory)]
    memory: u64,
    /// The processors of each machine
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: u8,
    /// How the processors run
    #[arg(long, value_enum, default_value_t)]
    accel: Accel,
}

/// A night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NightName {
    /// EC2 cannot be asked.
    Blind,
    /// The holder stands still, and goes on.
    Paused,
    /// An operator breaks the lease of a holder that stands still.
    Broken,
    /// The holder is stopped in good order.
    Drained,
    /// The holder's machine dies.
    Killed,
    /// Two hosts begin at the same moment.
    Race,
    /// The file system is a copy of another one.
    Restored,
}

impl NightName {
    const fn night(self) -> Night {
        match self {
            Self::Blind => Night::Blind,
            Self::Paused => Night::Paused,
            Self::Broken => Night::Broken,
            Self::Drained => Night::Drained,
            Self::Killed => Night::Killed,
            Self::Race => Night::Race,
            Self::Restored => Night::Restored,
        }
    }
}

/// Runs it.
pub async fn run(verb: Rehearse, format: Format) -> anyhow::Result<ExitCode> {
    match verb {
        Rehearse::Failover(args) => failover(args, format).await,
        Rehearse::Upgrade(args) => upgrade::run(args, format).await,
    }
}

async fn failover(args: Failover, format: Format) -> anyhow::Result<ExitCode> {
    let options = args.options();
    let (events, printer) = ui::start(format);
    let end = Box::pin(failover::run(&options, &events)).await;
    drop(events);
    printer.finish().await;
    Ok(told(&end?, format, table))
}

/// Says how all nights were; the exit status.
fn told<T: Played + Serialize>(
    ended: &nights::Ended<T>,
    format: Format,
    table: fn(&nights::Ended<T>) -> String,
) -> ExitCode {
    match format {
        Format::Json => ui::json(ended),
        Format::Human => ui::text(&table(ended)),
    }
    ExitCode::from(if ended.holds() { 0 } else { Blame::Step.exit_code() })
}

impl Failover {
    fn options(self) -> Options {
        let wanted = |night: &Night| {
            self.night.is_empty() || self.night.iter().any(|name| name.night() == *night)
        };
        Options {
            nights: Night::ALL.into_iter().filter(wanted).collect(),
            fleet: fleet::Options {
                image: self.image,
                acceleration: self.machines.accel.acceleration(),
                memory_mib: self.machines.memory,
                cpus: self.machines.cpus,
                timeout: self.machines.timeout,
                keep: self.machines.keep,
            },
        }
    }
}

fn table(ended: &Ended) -> String {
    let mut text = String::new();
    for told in &ended.nights {
        text += &night(told);
    }
    text + &whole(ended, "all nights were as they must be")
}

/// How all nights were; `well` where each was as it must be.
fn whole<T: Played>(ended: &nights::Ended<T>, well: &str) -> String {
    let verdict = match ended.wrong().as_slice() {
        [] => well.to_owned(),
        wrong => format!("WRONG: {}", wrong.join(", ")),
    };
    format!("{verdict} ({} boots, {:.0} s)\n", ended.boots, ended.seconds)
}

fn night(told: &Told) -> String {
    story(told.night.name(), told.night.about(), &told.timeline)
        + &verdict(told.failed.as_deref(), told.holds, &told.checks)
}

/// What happened on a night.
fn story(name: &str, about: &str, timeline: &[Line]) -> String {
    let mut text = format!("\n{name}: {about}\n");
    for line in timeline {
        let _ = writeln!(text, "{:>8.1}  {:<5}  {}", line.at, line.who, line.what);
    }
    text
}

/// How a night was.
fn verdict(failed: Option<&str>, holds: bool, checks: &[Check]) -> String {
    let mut text = String::new();
    if let Some(why) = failed {
        let _ = writeln!(text, "          broken off: {why}");
    }
    let held = checks.iter().filter(|check| check.holds).count();
    let word = if holds { "ok" } else { "WRONG" };
    let _ = writeln!(text, "  {word}: {held} of {} checks hold\n", checks.len());
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::fleet::Line;
    use crate::sim::nights::Check;

    fn told(night: Night, holds: bool) -> Told {
        let line = |at: f64, who: &str, what: &str| Line { at, who: who.into(), what: what.into() };
        let what = "B waits while A stands still";
        Told {
            night,
            holds,
            checks: vec![Check { what: what.into(), holds, seen: "it did not".into() }],
            seconds: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            timeline: vec![
                line(0.0, "A", "power on"),
                line(71.25, "EFS", "the record: generation 1, held by A"),
                line(91.5, if holds { "ok" } else { "WRONG" }, what),
            ],
            failed: (!holds).then(|| "host A: 600 s passed before it held the home".into()),
        }
    }

    #[test]
    fn a_rehearsal_reads_like_this() {
        let nights = vec![told(Night::Paused, true), told(Night::Killed, false)];
        insta::assert_snapshot!(table(&Ended { version: 1, nights, boots: 4, seconds: 612.0 }));
    }

    #[test]
    fn every_night_has_its_name_here() {
        for (name, night) in NightName::value_variants().iter().zip(Night::ALL) {
            assert_eq!(name.night(), night);
            let value = name.to_possible_value().expect("it is not hidden");
            assert_eq!(value.get_name(), night.name());
        }
        assert_eq!(NightName::value_variants().len(), Night::ALL.len());
    }
}
