//! What people write: a recipe is a TOML file of nouns.
//!
//! [`load::load`] reads it with its parents into one [`Recipe`]; [`vars::Vars`] gives the
//! variables their values. Nothing here acts on a machine: the only I/O is reading recipe files.

pub mod assets;
mod check;
pub mod load;
pub mod merge;
pub mod platform;
pub mod system;
pub mod types;
pub mod value;
pub mod vars;

pub use load::{Loaded, load};
pub use types::Recipe;
pub use vars::Vars;
