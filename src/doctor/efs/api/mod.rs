//! What AWS says of the file system.

pub mod access_point;
pub mod backup;
mod described;
pub mod exists;
pub mod key;
#[cfg(test)]
mod night;
pub mod policy;
pub mod replication;
pub mod state;
pub mod targets;
pub mod throughput;

#[cfg(test)]
pub(crate) mod sample;
