//! What the kernel says of the mount.

pub mod alive;
pub mod options;
pub mod rpc;
pub mod server_lease;
pub mod sockets;
pub mod stats;
pub mod stuck;
pub mod there;
pub mod tunnel;
pub mod watchdog;
