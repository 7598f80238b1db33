//! Whether the mount targets are available.

use serde::{Deserialize, Serialize};

use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen: nothing beside what the check of the targets has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {}

/// Looks.
pub async fn look(_scene: &Scene<'_>) -> Look<Seen> {
    Err(Gap { needs: String::new(), denied: false, why: "not looked at".to_owned() })
}

/// Says what it means.
pub fn judge(_seen: &Seen, _case: &Case<'_>) -> Finding {
    Finding::new(Id::State.name(), Verdict::Skip, "not looked at")
}
