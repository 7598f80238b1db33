//! The one seam to a machine: programs, files below a root, namespaces, systemd.
//!
//! Nothing else in hostkit starts a program, mounts, or writes into a target tree. This room knows
//! nothing of AWS and nothing of recipes.

pub mod archive;
pub mod atomic;
pub mod certificate;
pub mod cmd;
pub mod console;
pub mod dialogue;
pub mod downloads;
pub mod folder;
pub mod freeze;
pub mod host;
pub mod journal;
pub mod lines;
pub mod loopdev;
pub mod mountinfo;
pub mod namespaces;
pub mod notify;
pub mod overlay;
pub mod owner;
pub mod process;
pub mod root;
pub mod route;
pub mod runner;
pub mod secrets;
pub mod ssh;
pub mod systemd;
pub mod tool;

pub use archive::Archive;
pub use cmd::{Cmd, CmdError, Output};
pub use dialogue::Dialogue;
pub use downloads::{Arrival, Downloads};
pub use folder::Folder;
pub use host::Host;
pub use lines::Lines;
pub use overlay::Overlay;
pub use owner::Owner;
pub use process::Process;
pub use root::Root;
pub use runner::Runner;
pub use tool::Tool;
