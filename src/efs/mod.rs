//! How a file system is reached: what the boot agent and the doctor both know of it. Nothing here
//! mounts, and nothing touches what is mounted.
//!
//! [`name`] is what it is called and [`dns`] asks what that means; [`reach`] connects, [`tls`]
//! encrypts, [`greet`] speaks NFS in the bytes of [`wire`]. [`probe`] is all that a boot asks before
//! it mounts.

pub mod dns;
pub mod greet;
pub mod name;
pub mod probe;
pub mod reach;
pub mod tls;
pub mod wire;

/// Where EFS answers.
pub const NFS_PORT: u16 = 2049;
