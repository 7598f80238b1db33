//! What the policy of the file system demands of this host.

use serde::{Deserialize, Serialize};

use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The policy, as it was written; nothing if the file system has none, which lets everybody in
    /// who reaches a mount target.
    pub policy: Option<String>,
    /// The account and the role as whom this host would prove itself: `arn:aws:iam::…:role/…`;
    /// nothing from outside, or where the metadata service did not tell.
    pub role: Option<String>,
}

/// Looks.
pub async fn look(_scene: &Scene<'_>) -> Look<Seen> {
    Err(Gap { needs: String::new(), denied: false, why: "not looked at".to_owned() })
}

/// Says what it means.
pub fn judge(_seen: &Seen, _case: &Case<'_>) -> Finding {
    Finding::new(Id::Policy.name(), Verdict::Skip, "not looked at")
}
