//! What the guard of a controller answers in Parameter Store, `/hostkit/asg/ASG/host`: how it stands.
//!
//! Whoever sets the tag `hostkit:drain`, or replaces the host, reads here what has become of it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It serves, and begins builds.
    Serving,
    /// It serves, and begins no builds.
    Quiet,
    /// It goes.
    Draining,
    /// It has gone as far as it can by itself: Jenkins is down, the home is released.
    Drained,
}

/// The answer, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The form of this answer: 1.
    pub version: u32,
    /// Of which instance.
    pub instance: String,
    /// How it stands.
    pub state: State,
    /// How many builds run; absent where nobody knows.
    pub builds: Option<u32>,
    /// Since when it stands so.
    pub since: Timestamp,
    /// Why, in a line; absent where it serves and all is well.
    pub why: Option<String>,
    /// Why it cannot do what the tag `hostkit:drain` wants, while it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cannot: Option<String>,
    /// It is said again after so many seconds at the latest, also where nothing is new; absent where
    /// nobody promises that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<u32>,
    /// What proves that it serves what it should; absent while it does not serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// So many times as long as it promises a guard may be silent before it is not believed any more: a word
/// that gets lost is no silence.
const SILENCES: u32 = 3;

impl Standing {
    /// Whether whoever said this so long ago has broken its promise to say it again.
    pub fn is_silent(&self, said: Duration) -> bool {
        let promised = self.again.map(|again| Duration::from_secs(u64::from(again)) * SILENCES);
        promised.is_some_and(|promised| said > promised)
    }
}

/// What a controller that serves says of itself. All that nobody knows is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proof {
    /// systemd got READY from Jenkins, and it is not the setup wizard.
    pub ready: bool,
    /// The version of Jenkins that answers.
    pub jenkins: Option<String>,
    /// The file system of the home.
    pub file_system: Option<String>,
    /// The generation of the lease that this host holds.
    pub generation: Option<u64>,
    /// The image that the host was launched with: `ami-…`
    pub image: Option<String>,
    /// The build agents that Jenkins knows, clouds left out.
    pub agents: Option<Agents>,
    /// How the boot of this host went.
    pub boot: Option<Boot>,
}

/// When a boot was where, by the clock of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The agent began.
    pub started: Timestamp,
    /// The home was this host's.
    pub claimed: Option<Timestamp>,
    /// Jenkins was ready.
    pub ready: Option<Timestamp>,
}

/// Build agents of a controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents {
    /// Those that Jenkins knows.
    pub known: u32,
    /// Those of them that are connected.
    pub online: u32,
}

/// The parameter of a group.
pub fn parameter(group: &str) -> String {
    format!("/hostkit/asg/{group}/host")
}
