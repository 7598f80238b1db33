//! How a file system is reached: what the boot agent and the doctor both know of it. Nothing here
//! mounts, and nothing touches what is mounted.

pub mod name;
pub mod probe;

/// Where EFS answers.
pub const NFS_PORT: u16 = 2049;
