//! EBS direct: the blocks of a snapshot, written and read without an instance.
//!
//! Calls that change nothing or the same twice (start, list, get) are tried again by the SDK, as the
//! configuration says. Puts are not: whoever makes thousands of them paces them, too, and must see
//! every refusal ([`Trouble`]). Nor is the end of a snapshot: a refusal means another thing after an
//! answer that was lost.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ebs::Client;
use aws_sdk_ebs::config::http::HttpResponse;
use aws_sdk_ebs::error::SdkError;
use aws_sdk_ebs::operation::put_snapshot_block::PutSnapshotBlockError;
use aws_sdk_ebs::types::{
    ChecksumAggregationMethod, ChecksumAlgorithm, RequestThrottledExceptionReason, Tag,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::Failure;

/// The one size of a block that EBS direct knows, in bytes.
pub const BLOCK: i32 = 512 << 10;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How many blocks an answer lists at most. The largest that AWS allows.
const PAGE: i32 = 10_000;

/// A SHA-256.
pub type Checksum = [u8; 32];

/// How a snapshot is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As its parent is, or as the account has it by default.
    #[default]
    Inherited,
    /// With the account's default key.
    DefaultKey,
    /// With this key, by its ARN.
    Key(String),
}

/// What a snapshot is to be.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The size of a volume made of it, in GiB. Not less than the parent's.
    pub volume_gib: u32,
    /// What people see in the console.
    pub description: String,
    /// Tags, by key.
    pub tags: BTreeMap<String, String>,
    /// The same token and order give the same snapshot.
    pub client_token: String,
    /// When AWS gives a snapshot up that nothing is put into: 10 to 4320 minutes.
    pub timeout_minutes: u16,
    /// The snapshot that it has all blocks of which are not put. It says how it is encrypted, too.
    pub parent: Option<String>,
    /// How it is kept, if it has no parent.
    pub encryption: Encryption,
}

/// A snapshot that can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub snapshot: String,
    /// Its parent's.
    pub parent: Option<String>,
    /// Whether it is encrypted: what was never written reads as anything then.
    pub encrypted: bool,
    /// Where it stands. A token that was used before gives what became of that snapshot.
    pub status: Status,
}

/// Where a snapshot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is written to, or is being made whole.
    Pending,
    /// It can be used.
    Completed,
    /// AWS gave it up.
    Error,
}

/// A block that a snapshot has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its place.
    pub index: u32,
    /// What it is asked for with.
    pub token: String,
}

/// Whose limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// That of this snapshot.
    Snapshot,
    /// That of the account, whoever else writes.
    Account,
    /// That of something behind it, such as the key service.
    Dependency,
}

/// What a put that did not succeed means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nobody knows the snapshot: it is quite new, or gone.
    NoSuchSnapshot,
    /// Too many at once.
    Throttled(Throttle),
    /// There was no answer in time.
    TimedOut,
    /// The same put may well succeed in a moment.
    Passing,
    /// It never will.
    Final,
}

/// A put that did not succeed.
#[derive(Debug)]
pub struct Trouble {
    /// What to make of it.
    pub meaning: Meaning,
    /// What happened.
    pub failure: Failure,
}

/// Begins a snapshot.
pub async fn start(config: &SdkConfig, order: &Order) -> Result<Begun, Failure> {
    const CALL: &str = "ebs:StartSnapshot";
    let tags = order.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    let mut call = Client::new(config)
        .start_snapshot()
        .volume_size(order.volume_gib.into())
        // AWS takes none, and no empty one.
        .set_description(Some(order.description.clone()).filter(|text| !text.is_empty()))
        .set_tags(Some(tags.collect()))
        .client_token(&order.client_token)
        .timeout(order.timeout_minutes.into())
        .set_parent_snapshot_id(order.parent.clone());
    // AWS takes either a parent or these.
    if order.parent.is_none() {
        call = match &order.encryption {
            Encryption::Inherited => call,
            Encryption::DefaultKey => call.encrypted(true),
            Encryption::Key(arn) => call.encrypted(true).kms_key_arn(arn),
        };
    }
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    let unreadable = |cause: String| Failure::Unreadable { call: CALL, cause };
    if answer.block_size != Some(BLOCK) {
        let size = answer.block_size.map_or("unknown".to_owned(), |size| size.to_string());
        return Err(unreadable(format!("the size of a block is {size} and not {BLOCK}")));
    }
    Ok(Begun {
        snapshot: answer.snapshot_id.ok_or_else(|| unreadable("it names no snapshot".into()))?,
        // What was asked for and not refused is so, whether or not it is repeated.
        parent: answer.parent_snapshot_id.or_else(|| order.parent.clone()),
        encrypted: answer.kms_key_arn.is_some()
            || (order.parent.is_none() && order.encryption != Encryption::Inherited),
        status: status(answer.status.as_ref().map(aws_sdk_ebs::types::Status::as_str)),
    })
}

