//! Whether the access point is there, and whose files it makes.

use serde::{Deserialize, Serialize};

use crate::aws::efs::AccessPoint;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The access point that this host is told to mount through; nothing if it is told none.
    pub wanted: Option<String>,
    /// It; nothing if there is none of that id in this region.
    pub access_point: Option<AccessPoint>,
}

/// Looks.
pub async fn look(_scene: &Scene<'_>) -> Look<Seen> {
    Err(Gap { needs: String::new(), denied: false, why: "not looked at".to_owned() })
}

/// Says what it means.
pub fn judge(_seen: &Seen, _case: &Case<'_>) -> Finding {
    Finding::new(Id::AccessPoint.name(), Verdict::Skip, "not looked at")
}
