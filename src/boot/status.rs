//! `report.json`, and how `hostkit status` tells about it.

use std::fmt::Write as _;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::About;
use super::context::Machine;
use super::steps;
use crate::error::Fault;
use crate::event::Outcome;
use crate::report::{Report, StepReport};
use crate::sys::atomic;

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// How wide the timeline is, in characters.
const TIMELINE: f64 = 28.0;

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// How a boot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is under way.
    Running,
    /// Every required step succeeded.
    Ready,
    /// A required step failed.
    Failed,
}

/// The last boot of this host, as far as it got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// See [`VERSION`].
    pub version: u32,
    /// How it stands.
    pub state: State,
    /// The agent's process.
    pub pid: u32,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The instance, once it is known and the boot has ended.
    pub instance_id: Option<String>,
    /// When the agent started.
    #[schemars(with = "String")]
    pub started: jiff::Timestamp,
    /// Seconds from the start of the kernel to the start of the agent.
    pub uptime: Option<f64>,
    /// What the host is, once that is known and the boot has ended.
    #[serde(default)]
    pub about: Option<About>,
    /// What the steps did.
    pub report: Report,
}

impl Status {
    /// A boot that begins now.
    pub fn new(boot_id: String, uptime: Option<f64>) -> Self {
        Self {
            version: VERSION,
            state: State::Running,
            pid: std::process::id(),
            boot_id,
            instance_id: None,
            started: jiff::Timestamp::now(),
            uptime,
            about: None,
            report: Report::new(),
        }
    }