/// Says that all blocks are there: how many were put, and the LINEAR checksum over them. It is tried
/// once.
pub async fn complete(
    config: &SdkConfig,
    snapshot: &str,
    blocks: u32,
    linear: &Checksum,
) -> Result<Status, Failure> {
    let once = aws_sdk_ebs::config::Builder::from(config).retry_config(RetryConfig::disabled());
    let answer = Client::from_conf(once.build())
        .complete_snapshot()
        .snapshot_id(snapshot)
        .changed_blocks_count(i32::try_from(blocks).unwrap_or(i32::MAX))
        .checksum(BASE64_STANDARD.encode(linear))
        .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
        .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear)
        .send()
        .await
        .map_err(|error| Failure::new("ebs:CompleteSnapshot", &error))?;
    Ok(status(answer.status.as_ref().map(aws_sdk_ebs::types::Status::as_str)))
}

fn status(word: Option<&str>) -> Status {
    match word {
        Some("completed") => Status::Completed,
        Some("error") => Status::Error,
        _ => Status::Pending,
    }
}

/// Puts blocks. It has connections of its own, and tries nothing twice.
#[derive(Clone, Debug)]
pub struct Putter {
    client: Client,
}

impl Putter {
    /// Each put is given up after `deadline`.
    pub fn new(config: &SdkConfig, deadline: Duration) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(deadline)
            .build();
        let config = aws_sdk_ebs::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// Puts one block. `body` has all of its bytes.
    pub async fn put(
        &self,
        snapshot: &str,
        index: u32,
        checksum: &Checksum,
        body: SdkBody,
    ) -> Result<(), Trouble> {
        const CALL: &str = "ebs:PutSnapshotBlock";
        let checksum = BASE64_STANDARD.encode(checksum);
        let answer = self
            .client
            .put_snapshot_block()
            .snapshot_id(snapshot)
            .block_index(i32::try_from(index).unwrap_or(i32::MAX))
            .data_length(BLOCK)
            .checksum(&checksum)
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .block_data(ByteStream::new(body))
            .send()
            .await
            .map_err(|error| Trouble {
                meaning: meaning(&error),
                failure: Failure::new(CALL, &error),
            })?;
        match answer.checksum {
            Some(theirs) if theirs != checksum => {
                let cause = format!("block {index} arrived as {theirs} and was sent as {checksum}");
                Err(Trouble {
                    meaning: Meaning::Passing,
                    failure: Failure::Unreadable { call: CALL, cause },
                })
            }
            _ => Ok(()),
        }
    }
}

/// What an error of a put means.
fn meaning(error: &SdkError<PutSnapshotBlockError, HttpResponse>) -> Meaning {
    match error {
        SdkError::ServiceError(context) => refusal(context.err(), context.raw().status().as_u16()),
        SdkError::TimeoutError(_) => Meaning::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Meaning::TimedOut,
        SdkError::ConstructionFailure(_) => Meaning::Final,
        _ => Meaning::Passing,
    }
}

fn refusal(error: &PutSnapshotBlockError, status: u16) -> Meaning {
    use aws_sdk_ebs::types::ResourceNotFoundExceptionReason::SnapshotNotFound;
    use aws_sdk_ebs::types::ValidationExceptionReason::{
        ConflictingBlockUpdate, WriteRequestTimeout,
    };
    let code = aws_sdk_ebs::error::ProvideErrorMetadata::code(error).unwrap_or_default();
    match error {
        PutSnapshotBlockError::ResourceNotFoundException(it) => match &it.reason {
            Some(SnapshotNotFound) | None => Meaning::NoSuchSnapshot,
            Some(_) => Meaning::Final,
        },
        PutSnapshotBlockError::RequestThrottledException(it) => {
            Meaning::Throttled(throttle(it.reason.as_ref()))
        }
        PutSnapshotBlockError::ValidationException(it) => match &it.reason {
            // A put of the same block that was given up is still under way there.
            Some(ConflictingBlockUpdate) => Meaning::Passing,
            Some(WriteRequestTimeout) => Meaning::TimedOut,
            _ => Meaning::Final,
        },
        _ if status == 429 || code.contains("Throttl") || code == "SlowDown" => {
            Meaning::Throttled(Throttle::Account)
        }
        _ if status >= 500 => Meaning::Passing,
        _ => Meaning::Final,
    }
}

