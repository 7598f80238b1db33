//! What a host says to its Auto Scaling group: that it needs more time, that it is ready, that it
//! goes, that it does not serve any more.
//!
//! The boot and the guard both speak to the group; how they do is here, and neither knows the other.
//! Nothing here decides what a host is to do. [`find`] tells who waits for it, [`keep_waiting`] keeps
//! that waiting, [`tell`] ends the wait, and [`report_unhealthy`] asks for a replacement, not too
//! often ([`ledger`]).

mod health;
mod hook;
mod insist;
pub mod ledger;
pub mod standing;
mod verdict;
mod waiting;
pub mod way_back;

use std::time::Duration;

use aws_config::SdkConfig;

pub use health::{Reported, report_unhealthy};
pub use hook::{Found, find};
pub use insist::{Trouble, insist};
pub use verdict::{Told, tell};
pub use waiting::{Released, keep_waiting};

use crate::aws::Failure;
use crate::aws::asg::{self, Membership};
use crate::aws::imds::Imds;
use crate::error::Fault;
use crate::event::Events;

/// The name of the group, among the tags of the instance.
const TAG: &str = "aws:autoscaling:groupName";

/// This host, as its group knows it, and how it is spoken for.
#[derive(Clone, Debug)]
pub struct Us {
    /// How AWS is called.
    pub aws: SdkConfig,
    /// The metadata service.
    pub imds: Imds,
    /// The instance.
    pub instance_id: String,
    /// Where things are said that nobody waits for.
    pub events: Events,
    /// Under which name.
    pub step: &'static str,
    /// Between two attempts.
    pub pause: Duration,
}

impl Us {
    /// The place of this host in its group; `None` where it is in none.
    ///
    /// A role that may not ask Auto Scaling still knows the name of the group, where the instance may
    /// read its tags; the state is unknown then.
    pub async fn membership(&self) -> Result<Option<Membership>, Trouble> {
        let denied = match asg::membership(&self.aws, &self.instance_id).await {
            Err(failure) if failure.is_denied() => failure,
            asked => return Ok(asked?),
        };
        match self.imds.tag(TAG).await {
            Ok(Some(group)) if !group.trim().is_empty() => {
                let group = group.trim().to_owned();
                Ok(Some(Membership { group, state: String::new() }))
            }
            _ => Err(Trouble::Final(denied.into())),
        }
    }

    fn log(&self, line: impl Into<String>) {
        self.events.log(self.step, line);
    }
}

/// What Auto Scaling says of a hook that does not wait (yet, or any more).
fn is_inactive(failure: &Failure) -> bool {
    failure.message().contains("No active Lifecycle Action")
}

/// The group takes the host away while it is asked for something else.
fn leaving(state: &str) -> Fault {
    Fault::aws(format!("the group takes this host away: it is {state}"))
        .hint("look at the activities of the group: it tells who or what asked for that")
}
