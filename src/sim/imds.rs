//! The instance metadata service, as an instance has it that was launched with these options: version
//! 2, and version 1 where no token is required.
//!
//! What is not listed here is 404, as on a real instance that lacks it. Every instance has a service
//! of its own, whose answers are made from what the account knows of it at the moment of asking.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::account::{ACCOUNT_ID, PRIVATE_IP, ROLE, SUBNET, VPC, ZONE};
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

/// The name of its profile, which is that of its role.
fn profile(instance: &Instance) -> Option<&str> {
    match &instance.launch {
        None => Some(ROLE),
        Some(launch) => launch.profile.as_deref()?.rsplit('/').next(),
    }
}

fn instance_type(instance: &Instance) -> &str {
    instance.launch.as_ref().map_or("m5.large", |launch| &launch.instance_type)
}

fn zone(instance: &Instance) -> &str {
    instance.launch.as_ref().map_or(ZONE, |launch| &launch.zone)
}

fn reservation(instance: &Instance) -> String {
    match &instance.launch {
        None => instance.id.replace("i-", "r-"),
        Some(launch) => launch.reservation.clone(),
    }
}

/// Its key pair's public key, with the pair's name as the comment.
fn login_key(instance: &Instance) -> String {
    let mut words = instance.public_key.split_whitespace();
    let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    format!("{kind} {key} {}\n", key_name(instance))
}

fn key_name(instance: &Instance) -> &str {
    let said = instance.launch.as_ref().and_then(|launch| launch.key_name.as_deref());
    said.unwrap_or(ROLE)
}

fn identity_document(instance: &Instance) -> String {
    let launch = instance.launch.as_deref();
    pretty(&json!({
        "accountId": ACCOUNT_ID,
        "architecture": launch.map_or("x86_64", |one| one.architecture.as_str()),
        "availabilityZone": zone(instance),
        "billingProducts": null,
        "devpayProductCodes": null,
        "imageId": instance.image,
        "instanceId": instance.id,
        "instanceType": instance_type(instance),
        "kernelId": null,
        "marketplaceProductCodes": null,
        "pendingTime": seconds(instance.launched),
        "privateIp": launch.map_or(PRIVATE_IP, |one| one.private_ip.as_str()),
        "ramdiskId": null,
        "region": instance.region(),
        "version": "2017-09-30",
    }))
}

fn profile_document(instance: &Instance, profile: &str) -> String {
    pretty(&json!({
        "Code": "Success",
        "LastUpdated": seconds(instance.launched),
        "InstanceProfileArn": format!("arn:aws:iam::{ACCOUNT_ID}:instance-profile/{profile}"),
        "InstanceProfileId": format!("AIPA{}", random::derived(&instance.id, 16).to_uppercase()),
    }))
}

fn credentials(instance: &Instance) -> String {
    let keys = &instance.credentials;
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(6);
    pretty(&json!({
        "Code": "Success",
        "LastUpdated": seconds(instance.launched),
        "Type": "AWS-HMAC",
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        "Token": keys.session,
        "Expiration": seconds(expires),
    }))
}

fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("a document of strings")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::account::{Account, REGION};
    use crate::sim::ec2::launch::Launch;

    fn put(headers: &[(&str, &str)], path: &str) -> Request {
        ask("PUT", headers, path)
    }

    fn ask(method: &str, headers: &[(&str, &str)], path: &str) -> Request {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Request { method: method.into(), path: path.into(), headers, ..Request::default() }
    }

    fn running() -> Instance {
        Account::for_tests().first().clone()
    }

    fn answer(instance: &mut Instance, request: &Request) -> Reply {
        super::answer(instance, Instant::now(), request)
    }

    fn token(instance: &mut Instance, ttl: &str) -> String {
        let reply = answer(instance, &put(&[(TTL_HEADER, ttl)], "/latest/api/token"));
        assert_eq!(reply.status, 200);
        reply.body.to_string()
    }

    fn get(instance: &mut Instance, path: &str) -> Reply {
        let token = token(instance, "60");
        answer(instance, &ask("GET", &[(TOKEN_HEADER, &token)], path))
    }

    #[test]
    fn without_a_token_nothing_is_told() {
        let mut instance = running();
        for headers in [&[][..], &[(TOKEN_HEADER, "made-up")][..]] {
            let reply =
                answer(&mut instance, &ask("GET", headers, "/latest/meta-data/instance-id"));
            assert_eq!(reply.status, 401);
        }
    }

    #[test]
    fn a_token_needs_a_lifetime_and_no_proxy_and_only_latest() {
        let mut instance = running();
        let path = "/latest/api/token";
        let mut status =
            |headers: &[(&str, &str)], path| answer(&mut instance, &put(headers, path)).status;
        assert_eq!(status(&[], path), 400);
        assert_eq!(status(&[(TTL_HEADER, "0")], path), 400);
        assert_eq!(status(&[(TTL_HEADER, "21601")], path), 400);
        assert_eq!(status(&[(TTL_HEADER, "60"), ("x-forwarded-for", "1.2.3.4")], path), 403);
        assert_eq!(status(&[(TTL_HEADER, "60")], "/2021-03-23/api/token"), 403);
        assert_eq!(status(&[(TTL_HEADER, "60")], path), 200);
    }

    #[test]
    fn a_token_expires() {
        let mut instance = running();
        let token = token(&mut instance, "60");
        let request = ask("GET", &[(TOKEN_HEADER, &token)], "/latest/meta-data/instance-id");
        assert_eq!(answer(&mut instance, &request).body, instance.id.as_str());
        let later = Instant::now() + Duration::from_mins(1);
        assert_eq!(super::answer(&mut instance, later, &request).status, 401);
    }

    #[test]
    fn lists_what_is_below_a_path() {
        let mut instance = running();
        instance.public_key = "ssh-ed25519 AAAA".into();
        assert_eq!(get(&mut instance, "/latest/meta-data/public-keys/").body, "0=hostkit-vm");
        assert_eq!(
            get(&mut instance, "/latest/meta-data/public-keys/0/openssh-key").body,
            "ssh-ed25519 AAAA hostkit-vm\n"
        );
        assert_eq!(
            get(&mut instance, "/latest/meta-data/iam/").body,
            "info\nsecurity-credentials/"
        );
        assert_eq!(get(&mut instance, "/latest/meta-data/iam/security-credentials/").body, ROLE);
        let placement = get(&mut instance, "/latest/meta-data/placement").body;
        assert_eq!(placement, "availability-zone\navailability-zone-id\nregion");
        assert!(get(&mut instance, "/latest/").body.contains("meta-data/\nuser-data"));
    }

    #[test]
    fn the_identity_document_names_the_instance() {
        let mut instance = running();
        let reply = get(&mut instance, "/latest/dynamic/instance-identity/document");
        let document: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(document["instanceId"], instance.id.as_str());
        assert_eq!(document["region"], REGION);
        assert_eq!(document["privateIp"], PRIVATE_IP);
    }

    #[test]
    fn tags_came_with_a_later_schema_and_spot_notices_are_absent() {
        let mut instance = running();
        let tag = "meta-data/tags/instance/aws:autoscaling:groupName";
        assert_eq!(get(&mut instance, &format!("/latest/{tag}")).body, "hostkit-vm");
        assert_eq!(get(&mut instance, &format!("/2021-01-03/{tag}")).status, 404);
        assert_eq!(get(&mut instance, "/latest/meta-data/spot/instance-action").status, 404);
        assert_eq!(get(&mut instance, "/1999-01-01/meta-data/instance-id").status, 404);
    }

    #[test]
    fn what_is_announced_is_told_where_ec2_tells_it() {
        use crate::sim::notice::Notice;
        let mut instance = running();
        let (now, world) = (Instant::now(), jiff::Timestamp::now());
        for notice in [Notice::SpotInterruption, Notice::Rebalance, Notice::Maintenance] {
            instance.notice(now, world, &notice);
        }
        let mut ask = |path: &str| get(&mut instance, &format!("/latest/meta-data/{path}"));
        let action: serde_json::Value =
            serde_json::from_str(&ask("spot/instance-action").body).unwrap();
        let at: jiff::Timestamp = action["time"].as_str().unwrap().parse().unwrap();
        assert!((119..=120).contains(&at.duration_since(world).as_secs()), "{at}");
        assert!(ask("events/recommendations/rebalance").body.contains("noticeTime"));
        assert!(ask("events/maintenance/scheduled").body.contains("system-reboot"));
        assert_eq!(ask("events/").body, "maintenance/\nrecommendations/");
    }

    fn launched() -> Instance {
        let [tokens, tags] = ["optional", "enabled"].map(|word| Some(word.to_owned()));
        Instance::run(
            Instant::now(),
            "ami-1",
            Launch {
                region: "us-west-2".to_owned(),
                instance_type: "t3.micro".to_owned(),
                zone: "us-west-2b".to_owned(),
                private_ip: "127.77.128.7".to_owned(),
                public_ip: Some("127.77.0.7".to_owned()),
                key_name: Some("a key of mine".to_owned()),
                metadata: Metadata { tokens, tags, ..Metadata::default() },
                ..Launch::default()
            },
        )
    }

    #[test]
    fn what_was_said_at_its_launch_counts() {
        let mut instance = launched();
        instance.tags.insert("Name".to_owned(), "one".to_owned());
        instance.public_key = "ssh-ed25519 AAAA somebody@laptop".to_owned();
        let mut ask = |path: &str| get(&mut instance, &format!("/latest/meta-data/{path}"));
        for (path, wanted) in [
            ("instance-type", "t3.micro"),
            ("placement/region", "us-west-2"),
            ("placement/availability-zone", "us-west-2b"),
            ("placement/availability-zone-id", "usw2-az2"),
            ("local-ipv4", "127.77.128.7"),
            ("public-ipv4", "127.77.0.7"),
            ("local-hostname", "ip-127-77-128-7.us-west-2.compute.internal"),
            ("public-keys/", "0=a key of mine"),
            ("public-keys/0/openssh-key", "ssh-ed25519 AAAA a key of mine\n"),
            ("tags/instance/Name", "one"),
        ] {
            assert_eq!(ask(path).body, wanted, "{path}");
        }
        // No role, no group, and nobody means to take it away.
        for path in ["iam/info", "autoscaling/", "spot/instance-action", "events/maintenance/"] {
            assert_eq!(ask(path).status, 404, "{path}");
        }
    }

    #[test]
    fn who_may_ask_for_what_is_said_at_its_launch() {
        let mut instance = launched();
        let path = "/latest/meta-data/instance-id";
        assert_eq!(answer(&mut instance, &ask("GET", &[], path)).body, instance.id.as_str());
        let made_up = [(TOKEN_HEADER, "made-up")];
        assert_eq!(answer(&mut instance, &ask("GET", &made_up, path)).status, 401);
        let mut say = |change: fn(&mut Metadata)| {
            let launch = instance.launch.as_mut().unwrap();
            change(&mut launch.metadata);
            launch.profile = Some("arn:aws:iam::1:instance-profile/ci".to_owned());
            instance.clone()
        };
        let mut without_tags = say(|metadata| metadata.tags = Some("disabled".to_owned()));
        assert_eq!(get(&mut without_tags, "/latest/meta-data/tags/instance/").status, 404);
        let role = "/latest/meta-data/iam/security-credentials/";
        assert_eq!(get(&mut without_tags, role).body, "ci");
        let mut off = say(|metadata| metadata.endpoint = Some("disabled".to_owned()));
        assert_eq!(answer(&mut off, &put(&[], "/latest/api/token")).status, 403);
    }

    #[test]
    fn an_abandoned_instance_is_told_to_terminate() {
        let mut instance = running();
        let path = "/latest/meta-data/autoscaling/target-lifecycle-state";
        assert_eq!(get(&mut instance, path).body, "InService");
        instance.complete(Instant::now(), crate::sim::account::HOOK, false);
        assert_eq!(get(&mut instance, path).body, "Terminated");
    }
}