fn throttle(reason: Option<&RequestThrottledExceptionReason>) -> Throttle {
    match reason {
        Some(RequestThrottledExceptionReason::ResourceLevelThrottle) => Throttle::Snapshot,
        Some(RequestThrottledExceptionReason::DependencyRequestThrottled) => Throttle::Dependency,
        _ => Throttle::Account,
    }
}

/// The blocks that a completed snapshot has, from `first` on, as far as one answer goes. There are
/// more if the second value says so.
pub async fn list(
    config: &SdkConfig,
    snapshot: &str,
    first: u32,
    most: u32,
) -> Result<(Vec<Listed>, bool), Failure> {
    const CALL: &str = "ebs:ListSnapshotBlocks";
    let answer = Client::new(config)
        .list_snapshot_blocks()
        .snapshot_id(snapshot)
        .starting_block_index(i32::try_from(first).unwrap_or(i32::MAX))
        // AWS takes no less than 100.
        .max_results(i32::try_from(most).unwrap_or(PAGE).clamp(100, PAGE))
        .send()
        .await
        .map_err(|error| Failure::new(CALL, &error))?;
    let blocks = answer.blocks.unwrap_or_default().into_iter().filter_map(|block| {
        let index = u32::try_from(block.block_index?).ok()?;
        Some(Listed { index, token: block.block_token? })
    });
    Ok((blocks.collect(), answer.next_token.is_some()))
}

/// The places of all blocks that differ between two completed snapshots of one line, in order.
pub async fn changed(config: &SdkConfig, from: &str, snapshot: &str) -> Result<Vec<u32>, Failure> {
    const CALL: &str = "ebs:ListChangedBlocks";
    let client = Client::new(config);
    let (mut places, mut page) = (Vec::new(), None);
    loop {
        let answer = client
            .list_changed_blocks()
            .first_snapshot_id(from)
            .second_snapshot_id(snapshot)
            .max_results(PAGE)
            .set_next_token(page)
            .send()
            .await
            .map_err(|error| Failure::new(CALL, &error))?;
        let blocks = answer.changed_blocks.unwrap_or_default();
        places.extend(blocks.iter().filter_map(|block| u32::try_from(block.block_index?).ok()));
        page = answer.next_token;
        if page.is_none() {
            places.sort_unstable();
            return Ok(places);
        }
    }
}

/// The places of all blocks that a completed snapshot has, in order.
pub async fn present(config: &SdkConfig, snapshot: &str) -> Result<Vec<u32>, Failure> {
    let mut places = Vec::new();
    loop {
        let first = places.last().map_or(0, |last| last + 1);
        let (blocks, more) = list(config, snapshot, first, u32::MAX).await?;
        places.extend(blocks.iter().map(|block| block.index));
        if !more || blocks.is_empty() {
            return Ok(places);
        }
    }
}

/// The bytes of one block, as its checksum says.
pub async fn get(config: &SdkConfig, snapshot: &str, block: &Listed) -> Result<Vec<u8>, Failure> {
    const CALL: &str = "ebs:GetSnapshotBlock";
    let answer = Client::new(config)
        .get_snapshot_block()
        .snapshot_id(snapshot)
        .block_index(i32::try_from(block.index).unwrap_or(i32::MAX))
        .block_token(&block.token)
        .send()
        .await
        .map_err(|error| Failure::new(CALL, &error))?;
    let unreadable = |cause: String| Failure::Unreadable { call: CALL, cause };
    let expected = answer.checksum;
    let bytes = answer.block_data.collect().await;
    let bytes = bytes.map_err(|error| unreadable(super::failure::causes(&error)))?.to_vec();
    let found = BASE64_STANDARD.encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    match expected {
        Some(expected) if expected != found => {
            Err(unreadable(format!("block {} is {found}, and said to be {expected}", block.index)))
        }
        _ => Ok(bytes),
    }
}
