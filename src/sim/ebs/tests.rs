//! What can be asked of these APIs, without a socket.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::sim::disturbance::Kind;
use crate::sim::endpoint::with;
use crate::sim::service::Service;
use crate::sim::snapshot::State;

/// An account whose snapshots can be written at once.
struct World {
    account: Shared,
    disturbance: Option<Kind>,
}

impl World {
    fn new() -> Self {
        let mut account = Account::for_tests();
        account.conditions.appears_after = Duration::ZERO;
        Self { account: Arc::new(Mutex::new(account)), disturbance: None }
    }

    fn ask(&self, request: &Request) -> Reply {
        let disturbance = self.disturbance;
        let call = Call { disturbance, ..Call::for_tests(Service::Ebs, action(request), request) };
        match with(&self.account, |account| answer(account, &call)) {
            Turn::Done(reply) => reply,
            Turn::Work(work) => work.run(&self.account, request),
        }
    }

    fn start(&self, input: &Value) -> Reply {
        self.ask(&Request { body: input.to_string().into(), ..plain("POST", "/snapshots", "") })
    }

    fn started(&self, input: &Value) -> String {
        let reply = self.start(input);
        assert_eq!(reply.status, 201, "{}", &*reply.body);
        body(&reply)["SnapshotId"].as_str().unwrap().to_owned()
    }

    fn put(&self, id: &str, index: u32, byte: u8) -> Reply {
        self.ask(&put(id, index, byte))
    }

    fn complete(&self, id: &str, count: usize, sum: Option<&str>) -> Reply {
        let mut request = plain("POST", &format!("/snapshots/completion/{id}"), "");
        let mut say = |name: &str, value: &str| {
            request.headers.insert(name.to_owned(), value.to_owned());
        };
        say("x-amz-changedblockscount", &count.to_string());
        if let Some(sum) = sum {
            say(CHECKSUM, sum);
            say(CHECKSUM_ALGORITHM, ALGORITHM);
            say("x-amz-checksum-aggregation-method", "LINEAR");
        }
        self.ask(&request)
    }

    /// A completed snapshot with one byte repeated in each of some blocks.
    fn completed(&self, input: &Value, blocks: &[(u32, u8)]) -> String {
        let id = self.started(input);
        for (index, byte) in blocks {
            assert_eq!(self.put(&id, *index, *byte).status, 201);
        }
        assert_eq!(self.complete(&id, blocks.len(), None).status, 202);
        self.skip(60);
        id
    }

    fn get(&self, path: &str, query: &str) -> Reply {
        self.ask(&plain("GET", path, query))
    }

    fn skip(&self, seconds: u64) {
        with(&self.account, |account| account.skip(Duration::from_secs(seconds)));
    }

    fn state(&self, id: &str) -> State {
        with(&self.account, |account| {
            let now = account.now();
            let region = account.region("eu-west-1");
            region.settle(now);
            region.snapshots[id].state.clone()
        })
    }
}

fn plain(method: &str, path: &str, query: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: BTreeMap::new(),
        body: bytes::Bytes::new(),
    }
}

fn put(id: &str, index: u32, byte: u8) -> Request {
    let block = vec![byte; BLOCK_BYTES];
    let mut request = plain("PUT", &format!("/snapshots/{id}/blocks/{index}"), "");
    let headers = [
        (DATA_LENGTH, BLOCK_BYTES.to_string()),
        (CHECKSUM, BASE64.encode(Sha256::digest(&block))),
        (CHECKSUM_ALGORITHM, ALGORITHM.to_owned()),
    ];
    request.headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
    request.body = block.into();
    request
}

fn body(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap()
}

/// The code and the reason of a refusal.
fn refusal(reply: &Reply) -> (String, String) {
    let code = reply.headers.iter().find(|(name, _)| *name == "x-amzn-errortype").unwrap();
    (code.1.clone(), body(reply)["Reason"].as_str().unwrap_or_default().to_owned())
}

