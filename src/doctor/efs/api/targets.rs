//! Which mount targets there are, and whether this zone has one.

use serde::{Deserialize, Serialize};

use crate::aws::efs::{Target, TargetState};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// All mount targets, with their security groups where those could be read.
    pub targets: Vec<Target>,
    /// The id of the zone that this host is in; nothing from outside, or where the metadata service
    /// did not tell.
    pub zone_id: Option<String>,
}

impl Seen {
    /// The mount target of the zone that this host is in.
    pub fn here(&self) -> Option<&Target> {
        let zone = self.zone_id.as_deref()?;
        self.targets.iter().find(|target| target.zone_id == zone)
    }

    /// The one that this host is to mount: that of its zone, else the first that can be used. From
    /// outside, the first that can be used.
    pub fn best(&self) -> Option<&Target> {
        let usable = |target: &&Target| target.state() == TargetState::Available;
        self.here().or_else(|| self.targets.iter().find(usable)).or_else(|| self.targets.first())
    }
}

/// Looks.
pub async fn look(_scene: &Scene<'_>) -> Look<Seen> {
    Err(Gap { needs: String::new(), denied: false, why: "not looked at".to_owned() })
}

/// Says what it means.
pub fn judge(_seen: &Seen, _case: &Case<'_>) -> Finding {
    Finding::new(Id::Targets.name(), Verdict::Skip, "not looked at")
}
