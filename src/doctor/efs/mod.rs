//! What is wrong with the storage under Jenkins, and the line that mends it.
//!
//! [`table`] is every check there is; each has a file of its own with the same shape: `Seen` is what
//! it saw, plain and serialisable, `look` is all that it does with the outside, and `judge` says what
//! that means, without I/O, now or from a bundle. [`engine`] runs them. Nothing here changes anything
//! but the files that [`home::write`], [`home::lock`] and [`home::speed`] make and remove again, and
//! nothing here touches the mount in this process.

pub mod api;
pub mod engine;
pub mod home;
pub mod host;
pub mod inside;
pub mod mount;
pub mod net;
pub mod observed;
pub mod scene;
pub mod table;