fn refused(reply: &Reply, code: &str, reason: &str) {
    assert_eq!(refusal(reply), (code.to_owned(), reason.to_owned()), "{}", &*reply.body);
}

#[test]
fn a_snapshot_is_written_completed_and_read() {
    let world = World::new();
    let id = world.started(&json!({ "VolumeSize": 1, "Tags": [{ "Key": "a", "Value": "b" }] }));
    assert_eq!(world.put(&id, 3, 1).status, 201);
    assert_eq!(world.put(&id, 0, 2).status, 201);
    assert_eq!(world.put(&id, 3, 3).status, 201, "a block can be put again");
    let sums = [2, 3].map(|byte| Sha256::digest(vec![byte; BLOCK_BYTES]));
    let linear = BASE64.encode(Sha256::digest(sums.concat()));
    refused(&world.complete(&id, 3, None), "ValidationException", "INVALID_PARAMETER_VALUE");
    let wrong = BASE64.encode([0; 32]);
    refused(
        &world.complete(&id, 2, Some(&wrong)),
        "ValidationException",
        "INVALID_PARAMETER_VALUE",
    );
    let completed = world.complete(&id, 2, Some(&linear));
    assert_eq!(body(&completed), json!({ "Status": "pending" }));
    refused(&world.put(&id, 1, 1), "ValidationException", "INVALID_SNAPSHOT_ID");
    let blocks = format!("/snapshots/{id}/blocks");
    refused(&world.get(&blocks, ""), "ValidationException", "INVALID_SNAPSHOT_ID");
    world.skip(2);
    assert_eq!(world.state(&id), State::Completed);

    let listed = body(&world.get(&blocks, ""));
    assert_eq!(listed["VolumeSize"], 1);
    assert_eq!(listed["Blocks"][0]["BlockIndex"], 0);
    assert_eq!(listed["Blocks"][1]["BlockIndex"], 3);
    let token = listed["Blocks"][1]["BlockToken"].as_str().unwrap();
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("blockToken", token).finish();
    let read = world.get(&format!("{blocks}/3"), &query);
    assert_eq!(read.body.0, vec![3; BLOCK_BYTES]);
    refused(
        &world.get(&format!("{blocks}/0"), &query),
        "ValidationException",
        "INVALID_BLOCK_TOKEN",
    );
    world.skip(60);
    with(&world.account, |account| {
        account.conditions.clock_ahead = jiff::SignedDuration::from_hours(24 * 8);
    });
    refused(
        &world.get(&format!("{blocks}/3"), &query),
        "ValidationException",
        "INVALID_BLOCK_TOKEN",
    );
}

#[test]
fn what_is_put_is_checked() {
    let world = World::new();
    let id = world.started(&json!({ "VolumeSize": 1 }));
    let changed = |change: &dyn Fn(&mut Request)| {
        let mut request = put(&id, 0, 1);
        change(&mut request);
        refusal(&world.ask(&request)).1
    };
    let set = |name: &'static str, value: &'static str| {
        changed(&|request| drop(request.headers.insert(name.to_owned(), value.to_owned())))
    };
    assert_eq!(set(DATA_LENGTH, "512"), "INVALID_PARAMETER_VALUE");
    assert_eq!(set(CHECKSUM_ALGORITHM, "MD5"), "INVALID_PARAMETER_VALUE");
    assert_eq!(set(CHECKSUM, "bm90IGl0"), "INVALID_BLOCK");
    assert_eq!(set("x-amz-progress", "101"), "INVALID_PARAMETER_VALUE");
    assert_eq!(changed(&|request| request.body = "short".into()), "INVALID_BLOCK");
    refused(&world.put(&id, 2048, 1), "ValidationException", "INVALID_BLOCK");
    assert_eq!(world.put(&id, 2047, 1).status, 201);
    refused(&world.put("snap-00", 0, 1), "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND");
    refused(&world.put("vol-00", 0, 1), "ValidationException", "INVALID_SNAPSHOT_ID");
}

