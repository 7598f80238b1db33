//! Waiting for what AWS does in its own time: asked again and again, more and more rarely, until it is
//! done or a deadline has passed.
//!
//! The SDK's waiters count attempts, so how long they wait depends on how fast AWS answers. Here time
//! counts.

use std::time::Duration;

use tokio::time::Instant;

use super::Failure;

/// The first pause. Images of a few hundred MiB are there after some seconds.
const FIRST: Duration = Duration::from_millis(200);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(10);

/// Asks `look` until it returns something. `None` when that has not happened within `patience`.
///
/// A failure that passes (throttling, a lost connection) is borne until then, and is what is returned
/// if it was the last thing that was heard.
pub async fn until<T>(
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST;
    loop {
        let seen = look().await;
        match seen {
            Ok(Some(done)) => return Ok(Some(done)),
            Err(failure) if !failure.is_passing() => return Err(failure),
            Ok(None) | Err(_) if Instant::now() >= deadline => return seen,
            Ok(None) | Err(_) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(LONGEST);
    }
}

/// Repeats a call as long as it is refused with one of `codes`, which AWS says of something that was
/// made a moment ago and that it has not heard of everywhere.
pub async fn while_unknown<T>(
    patience: Duration,
    codes: &[&str],
    mut call: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST;
    loop {
        match call().await {
            Err(failure)
                if failure.code().is_some_and(|code| codes.contains(&code))
                    && Instant::now() < deadline =>
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 3 / 2).min(LONGEST);
            }
            end => return end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Failure {
        Failure::Refused {
            call: "ec2:DescribeImages",
            status,
            code: code.to_owned(),
            message: String::new(),
            ahead: None,
        }
    }

    #[tokio::test]
    async fn what_passes_is_borne_and_what_does_not_is_told_at_once() {
        let mut answers = vec![Ok(Some(7)), Err(refused(503, "Unavailable")), Ok(None)];
        let long = Duration::from_mins(1);
        let end = until(long, async || answers.pop().unwrap()).await.unwrap();
        assert_eq!((end, answers.len()), (Some(7), 0));
        let end = until(long, async || Err::<Option<()>, _>(refused(400, "Denied"))).await;
        assert_eq!(end.unwrap_err().code(), Some("Denied"));
        assert!(until(Duration::ZERO, async || Ok(None::<()>)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_aws_has_not_heard_of_yet_is_asked_for_again() {
        let mut answers = vec![Ok(1), Err(refused(400, "InvalidSnapshot.NotFound"))];
        let codes = &["InvalidSnapshot.NotFound"];
        let end = while_unknown(Duration::from_mins(1), codes, async || answers.pop().unwrap());
        assert_eq!(end.await.unwrap(), 1);
        let other = async || Err::<(), _>(refused(400, "InvalidAMIName.Duplicate"));
        let end = while_unknown(Duration::from_mins(1), codes, other).await;
        assert_eq!(end.unwrap_err().code(), Some("InvalidAMIName.Duplicate"));
    }
}
