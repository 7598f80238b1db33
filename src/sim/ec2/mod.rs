//! EC2, its own query protocol: images, snapshots and what stands around instances.
//!
//! A request is parsed into a [`query::Query`], and an operation first takes everything that it
//! knows from there and checks it, then changes the account, so that a request that is refused
//! changes nothing. What an operation does not know is refused, too. One file an operation or a
//! few that belong together; what all share: [`filter`], [`page`], [`once`], [`tags`], [`id`].
//!
//! It never reaches a machine: who plays the machines looks at the account.

pub mod disk;
pub mod encryption;
pub mod filter;
pub mod id;
pub mod image;
pub mod instance;
pub mod key_pair;
pub mod launch;
pub mod network;
pub mod once;
pub mod page;
pub mod query;
pub mod refusal;
pub mod shape;
pub mod snapshot;
pub mod specification;
pub mod tags;
pub mod template;

use std::time::Instant;

use jiff::Timestamp;

use self::query::Query;
use self::refusal::{Answer, Refusal};
use super::account::Account;
use super::autoscaling::engine;
use super::disturbance::Kind;
use super::http::Reply;
use super::region::Region;
use super::xml::leaf;
use super::{call, random};

pub use self::refusal::error;

/// The version of the protocol.
pub const VERSION: &str = "2016-11-15";

/// One request, in the region that it is for.
#[derive(Debug)]
pub struct Call<'a> {
    /// Everything.
    pub account: &'a mut Account,
    /// The region's name.
    pub region: String,
    /// The operation.
    pub action: String,
    /// What it has in common with others that ask for the same.
    pub fingerprint: String,
    /// What is described is as it was then.
    pub as_of: Instant,
    /// Who asks: an ARN.
    pub caller: String,
    /// What is made by it is to fail, once it would be there.
    pub fails: bool,
}

impl Call<'_> {
    /// What the account has in the region.
    pub fn here(&mut self) -> &mut Region {
        self.account.region(&self.region)
    }

    /// The reason for which an image that it makes will have failed, if it is to fail.
    pub fn doom(&self) -> Option<String> {
        self.fails.then(|| DOOM.to_owned())
    }

    /// The last moment that a description knows of, by the clock of the world.
    pub fn seen(&self) -> Timestamp {
        let conditions = &self.account.conditions;
        let age = self.account.now().saturating_duration_since(self.as_of)
            + conditions.takes(conditions.unseen_for);
        let age = jiff::SignedDuration::try_from(age).unwrap_or_default();
        self.account.world().saturating_sub(age).unwrap_or(Timestamp::MIN)
    }
}

/// Why an image failed that was to fail.
const DOOM: &str = "The image could not be made: an internal error has occurred";

/// Answers one signed request. What is described is as it was at `as_of`.
pub fn answer(account: &mut Account, call: &call::Call<'_>, as_of: Instant) -> Reply {
    let mut parameters = call.request.parameters();
    let fingerprint = query::fingerprint(&parameters);
    let action = parameters.remove("Action").unwrap_or_default();
    parameters.remove("Version");
    let now = account.now();
    account.region(&call.region).settle(now);
    // Instances of groups come and go while nobody asks.
    engine::settle(account);
    let mut call = Call {
        account,
        region: call.region.clone(),
        action,
        fingerprint,
        as_of,
        caller: call.caller.arn(),
        fails: call.disturbance == Some(Kind::Fails),
    };
    match perform(&mut call, Query::of(parameters)) {
        Ok(inner) => reply(&call.action, &inner),
        Err(refusal) => refusal.reply(),
    }
}

