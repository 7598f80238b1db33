//! What checks are judged with in tests: a file system that is looked at from outside, at night.

use std::sync::LazyLock;

use crate::doctor::efs::scene::{Asked, Case};
use crate::doctor::efs::table::Observed;

/// The time.
pub(super) const NOW: &str = "2026-11-27T03:00:00Z";
/// The file system.
pub(super) const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

static NOTHING: LazyLock<Observed> = LazyLock::new(Observed::default);

/// What is asked about.
pub(super) fn asked() -> Asked {
    Asked {
        file_system: FILE_SYSTEM.to_owned(),
        region: "eu-west-1".to_owned(),
        host: None,
        benchmark: false,
    }
}

/// The case of it, of which nothing else was seen.
pub(super) fn case(asked: &Asked) -> Case<'_> {
    Case { asked, observed: &NOTHING, now: NOW.parse().expect("it is a time") }
}
