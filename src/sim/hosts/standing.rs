//! What a controller answers in Parameter Store: the same JSON as its guard's.
//!
//! Written anew here, since the simulation knows nothing of hostkit; a test compares both.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::host::Host;
use super::script::Agents;

/// What is news when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// `serving`, `quiet`, `draining` or `drained`.
    pub(super) state: &'static str,
    /// How many builds run.
    pub(super) builds: u32,
    /// The build agents, where it knows any.
    pub(super) agents: Option<Agents>,
}

/// The parameter of a group.
pub(super) fn parameter(group: &str) -> String {
    format!("/hostkit/asg/{group}/host")
}

/// The answer.
pub(super) fn text(host: &Host, told: Told, since: Timestamp) -> String {
    let why = match told.state {
        "quiet" => Some("the tag hostkit:drain"),
        "draining" => Some("the group terminates this host"),
        _ => None,
    };
    let mut standing = json!({
        "version": 1,
        "instance": host.instance,
        "state": told.state,
        "builds": told.builds,
        "since": since,
        "why": why,
    });
    if matches!(told.state, "serving" | "quiet") {
        standing["proof"] = proof(host, told.agents);
    }
    standing.to_string()
}

fn proof(host: &Host, agents: Option<Agents>) -> Value {
    json!({
        "ready": true,
        "jenkins": host.part.says_jenkins(),
        "file_system": host.file_system,
        "generation": host.generation,
        "image": host.image,
        "agents": agents.map(|all| json!({ "known": all.known, "online": all.online })),
    })
}
