//! The instance metadata service, as an instance has it that was launched with these options: version
//! 2, and version 1 where no token is required.
//!
//! What is not listed here is 404, as on a real instance that lacks it. Every instance has a service
//! of its own, whose answers are made from what the account knows of it at the moment of asking.

mod documents;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::documents::{credentials, identity_document, instance_type, login_key, profile, profile_document, reservation, zone};
use super::account::{ACCOUNT_ID, PRIVATE_IP, ROLE, SUBNET, VPC};
use super::ec2::specification::Metadata;
use super::http::{Reply, Request};
use super::instance::Instance;
use super::network;
use super::random;
use super::timeline::Milestone;

const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// A token lives at most six hours.
const TTL_LIMIT_SECS: u64 = 21600;
/// The dated schemas that are served, beside `latest`.
const VERSIONS: [&str; 5] = ["2016-09-02", "2018-09-24", "2019-10-01", "2021-01-03", "2021-03-23"];
/// The first version that has tags.
const TAGS_SINCE: &str = "2021-03-23";

/// Answers one request of `instance`.
pub fn answer(instance: &mut Instance, now: Instant, request: &Request) -> Reply {
    if metadata(instance).is_some_and(|told| is(told.endpoint.as_deref(), "disabled")) {
        return page(403, "Forbidden");
    }
    match request.method.as_str() {
        "PUT" => give_token(instance, now, request),
        "GET" | "HEAD" => match check_token(instance, now, request) {
            Ok(()) => read(instance, now, &request.path),
            Err(reply) => reply,
        },
        _ => page(405, "Method Not Allowed"),
    }
}

fn give_token(instance: &mut Instance, now: Instant, request: &Request) -> Reply {
    // A proxy that was tricked into forwarding a request adds this header: never answered.
    if request.header("x-forwarded-for").is_some() {
        return page(403, "Forbidden");
    }
    if request.path != "/latest/api/token" {
        return page(403, "Forbidden");
    }
    let ttl = request.header(TTL_HEADER).and_then(|ttl| ttl.parse::<u64>().ok());
    let Some(ttl) = ttl.filter(|ttl| (1..=TTL_LIMIT_SECS).contains(ttl)) else {
        return page(400, "Bad Request");
    };
    let token = format!("AQAEA{}==", random::hex(48));
    instance.tokens.retain(|_, expires| *expires > now);
    instance.tokens.insert(token.clone(), now + Duration::from_secs(ttl));
    instance.recorder.mark(Milestone::MetadataToken);
    Reply::new(200, "text/plain", token).header(TTL_HEADER, ttl.to_string())
}

fn check_token(instance: &Instance, now: Instant, request: &Request) -> Result<(), Reply> {
    let Some(token) = request.header(TOKEN_HEADER) else {
        // Version 1.
        let refused =
            !metadata(instance).is_some_and(|told| is(told.tokens.as_deref(), "optional"));
        return if refused { Err(page(401, "Unauthorized")) } else { Ok(()) };
    };
    match instance.tokens.get(token) {
        Some(expires) if *expires > now => Ok(()),
        _ => Err(page(401, "Unauthorized")),
    }
}

/// How somebody who launched it said that its metadata service is to be.
fn metadata(instance: &Instance) -> Option<&Metadata> {
    instance.launch.as_ref().map(|launch| &launch.metadata)
}

fn is(said: Option<&str>, word: &str) -> bool {
    said == Some(word)
}

fn read(instance: &mut Instance, now: Instant, path: &str) -> Reply {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return text(format!("{}\nlatest", VERSIONS.join("\n")));
    }
    let (version, item) = path.split_once('/').unwrap_or((path, ""));
    if version != "latest" && !VERSIONS.contains(&version) {
        return page(404, "Not Found");
    }
    let item = item.trim_end_matches('/');
    if item == "user-data" {
        instance.recorder.mark(Milestone::UserData);
        let data = instance.user_data.clone();
        return if data.is_empty() {
            page(404, "Not Found")
        } else {
            Reply::new(200, "application/octet-stream", data)
        };
    }
    let tags = metadata(instance).is_none_or(|told| is(told.tags.as_deref(), "enabled"));
    let with_tags = tags && (version == "latest" || version >= TAGS_SINCE);
    let leaves = leaves(instance, now, with_tags);
    match leaves.get(item) {
        Some(value) => text(value.clone()),
        None => list(&leaves, item).map_or_else(|| page(404, "Not Found"), text),
    }
}