    /// Reads the one of this machine.
    pub fn read(machine: &Machine) -> anyhow::Result<Self> {
        let path = machine.run("report.json");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Fault::environment("there is no report: this host has not booted yet")
                    .hint("systemctl status hostkit-boot")
                    .into());
            }
            other => other.with_context(|| format!("reading {path}"))?,
        };
        let mut status = Self::parse(&text).map_err(|why| {
            Fault::environment(format!("{path} cannot be read: {why}"))
                .hint("journalctl -u hostkit-boot tells the same")
        })?;
        // A killed agent cannot say that it failed, and another program may get its number.
        let name = machine.path(&format!("proc/{}/comm", status.pid));
        let alive = std::fs::read_to_string(name).is_ok_and(|name| name.trim() == "hostkit");
        if status.state == State::Running && !alive {
            status.state = State::Failed;
        }
        if status.about.is_none() {
            let about = About::kept(machine, &status.boot_id);
            status.instance_id = status.instance_id.or_else(|| about.instance_id.clone());
            status.about = Some(about);
        }
        Ok(status)
    }

    /// Reads the text of a report, or of a record of a boot; or tells why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The version decides alone whether the rest may be understood.
        let Version { version } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if version > VERSION {
            return Err(format!("it has version {version}, and this hostkit reads {VERSION}"));
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Puts in how a step ended that was done again.
    pub(super) fn amend(&mut self, step: &steps::Step, outcome: Outcome, took: f64) {
        let steps = &mut self.report.steps;
        if let Some(report) = steps.iter_mut().find(|report| report.step == step.name) {
            (report.outcome, report.took) = (Some(outcome), took);
            return;
        }
        let at = steps.iter().map(|report| report.at + report.took).fold(0.0, f64::max);
        let (name, title) = (step.name.to_owned(), step.title.to_owned());
        steps.push(StepReport { step: name, title, outcome: Some(outcome), at, took });
    }

    /// Writes it where [`Status::read`] finds it.
    pub(super) fn write(&self, machine: &Machine) -> anyhow::Result<()> {
        let path = machine.run("report.json");
        let json = serde_json::to_vec(self).expect("a status has only string keys");
        atomic::write(&path, &json, 0o644).map(drop).with_context(|| format!("writing {path}"))
    }

    /// How it stands in one line.
    pub fn headline(&self) -> String {
        let seconds = self.seconds();
        match (self.state, self.failure()) {
            (State::Ready, _) => match self.degraded().as_slice() {
                [] => format!("ready in {seconds:.1} s"),
                steps => format!("ready in {seconds:.1} s, degraded: {}", steps.join(", ")),
            },
            (State::Failed, Some((step, cause))) => {
                format!("failed at {}: {}", step.step, cause.lines().next().unwrap_or_default())
            }
            (State::Failed, None) => "failed: the agent was stopped before the end".to_owned(),
            (State::Running, failure) => {
                let running = self.report.steps.iter().filter(|step| step.outcome.is_none());
                let names: Vec<_> = running.map(|step| step.step.as_str()).collect();
                match failure {
                    // The last thing that is done has no step of its own.
                    Some((step, _)) if names.is_empty() => {
                        format!("giving up, because {} failed", step.step)
                    }
                    _ if names.is_empty() => "in progress".to_owned(),
                    _ => format!("in progress: {}", names.join(", ")),
                }
            }
        }
    }

    /// The steps that are not done as they were meant to be.
    fn degraded(&self) -> Vec<&str> {
        let is = |step: &&StepReport| matches!(step.outcome, Some(Outcome::Degraded(_)));
        self.report.steps.iter().filter(is).map(|step| step.step.as_str()).collect()
    }

    /// The step that the boot failed at: the first in the table that failed and had to succeed.
    pub fn failure(&self) -> Option<(&StepReport, &str)> {
        let required = steps::all().filter(|row| row.required);
        required
            .filter_map(|row| self.report.steps.iter().find(|step| step.step == row.name))
            .find_map(|step| match &step.outcome {
                Some(Outcome::Failed(cause)) => Some((step, cause.as_str())),
                _ => None,
            })
    }

    /// The exit code of `hostkit status`.
    pub const fn exit_code(&self) -> u8 {
        match self.state {
            State::Ready => 0,
            State::Failed => 5,
            State::Running => 11,
        }
    }

    /// How long it took, in seconds.
    pub fn seconds(&self) -> f64 {
        self.report.steps.iter().map(|step| step.at + step.took).fold(0.0, f64::max)
    }

    /// The whole story on a screen.
    pub fn render(&self) -> String {
        let mut out = self.headline() + "\n";
        let mut facts = vec![format!("started {}", self.started.strftime("%Y-%m-%d %H:%M:%S UTC"))];
        facts.extend(self.uptime.map(|s| format!("{s:.1} s after the kernel")));
        facts.extend(self.instance_id.clone());
        let _ = writeln!(out, "{}", facts.join(" · "));
        let about = self.about.as_ref().map(About::line).unwrap_or_default();
        let _ = writeln!(out, "{about}{}", if about.is_empty() { "" } else { "\n" });
        let _ = writeln!(out, "   {:<10} {:<10}{:>8}   {:>6}", "step", "outcome", "start", "took");
        let now = (jiff::Timestamp::now() - self.started).total(jiff::Unit::Second).unwrap_or(0.0);
        let mut steps = self.report.steps.clone();
        for step in steps.iter_mut().filter(|step| step.outcome.is_none()) {
            step.took = (now - step.at).max(0.0);
        }
        let total = steps.iter().map(|step| step.at + step.took).fold(0.0, f64::max);
        for step in &steps {
            out += &row(step, total);
        }
        if let Some((_, cause)) = self.failure().or_else(|| self.report.failure()) {
            let _ = writeln!(out, "\n{}", indent(cause));
        }
        out
    }
}

fn row(step: &StepReport, total: f64) -> String {
    let (mark, word, why) = match &step.outcome {
        None => ("…", "running", ""),
        Some(outcome @ (Outcome::Unchanged | Outcome::Changed | Outcome::Differs)) => {
            ("✓", outcome.word(), "")
        }
        Some(outcome @ Outcome::Skipped(why)) => ("–", outcome.word(), why.as_str()),
        Some(outcome @ Outcome::Degraded(why)) => ("!", outcome.word(), why.as_str()),
        Some(outcome @ Outcome::Blocked(by)) => ("·", outcome.word(), by.as_str()),
        Some(outcome @ Outcome::Failed(_)) => ("✗", outcome.word(), ""),
    };
    let why = match &step.outcome {
        Some(Outcome::Blocked(by)) => format!("`{by}` did not succeed"),
        _ => why.to_owned(),
    };
    let times = if matches!(step.outcome, Some(Outcome::Blocked(_))) {
        format!("{:>8}   {:>6}  ", "", "")
    } else {
        format!("{:>8.1} s {:>6.1} s", step.at, step.took)
    };
    let bar = if why.is_empty() { timeline(step, total) } else { why };
    format!(" {mark} {:<10} {word:<10}{times}  {bar}", step.step).trim_end().to_owned() + "\n"
}

