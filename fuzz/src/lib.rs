//! What is fuzzed: the reading of recipes, from bytes to everything that is wrong with them; of what
//! NFS clients and servers say to each other; of the records of the lease; and of what the kernel
//! counts of its mounts.
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
#[path = "../../src/recipe/mod.rs"]
pub mod recipe;
#[path = "../../src/secret.rs"]
pub mod secret;
#[path = "../../src/doctor/efs/mount/stats.rs"]
pub mod stats;

use decode::stream::{Message, Stream, Way};
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
