//! Keeps `/run/hostkit/report.json` while a boot runs: it is written again on every event.

use anyhow::Context as _;
use camino::Utf8PathBuf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::about::About;
use super::context::Machine;
use super::status::{State, Status};
use crate::event::{Event, Events};
use crate::facts::Facts;
use crate::report::Fold;
use crate::sys::{atomic, notify};

/// A recorder at work.
#[derive(Debug)]
pub(super) struct Recorder {
    events: Option<Events>,
    asks: mpsc::UnboundedSender<oneshot::Sender<Status>>,
    task: JoinHandle<Record>,
}

#[derive(Debug)]
struct Record {
    path: Utf8PathBuf,
    status: Status,
    fold: Fold,
    warned: bool,
}

/// Starts a record, and hands every event on to `listener`.
pub(super) fn start(
    machine: &Machine,
    facts: &Facts,
    listener: Events,
) -> anyhow::Result<Recorder> {
    atomic::make_directory(&machine.run(""), 0o755).context("making /run/hostkit")?;
    let mut record = Record {
        path: machine.run("report.json"),
        status: Status::new(facts.boot_id.clone(), uptime(machine)),
        fold: Fold::default(),
        warned: false,
    };
    record.write();
    let (events, mut receiver) = Events::channel();
    let (asks, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<Status>>();
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                // Who asks is told of everything that was said before.
                biased;
                event = receiver.recv() => match event {
                    Some(event) => {
                        record.take(&event);
                        listener.emit(event);
                    }
                    None => return record,
                },
                Some(reply) = asked.recv() => {
                    // Whoever asked may have gone away.
                    let _ = reply.send(record.status.clone());
                }
            }
        }
    });
    Ok(Recorder { events: Some(events), asks, task })
}

impl Recorder {
    /// Where the steps of the boot say things.
    pub(super) fn events(&self) -> Events {
        self.events.clone().expect("only finish takes it away")
    }

    /// What is recorded of all that was said until now, as if the boot ended so.
    pub(super) async fn so_far(&self, state: State, about: About) -> Status {
        let (reply, answer) = oneshot::channel();
        self.asks.send(reply).expect("recording goes on while this is here");
        let status = answer.await.expect("recording answers");
        ended(status, state, about)
    }

    /// Waits until everything that was said is recorded, and writes how it ended.
    pub(super) async fn finish(mut self, state: State, about: About) -> Status {
        self.events = None;
        let mut record = self.task.await.expect("recording does not panic");
        record.status = ended(record.status, state, about);
        record.write();
        notify::status(&record.status.headline());
        record.status
    }
}

fn ended(mut status: Status, state: State, about: About) -> Status {
    status.state = state;
    status.instance_id.clone_from(&about.instance_id);
    status.about = Some(about);
    status
}

impl Record {
    fn take(&mut self, event: &Event) {
        self.fold.take(event);
        match event {
            Event::Started { step, title } => notify::status(&format!("{step}: {title}")),
            Event::Log { step, line } => notify::status(&format!("{step}: {line}")),
            Event::Finished { .. } | Event::Stands { .. } | Event::Milestone { .. } => {}
            Event::Progress { .. } => return,
        }
        self.write();
    }

    /// A report that cannot be written must not stop a boot.
    fn write(&mut self) {
        self.status.report = self.fold.report().clone();
        let json = serde_json::to_vec(&self.status).expect("a status has only string keys");
        if let Err(error) = atomic::write(&self.path, &json, 0o644)
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::warn!(path = %self.path, %error, "the report cannot be written");
        }
    }
}

/// Seconds since the kernel started.
fn uptime(machine: &Machine) -> Option<f64> {
    let text = std::fs::read_to_string(machine.path("proc/uptime")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
