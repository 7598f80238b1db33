//! A rollout that is over, for people: what serves, why, and where the time went. Pure.

use std::fmt::Write as _;

use super::ended::{Ended, Span, Stopped, Stuck, Summary, Times};
use super::record::{End, Record};
use super::timeline::SOAK;
use super::{Phase, Side, Way};

/// How wide the picture of the times is, in characters.
const WIDE: usize = 44;
const WIDE_F: f64 = 44.0;

impl Ended {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::Done(summary) => done(summary),
            Self::Back(summary) => back(summary),
            Self::Stuck(stuck) => neither(stuck),
            Self::Stopped(stopped) => put_down(stopped),
            Self::Nothing { says } => says.clone(),
        }
    }
}

/// What a side is called.
fn name_of(side: &Side) -> &str {
    if side.name.is_empty() { &side.image } else { &side.name }
}

/// What a side is, in a line that fits on a terminal.
fn details(side: &Side) -> String {
    let version = side.version.map_or_else(String::new, |number| format!(", version {number}"));
    let jenkins = side.jenkins.as_ref().map_or_else(String::new, |it| format!(", Jenkins {it}"));
    format!("{}, {}{version}{jenkins}", side.image, side.template)
}

fn done(summary: &Summary) -> String {
    let mut text = format!("{} serves {}\n", summary.group, name_of(&summary.to));
    line(&mut text, "now", &details(&summary.to));
    line(&mut text, "before", &details(&summary.from));
    line(&mut text, "proof", &summary.proof);
    rest(&mut text, summary);
    text
}

fn back(summary: &Summary) -> String {
    let mut text = format!("{} serves {} again\n", summary.group, name_of(&summary.from));
    line(&mut text, "now", &details(&summary.from));
    line(&mut text, "not", &details(&summary.to));
    line(&mut text, "proof", &summary.proof);
    rest(&mut text, summary);
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "  {name:<8} {value}");
    }
}

fn rest(text: &mut String, summary: &Summary) {
    summary.warnings.iter().for_each(|it| line(text, "look at", it));
    summary.loose.iter().for_each(|it| line(text, "not done", it));
    text.push_str(&times(&summary.times));
    line(text, "rollout", &summary.rollout);
}

/// Where the time went, as a picture.
pub fn times(times: &Times) -> String {
    let mut text = String::from("\n");
    let is_drawn = |span: &&Span| span.name != SOAK;
    let all: f64 = times.spans.iter().filter(is_drawn).map(|span| span.seconds).sum();
    let mut at = 0.0;
    for span in &times.spans {
        if !is_drawn(&span) {
            let _ = writeln!(text, "  {:<14} {:>8.1} s  (not drawn)", span.name, span.seconds);
            continue;
        }
        let from = cells(at, all);
        at += span.seconds;
        let long = cells(at, all).saturating_sub(from).max(1);
        let from = from.min(WIDE - long);
        // What took next to nothing is there, and is not to be seen as if it had taken its time.
        let mark = if span.seconds * 2.0 * WIDE_F < all { "▏" } else { "█" };
        let bar = format!("{}{}", " ".repeat(from), mark.repeat(long));
        let _ = writeln!(text, "  {:<14} {:>8.1} s  {bar}", span.name, span.seconds);
    }
    if !times.spans.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "  nobody was served for {:.1} s; {:.1} s in all, of which hostkit took {:.1} s",
        times.down, times.seconds, times.own
    );
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a line is between nothing and its width"
)]
fn cells(at: f64, all: f64) -> usize {
    if all > 0.0 { ((at / all).clamp(0.0, 1.0) * WIDE_F).round() as usize } else { 0 }
}

fn neither(stuck: &Stuck) -> String {
    let mut text = format!("{}: nobody knows for certain what serves\n", stuck.group);
    stuck.stands.iter().for_each(|it| line(&mut text, "stands", it));
    stuck.commands.iter().for_each(|it| line(&mut text, "do", it));
    line(&mut text, "rollout", &stuck.rollout);
    text
}

fn put_down(stopped: &Stopped) -> String {
    let way = if stopped.way == Way::Back { ", on the way back" } else { "" };
    let mut text = format!("{}: stopped at {}{way}\n", stopped.group, name(stopped.phase));
    stopped.stands.iter().for_each(|it| line(&mut text, "stands", it));
    stopped.commands.iter().for_each(|it| line(&mut text, "go on", it));
    line(&mut text, "rollout", &stopped.rollout);
    text
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Begun => "its beginning",
        Phase::Version => "the launch template",
        Phase::Suspend => "what is suspended",
        Phase::Quiet => "quieting Jenkins",
        Phase::Refresh => "the replacement",
        Phase::Proof => "the proof",
        Phase::Promote => "what is done once it is proven",
        Phase::Recorded => "the record",
    }
}

/// The rows of a history: when, what it came to, from what to what, downtime and time in all, and who.
pub fn rows(records: &[Record]) -> Vec<[String; 6]> {
    let short = |side: &Side| match &side.jenkins {
        Some(jenkins) => format!("{} (Jenkins {jenkins})", side.image),
        None => side.image.clone(),
    };
    let row = |record: &Record| {
        let ended = match (record.end, record.rollback) {
            (End::Done, false) => "done",
            (End::Done, true) => "rolled back",
            (End::Back, _) => "failed, put back",
        };
        [
            record.begun.strftime("%Y-%m-%d %H:%M").to_string(),
            ended.to_owned(),
            format!("{} -> {}", short(&record.from), short(&record.to)),
            format!("{:.0} s", record.times.down),
            format!("{:.0} s", record.times.seconds),
            record.who.rsplit('/').next().unwrap_or(&record.who).to_owned(),
        ]
    };
    records.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::ended::Span;
    use super::*;

    fn side(version: i64) -> Side {
        Side {
            image: format!("ami-0{version}"),
            name: format!("jenkins-controller-amd64-1.{version}-deadbeef"),
            template: "lt-1".to_owned(),
            version: Some(version),
            recipe: None,
            jenkins: Some(format!("2.{version}")),
        }
    }

    fn summary() -> Summary {
        let spans = [
            ("quiet", 5.2),
            ("drain", 2.1),
            ("release", 1.4),
            ("boot", 31.0),
            ("claim", 0.4),
            ("ready", 22.5),
            ("proof", 3.0),
        ];
        let spans = spans.map(|(name, seconds)| Span { name: name.to_owned(), seconds }).to_vec();
        let times = Times { seconds: 71.3, own: 2.4, down: 57.4, spans, ..Times::default() };
        Summary {
            rollout: "20261127-171500-a1b2c3".to_owned(),
            group: "ci-controller".to_owned(),
            from: side(7),
            to: side(8),
            cause: None,
            proof: "i-0b serves Jenkins 2.8 on fs-1 under generation 5".to_owned(),
            warnings: vec!["after 180 s 1 of 3 agents are back".to_owned()],
            loose: Vec::new(),
            times,
        }
    }

    #[test]
    fn it_reads_like_this() {
        insta::assert_snapshot!(Ended::Done(summary()).text());
        let texts = [Ended::Back(summary()).text(), times(&Times::default())];
        insta::assert_snapshot!(texts.join("\n"));
        assert!(Ended::Done(summary()).text().lines().all(|line| line.chars().count() <= 80));
    }
}
