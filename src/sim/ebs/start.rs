//! `StartSnapshot`.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{error, invalid, no_snapshot};
use super::{json as reply, well_formed};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::call::Call;
use crate::sim::disturbance::Kind;
use crate::sim::http::Reply;
use crate::sim::random;
use crate::sim::region::{Region, Tags};
use crate::sim::snapshot::{Allowance, BLOCK_BYTES, Snapshot, State, Writing};

const ACTION: &str = "StartSnapshot";
/// 64 TiB.
const LARGEST_GIB: u64 = 65_536;
const TAGS_LIMIT: usize = 50;
/// In minutes.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 10..=4320;
const DEFAULT_TIMEOUT: u64 = 60;

/// What is asked. What it does not name is not AWS's.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    volume_size: Option<u64>,
    parent_snapshot_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    description: String,
    client_token: Option<String>,
    encrypted: Option<bool>,
    kms_key_arn: Option<String>,
    timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

pub(super) fn answer(account: &mut Account, call: &Call<'_>) -> Result<Reply, Reply> {
    let asked: Asked = serde_json::from_slice(&call.request.body).map_err(|_| {
        error(400, "SerializationException", "The body is not what it must be.", None)
    })?;
    let digest = random::derived(&String::from_utf8_lossy(&call.request.body), 64);
    let token = asked.client_token.clone().map(|token| (ACTION.to_owned(), token));
    let region = super::region(account, call);
    if let Some((id, same)) = token.as_ref().and_then(|token| region.tokens.get(token))
        && let Some(snapshot) = region.snapshots.get(id)
    {
        return if *same == digest {
            Ok(reply(201, &describe(snapshot)))
        } else {
            let message = "The client token was used before with other parameters.";
            Err(error(409, "ConflictException", message, None))
        };
    }
    let mut snapshot = asked.snapshot(region, &call.region)?;
    snapshot.started = account.world();
    let writing = asked.writing(account, call)?;
    let limit = account.conditions.pending_snapshots;
    let region = account.region(&call.region);
    let pending = region.snapshots.values().filter(|one| one.state == State::Pending(None));
    if pending.count() >= limit {
        let message = "You have reached the limit of pending snapshots.";
        return Err(error(400, "ConcurrentLimitExceededException", message, None));
    }
    let described = describe(&snapshot);
    let id = snapshot.id.clone();
    region.tokens.extend(token.map(|token| (token, (id.clone(), digest))));
    region.writing.insert(id.clone(), writing);
    region.snapshots.insert(id, snapshot);
    Ok(reply(201, &described))
}

impl Asked {
    fn snapshot(&self, region: &Region, region_name: &str) -> Result<Snapshot, Reply> {
        let volume_gib = self.volume_size.unwrap_or_default();
        if !(1..=LARGEST_GIB).contains(&volume_gib) {
            let message = format!("The volume size must be from 1 to {LARGEST_GIB} GiB.");
            return Err(invalid("INVALID_VOLUME_SIZE", &message));
        }
        if self.description.len() > 255 {
            return Err(invalid("INVALID_PARAMETER_VALUE", "The description is too long."));
        }
        let parent = self.parent(region, volume_gib)?;
        Ok(Snapshot {
            id: format!("snap-0{}", random::hex(16)),
            volume_gib,
            state: State::Pending(None),
            started: Timestamp::UNIX_EPOCH,
            description: self.description.clone(),
            tags: self.tags()?,
            kms_key: match parent {
                Some(parent) => parent.kms_key.clone(),
                None => self.key(region, region_name)?,
            },
            volume: None,
            parent: self.parent_snapshot_id.clone(),
            blocks: parent.map(|parent| parent.blocks.clone()).unwrap_or_default(),
            put: std::collections::BTreeSet::new(),
            shared_with: std::collections::BTreeSet::new(),
        })
    }

