//! What the child does.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::notebook::Notebook;
use super::{
    Answer, Request, Task, Trouble, User, alive, owners, place, probe, scan, top, whole, whose,
};
use crate::lease::ground::Ground;
use crate::sys::Root;

/// Answers one request, a line, in time.
///
/// # Errors
/// Whoever asked is gone.
pub fn attend(ground: Ground, mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let answer = reply(&line, ground);
    let json = serde_json::to_string(&answer).expect("an answer has only string keys");
    writeln!(output, "{json}")?;
    output.flush()
}

fn reply(line: &str, ground: Ground) -> Answer {
    let request: Request = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return Trouble::new("reading the request", &error.into()).into(),
    };
    // Before there is a second thread, and before anything is touched.
    if let Some(Err(error)) = request.user.map(become_user) {
        return Trouble::new("becoming another user", &error).into();
    }
    let patience = Duration::from_millis(request.patience);
    let notes = Arc::new(Notebook::default());
    let (sender, receiver) = mpsc::channel();
    let its = Arc::clone(&notes);
    // Never joined: it may hang for ever, and ends with this process.
    std::thread::spawn(move || {
        let _ = sender.send(answer(&request, ground, &its));
    });
    match receiver.recv_timeout(patience) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Answer::Hangs(notes.hang(patience)),
        Err(RecvTimeoutError::Disconnected) => {
            Trouble::new("working", &io::Error::other("a bug: the work ended without an end"))
                .into()
        }
    }
}

/// Gives up root, for good.
fn become_user(user: User) -> io::Result<()> {
    if Uid::effective().as_raw() == user.uid {
        return Ok(());
    }
    let gid = Gid::from_raw(user.gid);
    setgroups(&[gid])?;
    setgid(gid)?;
    Ok(setuid(Uid::from_raw(user.uid))?)
}

/// What the child does with a request, as whoever it is now. It returns when all has ended.
pub fn answer(request: &Request, ground: Ground, notes: &Arc<Notebook>) -> Answer {
    work(request, ground, notes).unwrap_or_else(Answer::Failed)
}

fn work(request: &Request, ground: Ground, notes: &Arc<Notebook>) -> Result<Answer, Trouble> {
    if request.task == Task::Alive {
        return alive::look(request, ground, notes).map(Answer::from);
    }
    let root = open(request, ground, notes)?;
    Ok(match request.task {
        Task::Alive => unreachable!("it was answered"),
        Task::Whose => whose::look(&root, notes)?.into(),
        Task::Owners(uid) => owners::look(&root, uid, notes)?.into(),
        Task::Write => probe::write(&root, notes)?.into(),
        Task::Lock => probe::lock(&root, notes)?.into(),
        Task::Speed => probe::speed(&root, request.within(), notes)?.into(),
        Task::Scan => {
            let what = "looking where the home is";
            notes.doing(what);
            let place = place::place(&root).map_err(|error| Trouble::new(what, &error))?;
            let home = place.map(|place| place.folder).unwrap_or_default();
            notes.rests();
            scan::scan(&root, home.as_str().into(), request.within(), notes).into()
        }
        Task::Top => top::look(&root, notes)?.into(),
        Task::Whole => whole::look(&root, request.within(), notes)?.into(),
    })
}

/// The top of the file system, in which no link is followed.
fn open(request: &Request, ground: Ground, notes: &Notebook) -> Result<Root, Trouble> {
    let what = "opening the top of the file system";
    notes.doing(what);
    let root = Root::strict(&request.mount_point).map_err(|error| Trouble::new(what, &error))?;
    if !ground.bears(&root).map_err(|error| Trouble::new(what, &error))? {
        return Err(Trouble::unmounted());
    }
    Ok(root)
}

impl Request {
    /// How long work may go on that is useful in part, too: the patience but for a last moment.
    fn within(&self) -> Duration {
        Duration::from_millis(self.patience.saturating_sub(1500).max(self.patience / 2))
    }
}

impl From<Trouble> for Answer {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}
