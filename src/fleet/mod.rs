//! What is done to AWS from outside: looking after images, and what builds have left.
//!
//! What an account has is surveyed first ([`survey`]), then it is decided without I/O what may go and
//! why the rest stays ([`references`], [`prune`], [`gc`]), and only what was decided and shown is
//! removed. Nothing here asks a person, or prints.

pub mod gc;
pub mod images;
pub mod opinion;
pub mod prune;
pub mod references;
pub mod rollout;
pub mod survey;

use serde::Serialize;

use crate::aws::{Failure, operator};
use crate::error::Fault;
use crate::teardown::Kind;

/// So many calls are under way at the same time: EC2 gives an account a few dozen a second.
const CALLS: usize = 8;

/// What became of one thing that was to be removed.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub region: String,
    /// Its id.
    pub id: String,
    /// Why it is still there; nothing if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Outcome {
    /// From how its removal went.
    fn new(kind: Kind, region: &str, id: &str, failure: Option<String>) -> Self {
        Self { kind, region: region.to_owned(), id: id.to_owned(), failure }
    }
}

/// A call that AWS refused to a person; `role` is the policy of `hostkit iam` that allows it.
fn refused(failure: &Failure, role: &str) -> Fault {
    if failure.is_denied() {
        let hint = format!(
            "allow `{}` to whom these credentials belong: `hostkit iam {role}` prints what is needed",
            failure.wanted()
        );
        return Fault::aws(failure.to_string()).hint(hint);
    }
    operator::fault(failure)
}
