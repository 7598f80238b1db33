//! An Auto Scaling Group that is there to be looked at: what it launches. It launches nothing.
//!
//! The group that the guests of this account are in is another one: `autoscaling` has it.

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// Its name, of which a region has one.
    pub name: String,
    /// What it launches: the id of a launch template, and a version as it was said.
    pub template: Option<(String, String)>,
    /// The same, for each type of instance that is launched otherwise.
    pub overrides: Vec<(String, String)>,
    /// What it launches, as groups did before there were launch templates: a name.
    pub configuration: Option<String>,
    /// Its instances, and the version that each was launched with.
    pub instances: Vec<(String, String)>,
}
