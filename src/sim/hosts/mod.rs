//! Hosts without machines: what the instances of a group do, by a script.
//!
//! An instance that a group launches comes up, says what a host of hostkit says, obeys the tag
//! `hostkit:drain`, and goes as the guard of a host goes, all in AWS's time at the account's speed.
//! So whole upgrades run in seconds. [`script`] is what people write, [`host`] one host, [`home`] who
//! holds a home and held it, [`gate`] which
//! Jenkins may have it, [`ground`] what hosts see and change of the account, [`play`] has them
//! live and answer HTTP, and [`scenery`] is the group that they are in, for who needs one.
//!
//! No program is started, no file is written, and nothing is listened to beyond loopback. What a host
//! does to its group it does as a host could; only `dies` comes from outside.

pub mod gate;
pub mod ground;
pub mod home;
pub mod host;
mod play;
pub mod scenery;
pub mod script;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::home::{Entry, Home, What};
pub use self::host::{Host, Stage};
pub use self::play::{Players, play, play_in, step};
pub use self::script::{Does, Part, Role, Script};

/// All scripted hosts of an account, and the homes that they hold.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// What they do.
    pub script: Script,
    /// The hosts there are and were, by the instance's id.
    pub hosts: BTreeMap<String, Host>,
    /// The homes, by the id of the file system.
    pub homes: BTreeMap<String, Home>,
}

impl Cast {
    /// The builds and tasks that were lost because their host went.
    pub fn lost(&self) -> u32 {
        self.hosts.values().map(|host| host.lost).sum()
    }

    /// What is wrong with the homes: two at once, or somebody who let go what he did not hold.
    pub fn violations(&self) -> Vec<String> {
        self.homes.values().flat_map(Home::violations).collect()
    }
}
