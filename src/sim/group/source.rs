//! What a group launches: a version of a launch template, and what overrides it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A type of instance that is launched otherwise than the template says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Override {
    /// `t3.micro`
    pub instance_type: Option<String>,
    /// For how many it counts. All count as one here.
    pub weight: Option<String>,
    /// A template of its own: id and version as it was said.
    pub template: Option<(String, String)>,
    /// An image of its own.
    pub image: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// `lt-…`
    pub template: String,
    /// The version as it was said: a number, `$Latest` or `$Default`.
    pub version: String,
    /// Whether it was said as a mixed instances policy.
    pub mixed: bool,
    /// What overrides the template. The first that there is capacity for is launched.
    pub overrides: Vec<Override>,
    /// How instances are spread over ways to buy them, as it was said.
    pub distribution: BTreeMap<String, String>,
}

impl Source {
    /// A version of a template, as it is.
    pub fn of(template: &str, version: &str) -> Self {
        Self { template: template.to_owned(), version: version.to_owned(), ..Self::default() }
    }
}
