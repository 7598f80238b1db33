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
        let (word, ids) = (paint.verdict(Verdict::Skip), &by_reason[&reason]);
        let together = ids.join(" ");
        if reason.chars().count() + together.len() < WIDTH - 8 {
            let _ = writeln!(out, "{word}  {reason}: {together}");
        } else {
            let _ = writeln!(out, "{word}  {reason}:\n{}", names(ids, "        ").trim_end());
        }
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

#[cfg(test)]
mod tests {
    use super::super::cause::Explained;
    use super::super::table::CHECKS;
    use super::*;

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    /// All pass, but these.
    fn report(others: Vec<Finding>, cause: Option<Cause>) -> Report {
        let mut findings: Vec<_> = CHECKS
            .iter()
            .map(|check| Finding::new(check.id.name(), Verdict::Pass, "as it must be"))
            .collect();
        for other in others {
            let place = findings.iter_mut().find(|it| it.id == other.id).unwrap();
            *place = other;
        }
        Report {
            version: 1,
            file_system: "fs-0123456789abcdef0".to_owned(),
            region: "eu-west-1".to_owned(),
            mount_point: Some("/var/lib/jenkins".to_owned()),
            instance: Some("i-0aaaaaaaaaaaaaaaa".to_owned()),
            at: at("2026-11-27T03:12:44Z"),
            took: 3.21,
            verdict: crate::doctor::worst(&findings),
            cause,
            only: Vec::new(),
            findings,
        }
    }

    fn night() -> Report {
        let command = "aws ec2 authorize-security-group-ingress --group-id sg-0b --protocol tcp \
                       --port 2049 --source-group sg-0a --region eu-west-1";
        let skip = |id: &'static str, why: &str| Finding::new(id, Verdict::Skip, why);
        let denied = crate::doctor::Gap {
            needs: "kms:DescribeKey".to_owned(),
            denied: true,
            why: "AccessDeniedException".to_owned(),
        };
        let others = vec![
            Finding::new("net.groups", Verdict::Fail, "no rule lets this host in on TCP 2049")
                .shown_by("the mount target 10.0.2.100 has sg-0b")
                .shown_by("this host has sg-0a")
                .mended_by(command),
            Finding::new("net.port", Verdict::Fail, "10.0.2.100:2049 did not answer within 3 s"),
            Finding::new("mount.there", Verdict::Fail, "nothing is mounted at /var/lib/jenkins"),
            Finding::new("efs.backup", Verdict::Fail, "it was never backed up")
                .mended_by("aws efs put-backup-policy --file-system-id fs-0123456789abcdef0"),
            Finding::new("host.clock", Verdict::Warn, "this clock is 70 s behind that of AWS"),
            Finding::untold("efs.key", Id::Key.check().does, &denied),
            skip("mount.alive", "mount.there failed"),
            skip("home.intact", "mount.there failed"),
            skip("net.tls", "net.port failed"),
        ];
        let explained = |id, because| Explained { id, because };
        let cause = Cause {
            id: "net.groups",
            explains: vec![
                explained("net.port", "the security group drops the packets"),
                explained("mount.there", "the security group drops the packets"),
            ],
            others: vec!["efs.backup"],
        };
        report(others, Some(cause))
    }

    #[test]
    fn a_bad_night_reads_like_this() {
        insta::assert_snapshot!(render(&night(), Paint::Plain));
        let coloured = render(&night(), Paint::Coloured);
        let mut plain = coloured.clone();
        for code in
            ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[1;31m"]
        {
            plain = plain.replace(code, "");
        }
        assert_ne!(plain, coloured);
        assert_eq!(plain, render(&night(), Paint::Plain), "colours change no word");
    }

    #[test]
    fn a_good_one_is_short() {
        insta::assert_snapshot!(render(&report(Vec::new(), None), Paint::Plain));
    }

    #[test]
    fn who_watches_is_told_what_has_changed_and_nothing_else() {
        let (good, bad) = (report(Vec::new(), None), night());
        assert_eq!(changes(&good, &good, Paint::Plain), "");
        assert_eq!(changes(&bad, &bad, Paint::Plain), "");
        insta::assert_snapshot!(changes(&bad, &good, Paint::Plain));
        let over = changes(&good, &bad, Paint::Plain);
        assert!(over.contains("net.groups  fail -> pass"), "{over}");
        assert!(over.ends_with("nothing fails any more\n"), "{over}");
    }

    #[test]
    fn a_check_that_was_asked_for_by_name_is_told_though_it_passed() {
        let report = report(Vec::new(), None).only(&[Id::Port]);
        assert!(render(&report, Paint::Plain).contains("pass  net.port  as it must be\n"));
    }
}
