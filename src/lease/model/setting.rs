//! What does not change in a scenario: who the hosts are, and what may happen to them.

use super::world::World;
use crate::host::LeasePolicy;

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Instance,
    TaskOnInstance,
    Fargate,
}

/// A scenario.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that may or may not happen")]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) kind: [Kind; 3],
    pub(super) policy: [LeasePolicy; 3],
    pub(super) group: [Option<&'static str>; 3],
    pub(super) can_hibernate: [bool; 3],
    /// In another region than the others, which know nothing of each other.
    pub(super) is_abroad: [bool; 3],
    /// On which file system it is: the second is a copy of the first.
    pub(super) volume: [u8; 3],
    /// Whether AWS may say that it does not know an instance: new ones, and terminated ones.
    pub(super) forgets: bool,
    pub(super) denies: bool,
    /// Whether the operator may be wrong about the death of a holder.
    pub(super) operator_errs: bool,
    /// Whether a process that starts again where its boot holds a generation looks first whether that is
    /// still so, as the product does.
    pub(super) looks_first: bool,
    /// Whether the hosts are alike and never come back, so that the order of their first steps can be
    /// chosen.
    pub(super) in_order: bool,
    pub(super) start: World,
}
