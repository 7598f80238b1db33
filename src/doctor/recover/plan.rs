//! What a recovery would do, for people and for programs. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::group::PROCESSES;
use super::inside::Chosen;
use crate::lease::recovery::{Journal, Stage, Way, Work};

/// What is done with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// A recovery is begun.
    Begin,
    /// One that was begun is carried on.
    CarryOn,
    /// One is taken back.
    Undo,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prospect {
    /// What is done with it.
    pub course: Course,
    /// The journal, as it is written first.
    pub journal: Journal,
    /// What is brought back, where one is begun.
    pub chosen: Option<Box<Chosen>>,
    /// The generation that this host holds, if it does.
    pub held: Option<u64>,
    /// Whether Jenkins runs, and is stopped.
    pub stops_jenkins: bool,
    /// Whether the group is left alone because a person said so.
    pub leaves_group: bool,
    /// The Jenkins of the image.
    pub image: Option<String>,
}

/// So many renames are shown.
const SHOWN: usize = 12;

impl Prospect {
    /// What would be done, step by step.
    pub fn text(&self) -> String {
        let mut text = self.head();
        let mut count = 0;
        let mut step = |text: &mut String, line: String| {
            count += 1;
            let _ = writeln!(text, "{count:>3}  {line}");
        };
        if self.journal.stage == Stage::Prepare {
            step(&mut text, self.group(false));
            step(&mut text, self.jenkins());
        }
        if self.journal.stage <= Stage::Move {
            for line in self.moves() {
                step(&mut text, line);
            }
        }
        if self.journal.stage <= Stage::Lease {
            let generation = self.journal.generation;
            let line =
                format!("the lease gets a generation beyond {generation}, taken by this host");
            step(&mut text, line);
        }
        if self.journal.stage <= Stage::Start {
            step(&mut text, "this host boots again, and Jenkins starts".to_owned());
        }
        step(&mut text, self.group(true));
        text += "\nNobody is served from the moment Jenkins stops until it is up again: a minute or \
                 two beyond its own start.\nNothing is copied, and nothing is deleted.";
        text += match self.journal.way {
            Way::Forward => " The way back, also afterwards: hostkit efs recover --undo\n",
            Way::Back => "\n",
        };
        text
    }

    fn head(&self) -> String {
        let Journal { from, id, .. } = &self.journal;
        let mut text = match (self.course, self.journal.way) {
            (Course::Begin, _) => self.beginning(),
            (Course::CarryOn, _) => {
                format!("{}. It is carried on.\n", capital(&self.journal.told()))
            }
            (Course::Undo, _) => format!(
                "The recovery {id} is taken back: what came from `{from}` goes back there, with \
                 what was changed in it since, and the home of before comes in again.\n"
            ),
        };
        text.push('\n');
        text
    }

    fn beginning(&self) -> String {
        let Some(chosen) = &self.chosen else { return String::new() };
        let mut text = format!("A home is brought back from `{}`: ", chosen.from);
        text += chosen.kind.told();
        if chosen.files > 0 {
            let _ = write!(text, ", {} files", chosen.files);
        } else {
            let _ = write!(text, ", {} jobs", chosen.jobs);
        }
        if let Some(last) = &chosen.last {
            let _ = write!(text, ", last run by Jenkins {last}");
        }
        text += ".\n";
        let is_newer = |last: &String, image: &String| {
            let parsed: (Result<crate::jenkins::Version, _>, Result<_, _>) =
                (last.parse(), image.parse());
            matches!(parsed, (Ok(last), Ok(image)) if last > image)
        };
        if let (Some(last), Some(image)) = (&chosen.last, &self.image)
            && is_newer(last, image)
        {
            let _ = writeln!(
                text,
                "! The image of this host has Jenkins {image}, which is older: the boot will refuse \
                 the home (docs/home.md)."
            );
        }
        for damaged in &chosen.damaged {
            let mark = if damaged.fatal { "! missing, and accepted" } else { "- damaged" };
            let _ = writeln!(text, "{mark}: {}", damaged.told);
        }
        if chosen.more > 0 {
            let _ = writeln!(text, "- damaged: {} more", chosen.more);
        }
        for unreached in &chosen.unreached {
            let _ = writeln!(text, "- not looked at in time: {unreached}");
        }
        if let Some(generation) = chosen.generation {
            let _ = writeln!(
                text,
                "- the lease that was restored with it, of generation {generation}, is not used"
            );
        }
        text
    }

    fn group(&self, again: bool) -> String {
        let Some(group) = &self.journal.group else {
            return if self.leaves_group {
                "the Auto Scaling group is left alone, as you said".to_owned()
            } else {
                "this host is in no Auto Scaling group that would replace it".to_owned()
            };
        };
        let name = &group.name;
        if group.processes.is_empty() {
            return format!("group {name}: {} are suspended already", PROCESSES.join(", "));
        }
        let (all, verb) = (group.processes.join(", "), if again { "resumed" } else { "suspended" });
        let already: Vec<_> = PROCESSES
            .iter()
            .filter(|it| !group.processes.iter().any(|one| one == *it))
            .copied()
            .collect();
        let note = if already.is_empty() {
            String::new()
        } else {
            format!(" ({} was suspended before, and stays so)", already.join(", "))
        };
        format!("group {name}: {all} {verb}{note}")
    }

    fn jenkins(&self) -> String {
        let lease = match self.held {
            Some(generation) => format!("this host holds the home (generation {generation})"),
            None => "this host takes the lease on the home".to_owned(),
        };
        let stop = if self.stops_jenkins { "Jenkins is stopped" } else { "Jenkins is down" };
        format!("{lease}; {stop}; until the moves are through no boot starts it")
    }

    fn moves(&self) -> Vec<String> {
        let back = self.journal.way == Way::Back;
        match &self.journal.work {
            Work::Home { moves, .. } => {
                let mut lines: Vec<_> = moves
                    .iter()
                    .map(|one| {
                        let (from, to) =
                            if back { (&one.to, &one.from) } else { (&one.from, &one.to) };
                        format!("{from} -> {to}")
                    })
                    .collect();
                if back {
                    lines.reverse();
                }
                let more = lines.len().saturating_sub(SHOWN);
                if more > 0 {
                    lines.truncate(SHOWN);
                    lines.push(format!("… and {more} more, each a rename"));
                }
                lines
            }
            Work::Set { added, .. } if back => vec![format!(
                "configuration and plugins of {} go back into the home; {} files that were new go \
                 aside",
                self.journal.aside,
                added.len()
            )],
            Work::Set { set, added } => {
                let aside = &self.journal.aside;
                let mut lines = vec![format!(
                    "each file of {set} gets its name in the home again, and what is there goes to \
                     {aside}"
                )];
                if !added.is_empty() {
                    let shown: Vec<_> = added.iter().take(5).map(String::as_str).collect();
                    let dots = if added.len() > shown.len() { ", …" } else { "" };
                    lines.push(format!(
                        "{} files come back that are not there now: {}{dots}",
                        added.len(),
                        shown.join(", ")
                    ));
                }
                lines
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
