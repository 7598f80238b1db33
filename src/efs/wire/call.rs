//! What is sent.

use super::xdr::Writer;
use super::{DESTROY_CLIENTID, EXCHANGE_ID, MINOR, NFS, VERSION};

/// What a call is for, beside its number: none of these asks for any right.
const CALL: u32 = 0;
const RPC_VERSION: u32 = 2;
const COMPOUND: u32 = 1;
const AUTH_SYS: u32 = 1;
/// `nobody`.
const NOBODY: u32 = 65534;

/// Who calls, told so that no server takes it for anybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// By chance, for this one conversation: a server that hears a name again takes away what the
    /// one before held.
    pub chance: [u8; 16],
}

impl Caller {
    /// Its name. The kernel's client calls itself otherwise, by the name of the host or by an
    /// identifier that it was told.
    fn owner(self) -> String {
        let chance: String = self.chance.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("hostkit probe {chance}")
    }

    /// What changes when a client starts again.
    fn verifier(self) -> u64 {
        u64::from_be_bytes(*self.chance.first_chunk().expect("it is longer"))
    }
}

/// The call that does nothing, without credentials.
pub fn null(xid: u32) -> Vec<u8> {
    Writer::default().words(&[xid, CALL, RPC_VERSION, NFS, VERSION, 0, 0, 0, 0, 0]).record()
}

/// The call by which a client tells its name, and a server its own.
pub fn exchange_id(xid: u32, caller: Caller) -> Vec<u8> {
    let (no_flags, unprotected, no_implementation) = (0, 0, 0);
    compound(xid)
        .words(&[EXCHANGE_ID])
        .long(caller.verifier())
        .opaque(caller.owner().as_bytes())
        .words(&[no_flags, unprotected, no_implementation])
        .record()
}

/// The call by which the server forgets a client that has told its name.
pub fn destroy_client_id(xid: u32, client: u64) -> Vec<u8> {
    compound(xid).words(&[DESTROY_CLIENTID]).long(client).record()
}

/// A compound of version 4.1 with one operation, which follows.
fn compound(xid: u32) -> Writer {
    // Its stamp, the machine, a user, a group, and no further groups.
    let credentials = Writer::default().words(&[0]).opaque(b"hostkit").words(&[NOBODY, NOBODY, 0]);
    let credentials = credentials.record();
    let operations = 1;
    Writer::default()
        .words(&[xid, CALL, RPC_VERSION, NFS, VERSION, COMPOUND, AUTH_SYS])
        .opaque(&credentials[4..])
        .words(&[0, 0])
        .opaque(b"")
        .words(&[MINOR, operations])
}