    fn parent<'a>(&self, region: &'a Region, size: u64) -> Result<Option<&'a Snapshot>, Reply> {
        let Some(id) = &self.parent_snapshot_id else { return Ok(None) };
        if self.encrypted.is_some() || self.kms_key_arn.is_some() {
            let message = "ParentSnapshotId cannot be given together with Encrypted or KmsKeyArn.";
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
        well_formed(id)?;
        let parent = region.snapshots.get(id).ok_or_else(|| no_snapshot(id))?;
        if !parent.is_completed() {
            let message = format!("The parent snapshot '{id}' is not in the completed state.");
            return Err(invalid("INVALID_SNAPSHOT_ID", &message));
        }
        if parent.volume_gib > size {
            let message = "The volume size must not be smaller than that of the parent snapshot.";
            return Err(invalid("INVALID_VOLUME_SIZE", message));
        }
        Ok(Some(parent))
    }

    fn key(&self, region: &Region, name: &str) -> Result<Option<String>, Reply> {
        match (self.encrypted, &self.kms_key_arn) {
            (None | Some(false), None) => {
                Ok(region.encrypted_by_default.then(|| default_key(name)))
            }
            (Some(true), None) => Ok(Some(default_key(name))),
            (Some(true), Some(key)) if key.starts_with(&format!("arn:aws:kms:{name}:")) => {
                Ok(Some(key.clone()))
            }
            (Some(true), Some(_)) => {
                Err(invalid("INVALID_CUSTOMER_KEY", "The KMS key is not in this region."))
            }
            (None | Some(false), Some(_)) => {
                let message = "KmsKeyArn can be given only together with Encrypted.";
                Err(invalid("INVALID_PARAMETER_VALUE", message))
            }
        }
    }

    fn tags(&self) -> Result<Tags, Reply> {
        let wrong = |message: &str| Err(invalid("INVALID_TAG", message));
        if self.tags.len() > TAGS_LIMIT {
            return wrong("There are more than 50 tags.");
        }
        let mut tags = Tags::new();
        for Tag { key, value } in &self.tags {
            if key.is_empty() || key.len() > 127 || value.len() > 255 {
                return wrong("A tag's key or value is too short or too long.");
            }
            if key.starts_with("aws:") {
                return wrong("Tag keys that begin with aws: are reserved.");
            }
            if tags.insert(key.clone(), value.clone()).is_some() {
                return wrong("A tag's key is there twice.");
            }
        }
        Ok(tags)
    }

    fn writing(&self, account: &Account, call: &Call<'_>) -> Result<Writing, Reply> {
        let minutes = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        if !TIMEOUTS.contains(&minutes) {
            let message = "The timeout must be from 10 to 4320 minutes.";
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
        let now = account.now();
        let conditions = &account.conditions;
        #[expect(clippy::cast_precision_loss, reason = "at most three days")]
        let patience = minutes as f64 * 60.0 / conditions.impatience;
        Ok(Writing {
            appears: now + conditions.takes(conditions.appears_after),
            patience: std::time::Duration::from_secs_f64(patience),
            last: now,
            puts: Allowance::full(now),
            doom: (call.disturbance == Some(Kind::Fails)).then(|| super::DOOM.to_owned()),
        })
    }
}

/// The key that AWS manages for EBS in each region.
fn default_key(region: &str) -> String {
    let digits = random::derived(&format!("aws/ebs in {region}"), 32);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    format!("arn:aws:kms:{region}:{ACCOUNT_ID}:key/{}", parts.join("-"))
}

fn describe(snapshot: &Snapshot) -> Value {
    let tags = snapshot.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
    let mut described = json!({
        "SnapshotId": snapshot.id,
        "OwnerId": ACCOUNT_ID,
        "Status": snapshot.state.word(),
        "StartTime": snapshot.started.as_second(),
        "VolumeSize": snapshot.volume_gib,
        "BlockSize": BLOCK_BYTES,
        "Tags": tags.collect::<Vec<_>>(),
        "SseType": if snapshot.kms_key.is_some() { "sse-kms" } else { "none" },
    });
    let mut say = |name: &str, what: Option<&String>| {
        if let Some(what) = what {
            described[name] = what.as_str().into();
        }
    };
    say("Description", Some(&snapshot.description).filter(|text| !text.is_empty()));
    say("ParentSnapshotId", snapshot.parent.as_ref());
    say("KmsKeyArn", snapshot.kms_key.as_ref());
    described
}
