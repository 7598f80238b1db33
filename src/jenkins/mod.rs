//! Jenkins: what is rendered for it, and how it is asked.
//!
//! Rendered text never holds a secret: it names credentials, which systemd hands over.

mod client;
mod render;
mod version;

pub use client::{Page, page};
pub use render::{Rendered, Templates, Values, render};
pub use version::Version;
