//! `hostkit upgrade`, run as a person would run it: in a process of its own, with an operator's keys.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::Value;
use tokio::sync::Notify;

use super::stage::Stage;
use crate::sim::fleet::Story;
use crate::sys::{Cmd, CmdError, Runner, Tool};

/// Who it is in the story.
const WHO: &str = "you";

/// How the command ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// By itself, with this exit status and this last object, if it printed one.
    Code(i32, Option<Value>),
    /// It was killed as it began the step that it was to be killed at.
    Killed,
}

/// Runs hostkit with `arguments` against the account until it ends; or kills it at once when it
/// begins the step `kill_at`.
pub(super) async fn run(
    stage: &Stage,
    arguments: &[String],
    kill_at: Option<&str>,
) -> anyhow::Result<End> {
    let story = stage.story.clone();
    story.tell(WHO, &format!("hostkit {}", arguments.join(" ")));
    let mut command =
        Cmd::new(Tool::Hostkit).args(arguments.to_vec()).timeout(stage.options.timeout * 4);
    let environment = stage.cloud.environment().into_iter();
    command.env.extend(environment.map(|(name, value)| (name.to_owned(), value)));
    let reached = Arc::new(Notify::new());
    let doomed = Arc::new(Mutex::new(kill_at.map(str::to_owned)));
    let last = Arc::new(Mutex::new(None));
    let line = |line: &str| {
        let event = Event::of(line);
        if let Event::Object(object) = &event {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(object.clone());
        }
        event.tell(&story);
        let mut doomed = doomed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Started(step, _) = &event
            && doomed.as_deref() == Some(step)
        {
            *doomed = None;
            reached.notify_one();
        }
    };
    // Whoever is dropped is killed with all that it has started.
    tokio::select! {
        ended = Runner::Direct.run_with(&command, line) => {
            let code = match ended {
                Ok(_) => 0,
                Err(CmdError::Failed { code: Some(code), .. }) => code,
                Err(error) => return Err(error).context("running `hostkit upgrade`"),
            };
            stage.story.tell(WHO, &format!("the command ends with {code}"));
            let last = last.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(End::Code(code, last))
        }
        () = reached.notified() => {
            let step = kill_at.unwrap_or_default();
            stage.story.tell(WHO, &format!("the command is killed as it begins `{step}`"));
            Ok(End::Killed)
        }
    }
}

/// A line that the command prints.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Started(String, String),
    Finished(String, String),
    Said(String, String),
    /// What it says to programs that is no event.
    Object(Value),
    /// Anything else.
    Other(String),
}

impl Event {
    fn of(line: &str) -> Self {
        let Ok(parsed) = serde_json::from_str::<Value>(line) else {
            return Self::Other(line.to_owned());
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = &parsed["event"];
        if let Some(one) = event.get("started") {
            return Self::Started(text(&one["step"]), text(&one["title"]));
        }
        if let Some(one) = event.get("finished") {
            let outcome = match &one["outcome"] {
                Value::String(word) => word.clone(),
                other => other.to_string(),
            };
            return Self::Finished(text(&one["step"]), outcome);
        }
        if let Some(one) = event.get("log").or_else(|| event.get("milestone")) {
            return Self::Said(text(&one["step"]), text(&one["line"]));
        }
        if event.get("progress").is_some() {
            return Self::Other(String::new());
        }
        Self::Object(parsed)
    }

    fn tell(&self, story: &Story) {
        match self {
            Self::Started(step, title) => story.tell(WHO, &format!("{step}: {title}")),
            Self::Finished(step, outcome) => story.tell(WHO, &format!("{step}: {outcome}")),
            Self::Said(step, line) => story.tell(WHO, &format!("{step}: {line}")),
            // It is in what the rehearsal ends with.
            Self::Object(_) => {}
            Self::Other(line) if line.trim().is_empty() => {}
            Self::Other(line) => story.tell(WHO, line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_and_the_rest_is_told_as_it_is() {
        let started = r#"{"version":1,"event":{"started":{"step":"quiet","title":"builds end"}}}"#;
        assert_eq!(Event::of(started), Event::Started("quiet".into(), "builds end".into()));
        let ended = r#"{"event":{"finished":{"step":"quiet","outcome":{"failed":"no"},"took":1}}}"#;
        assert_eq!(Event::of(ended), Event::Finished("quiet".into(), r#"{"failed":"no"}"#.into()));
        assert_eq!(Event::of("error: no"), Event::Other("error: no".into()));
        let last = r#"{"version":1,"done":{}}"#;
        assert_eq!(Event::of(last), Event::Object(serde_json::from_str(last).unwrap()));
    }
}
