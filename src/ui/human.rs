//! Events as people read them: a live line a running step, and a line for each that has ended.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::journal::Journal;
use super::panel::Panel;
use crate::event::{Event, Fact, Milestone, Outcome, Unit};
use crate::sys::journal::Priority;

/// In a log, a step is announced only when it has not ended after this long: most end at once,
/// and their last line says it all.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The state of what is on the screen.
#[derive(Debug)]
pub struct Human {
    started: Instant,
    screen: MultiProgress,
    bars: HashMap<String, Bar>,
    /// How what is watched stands, below the bars.
    panel: Panel,
    live: bool,
    colour: bool,
    journal: Option<Journal>,
}

#[derive(Debug)]
struct Bar {
    title: String,
    announced: bool,
    line: ProgressBar,
}

impl Human {
    /// Live lines on a terminal, plain lines in a log, lines with fields in the journal. `NO_COLOR`
    /// is honoured.
    pub fn new() -> Self {
        let live = std::io::stderr().is_terminal();
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            started: Instant::now(),
            screen: MultiProgress::with_draw_target(target),
            bars: HashMap::new(),
            panel: Panel::default(),
            live,
            colour: live && std::env::var_os("NO_COLOR").is_none(),
            journal: Journal::here(),
        }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Started { step, title } => self.begin(step, title),
            Event::Progress { step, done, total, unit } => self.advance(step, *done, *total, *unit),
            Event::Stands { facts, .. } => self.stands(event, facts),
            Event::Log { line, .. } => self.say(event, &format!("{:>21}{line}", "")),
            // The error that the command ends with says the same on a terminal.
            Event::Milestone { milestone: Milestone::BootFailed, .. } if self.journal.is_none() => {
            }
            Event::Milestone { line, .. } => {
                self.say(event, &format!("{}  {line}", self.clock()));
            }
            Event::Finished { step, outcome, took } => {
                let text = self.end(step, outcome, *took);
                self.say(event, &text);
            }
        }
    }

    /// On a terminal all of it, in its place; else what is news, a line each.
    fn stands(&mut self, event: &Event, facts: &[Fact]) {
        if self.live {
            self.panel.draw(&self.screen, facts, self.colour);
            return;
        }
        for fact in self.panel.news(facts) {
            self.say(event, &format!("{:>21}{}: {}", "", fact.what, fact.how));
        }
    }

    /// Prints the text of an event.
    fn say(&self, event: &Event, text: &str) {
        match &self.journal {
            Some(journal) => journal.event(event, text),
            None => self.line(text),
        }
    }

    fn begin(&mut self, step: &str, title: &str) {
        // Above what is watched, which is the last thing on the screen.
        let bar = self.screen.insert(self.bars.len(), ProgressBar::new_spinner());
        bar.set_style(style("{elapsed_precise:>9}  {spinner} {msg}"));
        bar.set_message(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let bar = Bar { title: title.to_owned(), announced: self.live, line: bar };
        self.bars.insert(step.to_owned(), bar);
    }

    /// Says which steps are under way, once each, where there are no live lines.
    pub fn announce(&mut self) {
        let silent = self.bars.values_mut().filter(|bar| !bar.announced);
        let titles: Vec<_> = silent
            .map(|bar| {
                bar.announced = true;
                bar.title.clone()
            })
            .collect();
        for title in titles {
            self.line(&format!("{}            {title} …", self.clock()));
        }
    }

    fn advance(&mut self, step: &str, done: u64, total: Option<u64>, unit: Unit) {
        let Some(Bar { title, line, .. }) = self.bars.get(step) else { return };
        let amount = match (unit, total) {
            (Unit::Bytes, Some(total)) => format!("{} of {}", HumanBytes(done), HumanBytes(total)),
            (Unit::Bytes, None) => HumanBytes(done).to_string(),
            (Unit::Items, Some(total)) => format!("{done} of {total}"),
            (Unit::Items, None) => done.to_string(),
        };
        line.set_message(format!("{title}: {amount}"));
    }

    fn end(&mut self, step: &str, outcome: &Outcome, took: Duration) -> String {
        let title = self.bars.remove(step).map_or_else(
            || step.to_owned(),
            |Bar { title, line, .. }| {
                line.finish_and_clear();
                self.screen.remove(&line);
                title
            },
        );
        let word = self.paint(outcome);
        let took = took.as_secs_f64();
        format!("{}  {word} {title} ({took:.1} s){}", self.clock(), tail(outcome))
    }

    /// Seconds since the start of the command, as wide as the live lines' clock.
    fn clock(&self) -> String {
        format!("{:>7.1} s", self.started.elapsed().as_secs_f64())
    }

    fn paint(&self, outcome: &Outcome) -> String {
        let word = format!("{:<9}", outcome.word());
        let colour = match outcome {
            Outcome::Changed | Outcome::Differs | Outcome::Degraded(_) => "33",
            Outcome::Unchanged => "32",
            Outcome::Skipped(_) => "36",
            Outcome::Blocked(_) | Outcome::Failed(_) => "31",
        };
        if self.colour { format!("\x1b[{colour}m{word}\x1b[0m") } else { word }
    }

    fn line(&self, line: &str) {
        if let Some(journal) = &self.journal {
            journal.text(Priority::Info, line);
        } else if self.live {
            let _ = self.screen.println(line);
        } else {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }
}

impl Default for Human {
    fn default() -> Self {
        Self::new()
    }
}

fn tail(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unchanged | Outcome::Changed | Outcome::Differs => String::new(),
        Outcome::Skipped(why) | Outcome::Degraded(why) => format!(": {why}"),
        Outcome::Blocked(by) => format!(": `{by}` did not succeed"),
        // The whole chain is the error that the command ends with.
        Outcome::Failed(why) => format!(": {}", why.lines().next().unwrap_or_default()),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}
