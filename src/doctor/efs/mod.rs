//! What is wrong with the storage under Jenkins, and the line that mends it.
//!
//! [`table`] is every check there is; each has a file of its own with the same shape: `Seen` is what
//! it saw, plain and serialisable, `look` is all that it does with the outside, and `judge` says what
//! that means, without I/O, now or from a bundle. [`engine`] runs them. Nothing here changes anything
//! but the files that [`home::write`], [`home::lock`] and [`home::speed`] make and remove again, and
//! nothing here touches the mount in this process.
//!
//! [`visit`] is one look from its beginning to its [`report`]; [`cause`] names the one thing that
//! explains the rest, [`text`] tells it to people, [`bundle`] takes it elsewhere, and [`explain`] says
//! what each check is for.

pub mod api;
pub mod bundle;
pub mod cause;
pub mod engine;
pub mod explain;
pub mod home;
pub mod host;
pub mod inside;
pub mod mount;
pub mod net;
pub mod observed;
pub mod report;
#[cfg(test)]
mod scenarios;
pub mod scene;
pub mod table;
pub mod text;
pub mod visit;
