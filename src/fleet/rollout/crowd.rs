//! What matters where many hosts are replaced, beside what matters for one. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::Role;

/// Of so many hosts and more, one in ten is replaced at a time.
const MANY: u32 = 10;

/// See the module. It stands in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Crowd {
    /// So many percent of the group stay in service, at least and at most; absent: 90 and 110.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<(i32, i32)>,
    /// Whether hosts are replaced that are protected from scale-in: those of a capacity provider that
    /// protects hosts with tasks. Others are waited for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// The group of the controller whose build agents these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// The cluster of container hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Groups that are not to be changed at the same time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<String>,
}

impl Crowd {
    /// At least and at most, in percent.
    pub fn bounds(&self) -> (i32, i32) {
        self.bounds.unwrap_or((90, 110))
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How many percent of a group that wants so many stay in service while hosts are replaced.
///
/// The next one comes before the last one goes: builds and tasks that are waited for do not cost
/// room. AWS may have more hosts than the group's maximum for that time. A small group has one host
/// more, a large one a tenth.
pub fn bounds(desired: u32) -> (i32, i32) {
    if desired >= MANY {
        return (90, 110);
    }
    let one = 100_u32.div_ceil(desired.max(1));
    (100, 100 + i32::try_from(one).unwrap_or(100))
}

/// In how many lots the hosts of a group that wants so many are replaced, about.
pub fn lots(desired: u32) -> u32 {
    desired.div_ceil((desired / MANY).max(1)).max(1)
}

/// How long a replacement may take in all, in seconds, where one host may take `each` and its builds
/// `builds`, which are waited for while it goes. A controller's builds are waited for before.
pub(super) fn patience(role: Role, each: u64, builds: u64, desired: u32) -> u64 {
    match role {
        Role::Controller => each,
        // Each lot of hosts may take as long.
        Role::Agent | Role::Ecs => each.saturating_add(builds).saturating_mul(lots(desired).into()),
    }
}

/// How long one host may take, of a replacement that may take `whole` seconds in all.
pub(super) fn each(role: Role, whole: u64, builds: u64, desired: u32) -> u64 {
    match role {
        Role::Controller => whole,
        Role::Agent | Role::Ecs => (whole / u64::from(lots(desired))).saturating_sub(builds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_group_has_one_host_more_and_a_large_one_a_tenth() {
        assert_eq!(bounds(1), (100, 200));
        assert_eq!(bounds(3), (100, 134));
        assert_eq!(bounds(9), (100, 112));
        assert_eq!((bounds(10), bounds(400)), ((90, 110), (90, 110)));
        for desired in 0..2000 {
            let (least, most) = bounds(desired);
            // What AWS takes.
            assert!((0..=100).contains(&least) && (100..=200).contains(&most), "{desired}");
            assert!(most - least <= 100, "{desired}");
        }
    }

    #[test]
    fn many_hosts_are_replaced_in_ten_lots_or_a_few_more() {
        assert_eq!([0, 1, 3, 9].map(lots), [1, 1, 3, 9]);
        assert_eq!((lots(10), lots(19), lots(100), lots(105)), (10, 19, 10, 11));
    }

    #[test]
    fn the_patience_with_one_host_is_that_with_all_of_them_taken_apart() {
        for role in [Role::Controller, Role::Agent, Role::Ecs] {
            for desired in [0, 1, 3, 9, 10, 105] {
                let whole = patience(role, 1200, 1800, desired);
                assert_eq!(each(role, whole, 1800, desired), 1200, "{role:?} {desired}");
            }
        }
        assert_eq!(patience(Role::Agent, 1200, 1800, 3), 9000);
        assert_eq!(patience(Role::Controller, 1200, 1800, 3), 1200);
    }

    #[test]
    fn nothing_is_written_where_nothing_is_to_be_said() {
        assert_eq!(serde_json::to_string(&Crowd::default()).unwrap(), "{}");
        let read: Crowd = serde_json::from_str("{}").unwrap();
        assert!(read.is_empty() && read.bounds() == (90, 110));
    }
}
