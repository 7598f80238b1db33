//! The proof that what serves is what shall: what the new host says of itself, what its group says of
//! it, and what the load balancer says. Looked at again and again, until it is proven or cannot be.
//!
//! An HTTP status of 200 is no proof: the old host answers with it, and the setup wizard too.

mod decide;
#[cfg(test)]
mod tests;

pub use decide::{
    AGENTS, Before, Beside, Cause, Proven, Seen, Stage, Target, Verdict, Wanted, decide,
};
