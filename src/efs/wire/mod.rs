//! Three calls of NFS, as bytes: NULL, which every server answers; `EXCHANGE_ID` of version 4.1, by
//! which a server tells who it is; and `DESTROY_CLIENTID`, which takes back what that left there.
//!
//! Pure, and it trusts nobody: whatever comes, there is an answer or a [`Flaw`]. RFC 5531 is the
//! frame of calls and answers, RFC 8881 what is in it.

mod answer;
mod call;
#[cfg(test)]
mod tests;
mod xdr;

pub use answer::{Answer, Rejection, Server, destroyed, exchanged, nothing};
pub use call::{Caller, destroy_client_id, exchange_id, null};
pub use xdr::Flaw;

/// The program that is called: NFS.
const NFS: u32 = 100_003;
/// Its version: 4.
const VERSION: u32 = 4;
/// The minor version of 4.1.
const MINOR: u32 = 1;
const EXCHANGE_ID: u32 = 42;
const DESTROY_CLIENTID: u32 = 57;

/// The largest answer to one of these calls that is read, in bytes.
pub const LARGEST: usize = 64 << 10;

/// The bit of a fragment's length that says that it is the last.
pub const LAST_FRAGMENT: u32 = 0x8000_0000;
