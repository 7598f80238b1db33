//! How many instances there are at least and at most while they are replaced. Pure.

use super::Preferences;
use crate::sim::group::Maintenance;

/// What AWS takes where nobody says anything.
const LEAST: u64 = 90;
const MOST: u64 = 100;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// At least so many are well.
    pub(super) least: u64,
    /// So many may be there beyond those that are wanted.
    pub(super) surge: u64,
    /// One may go although too few are left then: nothing could be replaced otherwise, and nobody
    /// has said how many may be there at most.
    pub(super) gives_in: bool,
}

impl Bounds {
    /// Of a group that wants so many. Percentages are rounded up.
    ///
    /// Where both bounds together let nothing be replaced, AWS launches first if the upper one was
    /// said, or if all are to be well all the time; else it terminates and launches at once.
    pub(super) fn of(preferences: &Preferences, policy: Option<Maintenance>, desired: u64) -> Self {
        let policy = policy.filter(|policy| policy.least >= 0 && policy.most >= 0);
        let from = |number: i64| u64::try_from(number).ok();
        let said = preferences.least.or(policy.and_then(|policy| from(policy.least)));
        let percent = said.unwrap_or(LEAST);
        let most = preferences.most.or(policy.and_then(|policy| from(policy.most)));
        let share = |percent: u64| (desired * percent).div_ceil(100);
        let (least, room) = (share(percent), share(most.unwrap_or(MOST)) - desired);
        let stuck = room == 0 && least >= desired;
        let launches = stuck && (most.is_some() || percent == 100);
        Self { least, surge: room.max(u64::from(launches)), gives_in: stuck && !launches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(least: Option<u64>, most: Option<u64>, desired: u64) -> (u64, u64, bool) {
        let preferences = Preferences { least, most, ..Preferences::default() };
        let Bounds { least, surge, gives_in } = Bounds::of(&preferences, None, desired);
        (least, surge, gives_in)
    }

    #[test]
    fn one_of_one_is_replaced_as_aws_does_it() {
        assert_eq!(bounds(Some(0), Some(100), 1), (0, 0, false), "it goes, then another comes");
        assert_eq!(bounds(None, None, 1), (1, 0, true), "both at once");
        assert_eq!(bounds(Some(90), Some(100), 1), (1, 1, false), "two at a time");
        assert_eq!(bounds(Some(100), None, 1), (1, 1, false));
        assert_eq!(bounds(Some(100), Some(200), 1), (1, 1, false));
    }

    #[test]
    fn percentages_are_of_what_is_wanted() {
        assert_eq!(bounds(None, None, 10), (9, 0, false));
        assert_eq!(bounds(Some(90), Some(110), 10), (9, 1, false));
        assert_eq!(bounds(Some(50), Some(150), 3), (2, 2, false));
    }

    #[test]
    fn a_policy_holds_where_nothing_is_said() {
        let policy = Some(Maintenance { least: 0, most: 100 });
        let none = Bounds::of(&Preferences::default(), policy, 1);
        assert_eq!((none.least, none.surge, none.gives_in), (0, 0, false));
        let said = Preferences { least: Some(100), most: Some(100), ..Preferences::default() };
        assert_eq!(Bounds::of(&said, policy, 1).surge, 1);
    }
}
