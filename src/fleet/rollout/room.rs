//! Whether the account may run what is there at the same time while hosts are replaced: the quotas of
//! vCPUs that limit them. Asks for no more of them.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use futures::future::try_join_all;

use super::survey::Survey;
use super::{Ask, Strategy};
use crate::aws::Failure;
use crate::aws::asg::Group;
use crate::aws::instance_type::Type;
use crate::aws::quota::{self, Market, Quota};
use crate::doctor::group::Subject;

/// A quota that limits the group's hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The quota, and its use.
    pub quota: Quota,
    /// The smallest of the types that it limits, and its vCPUs: AWS launches that where it must.
    pub smallest: (String, u64),
    /// The largest, and its vCPUs.
    pub largest: (String, u64),
}

/// So many hosts are there at the same time beside those that the group wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// How many.
    pub hosts: u64,
    /// Whether none may go before the next one is there.
    pub first: bool,
}

/// The quotas of the group's hosts.
pub(super) async fn read(
    config: &SdkConfig,
    subject: &Subject,
    types: &[Type],
) -> Result<Vec<Room>, Failure> {
    let template = subject.template.as_ref().ok().and_then(|it| it.as_ref());
    let by_template = template.is_some_and(|(_, data)| data.spot);
    let limited = limited(&markets(&subject.group, by_template), types);
    let of = |one: &Type| (one.name.clone(), u64::from(one.vcpus));
    let rooms = try_join_all(limited.into_iter().map(async |(code, (smallest, largest))| {
        let (smallest, largest) = (of(smallest), of(largest));
        Ok(quota::of_ec2(config, code).await?.map(|quota| Room { quota, smallest, largest }))
    }));
    Ok(rooms.await?.into_iter().flatten().collect())
}

/// How a group's hosts are paid.
fn markets(group: &Group, by_template: bool) -> Vec<Market> {
    match group.on_demand {
        None if by_template => vec![Market::Spot],
        None => vec![Market::OnDemand],
        Some((base, percent)) => {
            let on_demand = (base > 0 || percent > 0).then_some(Market::OnDemand);
            let spot = (percent < 100).then_some(Market::Spot);
            on_demand.into_iter().chain(spot).collect()
        }
    }
}

/// The smallest and the largest type of each quota, by the quota's code.
fn limited<'a>(
    markets: &[Market],
    types: &'a [Type],
) -> BTreeMap<&'static str, (&'a Type, &'a Type)> {
    let mut limited: BTreeMap<&'static str, (&Type, &Type)> = BTreeMap::new();
    for market in markets {
        for one in types.iter().filter(|one| one.vcpus > 0) {
            let Some(code) = quota::code(&one.name, *market) else { continue };
            let (smallest, largest) = limited.entry(code).or_insert((one, one));
            if one.vcpus < smallest.vcpus {
                *smallest = one;
            }
            if one.vcpus > largest.vcpus {
                *largest = one;
            }
        }
    }
    limited
}

/// How many hosts more are there meanwhile.
pub(super) fn beside(survey: &Survey, ask: &Ask) -> Beside {
    let subject = &survey.subject;
    let (role, desired) = (subject.part.role, subject.group.desired);
    match ask.strategy_for(role) {
        // The old host is still being terminated when AWS launches the next one.
        Strategy::TerminateFirst => Beside { hosts: 1, first: false },
        Strategy::ReplaceRootVolume => Beside { hosts: 0, first: false },
        Strategy::Rolling => {
            let crowd = survey.relations.as_ref().map(|all| all.crowd(role, desired));
            let (least, most) = crowd.unwrap_or_default().bounds();
            let share = u64::from(desired) * u64::try_from(most).unwrap_or(100);
            // Whatever AWS makes of a fraction of a host, one more is needed and will do.
            let hosts = (share / 100).saturating_sub(u64::from(desired)).max(1);
            Beside { hosts, first: least >= 100 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::rollout::sample::{ask, survey};
    use crate::host::Role;

    #[test]
    fn a_group_of_mixed_instances_is_limited_twice() {
        let mixed = |on_demand| Group { mixed: true, on_demand, ..Group::default() };
        assert_eq!(markets(&mixed(Some((0, 100))), true), [Market::OnDemand]);
        assert_eq!(markets(&mixed(Some((1, 0))), false), [Market::OnDemand, Market::Spot]);
        assert_eq!(markets(&mixed(Some((0, 0))), false), [Market::Spot]);
        assert_eq!(markets(&Group::default(), true), [Market::Spot]);
    }

    #[test]
    fn the_smallest_and_the_largest_type_of_a_family_count() {
        let one = |name: &str, vcpus| Type { name: name.into(), vcpus, ..Type::default() };
        let types = [
            one("m5.large", 2),
            one("c5.4xlarge", 16),
            one("r5.xlarge", 4),
            one("g5.xlarge", 4),
            one("mac2.metal", 8),
        ];
        let found = limited(&[Market::OnDemand], &types).into_iter();
        let found: Vec<_> =
            found.map(|(code, (a, b))| (code, a.name.as_str(), b.name.as_str())).collect();
        assert_eq!(
            found,
            [("L-1216C47A", "m5.large", "c5.4xlarge"), ("L-DB2E81BA", "g5.xlarge", "g5.xlarge")]
        );
    }

    #[test]
    fn as_many_hosts_are_there_as_the_bounds_allow() {
        let of = |role: Role, desired: u32| {
            let mut survey = survey();
            (survey.subject.part.role, survey.subject.group.desired) = (role, desired);
            let Beside { hosts, first } = beside(&survey, &ask());
            (hosts, first)
        };
        assert_eq!(of(Role::Controller, 1), (1, false));
        assert_eq!([1, 3, 9].map(|desired| of(Role::Agent, desired)), [(1, true); 3]);
        assert_eq!(of(Role::Agent, 40), (4, false));
    }
}