fn perform(call: &mut Call<'_>, query: Query) -> Answer {
    match call.action.as_str() {
        "AuthorizeSecurityGroupEgress" => network::rules::authorise(call, query, true),
        "AuthorizeSecurityGroupIngress" => network::rules::authorise(call, query, false),
        "CopyImage" => image::copy(call, query),
        "CopySnapshot" => snapshot::copy(call, query),
        "CreateImage" => instance::image::create(call, query),
        "CreateLaunchTemplate" => template::create::create(call, query),
        "CreateLaunchTemplateVersion" => template::create::create_version(call, query),
        "CreateSecurityGroup" => network::group::create(call, query),
        "CreateSnapshot" => instance::volumes::create_snapshot(call, query),
        "CreateTags" => tags::create(call, query),
        "DeleteKeyPair" => key_pair::delete(call, query),
        "DeleteLaunchTemplate" => template::delete::delete(call, query),
        "DeleteLaunchTemplateVersions" => template::delete::delete_versions(call, query),
        "DeleteSecurityGroup" => network::group::delete(call, query),
        "DeleteSnapshot" => snapshot::delete(call, query),
        "DeleteTags" => tags::delete(call, query),
        "DeregisterImage" => image::deregister(call, query),
        "DescribeAvailabilityZones" => network::place::zones(call, query),
        "DescribeImageAttribute" => image::attribute::describe(call, query),
        "DescribeImageReferences" => image::references(call, query),
        "DescribeImages" => image::describe(call, query),
        "DescribeInstanceStatus" => instance::status::describe(call, query),
        "DescribeInstanceTypeOfferings" => instance::types::offerings(call, query),
        "DescribeInstanceTypes" => instance::types::describe(call, query),
        "DescribeInstances" => instance::describe::describe(call, query),
        "DescribeKeyPairs" => key_pair::describe(call, query),
        "DescribeLaunchTemplateVersions" => template::describe::describe_versions(call, query),
        "DescribeLaunchTemplates" => template::describe::describe(call, query),
        "DescribeRegions" => network::place::regions(call, query),
        "DescribeSecurityGroups" => network::group::describe(call, query),
        "DescribeSnapshotAttribute" => snapshot::attribute::describe(call, query),
        "DescribeSnapshots" => snapshot::describe(call, query),
        "DescribeSubnets" => network::place::subnets(call, query),
        "DescribeTags" => tags::describe(call, query),
        "DescribeVolumes" => instance::volumes::describe(call, query),
        "DescribeVpcs" => network::place::vpcs(call, query),
        "DisableEbsEncryptionByDefault" => encryption::switch(call, query, false),
        "DisableImage" => image::lifecycle::disable(call, query),
        "DisableImageDeprecation" => image::lifecycle::revive(call, query),
        "DisableImageDeregistrationProtection" => image::lifecycle::release(call, query),
        "EnableEbsEncryptionByDefault" => encryption::switch(call, query, true),
        "EnableImage" => image::lifecycle::enable(call, query),
        "EnableImageDeprecation" => image::lifecycle::deprecate(call, query),
        "EnableImageDeregistrationProtection" => image::lifecycle::protect(call, query),
        "GetConsoleOutput" => instance::console::output(call, query),
        "GetEbsEncryptionByDefault" => encryption::get(call, query),
        "GetImageAncestry" => image::ancestry(call, query),
        "GetManagedPrefixListEntries" => network::prefix_list::entries(call, query),
        "ImportKeyPair" => key_pair::import(call, query),
        "ModifyImageAttribute" => image::attribute::modify(call, query),
        "ModifyInstanceAttribute" => instance::change::modify(call, query),
        "ModifyLaunchTemplate" => template::modify::modify(call, query),
        "ModifySnapshotAttribute" => snapshot::attribute::modify(call, query),
        "RebootInstances" => instance::change::reboot(call, query),
        "RegisterImage" => image::register(call, query),
        "ResetImageAttribute" => image::attribute::reset(call, query),
        "RevokeSecurityGroupEgress" => network::rules::revoke(call, query, true),
        "RevokeSecurityGroupIngress" => network::rules::revoke(call, query, false),
        "RunInstances" => instance::run::run(call, query),
        "StartInstances" => instance::change::start(call, query),
        "StopInstances" => instance::change::stop(call, query),
        "TerminateInstances" => instance::change::terminate(call, query),
        action => {
            let message = format!("The action {action} is not valid for this web service.");
            Err(Refusal::new("InvalidAction", message))
        }
    }
}

fn reply(action: &str, inner: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response \
         xmlns=\"http://ec2.amazonaws.com/doc/{VERSION}/\">{}{inner}</{action}Response>",
        leaf("requestId", &random::hex(32))
    );
    Reply::new(200, "text/xml;charset=UTF-8", body)
}

#[cfg(test)]
pub(in crate::sim) mod desk;
