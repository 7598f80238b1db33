//! From a packed disk to an AMI: only the blocks that changed are sent, and nothing is lost.
//!
//! [`build`] is the flow. [`parent`] is the snapshot that a new one stands on, [`register`] makes an
//! image of a snapshot, [`undo`] removes what came to nothing, [`resume`] finds the build that is to be
//! carried on with, and [`name`] has what things are called. How blocks get to AWS is
//! [`super::upload`]'s.

pub mod build;
pub mod name;
pub mod parent;
pub mod register;
pub mod resume;
pub mod undo;
