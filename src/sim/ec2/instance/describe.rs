//! `DescribeInstances`.

use super::{settle, shape};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::Filters;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{set, some};
use crate::sim::instance::Instance;
use crate::sim::xml::leaf;

/// What an answer may be filtered by.
const FILTERS: &[&str] = &[
    "architecture",
    "availability-zone",
    "block-device-mapping.device-name",
    "block-device-mapping.volume-id",
    "client-token",
    "hibernation-options.configured",
    "iam-instance-profile.arn",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "key-name",
    "launch-index",
    "launch-time",
    "metadata-options.http-tokens",
    "network-interface.group-id",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "reservation-id",
    "root-device-name",
    "root-device-type",
    "spot-instance-request-id",
    "state-reason-code",
    "subnet-id",
    "tag-key",
    "virtualization-type",
    "vpc-id",
];

/// See the module. Instances that were launched together stand together.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let ids = query.list("InstanceId");
    let filters = Filters::of(&mut query, FILTERS)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    if !ids.is_empty() && page.is_asked_for() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(Refusal::combination(message));
    }
    let as_of = call.as_of;
    let name = call.region.clone();
    let visible = |one: &Instance| one.state_at(as_of).filter(|_| one.region() == name);
    let known = |id: &str| call.account.instance(id).is_some_and(|one| visible(one).is_some());
    Kind::Instance.check_all(&ids, known)?;
    dry_run.end()?;
    let region = &call.account.regions[&name];
    let all = call.account.instances().iter().enumerate();
    let wanted = all
        .filter(|(_, one)| ids.is_empty() || ids.contains(&one.id))
        .filter_map(|(at, one)| Some((format!("{at:020}"), (one, visible(one)?))))
        .filter(|(_, (one, state))| {
            filters.pass(&one.tags, |filter| shape::values(one, *state, region, filter))
        });
    let (part, next) = page.cut(wanted);
    let groups = part.chunk_by(|(one, _), (other, _)| {
        shape::reservation_of(one) == shape::reservation_of(other)
    });
    let items = groups.map(|group| {
        let members = group.iter().map(|(one, state)| shape::item(one, *state, region));
        let id = group.first().map(|(one, _)| shape::reservation_of(one)).unwrap_or_default();
        leaf("reservationId", &id) + &leaf("ownerId", ACCOUNT_ID) + &set("instancesSet", members)
    });
    Ok(set("reservationSet", items) + &some("nextToken", next.as_deref()))
}
