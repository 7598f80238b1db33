//! The file system as `efs.exists` has seen it, for the checks that come after.

use crate::aws::efs::FileSystem;
use crate::doctor::efs::scene::Scene;
use crate::doctor::efs::table::Id;
use crate::doctor::{Gap, Look};

/// What EFS says of it.
///
/// # Errors
/// It was not looked at, or is not there: what `efs.exists` says.
pub(super) fn described<'a>(scene: &'a Scene<'_>) -> Look<&'a FileSystem> {
    let gap = |why: String| Gap { needs: String::new(), denied: false, why };
    match scene.observed.exists.looked() {
        None => Err(gap(format!("{} was not looked at", Id::Exists.name()))),
        Some(Err(why)) => Err(why.clone()),
        Some(Ok(seen)) => {
            let none = || gap(format!("there is no {}", scene.asked.file_system));
            seen.file_system.as_ref().ok_or_else(none)
        }
    }
}
