//! What a client asks: the arguments of operations (RFC 8881 §18), as far as they say which file
//! is meant and how it is changed.

use super::number::{self, Operation};
use super::xdr::{Bitmap, Flaw, Read, Reader, padding};

/// An opaque handle or name, as it was sent.
pub type Bytes = Box<[u8]>;

/// A stateid (§3.3.12).
pub(super) const STATE: usize = 16;
/// A session's id (§3.3.17).
pub(super) const SESSION: usize = 16;
/// A verifier (§3.3.10).
pub(super) const VERIFIER: usize = 8;
/// The longest file handle (§3.3.4).
pub(super) const HANDLE: usize = 128;
/// The longest name or owner that is taken for one. Servers refuse names beyond 255 bytes.
pub(super) const NAME: usize = 4096;
/// The longest of what is passed over: attributes, the text of a link.
pub(super) const BODY: usize = 1 << 20;
/// Lists in rare operations have a few members.
const MEMBERS: usize = 1024;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Finds its answer on the same connection.
    pub xid: u32,
    /// The operations of a COMPOUND in their order; none in a NULL call.
    pub steps: Vec<Step>,
    /// Why the rest of it is not known.
    pub flaw: Option<&'static str>,
}

/// One operation of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The current file is the one with this handle.
    PutHandle(Bytes),
    /// The current file is the root, or the public one, which servers let be the root.
    PutRoot(Operation),
    /// The current file becomes the saved one, too.
    Save,
    /// The saved file becomes the current one.
    Restore,
    /// The answer has the current file's handle.
    GetHandle,
    /// The current file is the one of this name in the current directory.
    LookUp(Bytes),
    /// The current file is the directory above.
    Parent,
    /// The slot of a session: the same call sent again has the same numbers.
    Sequence {
        /// The session.
        session: [u8; SESSION],
        /// The slot's number.
        slot: u32,
        /// Counts the calls of the slot.
        sequence: u32,
    },
    /// Opens a file of the current directory, or the current file where there is no name; it
    /// becomes the current one.
    Open {
        /// The file.
        name: Option<Bytes>,
        /// What if it is not there; nothing when it must be.
        create: Option<How>,
    },
    /// Makes something that is no regular file; it becomes the current one.
    Create {
        /// Its name in the current directory.
        name: Bytes,
        /// What it is.
        kind: &'static str,
    },
    /// Gives the saved file a second name in the current directory.
    Link(Bytes),
    /// Takes a name from the current directory.
    Remove(Bytes),
    /// From the first name in the saved directory to the second in the current one.
    Rename(Bytes, Bytes),
    /// Sets attributes of the current file.
    SetAttributes {
        /// Its new size.
        size: Option<u64>,
        /// Which attributes.
        which: Bitmap,
    },
    /// Writes to the current file.
    Write {
        /// Where.
        offset: u64,
        /// How many bytes.
        length: u32,
        /// How far they must be before the answer.
        stable: Stable,
    },
    /// Has the current file's written bytes be on the disk before the answer.
    Commit {
        /// From where.
        offset: u64,
        /// How many bytes; 0 is all.
        length: u32,
    },
    /// Any other operation: it changes no file and leaves the current one as it is.
    Other(Operation),
}

/// How an open may make the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// One that is there already will do.
    Unchecked,
    /// It must not be there.
    Guarded,
    /// It must not be there; NFSv4.0's form.
    Exclusive,
    /// It must not be there, but by this same call sent before.
    Exclusive41,
}

/// How far written bytes must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stable {
    /// Anywhere: a COMMIT follows.
    Unstable,
    /// The bytes are on the disk.
    Data,
    /// The bytes and the file's attributes are.
    File,
}

impl Step {
    /// Which operation it is.
    pub const fn operation(&self) -> Operation {
        Operation(match self {
            Self::PutHandle(_) => 22,
            Self::PutRoot(operation) | Self::Other(operation) => operation.0,
            Self::Save => 32,
            Self::Restore => 31,
            Self::GetHandle => 10,
            Self::LookUp(_) => 15,
            Self::Parent => 16,
            Self::Sequence { .. } => 53,
            Self::Open { .. } => 18,
            Self::Create { .. } => 6,
            Self::Link(_) => 11,
            Self::Remove(_) => 28,
            Self::Rename(..) => 29,
            Self::SetAttributes { .. } => 34,
            Self::Write { .. } => 38,
            Self::Commit { .. } => 5,
        })
    }
}

