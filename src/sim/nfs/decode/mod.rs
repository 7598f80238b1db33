//! What an NFSv4.1 client and its server say to each other, read from the bytes that pass.
//!
//! ONC RPC over TCP (RFC 5531 §11) carries COMPOUNDs (RFC 8881): a list of operations, answered by
//! a list of results that ends with the first failure. [`stream`] takes the bytes of one direction
//! in any pieces and hands out [`call::Call`]s and [`answer::Answer`]s; what was read or written in
//! them is skipped, never kept. This room knows nothing of files, paths or clocks, imports nothing
//! of ours, and never changes or holds up a byte.

pub mod answer;
pub mod call;
pub mod framing;
pub mod number;
pub mod stream;
pub mod xdr;
