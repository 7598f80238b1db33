//! Announces to an instance what its schedule says, when it says so.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::sim::endpoint::{Shared, with};
use crate::sim::notice::{Scheduled, Since};

/// At work until it is dropped.
#[derive(Debug)]
pub(super) struct Announcer(JoinHandle<()>);

impl Drop for Announcer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What counts since `since` counts from now.
pub(super) fn start(
    account: &Shared,
    instance: &str,
    schedule: &[Scheduled],
    since: Since,
) -> Announcer {
    let (account, instance, began) = (Arc::clone(account), instance.to_owned(), Instant::now());
    let mut schedule: Vec<_> = schedule.iter().filter(|it| it.since == since).cloned().collect();
    schedule.sort_by_key(|one| one.after);
    Announcer(tokio::spawn(async move {
        for Scheduled { after, notice, .. } in schedule {
            tokio::time::sleep_until(began + after).await;
            with(&account, |account| account.notice(&instance, &notice));
        }
    }))
}