/// Reads one operation, and says how many bytes after what was read are to be passed over.
pub(super) fn step(reader: &mut Reader<'_>) -> Read<(Step, usize)> {
    let number = reader.word()?;
    let step = match number {
        5 => Step::Commit { offset: reader.long()?, length: reader.word()? },
        6 => create(reader)?,
        10 => Step::GetHandle,
        11 => Step::Link(name(reader)?),
        15 => Step::LookUp(name(reader)?),
        16 => Step::Parent,
        18 => open(reader)?,
        22 => Step::PutHandle(reader.opaque(HANDLE)?.into()),
        23 | 24 => Step::PutRoot(Operation(number)),
        28 => Step::Remove(name(reader)?),
        29 => Step::Rename(name(reader)?, name(reader)?),
        31 => Step::Restore,
        32 => Step::Save,
        34 => set_attributes(reader)?,
        38 => return write(reader),
        53 => sequence(reader)?,
        _ => {
            pass(number, reader)?;
            Step::Other(Operation(number))
        }
    };
    Ok((step, 0))
}

/// Passes over the arguments of an operation that says nothing about files.
///
/// OPENATTR (19) is not among them: what follows it is about a directory that has no path.
fn pass(number: u32, reader: &mut Reader<'_>) -> Read<()> {
    match number {
        // ACCESS, SECINFO_NO_NAME, RECLAIM_COMPLETE
        3 | 52 | 58 => reader.skip(4),
        // CLOSE
        4 => reader.skip(4 + STATE),
        // DELEGPURGE, RENEW, DESTROY_CLIENTID
        7 | 30 | 57 => reader.skip(8),
        // DELEGRETURN, FREE_STATEID
        8 | 45 => reader.skip(STATE),
        // GETATTR
        9 => reader.bitmap().map(|_| ()),
        12 => lock(reader),
        // LOCKT
        13 => reader.skip(4 + 8 + 8).and_then(|()| owner(reader)),
        // LOCKU
        14 => reader.skip(4 + 4 + STATE + 8 + 8),
        // NVERIFY, VERIFY
        17 | 37 => attributes(reader).map(|_| ()),
        // OPEN_CONFIRM
        20 => reader.skip(STATE + 4),
        // OPEN_DOWNGRADE
        21 => reader.skip(STATE + 4 + 4 + 4),
        // READ
        25 => reader.skip(STATE + 8 + 4),
        // READDIR
        26 => reader.skip(8 + VERIFIER + 4 + 4).and_then(|()| reader.bitmap()).map(|_| ()),
        // READLINK
        27 => Ok(()),
        // SECINFO
        33 => name(reader).map(|_| ()),
        // RELEASE_LOCKOWNER
        39 => owner(reader),
        // BACKCHANNEL_CTL
        40 => reader.skip(4).and_then(|()| callback_security(reader)),
        // BIND_CONN_TO_SESSION
        41 => reader.skip(SESSION + 4 + 4),
        42 => exchange_id(reader),
        43 => create_session(reader),
        // DESTROY_SESSION
        44 => reader.skip(SESSION),
        // TEST_STATEID
        55 => {
            let states = reader.length(MEMBERS)?;
            reader.skip(states * STATE)
        }
        _ => Err(Flaw::Wrong("an operation that is not known")),
    }
}

fn name(reader: &mut Reader<'_>) -> Read<Bytes> {
    reader.opaque(NAME).map(Bytes::from)
}

/// A client's id and what it calls one of its owners.
fn owner(reader: &mut Reader<'_>) -> Read<()> {
    reader.skip(8)?;
    reader.opaque(NAME).map(|_| ())
}

/// Which attributes, and their values.
pub(super) fn attributes<'a>(reader: &mut Reader<'a>) -> Read<(Bitmap, Reader<'a>)> {
    let which = reader.bitmap()?;
    Ok((which, Reader::new(reader.opaque(BODY)?)))
}

fn set_attributes(reader: &mut Reader<'_>) -> Read<Step> {
    reader.skip(STATE)?;
    let (which, mut values) = attributes(reader)?;
    // No attribute with a lower number can be set, so the size is the first value.
    let size = if which.has(number::SIZE) {
        Some(values.long().map_err(|_| Flaw::Wrong("a size that is not eight bytes"))?)
    } else {
        None
    };
    Ok(Step::SetAttributes { size, which })
}

