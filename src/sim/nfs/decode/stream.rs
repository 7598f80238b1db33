//! One direction of a connection, from bytes in any pieces to calls or answers.
//!
//! A message is read one operation at a time: no more of it is kept than the operation that is
//! coming in, and of that not what is read or written. So memory is bounded whatever comes, and
//! the result does not depend on how the bytes were split.

use super::answer::{self, Answer};
use super::call::{self, Call};
use super::framing::{Framing, Piece};
use super::number::Status;
use super::xdr::{Flaw, Read, Reader};

/// The longest operation without its data: a page of a large directory.
const MAX_OPERATION: usize = 2 << 20;
/// The most operations of a compound that are followed. Linux sends about ten.
const MAX_OPERATIONS: usize = 256;
/// How much is looked at before what follows can be passed over.
const LOOK_AHEAD: usize = 4096;
/// What a quiet connection keeps.
const KEPT: usize = 64 * 1024;
/// The program's number, and its version (RFC 7531 §2).
const NFS: (u32, u32) = (100_003, 4);
/// The longest credentials (RFC 5531 §8.2), tag and the like.
const TEXT: usize = 4096;

/// A message that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A client's call.
    Call(Call),
    /// A server's answer.
    Answer(Answer),
    /// The other way round: the server calls the client, or is answered. No file changes by it.
    Callback,
    /// It is no message that this decoder understands, and why.
    Unknown(&'static str),
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Calls,
    /// From the server to the client.
    Answers,
}

/// Reads one direction of one connection.
#[derive(Debug)]
pub struct Stream {
    way: Way,
    framing: Framing,
    /// What was not read yet of the current message.
    kept: Vec<u8>,
    /// How many bytes of the message are data, to be passed over first.
    data: usize,
    /// With fewer bytes than these another try is of no use.
    enough: usize,
    state: State,
}

/// What comes next in the current message.
#[derive(Debug)]
enum State {
    /// Its first words.
    Head,
    /// So many more operations of a call.
    Steps(Call, u32),
    /// So many more results.
    Outcomes(Answer, u32),
    /// Nothing that matters.
    Done(Message),
}

impl Stream {
    /// At the beginning of a connection.
    pub fn new(way: Way) -> Self {
        let state = State::Head;
        Self { way, framing: Framing::default(), kept: Vec::new(), data: 0, enough: 0, state }
    }

    /// Takes the next bytes, and tells each message that they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Message)) {
        let mut framing = std::mem::take(&mut self.framing);
        while let Some(piece) = framing.next(&mut bytes) {
            match piece {
                Piece::Bytes(piece) => self.take(piece),
                Piece::End => tell(self.end()),
            }
        }
        self.framing = framing;
    }

    /// How many bytes it holds in memory.
    pub fn held(&self) -> usize {
        self.kept.capacity()
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let data = self.data.min(bytes.len());
            self.data -= data;
            bytes = &bytes[data..];
            if matches!(self.state, State::Done(_)) {
                return;
            }
            let room = LOOK_AHEAD.min(MAX_OPERATION - self.kept.len()).min(bytes.len());
            self.kept.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            self.advance(false);
        }
    }

    /// The message is over: whatever can still be read is, and the next one can begin.
    fn end(&mut self) -> Message {
        self.advance(true);
        self.kept.clear();
        self.kept.shrink_to(KEPT);
        (self.data, self.enough) = (0, 0);
        match std::mem::replace(&mut self.state, State::Head) {
            State::Done(message) => message,
            State::Steps(call, _) => Message::Call(call),
            State::Outcomes(answer, _) => Message::Answer(answer),
            State::Head => Message::Unknown("a message without a head"),
        }
    }

    /// Reads as many whole operations as there are.
    fn advance(&mut self, over: bool) {
        while !matches!(self.state, State::Done(_)) && (over || self.kept.len() >= self.enough) {
            let mut reader = Reader::new(&self.kept);
            match next(self.way, &mut self.state, &mut reader, over) {
                Ok(data) => {
                    let read = self.kept.len() - reader.left();
                    let skipped = data.min(reader.left());
                    self.kept.drain(..read + skipped);
                    self.data = data - skipped;
                    self.enough = 0;
                }
                // Half as much again before the next try: the work stays in proportion.
                Err(Flaw::Short) if !over && self.kept.len() < MAX_OPERATION => {
                    self.enough = (self.kept.len() + self.kept.len() / 2 + 1).min(MAX_OPERATION);
                    return;
                }
                Err(Flaw::Short) if over => self.fail("a message that ends too early"),
                Err(Flaw::Short) => self.fail("an operation that is too long"),
                Err(Flaw::Wrong(why)) => self.fail(why),
            }
        }
    }

    /// What was read stands, the rest of the message is unknown.
    fn fail(&mut self, why: &'static str) {
        self.state = State::Done(match std::mem::replace(&mut self.state, State::Head) {
            State::Head => Message::Unknown(why),
            State::Steps(call, _) => Message::Call(Call { flaw: Some(why), ..call }),
            State::Outcomes(answer, _) => Message::Answer(Answer { flaw: Some(why), ..answer }),
            State::Done(message) => message,
        });
        self.kept.clear();
    }
}

