//! What people write: a recipe is a TOML file of nouns.
//!
//! [`read()`] finds its file and those of its parents, gives the variables their values and renders
//! every string where it stands, so that what is wrong is said at its line and column. Nothing here
//! acts on a machine: the only I/O is reading recipe files.

pub mod assets;
mod check;
mod fill;
pub mod given;
mod load;
mod merge;
pub mod platform;
pub mod problem;
mod read;
pub mod system;
pub mod test;
mod tree;
pub mod types;
pub mod value;
pub mod vars;

pub use check::{Pinned, is_file, is_package, is_source, is_wanted, is_word};
pub use given::Given;
pub use problem::Problem;
pub use read::{Reading, read, read_host, read_text};
pub use types::Recipe;
pub use vars::Vars;
