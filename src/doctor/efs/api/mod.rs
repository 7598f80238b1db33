//! What AWS says of the file system.

pub mod access_point;
pub mod backup;
pub mod exists;
pub mod key;
pub mod policy;
pub mod replication;
pub mod state;
pub mod targets;
pub mod throughput;

#[cfg(test)]
pub(crate) mod sample;
