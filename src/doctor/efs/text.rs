//! A report as people read it at night: what is wrong first, what mends it to be copied, and the rest
//! as short as it can be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cause::Cause;
use super::report::Report;
use super::table::Id;
use crate::doctor::{Finding, Verdict};

/// A line with names in it goes on in the next one when it is so long.
const WIDTH: usize = 96;

/// Whether words have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// For a file, a pipe, and who does not want any.
    Plain,
    /// For a terminal.
    Coloured,
}

impl Paint {
    fn verdict(self, verdict: Verdict) -> String {
        let colour = match verdict {
            Verdict::Pass => "32",
            Verdict::Skip => "36",
            Verdict::Warn => "33",
            Verdict::Fail => "31",
        };
        self.with(colour, verdict.word())
    }

    fn with(self, colour: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// The whole report.
pub fn render(report: &Report, paint: Paint) -> String {
    let mut out = head(report);
    let told = |finding: &Finding| report.cause.as_ref().is_some_and(|it| it.tells(finding.id));
    if let Some(cause) = &report.cause {
        out += &root(cause, report, paint);
    }
    for verdict in [Verdict::Fail, Verdict::Warn] {
        for finding in report.findings.iter().filter(|it| it.verdict == verdict && !told(it)) {
            let (word, id) = (paint.verdict(verdict), paint.strong(finding.id));
            let _ = write!(out, "\n{word}  {id}  {}\n", finding.says);
            out += &details(finding, "    ");
        }
    }
    out.push('\n');
    out += &asked_for(report, paint);
    out += &skipped(report, paint);
    out += &passed(report, paint);
    out + &farewell(report)
}

/// What has changed since the last look, for who watches; empty if nothing has.
pub fn changes(report: &Report, before: &Report, paint: Paint) -> String {
    let time = report.at.strftime("%H:%M:%S");
    let mut out = String::new();
    for (then, now) in report.changes(before) {
        let (then, word) = (then.word(), paint.verdict(now.verdict));
        let _ = writeln!(out, "{time}  {}  {then} -> {word}  {}", now.id, now.says);
        if now.verdict >= Verdict::Warn {
            out += &details(now, "          ");
        }
    }
    let id = |report: &Report| report.cause.as_ref().map(|cause| cause.id);
    match (id(before), id(report)) {
        (then, Some(now)) if then != Some(now) => {
            let _ = writeln!(out, "{time}  root cause now: {}", paint.strong(now));
        }
        (Some(_), None) => {
            let _ = writeln!(out, "{time}  nothing fails any more");
        }
        _ => {}
    }
    out
}

impl Cause {
    /// Whether something was told with it.
    fn tells(&self, id: &str) -> bool {
        self.id == id || self.explains.iter().any(|explained| explained.id == id)
    }
}

fn head(report: &Report) -> String {
    let Report { file_system, region, .. } = report;
    let place = match (&report.mount_point, &report.instance) {
        (Some(point), Some(instance)) => format!(", at {point} of {instance}"),
        (Some(point), None) => format!(", at {point} of this host"),
        (None, _) => ", from outside".to_owned(),
    };
    let count = |verdict| report.findings.iter().filter(|it| it.verdict == verdict).count();
    let all = report.findings.len();
    let told = [
        (count(Verdict::Fail), "failed"),
        (count(Verdict::Warn), "to look at"),
        (count(Verdict::Skip), "skipped"),
        (count(Verdict::Pass), "passed"),
    ];
    let told: Vec<_> =
        told.iter().filter(|it| it.0 > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let at = report.at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let took = report.took;
    format!(
        "{file_system} in {region}{place}\n{at}: {all} checks in {took:.1} s: {}\n",
        told.join(", ")
    )
}

fn root(cause: &Cause, report: &Report, paint: Paint) -> String {
    let Some(finding) = report.finding(cause.id) else { return String::new() };
    let title = paint.with("1;31", "ROOT CAUSE");
    let mut out = format!("\n{title}  {}  {}\n", paint.strong(finding.id), finding.says);
    out += &details(finding, "    ");
    if !cause.explains.is_empty() {
        out += "    which explains:\n";
    }
    let width = cause.explains.iter().map(|it| it.id.len()).max().unwrap_or_default();
    for explained in &cause.explains {
        let Some(finding) = report.finding(explained.id) else { continue };
        let (word, id) = (paint.verdict(finding.verdict), explained.id);
        let _ = writeln!(out, "      {word}  {id:<width$}  {}", finding.says);
        let _ = writeln!(out, "            {:<width$}  ({})", "", explained.because);
    }
    if !cause.others.is_empty() {
        let _ = writeln!(out, "    and {} beside it, below", others(cause.others.len()));
    }
    out
}

fn others(count: usize) -> String {
    if count == 1 { "one other failure".to_owned() } else { format!("{count} other failures") }
}

/// What shows it, and what mends it.
fn details(finding: &Finding, indent: &str) -> String {
    let mut out = String::new();
    for evidence in &finding.evidence {
        let _ = writeln!(out, "{indent}{evidence}");
    }
    if !finding.fix.is_empty() {
        let _ = writeln!(out, "{indent}to mend it:");
    }
    for fix in &finding.fix {
        let _ = writeln!(out, "{indent}  {fix}");
    }
    out
}

/// What passed of the checks that somebody asked for by name: with what it saw.
fn asked_for(report: &Report, paint: Paint) -> String {
    let by_name = |it: &&Finding| report.only.contains(&it.id) && it.verdict == Verdict::Pass;
    let mut out = String::new();
    for finding in report.findings.iter().filter(by_name) {
        let word = paint.verdict(Verdict::Pass);
        let _ = writeln!(out, "{word}  {}  {}", paint.strong(finding.id), finding.says);
        for evidence in &finding.evidence {
            let _ = writeln!(out, "    {evidence}");
        }
    }
    out
}

/// What could not be looked at: by the reason, which many may share.
fn skipped(report: &Report, paint: Paint) -> String {
    let mut order = Vec::new();
    let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for finding in report.findings.iter().filter(|it| it.verdict == Verdict::Skip) {
        let reason = reason(finding);
        if !by_reason.contains_key(&reason) {
            order.push(reason.clone());
        }
        by_reason.entry(reason).or_default().push(finding.id);
    }
    let mut out = String::new();
    for reason in order {
        let ids = &by_reason[&reason];
        let _ = writeln!(out, "{}  {reason}", paint.verdict(Verdict::Skip));
        out += &names(ids, "        ");
    }
    out
}

/// Why it was skipped, without what it would have looked at: the id says that.
fn reason(finding: &Finding) -> String {
    let does = Id::find(finding.id).map_or("", |id| id.check().does);
    let rest =
        finding.says.strip_prefix(does).map(|rest| rest.trim_start_matches(" cannot be told: "));
    let why = finding.evidence.first().map(|why| format!(": {why}"));
    match rest {
        Some(rest) if rest.starts_with("needs ") => rest.to_owned(),
        Some(rest) => format!("{rest}{}", why.unwrap_or_default()),
        None => finding.says.clone(),
    }
}

fn passed(report: &Report, paint: Paint) -> String {
    let quiet = |it: &&Finding| it.verdict == Verdict::Pass && !report.only.contains(&it.id);
    let ids: Vec<_> = report.findings.iter().filter(quiet).map(|it| it.id).collect();
    if ids.is_empty() {
        return String::new();
    }
    format!("{}  {}", paint.verdict(Verdict::Pass), names(&ids, "      ").trim_start())
}

/// Names, in as many lines as they need.
fn names(names: &[&str], indent: &str) -> String {
    let mut out = String::new();
    let mut line = indent.to_owned();
    for name in names {
        if line.len() > indent.len() && line.len() + name.len() > WIDTH {
            out += line.trim_end();
            out.push('\n');
            indent.clone_into(&mut line);
        }
        line += name;
        line.push(' ');
    }
    out + line.trim_end() + "\n"
}

fn farewell(report: &Report) -> String {
    let Some(cause) = &report.cause else {
        return match report.verdict {
            Verdict::Warn => "\nnothing fails; somebody should look at the above\n".to_owned(),
            _ => "\nnothing that was looked at is wrong\n".to_owned(),
        };
    };
    format!(
        "\nmore of it: hostkit efs check --explain {}; what to do, by symptom: docs/recovery.md\n\
         for a colleague: hostkit efs check --bundle FILE\n",
        cause.id
    )
}
