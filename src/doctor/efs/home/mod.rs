//! What is on the file system, seen by children that can be killed.

pub mod bloat;
pub mod identity;
pub mod intact;
pub mod lease;
pub mod leftovers;
pub mod lock;
pub mod owner;
pub mod speed;
pub mod write;
