//! The way from this host to the file system.

pub mod groups;
pub mod names;
pub mod nfs;
pub mod port;
pub mod route;
pub mod tls;