/// Where in the boot the step lies: a bar below those before it.
fn timeline(step: &StepReport, total: f64) -> String {
    let place = |seconds: f64| {
        let place = (seconds / total.max(0.001) * TIMELINE).round().clamp(0.0, TIMELINE);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        {
            place as usize
        }
    };
    let (from, to) = (place(step.at), place(step.at + step.took));
    " ".repeat(from) + &"█".repeat(to - from) + if to == from { "▏" } else { "" }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_failed_boot_on_one_screen() {
        let step = |step: &str, outcome, at, took| StepReport {
            step: step.to_owned(),
            title: String::new(),
            outcome,
            at,
            took,
        };
        let mut status = Status::new("boot".to_owned(), Some(23.1));
        status.state = State::Failed;
        status.started = "2026-11-20T03:00:00Z".parse().unwrap();
        status.instance_id = Some("i-0bbbbbbbbbbbbbbbb".to_owned());
        let refused = "10.0.2.100:2049 refused the connection\n  hint: check the mount target";
        status.report.steps = vec![
            step("identity", Some(Outcome::Changed), 0.0, 2.5),
            step("hook", Some(Outcome::Skipped("not in a group".to_owned())), 2.5, 0.4),
            step("efs", Some(Outcome::Failed(refused.to_owned())), 2.5, 7.5),
            step("lease", Some(Outcome::Blocked("efs".to_owned())), 10.0, 0.0),
        ];
        assert_eq!(status.exit_code(), 5);
        insta::assert_snapshot!(status.render());
    }

    #[test]
    fn a_running_boot_names_what_it_does() {
        let mut status = Status::new("boot".to_owned(), None);
        let running = |step: &str| StepReport {
            step: step.to_owned(),
            title: String::new(),
            outcome: None,
            at: 0.0,
            took: 0.0,
        };
        status.report.steps = vec![running("keys"), running("efs")];
        assert_eq!(
            (status.headline().as_str(), status.exit_code()),
            ("in progress: keys, efs", 11)
        );
    }

    fn failed(step: &str) -> StepReport {
        StepReport {
            step: step.to_owned(),
            title: String::new(),
            outcome: Some(Outcome::Failed("no".to_owned())),
            at: 0.0,
            took: 0.1,
        }
    }

    #[test]
    fn the_step_that_may_fail_is_never_the_cause() {
        let mut status = Status::new("boot".to_owned(), None);
        status.report.steps = vec![failed("login"), failed("efs")];
        assert_eq!(status.headline(), "giving up, because efs failed");
        status.state = State::Failed;
        assert_eq!(status.headline(), "failed at efs: no");
    }

    #[test]
    fn a_report_that_cannot_be_understood_is_nobodys_bug() {
        let directory = tempfile::tempdir().unwrap();
        let root = camino::Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let machine = Machine { root, ..Machine::default() };
        std::fs::create_dir_all(machine.run("")).unwrap();
        for (text, told) in [("{", "EOF"), ("{\"version\": 2}", "version 2")] {
            std::fs::write(machine.run("report.json"), text).unwrap();
            let error = Status::read(&machine).unwrap_err();
            assert_eq!(crate::error::blame(&error).exit_code(), 4);
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn a_number_that_another_program_has_got_does_not_keep_a_boot_running() {
        let directory = tempfile::tempdir().unwrap();
        let root = camino::Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let machine = Machine { root, ..Machine::default() };
        let status = Status::new("boot".to_owned(), None);
        let process = machine.path(&format!("proc/{}", status.pid));
        std::fs::create_dir_all(&process).unwrap();
        std::fs::create_dir_all(machine.run("")).unwrap();
        let text = serde_json::to_vec(&status).unwrap();
        std::fs::write(machine.run("report.json"), text).unwrap();
        for (name, state) in [("hostkit\n", State::Running), ("bash\n", State::Failed)] {
            std::fs::write(process.join("comm"), name).unwrap();
            assert_eq!(Status::read(&machine).unwrap().state, state);
        }
    }
}
