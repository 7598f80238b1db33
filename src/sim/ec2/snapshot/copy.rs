//! `CopySnapshot`, and the copies of snapshots that a copy of an image has.

use std::collections::BTreeSet;

use crate::sim::account::ACCOUNT_ID;
use crate::sim::conditions;
use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::image::mapping::usable;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape;
use crate::sim::ec2::tags::Specified;
use crate::sim::region::Tags;
use crate::sim::snapshot::{Snapshot, State};
use crate::sim::xml::leaf;

/// Whether a copy is encrypted, and with which key.
#[derive(Clone, Debug)]
pub struct Lock(Option<String>);

impl Lock {
    /// Takes it from a request in a region.
    pub fn of(query: &mut Query, region: &str) -> Answer<Self> {
        let encrypted = query.flag("Encrypted")?.unwrap_or_default();
        let key = query.text("KmsKeyId").filter(|key| !key.is_empty());
        match (encrypted, key) {
            (false, None) => Ok(Self(None)),
            (false, Some(_)) => {
                Err(Refusal::combination("KmsKeyId can only be specified if Encrypted is true"))
            }
            (true, key) => {
                let key = key.unwrap_or_else(|| "alias/aws/ebs".to_owned());
                key_arn(&key, region).map(|arn| Self(Some(arn)))
            }
        }
    }
}

/// The ARN of a key. Keys are not modelled: a well-formed one exists, if it is of this region.
pub fn key_arn(key: &str, region: &str) -> Answer {
    let invalid = || {
        Refusal::new("InvalidParameterValue", format!("The given key ID is not accessible: {key}"))
    };
    if let Some(rest) = key.strip_prefix("arn:aws:kms:") {
        return if rest.starts_with(&format!("{region}:")) {
            Ok(key.to_owned())
        } else {
            Err(invalid())
        };
    }
    let name = if key.starts_with("alias/") { key.to_owned() } else { format!("key/{key}") };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    if name.bytes().all(fits) {
        return Ok(format!("arn:aws:kms:{region}:{ACCOUNT_ID}:{name}"));
    }
    Err(invalid())
}

/// `CopySnapshot`.
pub fn copy(call: &mut Call<'_>, mut query: Query) -> Answer {
    let source_region = query.required("SourceRegion")?;
    let source = query.required("SourceSnapshotId")?;
    let description = query.text("Description").unwrap_or_default();
    // What clients presign for the other region proves nothing here.
    let _presigned = query.text("PresignedUrl");
    let destination = query.text("DestinationRegion");
    let lock = Lock::of(&mut query, &call.region)?;
    let tags = Specified::of(&mut query, &[Kind::Snapshot])?.for_kind(Kind::Snapshot);
    let dry_run = query.finish()?;
    if destination.is_some_and(|destination| destination != call.region) {
        let message = "DestinationRegion is not the region that the request was sent to";
        return Err(Refusal::value(message));
    }
    let now = call.account.now();
    let region = call.account.region(&source_region);
    region.settle(now);
    usable(region, &source)?;
    dry_run.end()?;
    let from = (source_region.as_str(), source.as_str());
    let id = duplicate(call, from, &description, tags.clone(), &lock)?;
    Ok(leaf("snapshotId", &id) + &shape::tags(&tags))
}

/// Begins the copy of a snapshot of some region in the region of the call. Returns its id.
pub fn duplicate(
    call: &mut Call<'_>,
    (region, source): (&str, &str),
    description: &str,
    tags: Tags,
    lock: &Lock,
) -> Answer {
    let found = usable(call.account.region(region), source)?.clone();
    let due = call.account.due(conditions::COPY);
    let id = Kind::Snapshot.fresh();
    // A copy of what is encrypted is encrypted, with the default key if no other is said.
    let by_default = call.here().encrypted_by_default;
    let inherited = || key_arn("alias/aws/ebs", &call.region);
    let kms_key = match (&lock.0, &found.kms_key) {
        (Some(key), _) => Some(key.clone()),
        (None, Some(_)) => Some(inherited()?),
        (None, None) if by_default => Some(inherited()?),
        (None, None) => None,
    };
    let copy = Snapshot {
        id: id.clone(),
        state: State::Pending(Some(due)),
        started: call.account.world(),
        description: description.to_owned(),
        tags,
        kms_key,
        volume: None,
        parent: None,
        put: BTreeSet::new(),
        shared_with: BTreeSet::new(),
        ..found
    };
    call.here().snapshots.insert(id.clone(), copy);
    Ok(id)
}