/// The names directly below a path; those with something below them end in a slash.
fn list(leaves: &BTreeMap<String, String>, item: &str) -> Option<String> {
    // The one list that names its entries in its own way.
    if item == "meta-data/public-keys" {
        let key = leaves.get("meta-data/public-keys/0/openssh-key")?;
        let name = key.trim_end().splitn(3, ' ').nth(2).unwrap_or_default();
        return Some(format!("0={name}"));
    }
    let prefix = if item.is_empty() { String::new() } else { format!("{item}/") };
    let mut names: Vec<String> = leaves
        .keys()
        .filter_map(|path| path.strip_prefix(&prefix))
        .map(|rest| match rest.split_once('/') {
            Some((name, _)) => format!("{name}/"),
            None => rest.to_owned(),
        })
        .collect();
    names.dedup();
    if item.is_empty() && !names.is_empty() {
        names.push("user-data".to_owned());
    }
    (!names.is_empty()).then(|| names.join("\n"))
}

/// Everything that can be read, by path.
fn leaves(instance: &mut Instance, now: Instant, with_tags: bool) -> BTreeMap<String, String> {
    let target = instance.is_in_a_group().then(|| instance.target_lifecycle(now));
    let launch = instance.launch.as_deref();
    let mut leaves = BTreeMap::new();
    let mut put = |path: &str, value: &str| leaves.insert(path.to_owned(), value.to_owned());
    put("dynamic/instance-identity/document", &identity_document(instance));
    put("meta-data/ami-id", &instance.image);
    put("meta-data/ami-launch-index", &launch.map_or(0, |one| one.index).to_string());
    if let Some(target) = target {
        put("meta-data/autoscaling/target-lifecycle-state", &target);
    }
    if let Some(profile) = profile(instance) {
        put("meta-data/iam/info", &profile_document(instance, profile));
        // A role has its profile's name here.
        let path = format!("meta-data/iam/security-credentials/{profile}");
        put(&path, &credentials(instance));
    }
    let spot = launch.is_some_and(|one| one.spot.is_some());
    put("meta-data/instance-action", "none");
    put("meta-data/instance-id", &instance.id);
    put("meta-data/instance-life-cycle", if spot { "spot" } else { "on-demand" });
    put("meta-data/instance-type", instance_type(instance));
    put("meta-data/placement/availability-zone", zone(instance));
    put("meta-data/placement/availability-zone-id", &network::id_of_zone(zone(instance)));
    put("meta-data/placement/region", instance.region());
    put("meta-data/reservation-id", &reservation(instance));
    put("meta-data/services/domain", "amazonaws.com");
    put("meta-data/services/partition", "aws");
    if !instance.public_key.is_empty() {
        put("meta-data/public-keys/0/openssh-key", &login_key(instance));
    }
    for (path, value) in instance.announced.leaves() {
        put(&format!("meta-data/{path}"), &value);
    }
    card(instance, &mut put);
    if with_tags {
        for (name, value) in &instance.tags {
            put(&format!("meta-data/tags/instance/{name}"), value);
        }
    }
    leaves
}

/// Its one network card, and its names.
fn card<T>(instance: &Instance, put: &mut impl FnMut(&str, &str) -> T) {
    let launch = instance.launch.as_deref();
    let address = launch.map_or(PRIVATE_IP, |one| one.private_ip.as_str());
    let name = format!("ip-{}.{}.compute.internal", address.replace('.', "-"), instance.region());
    for path in ["hostname", "local-hostname"] {
        put(&format!("meta-data/{path}"), &name);
    }
    put("meta-data/local-ipv4", address);
    put("meta-data/mac", &instance.mac);
    put("meta-data/security-groups", ROLE);
    let card = format!("meta-data/network/interfaces/macs/{}", instance.mac);
    put(&format!("{card}/device-number"), "0");
    put(&format!("{card}/local-ipv4s"), address);
    put(&format!("{card}/mac"), &instance.mac);
    put(&format!("{card}/owner-id"), ACCOUNT_ID);
    put(&format!("{card}/subnet-id"), launch.map_or(SUBNET, |one| one.subnet.as_str()));
    put(&format!("{card}/vpc-id"), launch.map_or(VPC, |one| one.vpc.as_str()));
    let groups = launch.map(|one| one.groups.join("\n")).filter(|groups| !groups.is_empty());
    if let Some(groups) = groups {
        put(&format!("{card}/security-group-ids"), &groups);
    }
    let (network, _) = address.rsplit_once('.').unwrap_or_default();
    put(&format!("{card}/subnet-ipv4-cidr-block"), &format!("{network}.0/24"));
    if let Some(public) = launch.and_then(|one| one.public_ip.as_deref()) {
        put("meta-data/public-ipv4", public);
        put(&format!("{card}/public-ipv4s"), public);
    }
}

fn text(body: String) -> Reply {
    Reply::new(200, "text/plain", body)
}

fn page(status: u16, reason: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" \
         xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>{status} - {reason}</title>\n </head>\n <body>\n  \
         <h1>{status} - {reason}</h1>\n </body>\n</html>\n"
    );
    Reply::new(status, "text/html", body)
}