/// Reads the next thing, and says how much data follows it.
fn next(way: Way, state: &mut State, reader: &mut Reader<'_>, over: bool) -> Read<usize> {
    let data = match state {
        State::Head => {
            *state = head(way, reader, over)?;
            0
        }
        State::Steps(call, left) => {
            let (step, data) = call::step(reader)?;
            call.steps.push(step);
            *left -= 1;
            data
        }
        State::Outcomes(answer, left) => {
            let (outcome, data) = answer::outcome(reader)?;
            *left = if outcome.status == Status::OK { *left - 1 } else { 0 };
            answer.results.push(outcome);
            data
        }
        State::Done(_) => 0,
    };
    *state = match std::mem::replace(state, State::Head) {
        State::Steps(call, 0) => State::Done(Message::Call(call)),
        State::Outcomes(answer, 0) => State::Done(Message::Answer(answer)),
        other => other,
    };
    Ok(data)
}

fn head(way: Way, reader: &mut Reader<'_>, over: bool) -> Read<State> {
    let xid = reader.word()?;
    match (way, reader.word()?) {
        (Way::Calls, 0) => call_head(xid, reader),
        (Way::Answers, 1) => answer_head(xid, reader, over),
        (_, 0 | 1) => Ok(State::Done(Message::Callback)),
        _ => Err(Flaw::Wrong("a message that is neither a call nor an answer")),
    }
}

fn call_head(xid: u32, reader: &mut Reader<'_>) -> Read<State> {
    if reader.word()? != 2 {
        return Err(Flaw::Wrong("a version of RPC that is not 2"));
    }
    if (reader.word()?, reader.word()?) != NFS {
        return Err(Flaw::Wrong("a program that is not NFS version 4"));
    }
    let procedure = reader.word()?;
    for _credentials_and_verifier in 0..2 {
        reader.skip(4)?;
        reader.opaque(TEXT)?;
    }
    let call = |flaw| Call { xid, steps: Vec::new(), flaw };
    match procedure {
        0 => return Ok(State::Done(Message::Call(call(None)))),
        1 => {}
        _ => return Err(Flaw::Wrong("a procedure that is not known")),
    }
    reader.opaque(TEXT)?;
    let minor = reader.word()?;
    let count = reader.word()?;
    if minor != 1 {
        return Ok(State::Done(Message::Call(call(Some("a minor version that is not 1")))));
    }
    if count as usize > MAX_OPERATIONS {
        return Ok(State::Done(Message::Call(call(Some("too many operations")))));
    }
    Ok(State::Steps(call(None), count))
}

fn answer_head(xid: u32, reader: &mut Reader<'_>, over: bool) -> Read<State> {
    let answer = |status| Answer { xid, status, results: Vec::new(), flaw: None };
    if reader.word()? != 0 {
        return Ok(State::Done(Message::Answer(answer(None))));
    }
    reader.skip(4)?;
    reader.opaque(TEXT)?;
    if reader.word()? != 0 {
        return Ok(State::Done(Message::Answer(answer(None))));
    }
    // A NULL call's answer has no more; only the message's end tells it from a compound's.
    if reader.left() == 0 && over {
        return Ok(State::Done(Message::Answer(answer(None))));
    }
    let status = Status(reader.word()?);
    reader.opaque(TEXT)?;
    let count = reader.word()?;
    if count as usize > MAX_OPERATIONS {
        return Err(Flaw::Wrong("too many results"));
    }
    Ok(State::Outcomes(answer(Some(status)), count))
}
