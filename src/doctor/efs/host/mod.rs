//! This host, before anything of the file system is asked.

pub mod client;
pub mod clock;
pub mod config;
pub mod hygiene;
pub mod kernel;
pub mod role;
#[cfg(test)]
pub(crate) mod stage;
