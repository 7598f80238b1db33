//! Whether the file system is there and available.

use serde::{Deserialize, Serialize};

use crate::aws::efs::FileSystem;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The file system, with all that EFS says of it; nothing if there is none of this id in this
    /// region.
    pub file_system: Option<FileSystem>,
}

/// Looks.
pub async fn look(_scene: &Scene<'_>) -> Look<Seen> {
    Err(Gap { needs: String::new(), denied: false, why: "not looked at".to_owned() })
}

/// Says what it means.
pub fn judge(_seen: &Seen, _case: &Case<'_>) -> Finding {
    Finding::new(Id::Exists.name(), Verdict::Skip, "not looked at")
}
