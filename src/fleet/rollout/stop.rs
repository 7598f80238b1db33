//! Somebody asks to stop: what is under way gets a little time to end, and then nothing more is done.

use std::time::Duration;

use futures::future::{FutureExt as _, LocalBoxFuture, Shared};

/// What is under way when somebody asks to stop may take so long, and so may the last word.
///
/// A call that AWS does not answer is given up then. Whether it was done is to be seen by whoever carries
/// on: it is as if the process had been killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Ends when somebody asks to stop. It may be asked again and again.
pub(super) type Stop<'a> = Shared<LocalBoxFuture<'a, ()>>;

/// Somebody asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("somebody asked to stop")]
pub(super) struct Asked;

/// What ends when somebody asks to stop.
pub(super) fn stop<'a>(asked: impl Future<Output = ()> + 'a) -> Stop<'a> {
    asked.boxed_local().shared()
}

/// Waits for what is under way; once somebody asks to stop, for [`GRACE`] and no longer.
pub(super) async fn ended<T>(stop: &Stop<'_>, what: impl Future<Output = T>) -> Result<T, Asked> {
    ended_within(stop, GRACE, what).await
}

async fn ended_within<T>(
    stop: &Stop<'_>,
    grace: Duration,
    what: impl Future<Output = T>,
) -> Result<T, Asked> {
    let given_up = async {
        stop.clone().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        biased;
        it = what => Ok(it),
        () = given_up => Err(Asked),
    }
}

/// Pauses, unless somebody asks to stop.
pub(super) async fn pause(stop: &Stop<'_>, time: Duration) -> Result<(), Asked> {
    tokio::select! {
        biased;
        () = stop.clone() => Err(Asked),
        () = tokio::time::sleep(time) => Ok(()),
    }
}

/// Whether somebody has asked to stop already.
pub(super) fn is_asked(stop: &Stop<'_>) -> bool {
    stop.clone().now_or_never().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_under_way_gets_a_little_time_and_a_pause_none() {
        let (ask, asked) = tokio::sync::oneshot::channel::<()>();
        let stop = stop(async { drop(asked.await) });
        assert!(!is_asked(&stop));
        assert_eq!(ended(&stop, async { 7 }).await.unwrap(), 7);
        pause(&stop, Duration::from_millis(1)).await.unwrap();
        drop(ask);
        assert!(is_asked(&stop) && is_asked(&stop));
        assert!(pause(&stop, Duration::from_mins(1)).await.is_err());
        ended(&stop, tokio::time::sleep(Duration::from_millis(1))).await.unwrap();
        let little = Duration::from_millis(10);
        assert!(ended_within(&stop, little, std::future::pending::<()>()).await.is_err());
    }
}
