//! What the hostkit on a builder says, a line of JSON each, and what becomes of it here. Pure.

use serde::Deserialize;

use crate::error::Fault;
use crate::event::{Event, Events};
use crate::secret::Secrets;

/// What begins a line of our own script.
const MARK: &str = "@@";

/// How the work on a builder stands, as far as it was heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// So many lines were taken in: where one goes on after a lost connection.
    pub lines: usize,
    /// The exit status, once it has ended.
    pub status: Option<u8>,
    /// Whether the builder was started again since, so that it will never end.
    pub rebooted: bool,
    /// What failed, in its own words.
    failure: Option<Failure>,
}

/// A line.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Event { event: Event },
    Failure(Failure),
    Other(serde::de::IgnoredAny),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    error: String,
    #[serde(default)]
    caused_by: Vec<String>,
    hint: Option<String>,
    exit_code: u8,
}

impl Heard {
    /// Takes a line in.
    pub(super) fn take(&mut self, line: &str, events: &Events, secrets: &Secrets) {
        if let Some(words) = line.strip_prefix(MARK) {
            match words.split_once(' ') {
                Some(("status", number)) => self.status = number.trim().parse().ok(),
                _ => self.rebooted |= words.trim() == "rebooted",
            }
            return;
        }
        // A torn line comes again with the next connection.
        let Ok(said) = serde_json::from_str(line) else { return };
        self.lines += 1;
        match said {
            Line::Event { event } => events.emit(redacted(event, secrets)),
            Line::Failure(failure) => self.failure = Some(failure),
            Line::Other(_) => {}
        }
    }

    /// The failure, with the blame that the other hostkit gave it.
    pub(super) fn failure(&self, secrets: &Secrets) -> anyhow::Error {
        let Some(Failure { error, caused_by, hint, exit_code }) = self.failure.clone() else {
            let status = self.status.map_or_else(String::new, |status| format!(" with {status}"));
            return Fault::step(format!("hostkit on the builder ended{status} and said nothing"))
                .hint("bake with --on-error shell, and see /var/lib/hostkit-build/errors there")
                .into();
        };
        let clean = |text: &str| secrets.redact(text);
        let blame = match exit_code {
            3 => Fault::recipe,
            4 => Fault::environment,
            6 => Fault::aws,
            _ => Fault::step,
        };
        let fault = blame(clean(&error));
        let fault = if let Some(hint) = hint { fault.hint(clean(&hint)) } else { fault };
        let mut causes = caused_by.iter().rev().map(|cause| clean(cause));
        match causes.next() {
            None => fault.into(),
            Some(root) => {
                let inner = causes.fold(anyhow::anyhow!(root), anyhow::Error::context);
                inner.context(fault)
            }
        }
    }
}

/// The other side does that, too; it knows only the secrets that it was given.
fn redacted(event: Event, secrets: &Secrets) -> Event {
    match event {
        Event::Log { step, line } => Event::Log { step, line: secrets.redact(&line) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::render;
    use crate::event::Outcome;

    #[tokio::test]
    async fn the_events_of_the_other_hostkit_are_ours_and_a_torn_line_is_not_counted() {
        let (events, mut listener) = Events::channel();
        let mut secrets = Secrets::default();
        secrets.insert("token", "hunter2-hunter2".into());
        let mut heard = Heard::default();
        for line in [
            r#"{"version":1,"event":{"started":{"step":"a","title":"doing a"}}}"#,
            r#"{"version":1,"event":{"log":{"step":"a","line":"with hunter2-hunter2"}}}"#,
            r#"{"version":1,"event":{"finished":{"step":"a","outcome":"changed","took":1.5}}}"#,
            r#"{"version":1,"recap":{"changed":1}}"#,
            r#"{"version":1,"event":{"sta"#,
            "@@status 5",
        ] {
            heard.take(line, &events, &secrets);
        }
        assert_eq!((heard.lines, heard.status, heard.rebooted), (4, Some(5), false));
        let Some(Event::Started { step, .. }) = listener.recv().await else { panic!("it began") };
        assert_eq!(step, "a");
        let log = Event::Log { step: "a".into(), line: "with [secret]".into() };
        assert_eq!(listener.recv().await, Some(log));
        let took = Duration::from_millis(1500);
        let end = Event::Finished { step: "a".into(), outcome: Outcome::Changed, took };
        assert_eq!(listener.recv().await, Some(end));
        heard.take("@@rebooted", &events, &secrets);
        assert!(heard.rebooted);
    }

    #[test]
    fn a_failure_there_is_told_here_as_it_was_there() {
        let mut heard = Heard::default();
        let line = r#"{"version":1,"error":"the step failed","caused-by":["it ended with 1",
            "no such file"],"hint":"look","exit-code":5}"#
            .replace('\n', "");
        heard.take(&line, &Events::silent(), &Secrets::default());
        let error = heard.failure(&Secrets::default());
        assert_eq!(crate::error::blame(&error).exit_code(), 5);
        assert_eq!(
            render(&error),
            "error: the step failed\n  caused by: it ended with 1\n  caused by: no such file\n  \
             hint: look\n"
        );
        let silent = Heard::default().failure(&Secrets::default());
        assert!(silent.to_string().contains("said nothing"), "{silent}");
    }
}
