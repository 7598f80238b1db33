//! What was done to bring the home back, as `hostkit history` lists it: by the journals that
//! `hostkit efs recover` leaves on the file system.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::lease::recovery::{Journal, Way};

/// The version of the JSON form.
const VERSION: u32 = 1;

/// How a recovery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The home was brought back, and Jenkins served it.
    Done,
    /// That was taken back: the home of before serves again.
    TakenBack,
    /// It is not over.
    UnderWay,
}

/// One recovery in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// See [`VERSION`].
    pub version: u32,
    /// Its name: `hostkit efs recover` tells it.
    pub recovery: String,
    /// When it was begun.
    #[schemars(with = "String")]
    pub begun: jiff::Timestamp,
    /// When it was over.
    #[schemars(with = "Option<String>")]
    pub ended: Option<jiff::Timestamp>,
    /// By whom.
    pub by: String,
    /// On which host, or which one carried it on last.
    pub host: String,
    /// How it ended.
    pub result: Ended,
    /// What the home was brought back from, from the top of the file system.
    pub from: String,
    /// Where the home of before was kept, from the top of the file system.
    pub aside: String,
}

impl Line {
    /// That of a journal.
    pub fn new(journal: &Journal) -> Self {
        let result = match (journal.ended, journal.way) {
            (None, _) => Ended::UnderWay,
            (Some(_), Way::Forward) => Ended::Done,
            (Some(_), Way::Back) => Ended::TakenBack,
        };
        Self {
            version: VERSION,
            recovery: journal.id.clone(),
            begun: journal.begun,
            ended: journal.ended,
            by: journal.by.clone(),
            host: journal.host.clone(),
            result,
            from: journal.from.clone(),
            aside: journal.aside.clone(),
        }
    }
}

/// The table for people, in their order; nothing where there was none.
pub(super) fn render(journals: &[Journal]) -> String {
    let mut out = String::new();
    if journals.is_empty() {
        return out;
    }
    out += "\nthe home was brought back\n";
    let _ = writeln!(out, "{:<21}{:<21}{:<23}{:<12}from", "when (UTC)", "instance", "by", "result");
    for journal in journals {
        let line = Line::new(journal);
        let (result, more) = match line.result {
            Ended::Done => ("done", String::new()),
            Ended::TakenBack => ("taken back", String::new()),
            Ended::UnderWay => ("under way", format!(": {}", journal.stage.title())),
        };
        let _ = writeln!(
            out,
            "{:<21}{:<21}{:<23}{result:<12}{}{more}",
            line.begun.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            line.host,
            line.by,
            line.from,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::recovery::{Stage, tests::journal};

    #[test]
    fn recoveries_read_like_this() {
        let ended = Some("2026-11-27T03:12:00Z".parse().unwrap());
        let journals = [
            Journal { begun: "2026-11-28T03:00:00Z".parse().unwrap(), ..journal() },
            Journal { way: Way::Back, stage: Stage::Resume, ended, ..journal() },
            Journal { stage: Stage::Resume, ended, ..journal() },
        ];
        let lines = journals.iter().map(|it| serde_json::to_string(&Line::new(it)).unwrap());
        let lines: Vec<_> = lines.collect();
        insta::assert_snapshot!(format!("{}\n{}", render(&journals), lines.join("\n")));
        assert_eq!(render(&[]), "");
    }
}
