//! Where requests are put to the clerk: starts it, and starts another one when it died or was late.

use std::time::Duration;

use camino::Utf8Path;
use tokio::time::Instant;

use super::trouble::Trouble;
use super::{Answer, Request};
use crate::lease::ground::Ground;
use crate::sys::dialogue::{Abandoned, NoAnswer};
use crate::sys::{Cmd, Dialogue, Runner, Tool};

/// So many clerks may hang in the kernel at the same time: a fourth would hang like them.
const MOST_STUCK: usize = 3;

/// A way to have things done on a file system, by a child.
#[derive(Debug)]
pub struct Desk {
    runner: Runner,
    ground: Ground,
    open: Request,
    clerk: Option<Clerk>,
    stuck: Vec<Abandoned>,
}

#[derive(Debug)]
struct Clerk {
    dialogue: Dialogue,
    /// Whether it has opened the file system.
    is_open: bool,
}

impl Desk {
    /// For a file system; nothing is started yet.
    pub fn new(runner: Runner, mount_point: &Utf8Path, fs_id: &str) -> Self {
        let open = Request::Open { mount_point: mount_point.to_owned(), fs_id: fs_id.to_owned() };
        Self { runner, ground: Ground::Nfs, open, clerk: None, stuck: Vec::new() }
    }

    /// The same, on whatever is good enough where it is mounted.
    #[must_use]
    pub(crate) const fn on(mut self, ground: Ground) -> Self {
        self.ground = ground;
        self
    }

    /// Has it done, and returns within `deadline` whatever becomes of it: what could not be done is
    /// [`Answer::Failed`]. After a failure nobody knows how much of it was done, and parts of it may
    /// still be done later. Dropping the call is as good as a failure.
    pub async fn ask(&mut self, request: &Request, deadline: Duration) -> Answer {
        match self.put(request, deadline).await {
            Ok(answer) => answer,
            Err(trouble) => trouble.answer(),
        }
    }

    async fn put(&mut self, request: &Request, deadline: Duration) -> Result<Answer, Trouble> {
        let until = Instant::now() + deadline;
        let clerk = self.clerk()?;
        if !clerk.is_open {
            let open = self.open.clone();
            match self.say(&open, deadline).await? {
                Answer::Done => self.clerk()?.is_open = true,
                refused => return Ok(refused),
            }
        }
        match request {
            Request::Open { .. } => Ok(Answer::Done),
            _ => self.say(request, until.saturating_duration_since(Instant::now())).await,
        }
    }

    async fn say(&mut self, request: &Request, deadline: Duration) -> Result<Answer, Trouble> {
        let line = serde_json::to_string(request).expect("a request has only string keys");
        let told = self.clerk()?.dialogue.ask(&line, deadline).await;
        let told = told.and_then(|line| {
            serde_json::from_str(&line).map_err(|error| NoAnswer::Broken(error.into()))
        });
        told.map_err(|error| {
            self.give_up();
            match error {
                NoAnswer::Late(after) => Trouble::Late(after),
                NoAnswer::Broken(error) => Trouble::Unreadable(error.to_string()),
                NoAnswer::Ended | NoAnswer::OutOfStep => Trouble::Ended(error.to_string()),
            }
        })
    }

    /// The clerk, started if there is none that can be asked.
    fn clerk(&mut self) -> Result<&mut Clerk, Trouble> {
        if self.clerk.as_mut().is_some_and(|clerk| !clerk.dialogue.is_ready()) {
            self.give_up();
        }
        let clerk = match self.clerk.take() {
            Some(clerk) => clerk,
            None => self.start()?,
        };
        Ok(self.clerk.insert(clerk))
    }

    fn start(&mut self) -> Result<Clerk, Trouble> {
        self.stuck.retain_mut(|clerk| !clerk.is_gone());
        if self.stuck.len() >= MOST_STUCK {
            return Err(Trouble::Stuck(self.stuck.len()));
        }
        let anywhere = (self.ground == Ground::Any).then_some("--anywhere");
        let command = Cmd::new(Tool::Hostkit).args(["inner", "clerk"]).args(anywhere);
        let dialogue = self.runner.converse(&command);
        let dialogue = dialogue.map_err(|error| Trouble::Ended(format!("{error:#}")))?;
        Ok(Clerk { dialogue, is_open: false })
    }

    /// Kills the clerk and does not wait for its end.
    fn give_up(&mut self) {
        self.stuck.extend(self.clerk.take().map(|clerk| clerk.dialogue.abandon()));
    }
}
