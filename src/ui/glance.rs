//! What is under way, in one line that is gone when it is over: for work that ends with a report of
//! its own. Where nobody sits at a terminal nothing is shown.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::event::{Event, Events};

/// A line that is drawn as long as somebody says something.
#[derive(Debug)]
pub struct Glance(JoinHandle<()>);

impl Glance {
    /// Waits until every sender of events is gone, and wipes the line away.
    pub async fn finish(self) {
        self.0.await.expect("drawing does not panic");
    }
}

/// A channel for an engine whose steps are shown while they run, and not after.
pub fn glance() -> (Events, Glance) {
    let (events, mut receiver) = Events::channel();
    let line = std::io::stderr().is_terminal().then(line);
    let drawing = tokio::spawn(async move {
        let mut under_way = Vec::new();
        let mut done = 0;
        while let Some(event) = receiver.recv().await {
            match event {
                Event::Started { step, .. } => under_way.push(step),
                Event::Finished { step, .. } => {
                    under_way.retain(|other| *other != step);
                    done += 1;
                }
                _ => {}
            }
            if let Some(line) = &line {
                line.set_message(words(done, &under_way));
            }
        }
        if let Some(line) = line {
            line.finish_and_clear();
        }
    });
    (events, Glance(drawing))
}

fn line() -> ProgressBar {
    let line = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{elapsed:>5}  {spinner} {wide_msg}");
    line.set_style(style.expect("the template is a constant"));
    line.enable_steady_tick(Duration::from_millis(120));
    line
}

fn words(done: usize, under_way: &[String]) -> String {
    format!("{done} done, looking at {}", under_way.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;

    #[tokio::test]
    async fn it_ends_when_nobody_says_anything_any_more() {
        let (events, glance) = glance();
        events.started("net.port", "whether it answers");
        events.finished("net.port", Outcome::Unchanged, Duration::ZERO);
        drop(events);
        glance.finish().await;
        assert_eq!(words(1, &["a".to_owned(), "b".to_owned()]), "1 done, looking at a b");
    }
}
