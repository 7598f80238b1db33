//! What is fuzzed: the reading of recipes, from bytes to everything that is wrong with them; of what
//! NFS clients and servers say to each other; of the records of the lease; of the policies of file
//! systems; and of what the kernel counts of its mounts.
//!
//! The rooms are taken in by their paths, so that the AWS SDKs are not built for this.

#[path = "../../src/sim/nfs/decode/mod.rs"]
pub mod decode;
#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/host/mod.rs"]
pub mod host;
#[path = "../../src/lease/record.rs"]
pub mod record;
pub mod policy;
#[path = "../../src/recipe/mod.rs"]
pub mod recipe;
#[path = "../../src/secret/mod.rs"]
pub mod secret;
#[path = "../../src/doctor/efs/mount/stats.rs"]
pub mod stats;

use decode::stream::{Message, Stream, Way};
use policy::document::{self, Policy};
use policy::evaluate::{self, Answer};
use policy::request::{self, Client, Principal};
use recipe::assets::Assets;
use recipe::{Given, read_text};

/// Reads `bytes` as a recipe. Whatever they are, there is a recipe or an error, and every error can
/// be shown.
///
/// # Panics
/// If that does not hold.
pub fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let given = Given { stand_in: true, ..Given::default() };
    let reading = read_text(&text, &Assets::new("/nonexistent"), &given);
    for problem in &reading.problems {
        assert!(!problem.message.is_empty());
        if let Some(place) = &problem.place {
            assert!(place.line >= 1 && place.column >= 1);
            // A line in which a secret may stand is not shown.
            if let Some(excerpt) = place.excerpt() {
                assert_eq!(excerpt.lines().count(), 3, "{excerpt}");
            }
        }
    }
    assert!(reading.recipe.is_some() || reading.errors() > 0, "neither a recipe nor an error");
}

/// Reads `bytes` as a record of the lease. Whatever they are, a record that is found is worth
/// something: it is read again as it is written, and names its generation and its holder.
///
/// # Panics
/// If that does not hold.
pub fn read_record(bytes: &[u8]) {
    match record::read(&String::from_utf8_lossy(bytes)) {
        record::Reading::Record(found) => {
            assert!((1..=record::VERSION).contains(&found.version) && found.generation > 0);
            assert!(!found.holder.fs_id.is_empty() && !found.holder.boot_id.is_empty());
            assert!(found.holder.instance_id.is_some() || found.holder.task.is_some());
            assert_eq!(record::read(&record::text(&found)), record::Reading::Record(found));
        }
        record::Reading::Newer { version, .. } => assert!(version > record::VERSION),
        record::Reading::Garbage(why) => assert!(!why.is_empty()),
    }
}

/// Reads `bytes` as `/proc/self/mountstats`. Whatever they are, no more mounts come of them than there
/// are heads of one, every mean is a number, and what is read is read again from a bundle.
///
/// # Panics
/// If that does not hold.
pub fn read_stats(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let all = stats::parse(&text);
    assert!(all.len() <= text.matches("device ").count());
    for operation in all.iter().flat_map(|one| &one.operations) {
        assert!(operation.mean_answer().is_finite() && operation.mean_queue().is_finite());
        assert!(operation.calls > 0 || operation.sent > 0);
    }
    for one in &all {
        assert!(stats::at(&all, &one.point).is_some());
    }
    let kept = serde_json::to_string(&all).expect("it has only string keys");
    assert_eq!(serde_json::from_str::<Vec<stats::Stats>>(&kept).expect("as it was written"), all);
}

/// Reads `bytes` as the policy of a file system. Whatever they are, it is one or it is said why not;
/// what it denies to somebody no permission gives back, and nobody is let in whom nothing allows it.
///
/// # Panics
/// If that does not hold.
pub fn read_policy(bytes: &[u8]) {
    let policy = match document::read(&String::from_utf8_lossy(bytes)) {
        Ok(policy) => policy,
        Err(why) => return assert!(!why.is_empty()),
    };
    let file_system = "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-0123456789abcdef0";
    let role = |account: &str| Principal {
        account: account.to_owned(),
        role: "ci-controller".to_owned(),
        session: "i-0aaaaaaaaaaaaaaaa".to_owned(),
    };
    for principal in [None, Some(role("123456789012")), Some(role("210987654321"))] {
        for tls in [false, true] {
            let client = Client {
                principal: principal.clone(),
                tls,
                access_point: tls.then(|| file_system.replace(":file-system/fs-", ":access-point/fsap-")),
                file_system: file_system.to_owned(),
            };
            for action in [request::MOUNT, request::WRITE, request::ROOT] {
                answered(&policy, &client, action);
            }
        }
    }
}

fn answered(policy: &Policy, client: &Client, action: &str) {
    let answer = evaluate::answer(policy, client, action);
    let has = |denies: bool| policy.statements.iter().any(|it| it.denies == denies);
    match &answer {
        Answer::Allowed => assert!(has(false) && !client.is_foreign()),
        Answer::Denied(by) => assert!(policy.statements.iter().any(|it| it.denies && it.name == *by)),
        Answer::Unmentioned => assert!(client.principal.is_none() || client.is_foreign()),
        Answer::ByRole => assert!(client.principal.is_some()),
        Answer::Depends(on) => assert!(!on.is_empty()),
    }
    // Without what it allows, it denies as much.
    let mut less = policy.clone();
    less.statements.retain(|it| it.denies);
    if let Answer::Denied(_) = answer {
        assert!(matches!(evaluate::answer(&less, client, action), Answer::Denied(_)));
    }
}

/// What a connection may hold in memory, whatever comes.
const MOST_HELD: usize = 8 << 20;

/// Reads `bytes` as either direction of an NFS connection. Whatever they are, memory is bounded,
/// and the messages are the same whether they come at once or in parts.
///
/// # Panics
/// If that does not hold.
pub fn decode(bytes: &[u8]) {
    for way in [Way::Calls, Way::Answers] {
        let whole = messages(way, [bytes]);
        // The parts' sizes come from the bytes, too: a crash can be played again.
        let size = 1 + bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % 300;
        assert_eq!(messages(way, bytes.chunks(size)), whole, "in parts of {size}");
        assert!(whole.len() <= bytes.len() / 4, "more messages than lengths of messages");
    }
}

fn messages<'a>(way: Way, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Message> {
    let (mut stream, mut messages) = (Stream::new(way), Vec::new());
    for part in parts {
        stream.feed(part, |message| messages.push(message));
        assert!(stream.held() <= MOST_HELD);
    }
    messages
}
