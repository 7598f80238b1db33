//! hostkit: one binary that bakes, boots and upgrades Jenkins controllers and ECS hosts on AWS.
//!
//! # The architecture in five sentences
//!
//! 1. A [`recipe::Recipe`] (TOML, nouns) with its variables becomes a [`plan::Plan`] (JSON, an
//!    ordered list of a closed set of [`step::Step`]s) by a pure function.
//! 2. A plan is applied to a [`sys::Host`] (a root directory plus a way to run programs), and
//!    nothing else touches machines.
//! 3. The same binary is the boot agent inside the image: [`boot`] runs a table of steps as a
//!    graph under systemd.
//! 4. Locally one tree is built; a disk image is one way to pack that tree ([`image`]).
//! 5. Engines emit [`event::Event`]s; a [`report::Report`] is their fold; only [`ui`] prints; only
//!    `main` chooses an exit code.

pub mod apply;
pub mod aws;
pub mod boot;
pub mod cli;
pub mod digest;
pub mod error;
pub mod event;
pub mod facts;
pub mod host;
pub mod image;
pub mod jenkins;
pub mod lease;
pub mod plan;
pub mod recipe;
pub mod report;
#[cfg(feature = "sim")]
pub mod sim;
pub mod step;
pub mod sys;
pub mod ui;
