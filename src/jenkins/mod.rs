//! Jenkins: what is rendered for it, and how it is asked.
//!
//! Rendered text never holds a secret: it names credentials, which systemd hands over.

mod client;
mod http;
mod page;
mod render;
mod token;
mod version;

pub use client::{Build, Client, Nodes, Quiet};
pub use http::Trouble;
pub use page::{Page, page};
pub use render::{Rendered, Templates, Values, render};
pub use token::{API, RELOAD, Tokens};
pub use version::Version;
