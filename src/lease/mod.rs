//! Never two controllers on one home: who holds it, who may take it, and when it is given up.
//!
//! # The rule
//!
//! A home has generations. The file system itself has one file for each, `gen-N.json`, that names
//! its holder, and `head`, which says what the last one is and whether it is `held` or `released`.
//! A host may take generation N+1 when
//!
//! 1. generation N is **over**: its holder released it, or it is this very instance, or its
//!    holder's machine is proven dead ([`word`]); and
//! 2. it **creates `gen-(N+1).json` exclusively**.
//!
//! Both facts last: what is released or dead stays so (a machine that is started again has another
//! boot id, and claims a generation of its own), and nobody else has claimed N+1, so nobody beyond
//! it. No clock, no time-out and no lock of a client takes part in it. A holder that is only silent,
//! paused or cut off keeps the home until somebody proves that it is dead.
//!
//! # The parts
//!
//! - [`record`]: the files' content. [`word`]: what AWS says of a holder, and what that proves
//! - [`claim`]: the newcomer, as a state machine without I/O. [`keep`]: the holder, likewise. Their
//!   `model` (a test) explores all that may happen to three hosts, and shows for each
//!   [`word::Guard`] what happens without it
//!
//! - [`clerk`]: a child that does all work on the file system. [`witness`]: another one, which asks
//!   AWS about a holder. [`order`]: what the boot tells the lease. [`ground`]: whose a file system is
//! - [`hold`]: the process that waits for the home, holds it and gives it up. [`memory`]: what it
//!   remembers until the next reboot
//! - [`recovery`]: the journal of a home that is being brought back, which bars Jenkins meanwhile;
//!   [`barred`]: a boot that waits for the end of that
//! - for people: [`visit`] looks at a lease and breaks it. [`stand`]: the case that a lease is in;
//!   [`outlook`]: what a newcomer would do; [`status`]: both as a page; [`mod@broken`]: what an
//!   operator may do; [`advice`]: commands to copy

pub mod advice;
pub mod barred;
pub mod broken;
pub mod claim;
pub mod clerk;
pub mod ground;
pub mod hold;
pub mod keep;
pub mod memory;
#[cfg(test)]
mod model;
pub mod order;
pub mod outlook;
pub mod record;
pub mod recovery;
#[cfg(test)]
pub(crate) mod scene;
pub mod stand;
pub mod status;
pub mod visit;
pub mod witness;
pub mod word;

pub use claim::{Action, Claimant, Observed};
pub use record::{Broken, Holder, Reading, Record, State};
pub use word::Word;