#[test]
fn the_same_token_is_the_same_snapshot() {
    let world = World::new();
    let input = json!({ "VolumeSize": 1, "ClientToken": "t" });
    let id = world.started(&input);
    assert_eq!(world.started(&input), id);
    refused(&world.start(&json!({ "VolumeSize": 2, "ClientToken": "t" })), "ConflictException", "");
    assert_ne!(
        world.started(&json!({ "VolumeSize": 1 })),
        world.started(&json!({ "VolumeSize": 1 }))
    );
}

#[test]
fn a_start_that_makes_no_sense_is_refused() {
    let world = World::new();
    let why = |input: Value| refusal(&world.start(&input)).1;
    assert_eq!(why(json!({ "VolumeSize": 0 })), "INVALID_VOLUME_SIZE");
    assert_eq!(why(json!({})), "INVALID_VOLUME_SIZE");
    assert_eq!(why(json!({ "VolumeSize": 65_537 })), "INVALID_VOLUME_SIZE");
    assert_eq!(why(json!({ "VolumeSize": 1, "Timeout": 9 })), "INVALID_PARAMETER_VALUE");
    let tag = json!([{ "Key": "aws:x", "Value": "" }]);
    assert_eq!(why(json!({ "VolumeSize": 1, "Tags": tag })), "INVALID_TAG");
    let key = "arn:aws:kms:us-west-2:123456789012:key/x";
    assert_eq!(why(json!({ "VolumeSize": 1, "KmsKeyArn": key })), "INVALID_PARAMETER_VALUE");
    let encrypted = json!({ "VolumeSize": 1, "KmsKeyArn": key, "Encrypted": true });
    assert_eq!(why(encrypted), "INVALID_CUSTOMER_KEY");
    let orphan = json!({ "VolumeSize": 1, "ParentSnapshotId": "snap-00" });
    assert_eq!(why(orphan), "SNAPSHOT_NOT_FOUND");
}

