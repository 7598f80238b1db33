//! The record of a home's holder, as the file server's own folder shows it: every change, with its
//! time. It is read as plain JSON: this room must not lean on what it tests.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::story::Story;

/// The record, below the file system's root.
const HEAD: &str = ".hostkit/lease/head";
/// How often the file is read: as fine as a time in a story.
const GLANCE: Duration = Duration::from_millis(20);

/// What the record said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The generation.
    pub generation: u64,
    /// Whether it was held.
    pub held: bool,
    /// The instance that it names.
    pub instance: String,
    /// Whether an operator broke the generation before.
    pub broken: bool,
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(text).ok()?;
        Some(Self {
            generation: record["generation"].as_u64()?,
            held: record["state"] == "held",
            instance: record["holder"]["instance_id"].as_str().unwrap_or_default().to_owned(),
            broken: !record["broken"].is_null(),
        })
    }

    /// Whether `instance` holds it.
    pub fn is_held_by(&self, instance: &str) -> bool {
        self.held && self.instance == instance
    }
}

/// All that the record said so far, with the time of each change.
pub type History = Vec<(Instant, Head)>;

/// Watches the record of one file system. Dropping it ends that.
#[derive(Debug)]
pub struct HeadWatch {
    history: watch::Receiver<History>,
    task: JoinHandle<()>,
}

impl Drop for HeadWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HeadWatch {
    /// Begins to watch the file system in `folder`, called `name`, and tells what changes.
    pub fn start(folder: &Path, name: &str, story: Story) -> Self {
        let (sender, history) = watch::channel(History::new());
        let task = tokio::spawn(follow(folder.join(HEAD), name.to_owned(), story, sender));
        Self { history, task }
    }

    /// What the record says now; nothing as long as there is none.
    pub fn now(&self) -> Option<Head> {
        self.history.borrow().last().map(|(_, head)| head.clone())
    }

    /// All that it said so far.
    pub fn history(&self) -> History {
        self.history.borrow().clone()
    }

    /// How often it has changed so far.
    pub fn changes(&self) -> usize {
        self.history.borrow().len()
    }

    /// Waits until it says what is wanted, or has said it after its first `seen` changes; and since
    /// when.
    pub async fn until(&self, seen: usize, wanted: impl Fn(&Head) -> bool) -> (Instant, Head) {
        let mut history = self.history.clone();
        let find = |all: &History| all.iter().skip(seen).find(|(_, head)| wanted(head)).cloned();
        let found = history.wait_for(|all| find(all).is_some()).await;
        match found.ok().and_then(|all| find(&all)) {
            Some(found) => found,
            // Nobody watches any more: what is waited for will not come.
            None => std::future::pending().await,
        }
    }
}

async fn follow(file: PathBuf, name: String, story: Story, history: watch::Sender<History>) {
    loop {
        let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
        let last = history.borrow().last().map(|(_, head)| head.clone());
        if let Some(head) = Head::parse(&text).filter(|head| last.as_ref() != Some(head)) {
            let Head { generation, held, instance, broken } = &head;
            let state = match (held, broken) {
                (true, _) => "held by",
                (false, false) => "released by",
                (false, true) => "used up to break the one before, on",
            };
            story.tell(&name, &format!("the record: generation {generation}, {state} {instance}"));
            history.send_modify(|all| all.push((Instant::now(), head)));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;

    #[tokio::test]
    async fn every_change_of_the_record_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(HEAD);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let write = |generation: u64, state: &str| {
            let text = serde_json::json!({
                "version": 1, "generation": generation, "state": state,
                "holder": { "instance_id": "i-1" },
            });
            std::fs::write(file.with_extension("new"), text.to_string()).unwrap();
            std::fs::rename(file.with_extension("new"), &file).unwrap();
        };
        let story = Story::new(Events::silent());
        story.name("i-1", "A");
        let watch = HeadWatch::start(folder.path(), "EFS", story.clone());
        assert_eq!(watch.now(), None);
        write(1, "held");
        watch.until(0, |head| head.is_held_by("i-1")).await;
        write(1, "held");
        write(1, "released");
        watch.until(1, |head| !head.held).await;
        watch.until(0, |head| head.held).await;
        assert_eq!(watch.changes(), 2);
        let told: Vec<_> = story.since(0).into_iter().map(|line| line.what).collect();
        let [held, released] =
            ["held", "released"].map(|word| format!("the record: generation 1, {word} by A"));
        assert_eq!(told, [held, released]);
    }
}
