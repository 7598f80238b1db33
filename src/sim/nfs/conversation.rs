//! The calls and answers of one connection, as round trips and changes in the record.

use std::collections::HashMap;

use super::change::{End, Machine, What};
use super::decode::answer::{Answer, Learnt, Outcome};
use super::decode::call::{Call, Step};
use super::decode::number::{Status, attribute};
use super::decode::stream::Message;
use super::names::{Names, Path, Place};
use super::record::{Kept, Record};

/// The most calls without an answer that are followed. Linux has 64 at once.
const MAX_OPEN: usize = 1024;
/// The operations that the name of a compound has.
const MAX_NAMED: usize = 16;

/// One connection of one machine.
#[derive(Debug)]
pub(super) struct Conversation {
    record: Record,
    machine: Machine,
    open: HashMap<u32, (Call, Kept)>,
}

impl Conversation {
    /// A connection that has just begun.
    pub(super) fn new(record: Record, machine: Machine) -> Self {
        Self { record, machine, open: HashMap::new() }
    }

    /// Takes what passed. A call must be told before the server has it, an answer before the
    /// machine has it.
    pub(super) fn hear(&mut self, message: Message) {
        match message {
            Message::Call(call) => self.call(call),
            Message::Answer(answer) => self.answer(&answer),
            Message::Callback => {}
            Message::Unknown(why) => self.record.lock().unread(why),
        }
    }

    fn call(&mut self, call: Call) {
        let mut record = self.record.lock();
        if let Some(why) = call.flaw {
            record.unread(why);
        }
        let mut walk = Walk::default();
        let (mut whats, mut path) = (Vec::new(), None);
        for step in &call.steps {
            let what = walk.change(step, &mut record.names);
            walk.step(step, &mut record.names);
            path = walk.subject(step, what.as_ref(), &record.names).or(path);
            whats.extend(what);
        }
        let again = record.is_again(call.steps.first());
        let kept = record.call(&self.machine, &kind(&call), path, again, whats);
        if self.open.len() < MAX_OPEN {
            self.open.insert(call.xid, (call, kept));
        } else {
            record.unread("an answer to one of too many calls at once");
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let mut record = self.record.lock();
        let Some((call, kept)) = self.open.remove(&answer.xid) else {
            record.unread("an answer without its call");
            return;
        };
        let agrees = |(step, outcome): (&Step, &Outcome)| step.operation() == outcome.operation;
        let agree = call.steps.iter().zip(&answer.results).all(agrees);
        let flaw = if agree { answer.flaw } else { Some("an answer to other operations") };
        if let Some(why) = flaw {
            record.unread(why);
        }
        if agree {
            learn(&call, answer, &mut record.names);
        }
        // A compound that went well has a result for each operation.
        let stopped = flaw.is_none() && answer.status != Some(Status::OK);
        let positions: Vec<_> =
            (0..call.steps.len()).filter(|i| is_change(&call.steps[*i])).collect();
        let ends = |index: usize, at| match answer.results.get(positions[index]) {
            Some(outcome) if agree => End::Answered { at, status: outcome.status },
            None if stopped => End::NotReached,
            _ => End::Unread { at },
        };
        record.answer(&kept, answer.status, ends);
    }
}

impl Drop for Conversation {
    /// What has no answer by now gets none.
    fn drop(&mut self) {
        let mut record = self.record.lock();
        for (_, kept) in self.open.values() {
            record.lost(kept);
        }
    }
}

/// The operations of a call by their names.
fn kind(call: &Call) -> String {
    if call.steps.is_empty() {
        return if call.flaw.is_some() { "?" } else { "NULL" }.to_owned();
    }
    let names = call.steps.iter().take(MAX_NAMED).map(|step| step.operation().to_string());
    let mut kind = names.collect::<Vec<_>>().join(" ");
    if call.steps.len() > MAX_NAMED || call.flaw.is_some() {
        kind.push_str(" ?");
    }
    kind
}

/// What an answer tells about names and handles.
fn learn(call: &Call, answer: &Answer, names: &mut Names) {
    let mut walk = Walk::default();
    for (step, outcome) in call.steps.iter().zip(&answer.results) {
        if outcome.status != Status::OK {
            return;
        }
        let before = walk.clone();
        walk.step(step, names);
        match (step, &outcome.learnt) {
            (_, Learnt::Handle(handle)) => names.learn(&walk.current, handle),
            (_, Learnt::Entries(entries)) => {
                for (name, handle) in entries {
                    let entry = names.enter(&walk.current, name);
                    names.learn(&entry, handle);
                }
            }
            (Step::Remove(name), Learnt::Nothing) => {
                let entry = names.enter(&before.current, name);
                names.removed(&entry);
            }
            (Step::Rename(old, new), Learnt::Nothing) => {
                let from = names.enter(&before.saved, old);
                let to = names.enter(&before.current, new);
                names.renamed(&from, &to);
            }
            (Step::Link(name), Learnt::Nothing) => {
                let entry = names.enter(&before.current, name);
                names.linked(&before.saved, &entry);
            }
            _ => {}
        }
    }
}

/// Whether an operation changes a file or directory.
const fn is_change(step: &Step) -> bool {
    matches!(
        step,
        Step::Write { .. }
            | Step::Commit { .. }
            | Step::Open { create: Some(_), .. }
            | Step::Create { .. }
            | Step::Link(_)
            | Step::Remove(_)
            | Step::Rename(..)
            | Step::SetAttributes { .. }
    )
}

/// The current and the saved file on the way through a compound.
#[derive(Clone, Debug, Default)]
struct Walk {
    current: Place,
    saved: Place,
}

impl Walk {
    /// What the current and the saved file are after `step`.
    fn step(&mut self, step: &Step, names: &mut Names) {
        match step {
            Step::PutHandle(handle) => self.current = names.file(handle),
            Step::PutRoot(_) => self.current = Names::root(),
            Step::Save => self.saved = self.current.clone(),
            Step::Restore => self.current = self.saved.clone(),
            Step::LookUp(name)
            | Step::Create { name, .. }
            | Step::Open { name: Some(name), .. } => {
                self.current = names.enter(&self.current, name);
            }
            Step::Parent => self.current = names.parent(&self.current),
            _ => {}
        }
    }

