//! Who may write to the home: the record of its holder.
//!
//! A home has one holder. The record `lease/head` on the file system itself tells who that is. This
//! room holds its types and what a newcomer may conclude from it; it does no I/O, and never writes.

pub mod record;

pub use record::{Claim, Head, judge};
