//! From a packed disk to an AMI: only the blocks that changed are sent, and nothing is lost.

pub mod name;
pub mod register;
pub mod undo;
