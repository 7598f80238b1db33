//! From a packed disk to an AMI: only the blocks that changed are sent, and nothing is lost.
//!
//! [`build`] is the flow. [`parent`] is the snapshot that a new one stands on, [`register`] makes an
//! image of a snapshot, [`undo`] removes what came to nothing, [`resume`] finds the build that is to be
//! carried on with, and [`name`] has what things are called. How blocks get to AWS is
//! [`super::upload`]'s.
//!
//! [`distribute`] publishes an image that is there, as a [`publication`] says: [`copy`] brings it to a
//! region, [`finish`] does there what is wanted. [`outputs`] tells other tools.

pub mod build;
mod copy;
pub mod distribute;
mod finish;
pub mod name;
pub mod outputs;
pub mod parent;
pub mod publication;
pub mod register;
pub mod resume;
pub mod undo;
