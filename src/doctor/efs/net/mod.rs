//! The way from this host to the file system.

pub mod goal;
pub mod groups;
pub mod names;
pub mod nfs;
pub mod port;
pub mod route;
#[cfg(test)]
pub(crate) mod sample;
pub mod tls;