fn create(reader: &mut Reader<'_>) -> Read<Step> {
    let kind = match reader.word()? {
        2 => "directory",
        3 | 4 => {
            reader.skip(4 + 4)?;
            "device"
        }
        5 => {
            reader.opaque(BODY)?;
            "symlink"
        }
        6 => "socket",
        7 => "fifo",
        _ => return Err(Flaw::Wrong("something that CREATE cannot make")),
    };
    let name = name(reader)?;
    attributes(reader)?;
    Ok(Step::Create { name, kind })
}

fn open(reader: &mut Reader<'_>) -> Read<Step> {
    reader.skip(4 + 4 + 4)?;
    owner(reader)?;
    let create = match reader.word()? {
        0 => None,
        1 => Some(how(reader)?),
        _ => return Err(Flaw::Wrong("an open that is neither with nor without creation")),
    };
    let name = match reader.word()? {
        0 | 3 => Some(name(reader)?),
        1 => reader.skip(4).map(|()| None)?,
        2 => {
            reader.skip(STATE)?;
            Some(name(reader)?)
        }
        4 | 6 => None,
        5 => reader.skip(STATE).map(|()| None)?,
        _ => return Err(Flaw::Wrong("an open with a claim that is not known")),
    };
    Ok(Step::Open { name, create })
}

fn how(reader: &mut Reader<'_>) -> Read<How> {
    let how = match reader.word()? {
        0 => How::Unchecked,
        1 => How::Guarded,
        2 => How::Exclusive,
        3 => How::Exclusive41,
        _ => return Err(Flaw::Wrong("a way of creation that is not known")),
    };
    if matches!(how, How::Exclusive | How::Exclusive41) {
        reader.skip(VERIFIER)?;
    }
    if how != How::Exclusive {
        attributes(reader)?;
    }
    Ok(how)
}

fn write(reader: &mut Reader<'_>) -> Read<(Step, usize)> {
    reader.skip(STATE)?;
    let offset = reader.long()?;
    let stable = match reader.word()? {
        0 => Stable::Unstable,
        1 => Stable::Data,
        2 => Stable::File,
        _ => return Err(Flaw::Wrong("a write that is stable in a way that is not known")),
    };
    let length = reader.word()?;
    let data = length as usize;
    Ok((Step::Write { offset, length, stable }, data + padding(data)))
}

fn sequence(reader: &mut Reader<'_>) -> Read<Step> {
    let session = reader.array()?;
    let sequence = reader.word()?;
    let slot = reader.word()?;
    reader.skip(4 + 4)?;
    Ok(Step::Sequence { session, slot, sequence })
}

fn lock(reader: &mut Reader<'_>) -> Read<()> {
    reader.skip(4 + 4 + 8 + 8)?;
    if reader.flag()? {
        reader.skip(4 + STATE + 4)?;
        owner(reader)
    } else {
        reader.skip(STATE + 4)
    }
}

fn exchange_id(reader: &mut Reader<'_>) -> Read<()> {
    reader.skip(VERIFIER)?;
    reader.opaque(NAME)?;
    reader.skip(4)?;
    match reader.word()? {
        0 => {}
        1 => {
            reader.bitmap()?;
            reader.bitmap()?;
        }
        _ => return Err(Flaw::Wrong("a client with a secret state verifier")),
    }
    implementation(reader)
}

/// At most one description of the peer's program (`nfs_impl_id4`).
pub(super) fn implementation(reader: &mut Reader<'_>) -> Read<()> {
    for _ in 0..reader.length(1)? {
        reader.opaque(NAME)?;
        reader.opaque(NAME)?;
        reader.skip(8 + 4)?;
    }
    Ok(())
}

fn create_session(reader: &mut Reader<'_>) -> Read<()> {
    reader.skip(8 + 4 + 4)?;
    channel(reader)?;
    channel(reader)?;
    reader.skip(4)?;
    callback_security(reader)
}

/// A channel's limits.
pub(super) fn channel(reader: &mut Reader<'_>) -> Read<()> {
    reader.skip(6 * 4)?;
    let remote_direct_memory = reader.length(1)?;
    reader.skip(4 * remote_direct_memory)
}

fn callback_security(reader: &mut Reader<'_>) -> Read<()> {
    for _ in 0..reader.length(MEMBERS)? {
        match reader.word()? {
            0 => {}
            1 => {
                reader.skip(4)?;
                reader.opaque(NAME)?;
                reader.skip(4 + 4)?;
                let groups = reader.length(16)?;
                reader.skip(4 * groups)?;
            }
            6 => {
                reader.skip(4)?;
                reader.opaque(NAME)?;
                reader.opaque(NAME)?;
            }
            _ => return Err(Flaw::Wrong("a flavour of security that is not known")),
        }
    }
    Ok(())
}
