//! Telling the group that this host does not serve any more, so that it is replaced: not too often,
//! because a replacement that finds the same would do the same.

use jiff::Timestamp;

use super::Us;
use super::ledger::{Entry, Ledger};
use crate::aws::asg;
use crate::error::Fault;

/// What came of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The group knows, and replaces this host.
    Told,
    /// It was told too often lately; it can be again at this time.
    TooOften(Timestamp),
}

/// Tells the group that this host is unhealthy because of `why`, if `ledger` allows it.
///
/// The entry is made first: what cannot be counted must not be repeated by every replacement.
pub async fn report_unhealthy(us: &Us, ledger: &Ledger, why: &str) -> Result<Reported, Fault> {
    let entry = Entry {
        at: Timestamp::now(),
        instance_id: us.instance_id.clone(),
        why: why.lines().next().unwrap_or_default().to_owned(),
    };
    let (noted, trouble) = ledger.enter(&entry).await;
    if let Some(trouble) = trouble {
        us.log(trouble);
    }
    if let Some(next) = noted? {
        return Ok(Reported::TooOften(next));
    }
    asg::set_unhealthy(&us.aws, &us.instance_id).await?;
    Ok(Reported::Told)
}
