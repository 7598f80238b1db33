//! Why a group launches an instance or lets one go, in AWS's words.

use jiff::Timestamp;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There are fewer or more instances than wanted: so many, and so many then.
    Difference(u64, u64),
    /// EC2 says that it does not run any more.
    NotRunning,
    /// A load balancer finds it unhealthy.
    TargetUnhealthy,
    /// Somebody said that it is unhealthy.
    SaidUnhealthy,
    /// It never came into service.
    NeverInService,
    /// One that is unhealthy is replaced.
    Replacement,
    /// A spot instance is at more risk.
    Rebalance,
    /// The instances are spread unevenly over the zones.
    Uneven,
    /// Somebody asked for it; so many, and so many then, where that is to be another number.
    Request(Option<(u64, u64)>),
    /// The group is deleted.
    Deletion,
    /// An instance refresh.
    Refresh,
    /// The warm pool is too small.
    WarmPool,
    /// The warm pool is too large.
    WarmPoolShrinks,
}

impl Cause {
    /// Why `instance` is let go.
    pub fn of_going(&self, now: Timestamp, instance: &str) -> String {
        let at = at(now);
        let out = format!("{at} an instance was taken out of service in response to");
        match self {
            Self::Difference(from, to) => format!(
                "{out} a difference between desired and actual capacity, shrinking the capacity \
                 from {from} to {to}.  {at} instance {instance} was selected for termination."
            ),
            Self::NotRunning => {
                format!("{out} an EC2 health check indicating it has been terminated or stopped.")
            }
            Self::TargetUnhealthy => format!("{out} an ELB system health check failure."),
            Self::SaidUnhealthy | Self::Replacement => format!("{out} a user health-check."),
            Self::NeverInService => format!("{out} a launch failure."),
            Self::Rebalance => format!("{out} an EC2 instance rebalance recommendation."),
            Self::Uneven => format!("{out} a need to rebalance the availability zones."),
            Self::Request(change) => {
                let shrinking = change
                    .map(|(from, to)| format!(", shrinking the capacity from {from} to {to}"));
                format!(
                    "{at} instance {instance} was taken out of service in response to a user \
                     request{}.",
                    shrinking.unwrap_or_default()
                )
            }
            Self::Deletion => format!("{out} a user request to delete the AutoScalingGroup."),
            Self::Refresh => format!("{out} an instance refresh."),
            Self::WarmPool | Self::WarmPoolShrinks => format!(
                "{at} instance {instance} was selected for termination in response to the size of \
                 the warm pool."
            ),
        }
    }

    /// Why an instance comes.
    pub fn of_coming(&self, now: Timestamp) -> String {
        let at = at(now);
        match self {
            Self::Difference(from, to) => format!(
                "{at} an instance was started in response to a difference between desired and \
                 actual capacity, increasing the capacity from {from} to {to}."
            ),
            Self::Refresh => {
                format!("{at} an instance was launched in response to an instance refresh.")
            }
            Self::Rebalance => format!(
                "{at} an instance was launched in response to an EC2 instance rebalance \
                 recommendation."
            ),
            Self::Uneven => {
                format!("{at} an instance was launched to aid in balancing the group's zones.")
            }
            Self::WarmPool | Self::WarmPoolShrinks => format!(
                "{at} an instance was created in response to a difference between desired and \
                 actual capacity of the warm pool."
            ),
            Self::NotRunning
            | Self::TargetUnhealthy
            | Self::SaidUnhealthy
            | Self::NeverInService
            | Self::Replacement
            | Self::Request(_)
            | Self::Deletion => format!(
                "{at} an instance was launched in response to an unhealthy instance needing to be \
                 replaced."
            ),
        }
    }
}

/// How every sentence begins.
pub fn at(now: Timestamp) -> String {
    format!("At {}", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_in_the_words_of_aws() {
        let now = "2026-11-27T13:00:00Z".parse().unwrap();
        let all = [
            Cause::Difference(2, 1),
            Cause::NotRunning,
            Cause::TargetUnhealthy,
            Cause::SaidUnhealthy,
            Cause::NeverInService,
            Cause::Replacement,
            Cause::Rebalance,
            Cause::Uneven,
            Cause::Request(Some((2, 1))),
            Cause::Request(None),
            Cause::Deletion,
            Cause::Refresh,
            Cause::WarmPool,
        ];
        let told = all.iter().map(|cause| {
            format!(
                "{cause:?}\n  goes: {}\n  comes: {}\n",
                cause.of_going(now, "i-1"),
                cause.of_coming(now)
            )
        });
        insta::assert_snapshot!(told.collect::<String>());
    }
}