#[test]
fn a_child_has_what_its_parent_has_and_its_key() {
    let world = World::new();
    let parent = world.completed(&json!({ "VolumeSize": 2, "Encrypted": true }), &[(0, 1), (7, 7)]);
    let of_parent = |more: Value| {
        let mut input = json!({ "VolumeSize": 2, "ParentSnapshotId": parent });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let why = |input: Value| refusal(&world.start(&input)).1;
    assert_eq!(why(of_parent(json!({ "Encrypted": true }))), "INVALID_PARAMETER_VALUE");
    assert_eq!(why(of_parent(json!({ "VolumeSize": 1 }))), "INVALID_VOLUME_SIZE");
    let unfinished = world.started(&json!({ "VolumeSize": 2 }));
    assert_eq!(why(of_parent(json!({ "ParentSnapshotId": unfinished }))), "INVALID_SNAPSHOT_ID");

    let described = body(&world.start(&of_parent(json!({}))));
    assert_eq!(described["SseType"], "sse-kms");
    assert!(described["KmsKeyArn"].as_str().unwrap().starts_with("arn:aws:kms:eu-west-1:"));
    let child = world.completed(&of_parent(json!({})), &[(7, 7), (9, 9)]);
    let listed = body(&world.get(&format!("/snapshots/{child}/blocks"), ""));
    let indices = |list: &Value| {
        list.as_array().unwrap().iter().map(|one| one["BlockIndex"].as_u64().unwrap()).collect()
    };
    let all: Vec<u64> = indices(&listed["Blocks"]);
    assert_eq!(all, [0, 7, 9]);

    let changes = |query: &str| {
        body(&world.get(&format!("/snapshots/{child}/changedblocks"), query))["ChangedBlocks"]
            .take()
    };
    let since = changes(&format!("firstSnapshotId={parent}"));
    let changed: Vec<u64> = indices(&since);
    assert_eq!(changed, [7, 9], "what was put counts, though it was the same");
    assert!(since[0]["FirstBlockToken"].is_string() && since[0]["SecondBlockToken"].is_string());
    assert!(since[1].get("FirstBlockToken").is_none());
    let all: Vec<u64> = indices(&changes(""));
    assert_eq!(all, [0, 7, 9]);
    let stranger = world.completed(&json!({ "VolumeSize": 2 }), &[]);
    let unrelated = world
        .get(&format!("/snapshots/{child}/changedblocks"), &format!("firstSnapshotId={stranger}"));
    refused(&unrelated, "ValidationException", "UNRELATED_SNAPSHOTS");
}

#[test]
fn lists_come_in_pages() {
    let world = World::new();
    let blocks: Vec<(u32, u8)> = (0..150).map(|index| (index * 2, 1)).collect();
    with(&world.account, |account| account.conditions.puts_per_second = 100_000);
    let id = world.completed(&json!({ "VolumeSize": 1 }), &blocks);
    let page = |query: &str| body(&world.get(&format!("/snapshots/{id}/blocks"), query));
    let first = page("maxResults=100");
    assert_eq!(first["Blocks"].as_array().unwrap().len(), 100);
    let token = first["NextToken"].as_str().unwrap();
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("pageToken", token).finish();
    let second = page(&query);
    assert_eq!(second["Blocks"][0]["BlockIndex"], 200);
    assert_eq!(second["Blocks"].as_array().unwrap().len(), 50);
    assert!(second.get("NextToken").is_none());
    assert_eq!(page("startingBlockIndex=7")["Blocks"][0]["BlockIndex"], 8);
    let why = |query: &str| refusal(&world.get(&format!("/snapshots/{id}/blocks"), query)).1;
    assert_eq!(why("maxResults=99"), "INVALID_PARAMETER_VALUE");
    assert_eq!(why("pageToken=bm9uc2Vuc2U"), "INVALID_PAGE_TOKEN");
}

#[test]
fn puts_come_neither_too_early_nor_too_fast() {
    let world = World::new();
    with(&world.account, |account| {
        account.conditions.appears_after = Duration::from_secs(20);
        account.conditions.puts_per_second = 10;
    });
    let id = world.started(&json!({ "VolumeSize": 1 }));
    refused(&world.put(&id, 0, 1), "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND");
    world.skip(1);
    assert_eq!(world.put(&id, 0, 1).status, 201);
    refused(&world.put(&id, 1, 1), "RequestThrottledException", "RESOURCE_LEVEL_THROTTLE");
}

#[test]
fn one_that_nobody_writes_is_given_up() {
    let world = World::new();
    let id = world.started(&json!({ "VolumeSize": 1, "Timeout": 10 }));
    world.skip(9 * 60);
    assert_eq!(world.put(&id, 0, 1).status, 201);
    world.skip(9 * 60);
    assert_eq!(world.state(&id), State::Pending(None));
    world.skip(2 * 60);
    assert!(matches!(world.state(&id), State::Error(_)));
    refused(&world.put(&id, 0, 1), "ValidationException", "INVALID_SNAPSHOT_ID");
}

#[test]
fn one_that_is_to_fail_ends_in_error() {
    let mut world = World::new();
    let id = world.started(&json!({ "VolumeSize": 1 }));
    world.disturbance = Some(Kind::Fails);
    assert_eq!(world.complete(&id, 0, None).status, 202);
    world.skip(2);
    assert!(matches!(world.state(&id), State::Error(_)));
}

#[test]
fn there_is_a_limit_to_what_is_pending() {
    let world = World::new();
    with(&world.account, |account| account.conditions.pending_snapshots = 1);
    world.started(&json!({ "VolumeSize": 1 }));
    refused(&world.start(&json!({ "VolumeSize": 1 })), "ConcurrentLimitExceededException", "");
}