    /// What `step` changes, seen from before it.
    fn change(&self, step: &Step, names: &mut Names) -> Option<What> {
        let here = names.path(&self.current);
        let mut entry = |directory: &Place, name: &[u8]| {
            let place = names.enter(directory, name);
            names.path(&place)
        };
        Some(match step {
            Step::Write { offset, length, stable } => {
                What::Write { path: here, offset: *offset, length: *length, stable: *stable }
            }
            Step::Commit { .. } => What::Commit { path: here },
            Step::Open { name, create: Some(how) } => {
                let path = name.as_ref().map_or(here, |name| entry(&self.current, name));
                What::Open { path, how: *how }
            }
            Step::Create { name, kind } => What::Create { path: entry(&self.current, name), kind },
            Step::Link(name) => {
                let to = entry(&self.current, name);
                What::Link { from: names.path(&self.saved), to }
            }
            Step::Remove(name) => What::Remove { path: entry(&self.current, name) },
            Step::Rename(old, new) => {
                What::Rename { from: entry(&self.saved, old), to: entry(&self.current, new) }
            }
            Step::SetAttributes { size, which } => What::SetAttributes {
                path: here,
                size: *size,
                which: which.numbers().map(attribute).collect(),
            },
            _ => return None,
        })
    }

    /// The file that `step` names, seen from after it.
    fn subject(&self, step: &Step, what: Option<&What>, names: &Names) -> Option<Path> {
        match step {
            Step::Link(_) | Step::Remove(_) | Step::Rename(..) => {
                what.and_then(|what| what.paths().last().cloned())
            }
            Step::PutHandle(_)
            | Step::PutRoot(_)
            | Step::LookUp(_)
            | Step::Parent
            | Step::Open { .. }
            | Step::Create { .. } => Some(names.path(&self.current)),
            _ => None,
        }
    }
}
