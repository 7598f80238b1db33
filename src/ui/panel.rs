//! How what is watched stands: on a terminal a line for each part, in its place below the running
//! steps; elsewhere a line for each change.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::Fact;

/// What is shown of it.
#[derive(Debug, Default)]
pub(super) struct Panel {
    facts: Vec<Fact>,
    lines: Vec<ProgressBar>,
}

impl Panel {
    /// Which facts are news; they are none the next time.
    pub(super) fn news(&mut self, facts: &[Fact]) -> Vec<Fact> {
        let news = facts.iter().filter(|fact| !self.facts.contains(fact)).cloned().collect();
        self.facts = facts.to_vec();
        news
    }

    /// Draws them as the last lines of `screen`.
    pub(super) fn draw(&mut self, screen: &MultiProgress, facts: &[Fact], colour: bool) {
        if self.news(facts).is_empty() && self.lines.len() == facts.len() {
            return;
        }
        while self.lines.len() > facts.len() {
            if let Some(line) = self.lines.pop() {
                line.finish_and_clear();
                screen.remove(&line);
            }
        }
        while self.lines.len() < facts.len() {
            let line = screen.add(ProgressBar::new_spinner());
            // Longer than the terminal is wide, it is cut: it must not move the others.
            let style = ProgressStyle::with_template("{wide_msg}");
            line.set_style(style.expect("the template is a constant"));
            self.lines.push(line);
        }
        for (line, fact) in self.lines.iter().zip(facts) {
            line.set_message(row(fact, colour));
        }
    }
}

/// A line of it: the part as wide as a clock, so that it stands below the words of the steps.
fn row(fact: &Fact, colour: bool) -> String {
    let Fact { what, how } = fact;
    if colour { format!("{what:>19}  \x1b[36m{how}\x1b[0m") } else { format!("{what:>19}  {how}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_news() {
        let mut panel = Panel::default();
        let (host, builds) = (Fact::new("host", "i-1, InService"), Fact::new("builds", "2"));
        assert_eq!(panel.news(&[host.clone(), builds.clone()]).len(), 2);
        assert_eq!(panel.news(&[host.clone(), builds.clone()]), []);
        let fewer = Fact::new("builds", "1");
        assert_eq!(panel.news(&[host.clone(), fewer.clone()]), [fewer]);
        assert_eq!(row(&host, false), "               host  i-1, InService");
        assert_eq!(panel.news(&[host, builds.clone()]), [builds]);
    }
}
