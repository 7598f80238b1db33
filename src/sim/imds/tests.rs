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
