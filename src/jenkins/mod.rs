//! Jenkins: what is rendered for it, and how it is asked.
//!
//! Rendered text never holds a secret: it names credentials, which systemd hands over. [`casc`] checks
//! what is rendered together with the user's own files; [`fleet`] is the part that changes while
//! Jenkins runs.

pub mod casc;
mod client;
pub mod fleet;
pub mod groovy;
mod http;
pub mod java;
pub mod offline;
mod page;
mod render;
pub mod token;
mod version;
mod yaml;

pub use client::{Build, Client, Computers, Nodes, Quiet};
pub use http::Trouble;
pub use page::{Page, page};
pub use render::{Values, configuration, environment};
pub use token::Tokens;
pub use version::Version;
