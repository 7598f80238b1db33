//! Asking a group that may be throttled, late or unreachable, until a deadline.

use tokio::time::{Instant, timeout_at};

use super::Us;
use crate::aws::Failure;
use crate::error::Fault;

/// Why a call did not do what it should.
#[derive(Debug)]
pub enum Trouble {
    /// It may when it is repeated.
    Passing(Fault),
    /// It will not.
    Final(Fault),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        if failure.is_passing() {
            Self::Passing(failure.into())
        } else {
            Self::Final(failure.into())
        }
    }
}

/// Repeats `attempt` while its trouble may pass, and ends with the last trouble.
pub async fn insist<T>(
    us: &Us,
    until: Instant,
    attempt: impl AsyncFn() -> Result<T, Trouble>,
) -> Result<T, Fault> {
    let mut last: Option<Fault> = None;
    loop {
        match timeout_at(until, attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(Trouble::Final(fault))) => return Err(fault),
            Ok(Err(Trouble::Passing(fault))) => {
                let text = fault.to_string();
                if last.replace(fault).is_none_or(|before| before.to_string() != text) {
                    us.log(text);
                }
            }
            Err(_elapsed) => {}
        }
        let pause = us.pause * 2;
        if Instant::now() + pause >= until {
            let silent = || Fault::aws("AWS did not answer in time");
            return Err(last.unwrap_or_else(silent));
        }
        tokio::time::sleep(pause).await;
    }
}
