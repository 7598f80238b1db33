//! What comes back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::xdr::{Flaw, Read, Reader};
use super::{DESTROY_CLIENTID, EXCHANGE_ID};

/// The longest name that a server may tell, in bytes.
const NAME: u32 = 1024;

/// What a server says to a call: what was asked for, or why not.
pub type Answer<T> = Result<T, Rejection>;

/// Why a server that does speak this protocol does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// It has no NFS.
    NoNfs,
    /// It has NFS, and not version 4.
    Versions {
        /// The lowest that it has.
        low: u32,
        /// The highest.
        high: u32,
    },
    /// It does not take the credentials, or another reason of the frame around the calls.
    Frame(String),
    /// An error of NFS, by its number.
    Status(u32),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNfs => f.write_str("it has no NFS"),
            Self::Versions { low, high } if low == high => write!(f, "it has only NFS {low}"),
            Self::Versions { low, high } => write!(f, "it has only NFS {low} to {high}"),
            Self::Frame(why) => f.write_str(why),
            Self::Status(status) => match name(*status) {
                Some(name) => f.write_str(name),
                None => write!(f, "error {status}"),
            },
        }
    }
}

/// Those errors of NFS that a server may have for these calls.
const fn name(status: u32) -> Option<&'static str> {
    Some(match status {
        1 => "NFS4ERR_PERM",
        5 => "NFS4ERR_IO",
        13 => "NFS4ERR_ACCESS",
        22 => "NFS4ERR_INVAL",
        10006 => "NFS4ERR_SERVERFAULT",
        10008 => "NFS4ERR_DELAY",
        10013 => "NFS4ERR_GRACE",
        10016 => "NFS4ERR_WRONGSEC",
        10017 => "NFS4ERR_CLID_INUSE",
        10018 => "NFS4ERR_RESOURCE",
        10021 => "NFS4ERR_MINOR_VERS_MISMATCH",
        10022 => "NFS4ERR_STALE_CLIENTID",
        10036 => "NFS4ERR_BADXDR",
        10044 => "NFS4ERR_OP_ILLEGAL",
        10074 => "NFS4ERR_CLIENTID_BUSY",
        10081 => "NFS4ERR_NOT_ONLY_OP",
        _ => return None,
    })
}

impl Rejection {
    /// That the server speaks an older NFS 4 only.
    pub const fn is_minor_version(&self) -> bool {
        matches!(self, Self::Status(10021))
    }

    /// That a moment later it may answer otherwise.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Status(10008 | 10013))
    }
}

/// What a server tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// By which it knows the caller. Good for nothing without a session.
    pub client: u64,
    /// Its name, which all its addresses have in common.
    pub owner: String,
    /// In what files and locks are the same everywhere.
    pub scope: String,
    /// Who made it, and its version, where it tells.
    pub implementation: Option<String>,
}

/// The answer to [`super::null`].
pub fn nothing(xid: u32, record: &[u8]) -> Read<Answer<()>> {
    Ok(accepted(xid, record)?.map(drop))
}

/// The answer to [`super::exchange_id`].
pub fn exchanged(xid: u32, record: &[u8]) -> Read<Answer<Server>> {
    let mut reader = match operation(xid, record, EXCHANGE_ID)? {
        Ok(reader) => reader,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let client = reader.long()?;
    let (_sequence, _flags) = (reader.word()?, reader.word()?);
    if reader.word()? != 0 {
        return Err(Flaw::Wrong("a protection that nobody asked for"));
    }
    let minor = reader.long()?;
    let major = text(reader.opaque(NAME)?);
    let scope = text(reader.opaque(NAME)?);
    let implementation = match reader.word()? {
        0 => None,
        1 => Some(implementation(&mut reader)?),
        _ => return Err(Flaw::Wrong("more than one implementation")),
    };
    let owner = if minor == 0 { major } else { format!("{major} {minor}") };
    Ok(Ok(Server { client, owner, scope, implementation }))
}

/// The answer to [`super::destroy_client_id`].
pub fn destroyed(xid: u32, record: &[u8]) -> Read<Answer<()>> {
    Ok(operation(xid, record, DESTROY_CLIENTID)?.map(drop))
}

fn implementation(reader: &mut Reader<'_>) -> Read<String> {
    let (domain, name) = (text(reader.opaque(NAME)?), text(reader.opaque(NAME)?));
    let (_seconds, _nanoseconds) = (reader.long()?, reader.word()?);
    let known: Vec<_> = [name, domain].into_iter().filter(|it| !it.is_empty()).collect();
    Ok(known.join(" of "))
}

/// What follows the frame of an answer.
fn accepted(xid: u32, record: &[u8]) -> Read<Answer<Reader<'_>>> {
    const REPLY: u32 = 1;
    let mut reader = Reader::new(record);
    if reader.word()? != xid {
        return Err(Flaw::Wrong("the number of another call"));
    }
    if reader.word()? != REPLY {
        return Err(Flaw::Wrong("a call where an answer should be"));
    }
    match reader.word()? {
        0 => {}
        1 => return denied(&mut reader).map(Err),
        _ => return Err(Flaw::Wrong("neither yes nor no")),
    }
    let _flavour = reader.word()?;
    reader.opaque(400)?;
    Ok(match reader.word()? {
        0 => Ok(reader),
        1 => Err(Rejection::NoNfs),
        2 => Err(Rejection::Versions { low: reader.word()?, high: reader.word()? }),
        3 => Err(Rejection::Frame("it has NFS 4 without this call".to_owned())),
        4 => Err(Rejection::Frame("it could not read the call".to_owned())),
        5 => Err(Rejection::Frame("it had an error of its own".to_owned())),
        _ => return Err(Flaw::Wrong("a state that RPC has not")),
    })
}

fn denied(reader: &mut Reader<'_>) -> Read<Rejection> {
    Ok(match reader.word()? {
        0 => {
            let (low, high) = (reader.word()?, reader.word()?);
            Rejection::Frame(format!("it speaks RPC {low} to {high}, not 2"))
        }
        1 => Rejection::Frame(format!("it does not take the credentials ({})", reader.word()?)),
        _ => return Err(Flaw::Wrong("a refusal that RPC has not")),
    })
}

/// What follows the status of the only operation of a compound.
fn operation(xid: u32, record: &[u8], wanted: u32) -> Read<Answer<Reader<'_>>> {
    let mut reader = match accepted(xid, record)? {
        Ok(reader) => reader,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let status = reader.word()?;
    reader.opaque(NAME)?;
    match (status, reader.word()?) {
        // Where the compound itself is at fault no operation is answered.
        (0, 1) => {}
        (0, _) => return Err(Flaw::Wrong("another number of operations")),
        (status, _) => return Ok(Err(Rejection::Status(status))),
    }
    if reader.word()? != wanted {
        return Err(Flaw::Wrong("the answer to another operation"));
    }
    match reader.word()? {
        0 => Ok(Ok(reader)),
        status => Ok(Err(Rejection::Status(status))),
    }
}

/// Text that people may see: what cannot be shown becomes a number.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..end].escape_ascii().to_string()
}
