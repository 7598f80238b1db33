//! `hostkit rehearse upgrade`: an upgrade on this machine before there is one on AWS.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Machines, story, told, verdict, whole};
use crate::sim::upgrade::{self, Ended, Night, Options, Told, Whose};
use crate::sim::vm::options::parse_duration;
use crate::ui::{self, Format};

/// Replaces a controller by one of another image, as `hostkit upgrade` will do it
///
/// A group in a simulated AWS account launches the old image on a virtual machine, and `hostkit
/// upgrade` is run against that account: with your images, your host.toml, a build that runs, one file
/// system. Tells where the time went, how long nobody served, and whether two hosts ever wrote the
/// home. Needs root.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 0 when everything was as it must be, with 5 when something was not."
)]
pub struct Upgrade {
    /// The image that serves, raw or qcow2, with its manifest beside it
    old: PathBuf,
    /// The image that shall serve
    new: PathBuf,
    /// Have this go wrong, each in an account of its own; nothing goes wrong by default
    #[arg(long = "break", value_enum, value_name = "NAME")]
    broken: Vec<Break>,
    /// What hosts are told by their user-data, in the format of host.toml
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
    /// The Parameter Store's content (TOML); made-up keys by default
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// Kill `hostkit upgrade` when it begins this step, and resume it; can be given several times
    #[arg(long, value_name = "STEP")]
    kill_at: Vec<String>,
    /// How long a build runs that is there when the upgrade begins; 0s: none
    #[arg(long, default_value = "20s", value_parser = parse_build)]
    build: Duration,
    /// How long `hostkit upgrade` lets the new host take to prove itself
    #[arg(long, default_value = "15m", value_parser = parse_duration)]
    patience: Duration,
    #[command(flatten)]
    machines: Machines,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Break {
    /// The new host never comes into service.
    NeverHealthy,
    /// The file system falls silent while the new host boots.
    EfsDies,
    /// EC2 cannot be asked.
    Ec2Down,
    /// The old host stands still when it is to go.
    OldPaused,
    /// EC2 takes the old host back meanwhile.
    Spot,
}

impl Break {
    const fn night(self) -> Night {
        match self {
            Self::NeverHealthy => Night::NeverHealthy,
            Self::EfsDies => Night::EfsDies,
            Self::Ec2Down => Night::Ec2Down,
            Self::OldPaused => Night::OldPaused,
            Self::Spot => Night::Spot,
        }
    }
}

fn parse_build(text: &str) -> Result<Duration, String> {
    if text == "0" || text == "0s" { Ok(Duration::ZERO) } else { parse_duration(text) }
}

/// Runs it.
pub(super) async fn run(args: Upgrade, format: Format) -> anyhow::Result<ExitCode> {
    let options = args.options();
    let (events, printer) = ui::start(format);
    let end = Box::pin(upgrade::run(&options, &events)).await;
    drop(events);
    printer.finish().await;
    Ok(told(&end?, format, table))
}

impl Upgrade {
    fn options(self) -> Options {
        let nights = match self.broken.as_slice() {
            [] => vec![Night::Planned],
            broken => broken.iter().map(|one| one.night()).collect(),
        };
        Options {
            old: self.old,
            new: self.new,
            host: self.host,
            parameters: self.parameters,
            nights,
            kill_at: self.kill_at,
            build: self.build,
            patience: self.patience,
            acceleration: self.machines.accel.acceleration(),
            memory_mib: self.machines.memory,
            cpus: self.machines.cpus,
            timeout: self.machines.timeout,
            keep: self.machines.keep,
        }
    }
}

fn table(ended: &Ended) -> String {
    let text: String = ended.nights.iter().map(night).collect();
    text + &whole(ended, "everything was as it must be")
}

fn night(told: &Told) -> String {
    let mut text = story(told.night.name(), told.night.about(), &told.timeline);
    if !told.times.spans.is_empty() {
        text += "\n  where the time went\n";
    }
    for span in &told.times.spans {
        let whose = match span.whose {
            Whose::Hostkit => "hostkit",
            Whose::Builds => "builds",
            Whose::Aws => "AWS",
            Whose::Machine => "the machine",
            Whose::Jenkins => "Jenkins",
            Whose::Night => "the night",
        };
        let (name, about) = (span.name, span.about);
        let _ = writeln!(text, "{:>8.1} s  {name:<10}  {about} ({whose})", span.seconds);
    }
    if let Some(down) = told.times.down {
        let own = told.times.own;
        let _ = writeln!(text, "  nobody served for {down:.1} s; hostkit's own time: {own:.1} s\n");
    }
    text + &verdict(told.failed.as_deref(), told.holds, &told.checks)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::fleet::Line;
    use crate::sim::nights::Check;
    use crate::sim::upgrade::{Span, Times};

    #[test]
    fn a_rehearsed_upgrade_reads_like_this() {
        let line = |at: f64, who: &str, what: &str| Line { at, who: who.into(), what: what.into() };
        let span = |name, about, seconds, whose| Span { name, about, seconds, whose };
        let spans = vec![
            span("quiet", "until Jenkins is quiet and no build runs", 21.5, Whose::Builds),
            span("release", "until the home is released", 0.412, Whose::Hostkit),
        ];
        let planned = Told {
            night: Night::Planned,
            holds: true,
            checks: vec![Check { what: "it serves".into(), holds: true, seen: String::new() }],
            code: Some(0),
            said: None,
            times: Times { spans, down: Some(71.25), own: 0.412, all: 80.0 },
            verdicts: BTreeMap::new(),
            timeline: vec![
                line(0.0, "OLD", "ami-1: out/jenkins-controller.raw"),
                line(171.25, "you", "the command ends with 0"),
            ],
            failed: None,
        };
        let broken = Told {
            night: Night::Spot,
            holds: false,
            times: Times::default(),
            failed: Some("600 s passed before the first host served".into()),
            ..planned.clone()
        };
        let nights = vec![planned, broken];
        insta::assert_snapshot!(table(&Ended { version: 1, nights, boots: 2, seconds: 301.0 }));
    }

    #[test]
    fn every_night_but_the_planned_one_has_its_name_here() {
        let names = Break::value_variants().iter().map(|one| {
            let value = one.to_possible_value().expect("it is not hidden");
            assert_eq!(value.get_name(), one.night().name());
            one.night()
        });
        assert_eq!(names.collect::<Vec<_>>(), Night::ALL[1..]);
    }
}
