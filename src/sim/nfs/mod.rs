//! The file system: nfs-ganesha, the guests' way to it, and what they do on that way.
//!
//! - [`server`]: nfs-ganesha on a loopback port
//! - [`gate`]: hands a guest's connections on to it, and has what passes read
//! - [`decode`]: from bytes to calls and answers of NFSv4.1
//! - [`names`]: which path a file handle is
//! - [`conversation`]: the calls and answers of one connection, as changes of files
//! - [`change`], [`record`]: what was changed, when and by which machine
//! - [`interleave`]: whether two machines ever wrote the home at the same time
//!
//! No byte is changed or held up here. What cannot be read is counted, and the verdict says so.

pub mod change;
mod conversation;
pub mod decode;
pub mod gate;
pub mod interleave;
pub mod names;
pub mod record;
pub mod server;

pub use gate::{Gate, Valve, open_gate};
pub use record::{Record, Selection};
pub use server::Export;

#[cfg(test)]
mod tests;
