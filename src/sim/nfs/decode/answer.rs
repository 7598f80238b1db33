//! What a server answers: the results of operations (RFC 8881 §18), as far as they say how it
//! went and which handles files have.

use super::call::{BODY, Bytes, HANDLE, NAME, SESSION, STATE, VERIFIER};
use super::call::{channel, implementation};
use super::number::{FILE_HANDLE, Operation, Status};
use super::xdr::{Bitmap, Flaw, Read, Reader, padding};

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Finds its call on the same connection.
    pub xid: u32,
    /// How the compound ended; none where there was no compound: a NULL call, or one that was
    /// refused before it was looked at.
    pub status: Option<Status>,
    /// The results, one for each operation up to the first that failed.
    pub results: Vec<Outcome>,
    /// Why the rest of it is not known.
    pub flaw: Option<&'static str>,
}

/// How one operation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which.
    pub operation: Operation,
    /// Its end.
    pub status: Status,
    /// What it tells about handles.
    pub learnt: Learnt,
}

/// What a result tells about handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// Nothing.
    Nothing,
    /// The current file's.
    Handle(Bytes),
    /// Those of names in the current directory.
    Entries(Vec<(Bytes, Bytes)>),
}

/// Reads one result, and says how many bytes after what was read are to be passed over.
pub(super) fn outcome(reader: &mut Reader<'_>) -> Read<(Outcome, usize)> {
    let number = reader.word()?;
    let status = Status(reader.word()?);
    let mut outcome = Outcome { operation: Operation(number), status, learnt: Learnt::Nothing };
    // A failure is the last result: whatever it brings along need not be found.
    if status != Status::OK {
        return Ok((outcome, 0));
    }
    let mut data = 0;
    match number {
        10 => outcome.learnt = Learnt::Handle(reader.opaque(HANDLE)?.into()),
        25 => {
            reader.skip(4)?;
            let length = reader.word()? as usize;
            data = length + padding(length);
        }
        26 => outcome.learnt = Learnt::Entries(entries(reader)?),
        _ => pass(number, reader)?,
    }
    Ok((outcome, data))
}

/// Whether a directory was seen before and after a change in one go, and its change numbers.
const CHANGE: usize = 4 + 8 + 8;

/// Passes over the result of an operation that succeeded and tells nothing of handles.
fn pass(number: u32, reader: &mut Reader<'_>) -> Read<()> {
    match number {
        // ACCESS
        3 => reader.skip(4 + 4),
        // CLOSE, LOCK, LOCKU, OPEN_CONFIRM, OPEN_DOWNGRADE
        4 | 12 | 14 | 20 | 21 => reader.skip(STATE),
        // COMMIT
        5 => reader.skip(VERIFIER),
        // CREATE
        6 => reader.skip(CHANGE).and_then(|()| reader.bitmap()).map(|_| ()),
        // Those without a result, from DELEGPURGE to RECLAIM_COMPLETE
        7 | 8 | 13 | 15..=17 | 22..=24 | 30..=32 | 37 | 39 | 40 | 44 | 45 | 57 | 58 => Ok(()),
        // GETATTR
        9 => reader.bitmap().and_then(|_| reader.opaque(BODY)).map(|_| ()),
        // LINK, REMOVE
        11 | 28 => reader.skip(CHANGE),
        18 => open(reader),
        // READLINK
        27 => reader.opaque(BODY).map(|_| ()),
        // RENAME
        29 => reader.skip(2 * CHANGE),
        // SECINFO, SECINFO_NO_NAME
        33 | 52 => security(reader),
        // SETATTR
        34 => reader.bitmap().map(|_| ()),
        // WRITE
        38 => reader.skip(4 + 4 + VERIFIER),
        // BIND_CONN_TO_SESSION
        41 => reader.skip(SESSION + 4 + 4),
        42 => exchange_id(reader),
        // CREATE_SESSION
        43 => {
            reader.skip(SESSION + 4 + 4)?;
            channel(reader)?;
            channel(reader)
        }
        // SEQUENCE
        53 => reader.skip(SESSION + 5 * 4),
        // TEST_STATEID
        55 => {
            let states = reader.length(NAME)?;
            reader.skip(4 * states)
        }
        _ => Err(Flaw::Wrong("the result of an operation that is not known")),
    }
}

fn open(reader: &mut Reader<'_>) -> Read<()> {
    reader.skip(STATE + CHANGE + 4)?;
    reader.bitmap()?;
    match reader.word()? {
        0 => return Ok(()),
        1 => reader.skip(STATE + 4)?,
        2 => {
            reader.skip(STATE + 4)?;
            // How far the file may grow without asking: bytes, or blocks and their size.
            reader.skip(4 + 8)?;
        }
        3 => {
            return match reader.word()? {
                1 | 2 => reader.skip(4),
                _ => Ok(()),
            };
        }
        _ => return Err(Flaw::Wrong("a delegation of a kind that is not known")),
    }
    // Who may do what without asking.
    reader.skip(4 + 4 + 4)?;
    reader.opaque(NAME).map(|_| ())
}

fn security(reader: &mut Reader<'_>) -> Read<()> {
    for _ in 0..reader.length(NAME)? {
        if reader.word()? == 6 {
            reader.opaque(NAME)?;
            reader.skip(4 + 4)?;
        }
    }
    Ok(())
}

fn exchange_id(reader: &mut Reader<'_>) -> Read<()> {
    reader.skip(8 + 4 + 4)?;
    match reader.word()? {
        0 => {}
        1 => {
            reader.bitmap()?;
            reader.bitmap()?;
        }
        _ => return Err(Flaw::Wrong("a client with a secret state verifier")),
    }
    reader.skip(8)?;
    reader.opaque(NAME)?;
    reader.opaque(NAME)?;
    implementation(reader)
}

fn entries(reader: &mut Reader<'_>) -> Read<Vec<(Bytes, Bytes)>> {
    reader.skip(VERIFIER)?;
    let mut entries = Vec::new();
    while reader.flag()? {
        reader.skip(8)?;
        let name = reader.opaque(NAME)?;
        let (which, values) = super::call::attributes(reader)?;
        if which.has(FILE_HANDLE)
            && let Ok(handle) = handle(which, values)
        {
            entries.push((name.into(), handle));
        }
    }
    reader.skip(4)?;
    Ok(entries)
}

/// A file's handle among its attributes, which come in the order of their numbers.
fn handle(which: Bitmap, mut values: Reader<'_>) -> Read<Bytes> {
    for number in which.numbers() {
        match number {
            FILE_HANDLE => return values.opaque(HANDLE).map(Bytes::from),
            0 => values.bitmap().map(|_| ())?,
            1 | 2 | 5..=7 | 9..=11 | 13..=18 => values.skip(4)?,
            3 | 4 => values.skip(8)?,
            8 => values.skip(16)?,
            _ => break,
        }
    }
    Err(Flaw::Wrong("a handle after something that is not known"))
}
